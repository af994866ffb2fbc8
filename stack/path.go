package stack

import (
	"net/netip"
	"syscall"
	"time"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/stack/header"
	"github.com/fastnet-go/fastnet/stack/neighbor"
	"github.com/fastnet-go/fastnet/stack/route"
)

const (
	errNetDown         = syscall.ENETDOWN
	errNetUnreachable  = syscall.ENETUNREACH
	errHostUnreachable = syscall.EHOSTUNREACH
)

// path is how packets for one destination leave the host.
type path struct {
	iface    *Interface
	q        *queue
	src, dst netip.Addr // without zone
	nextHop  netip.Addr
	entry    *neighbor.Entry[*nic.Packet] // of nextHop; nil where none is needed
	known    pathMTU                      // of the path's MTU, if it is less than the interface's
	tos      uint8                        // of its packets: type of service or traffic class
	hops     uint8                        // of its packets: time to live or hop limit; 0: the default
	shard    uint8                        // of the destination: see Host.generation
	gen      uint64                       // see Host.generation
	lost     bool                         // src is no address of the host's any more
}

// findPath looks up how to reach dst. src, if valid, is the source address that
// the socket is bound to. The zone of dst chooses the interface of a link-local
// address. flow chooses among the interface's queues.
func (h *Host) findPath(dst, src netip.Addr, flow uint64) (path, error) {
	return h.findPathVia(0, dst, src, flow)
}

// findPathVia is findPath through the interface of index via, unless that is 0
// or dst is an address of the host's own.
func (h *Host) findPathVia(via int, dst, src netip.Addr, flow uint64) (path, error) {
	p := path{dst: dst.WithZone("").Unmap(), src: src}
	p.shard = pathShard(h.pathMTUs.hash(p.dst))
	p.gen = h.generation(p.shard)
	switch {
	case h.isLocal(p.dst):
		p.iface, p.nextHop = h.loop, p.dst
		if !p.src.IsValid() {
			p.src = p.dst
		}
	case p.src.IsValid() && p.src.IsLoopback():
		return p, syscall.EINVAL // as Linux: a martian source
	case h.gone(p.src):
		return p, errSourceGone
	default:
		r, ok := h.routes.Lookup(p.dst)
		if isLinkLocal(p.dst) || dst.IsMulticast() || dst == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
			i := h.scopeInterface(dst, src)
			if i == nil && dst.Zone() == "" && dst.IsMulticast() {
				i = h.loop // there is no other
			}
			if i != nil {
				ok = true
				r = route.Route{Ifindex: i.index}
			} else if dst.Zone() != "" {
				return p, errInvalid // as Linux: no such interface
			}
		}
		if via != 0 && (!ok || r.Ifindex != via) {
			if via < 0 || via > len(h.interfaces()) {
				return p, syscall.ENODEV
			}
			ok = true // as Linux: on the link, if no route of the interface says otherwise
			r = route.Route{Ifindex: via}
		}
		if !ok {
			return p, errNetUnreachable
		}
		p.iface = h.interfaces()[r.Ifindex-1]
		p.nextHop = r.NextHop(p.dst)
		if !p.src.IsValid() {
			s, ok := r.SelectSource(p.dst, p.iface.addresses())
			if !ok {
				return p, errNetUnreachable
			}
			p.src = s
		}
	}
	if p.iface.dev.Link().Err != nil {
		return p, errNetDown
	}
	if !p.iface.loopback {
		p.known = h.pathMTUs.lookup(p.dst, h.now())
	}
	p.q = p.iface.queues[flow%uint64(len(p.iface.queues))]
	return p, nil
}

// scopeInterface is the interface that the zone of dst names, or the one that
// has src, or the first that is not loopback.
func (h *Host) scopeInterface(dst, src netip.Addr) *Interface {
	var first *Interface
	for _, i := range h.interfaces() {
		switch zone := dst.Zone(); {
		case zone != "" && (zone == i.name || zone == itoa(i.index)):
			return i
		case zone == "" && src.IsValid() && i.hasAddr(src):
			return i
		case zone == "" && !i.loopback && first == nil:
			first = i
		}
	}
	return first
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}

// mac returns the Ethernet address to send to; ok is false while it must be
// asked for.
func (p *path) mac(now time.Duration) (mac [6]byte, ok bool) {
	if p.entry == nil {
		if p.iface.loopback {
			return mac, true
		}
		if m, ok := header.MulticastMAC(p.dst); ok {
			return m, true
		}
		if p.iface.isBroadcast(p.dst) {
			return header.Broadcast, true
		}
		p.entry = p.iface.neighbors.Lookup(p.nextHop, now)
	}
	stale := p.entry.State() == neighbor.Stale
	mac, ok = p.iface.neighbors.Use(p.entry, now)
	if stale { // it will be probed unless somebody confirms it
		p.iface.host.arm(&p.iface.neighTime, p.iface.neighbors.Next())
	}
	return mac, ok
}

