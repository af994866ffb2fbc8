package stack

import (
	"net/netip"
	"time"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/stack/header"
	"github.com/fastnet-go/fastnet/stack/reassembly"
)

// ipPacket is what the transports must know of the packet that brought them
// something.
type ipPacket struct {
	src, dst netip.Addr
	raw      []byte // the packet from its IP header on: what an ICMP error quotes
	sum      uint16 // of the pseudo-header
	unicast  bool   // to us alone, not to a group or by a broadcast on the link
	tos, ttl uint8  // or traffic class and hop limit
}

// receiveIPv4 takes a packet that begins with its IPv4 header (RFC 791, 1122
// section 3.2.1).
func (q *queue) receiveIPv4(p *nic.Packet, now time.Duration) {
	h := q.host
	ip, payload, err := header.ParseIPv4(p.Bytes())
	if err != nil {
		h.drop(p, DropIPHeader)
		return
	}
	if !q.iface.loopback {
		if !ip.ChecksumOK() {
			h.drop(p, DropIPChecksum)
			return
		}
		if ip.Src()[0] == 127 || ip.Dst()[0] == 127 {
			h.drop(p, DropMartian)
			return
		}
	}
	if len(ip) > header.IPv4MinLen {
		// A source route could make us answer through a third party.
		if info, err := ip.CheckOptions(); err != nil || info.SourceRoute {
			h.drop(p, DropIPHeader)
			return
		}
	}
	if ip.IsFragment() {
		q.receiveFragment4(p, ip, payload, now)
		return
	}
	q.deliverIPv4(p, ip, payload, now)
}

// deliverIPv4 passes a whole datagram to its transport.
func (q *queue) deliverIPv4(p *nic.Packet, ip header.IPv4, payload []byte, now time.Duration) {
	h := q.host
	sum := ip.PseudoSum(len(payload))
	hl := len(ip)
	if ip.Protocol() == header.ProtoTCP {
		p.TrimFront(hl)
		p.Trim(len(payload))
		k := tuple{local: addr4(ip.Dst()), remote: addr4(ip.Src())}
		q.receiveTCP(p, &k, sum, now)
		return
	}
	d := ipPacket{src: ip.SrcAddr(), dst: ip.DstAddr(), sum: sum, raw: p.Bytes()[:hl+len(payload)], tos: ip.TOS(), ttl: ip.TTL()}
	if !q.accepts(&d) {
		h.drop(p, DropNotLocal)
		return
	}
	if d.src.IsMulticast() || q.iface.isBroadcast(d.src) || q.iface.forged(d.src) {
		h.drop(p, DropMartian)
		return
	}
	p.TrimFront(hl)
	p.Trim(len(payload))
	switch ip.Protocol() {
	case header.ProtoUDP:
		q.receiveUDP(p, &d, now)
	case header.ProtoICMP:
		q.receiveICMPv4(p, &d, now)
	case header.ProtoIGMP:
		q.receiveIGMP(p, &d, now)
	default:
		h.unreachable(q, &d, header.ICMPv4ProtoUnreachable, now)
		h.drop(p, DropProtocol)
	}
}

// accepts reports whether a packet is for this host, and notes whether for it
// alone.
func (q *queue) accepts(d *ipPacket) bool {
	switch {
	case q.host.isLocal(d.dst):
		d.unicast = !q.group // RFC 1122 section 3.2.2
		return true
	case d.dst.IsMulticast():
		return true // those with no socket end at the transport
	}
	return q.isBroadcast(d.dst)
}

// isBroadcast is that of the queue's interface. What the host broadcasts comes
// back by loopback, with any interface's address.
func (q *queue) isBroadcast(a netip.Addr) bool {
	if !q.iface.loopback {
		return q.iface.isBroadcast(a)
	}
	for _, i := range q.host.interfaces() {
		if i.isBroadcast(a) {
			return true
		}
	}
	return false
}

// receiveFragment4 keeps a fragment until its datagram is whole.
func (q *queue) receiveFragment4(p *nic.Packet, ip header.IPv4, payload []byte, now time.Duration) {
	h := q.host
	dst := ip.DstAddr()
	if !h.isLocal(dst) && !q.isBroadcast(dst) && !q.memberOf(dst) {
		h.drop(p, DropNotLocal)
		return
	}
	d, status := h.fragments.add(h.fragments.v4, &reassembly.Fragment{
		Key:    reassembly.Key{Src: ip.SrcAddr(), Dst: dst, ID: uint32(ip.ID()), Proto: ip.Protocol()},
		Offset: ip.FragmentOffset(), More: ip.MoreFragments(), ECN: ip.TOS() & 3,
		Header: ip, Payload: payload,
	})
	switch status {
	case reassembly.Complete:
		p.Release()
		if whole := h.datagram(d.Header, d.Payload); whole != nil {
			hdr := header.IPv4(whole.Bytes()[:len(d.Header)])
			hdr.SetTotalLen(len(d.Header) + len(d.Payload))
			hdr.SetFragment(false, false, 0)
			hdr.UpdateChecksum()
			q.deliverIPv4(whole, hdr, whole.Bytes()[len(d.Header):], now)
		}
	case reassembly.Held:
		p.Release()
	default:
		h.drop(p, DropFragment)
	}
}