// resolve looks the next hop's entry up, of a path to one host.
func (p *path) resolve(now time.Duration) {
	if p.entry == nil && !p.iface.loopback {
		p.entry = p.iface.neighbors.Lookup(p.nextHop, now)
	}
}

// confirm tells the neighbour cache that the next hop is alive: what came is an
// answer to what went there (RFC 4861 section 7.3.1).
func (p *path) confirm(now time.Duration) {
	if p.entry != nil {
		p.iface.neighbors.Confirm(p.entry, now)
	}
}

// send transmits frames whose Ethernet header lacks the destination. It fills
// that in, or holds them until the next hop has answered. An error says that
// the next hop is known not to answer; the frames are released.
func (p *path) send(pkts []*nic.Packet, now time.Duration) error {
	if p.lost {
		for _, pkt := range pkts {
			p.iface.host.drop(pkt, DropNoRoute)
		}
		return nil // as Linux: it is sent again until it times out
	}
	mac, ok := p.mac(now)
	if ok {
		for _, pkt := range pkts {
			copy(pkt.Bytes(), mac[:])
		}
		p.q.transmit(pkts)
		p.q.kick()
		return nil
	}
	var err error
	for _, pkt := range pkts {
		if e := p.hold(pkt, now); e != nil {
			err = e
		}
	}
	p.iface.host.carryOut(p.iface, now)
	return err
}

// hold keeps a frame until its next hop is known.
func (p *path) hold(pkt *nic.Packet, now time.Duration) error {
	h := p.iface.host
	pkt.Queue = uint16(p.q.index) // for sendPending
	for range 2 {
		dropped, status := p.iface.neighbors.Enqueue(p.entry, pkt, now)
		switch status {
		case neighbor.QueuedDropped:
			h.drop(dropped, DropNeighborPending)
			fallthrough
		case neighbor.Queued:
			if h.closed.Load() { // Close may have missed it
				p.iface.flushNeighbors()
			}
			return nil
		case neighbor.Known:
			if mac, ok := p.iface.neighbors.Use(p.entry, now); ok {
				copy(pkt.Bytes(), mac[:])
				p.q.transmit([]*nic.Packet{pkt})
				p.q.kick()
				return nil
			}
		case neighbor.NoAnswer:
			h.drop(pkt, DropNoNeighbor)
			return errHostUnreachable
		case neighbor.Gone:
			p.entry = p.iface.neighbors.Lookup(p.nextHop, now)
		}
	}
	h.drop(pkt, DropNoNeighbor)
	return errHostUnreachable
}

// header writes what each packet of the path begins with, but for the
// destination's Ethernet address, the lengths and the IPv4 checksum, and
// returns its length.
func (p *path) header(b []byte, proto uint8, ttl, tos uint8) int {
	typ := uint16(header.TypeIPv4)
	if p.dst.Is6() {
		typ = header.TypeIPv6
	}
	header.PutEthernet(b, [6]byte{}, p.iface.hwAddr(), typ)
	if p.dst.Is6() {
		f := header.IPv6Fields{NextHeader: proto, HopLimit: ttl, TrafficClass: tos, Src: p.src.As16(), Dst: p.dst.As16()}
		f.Put(b[header.EthernetLen:])
		return header.EthernetLen + header.IPv6Len
	}
	f := header.IPv4Fields{TotalLen: header.IPv4MinLen, DF: true, TTL: ttl, TOS: tos, Protocol: proto, Src: p.src.As4(), Dst: p.dst.As4()}
	f.Put(b[header.EthernetLen:])
	return header.EthernetLen + header.IPv4MinLen
}

// ttl is the time to live, or hop limit, of datagrams: those to a group do not
// leave the link unless somebody asks for it (RFC 1112 section 6.1).
func (p *path) ttl() uint8 {
	if p.hops != 0 {
		return p.hops
	}
	if p.dst.IsMulticast() {
		return 1
	}
	return defaultTTL
}

// defaultTTL is the time to live, or hop limit, of packets to one host (RFC 1700,
// "IP time to live parameter").
const defaultTTL = 64

// loopbackOf is the loopback address of a's family.
func loopbackOf(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return netip.IPv6Loopback()
}

// pseudoSum is the checksum of the pseudo-header with a length of zero.
func (p *path) pseudoSum(proto uint8) uint16 {
	if p.dst.Is6() {
		return header.PseudoSum6(p.src.As16(), p.dst.As16(), proto, 0)
	}
	return header.PseudoSum4(p.src.As4(), p.dst.As4(), proto, 0)
}

// mtu is the path's, as far as it is known.
func (p *path) mtu() int {
	m := int(p.iface.mtu.Load())
	if p.known.mtu != 0 {
		m = min(m, p.known.mtu)
	}
	return m
}
