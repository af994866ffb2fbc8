package stack

import (
	"net/netip"
	"time"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/stack/header"
	"github.com/fastnet-go/fastnet/stack/neighbor"
)

// carryOut does what the neighbour cache of an interface asks for: solicit,
// send what waited for an answer, give up.
func (h *Host) carryOut(i *Interface, now time.Duration) {
	if !i.neighMu.TryLock() {
		// Whoever has it may have taken its actions already: look again soon.
		if !h.closed.Load() {
			h.arm(&i.neighTime, now)
		}
		return
	}
	i.act(now)
	i.neighMu.Unlock()
	if h.closed.Load() {
		i.flushNeighbors()
	} else if next := i.neighbors.Next(); next != Never {
		h.arm(&i.neighTime, next)
	}
}

// act is the part of carryOut that neighMu is held for.
func (i *Interface) act(now time.Duration) {
	i.actions = i.neighbors.Advance(now, i.actions[:0])
	for n := range i.actions {
		a := &i.actions[n]
		switch a.Kind {
		case neighbor.SolicitMulticast:
			i.solicit(a.Addr, nil)
		case neighbor.SolicitUnicast:
			i.solicit(a.Addr, &a.MAC)
		case neighbor.Resolved:
			i.sendPending(a.MAC, a.Pending)
		case neighbor.Unreachable:
			for _, p := range a.Pending {
				i.host.unresolved(i, p, now)
			}
		}
		a.Pending = nil
	}
}

// flushNeighbors forgets the neighbours of a host that is closed, and drops what
// waits for them. Whoever has the mutex does it afterwards.
func (i *Interface) flushNeighbors() {
	for i.neighbors.Len() > 0 && i.neighMu.TryLock() {
		i.neighbors.Flush()
		i.act(i.host.now())
		i.neighMu.Unlock()
	}
}

// sendPending transmits frames whose next hop has answered, each by the queue
// that it was held for.
func (i *Interface) sendPending(mac [6]byte, pkts []*nic.Packet) {
	for len(pkts) > 0 {
		n := 0
		for n < len(pkts) && pkts[n].Queue == pkts[0].Queue {
			copy(pkts[n].Bytes(), mac[:])
			n++
		}
		q := i.queues[pkts[0].Queue]
		q.transmit(pkts[:n])
		q.kick()
		pkts = pkts[n:]
	}
}

// unresolved tells the sender of a frame that its next hop did not answer, as an
// ICMP host unreachable would, and releases it.
func (h *Host) unresolved(i *Interface, p *nic.Packet, now time.Duration) {
	h.count.drops[DropNoNeighbor].Add(1)
	if q, ok := header.ParseQuote(p.Bytes()[header.EthernetLen:]); ok && !h.closed.Load() {
		h.softError(i, &q, errHostUnreachable, true)
	}
	p.Release()
}

// solicit asks for the address of a neighbour: by ARP or ND, of everybody or of
// the one who had it last.
func (i *Interface) solicit(a netip.Addr, mac *[6]byte) {
	if i.resolve != nil {
		i.resolve(a)
	} else if a.Is4() {
		i.sendARPRequest(a, mac)
	} else {
		i.sendSolicitation(a, mac)
	}
}

// sendFrame sends an Ethernet frame with a payload of n bytes that build writes.
func (i *Interface) sendFrame(dst [6]byte, typ uint16, n int, build func(b []byte)) {
	q := i.queues[0]
	p := q.dev.Alloc(header.EthernetLen + n)
	if p == nil {
		i.host.count.drops[DropNoBuffer].Add(1)
		return
	}
	b := p.Extend(header.EthernetLen + n)
	header.PutEthernet(b, dst, i.hwAddr(), typ)
	build(b[header.EthernetLen:])
	q.transmit([]*nic.Packet{p})
	q.kick()
}

// sendARPRequest asks who has a (RFC 826).
func (i *Interface) sendARPRequest(a netip.Addr, mac *[6]byte) {
	src := i.sourceFor(a)
	if !src.IsValid() {
		return
	}
	dst := header.Broadcast
	if mac != nil {
		dst = *mac
	}
	i.sendFrame(dst, header.TypeARP, header.ARPLen, func(b []byte) {
		header.PutARP(b, header.ARPRequest, i.hwAddr(), src, [6]byte{}, a)
	})
}

// sourceFor is the interface's own address in the subnet of a, or of its family
// at least.
func (i *Interface) sourceFor(a netip.Addr) netip.Addr {
	var any netip.Addr
	for _, p := range i.addresses() {
		if p.Addr().Is4() != a.Is4() {
			continue
		}
		if p.Contains(a) {
			return p.Addr()
		}
		if !any.IsValid() {
			any = p.Addr()
		}
	}
	return any
}

// onLink reports whether a is in a subnet of the interface's.
func (i *Interface) onLink(a netip.Addr) bool {
	for _, p := range i.addresses() {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// receiveARP handles an ARP packet (RFC 826 "Packet Reception").
func (q *queue) receiveARP(p *nic.Packet, now time.Duration) {
	i := q.iface
	a := header.ARP(p.Bytes())
	if i.loopback || i.resolve != nil || !a.Valid() {
		q.host.drop(p, DropARP)
		return
	}
	op, sender, mac, target := a.Op(), a.SenderIP(), a.SenderMAC(), a.TargetIP()
	p.Release()
	if header.IsMulticast(mac) || sender.IsMulticast() || sender.IsLoopback() || i.hasAddr(sender) {
		q.host.count.drops[DropARP].Add(1)
		return
	}
	switch {
	case op == header.ARPReply && i.hasAddr(target):
		i.neighbors.Advertised(sender, mac, true, true, now)
	case op == header.ARPRequest && i.hasAddr(target):
		if i.onLink(sender) { // not so the sender of a probe (RFC 5227)
			i.neighbors.Heard(sender, mac, now)
		}
		i.sendFrame(mac, header.TypeARP, header.ARPLen, func(b []byte) {
			header.PutARP(b, header.ARPReply, i.hwAddr(), target, mac, sender)
		})
	default:
		// An announcement, or a reply to somebody else. The cache believes
		// it of an entry that is not live, and probes one that is.
		i.neighbors.Advertised(sender, mac, false, true, now)
	}
	q.host.carryOut(i, now)
}

// sendSolicitation asks for the link-layer address of a (RFC 4861 section 7.2.2).
func (i *Interface) sendSolicitation(a netip.Addr, mac *[6]byte) {
	src := i.sourceFor(a)
	if !src.IsValid() {
		return
	}
	target := a.As16()
	dstIP := target
	var dst [6]byte
	if mac != nil {
		dst = *mac
	} else {
		dstIP = header.SolicitedNode(target)
		dst, _ = header.MulticastMAC(netip.AddrFrom16(dstIP))
	}
	i.host.count.icmpOut.Add(1)
	i.sendFrame(dst, header.TypeIPv6, header.IPv6Len+ndLen, func(b []byte) {
		putND(b, src.As16(), dstIP)
		header.PutNeighborSolicitation(b[header.IPv6Len:], src.As16(), dstIP, target, (*[6]byte)(i.mac.Load()))
	})
}

// ndLen is the length of a solicitation or advertisement with one option.
const ndLen = 32

// putND writes the IPv6 header of a neighbour discovery message.
func putND(b []byte, src, dst [16]byte) {
	f := header.IPv6Fields{PayloadLen: ndLen, NextHeader: header.ProtoICMPv6, HopLimit: 255, Src: src, Dst: dst}
	f.Put(b)
}

// sendAdvertisement sends a neighbour advertisement, after asking for the link
// address of dst if need be (RFC 4861 section 7.2.4).
func (i *Interface) sendAdvertisement(target [16]byte, dst netip.Addr, flags uint8, now time.Duration) {
	p := path{iface: i, q: i.queues[0], src: netip.AddrFrom16(target), dst: dst, nextHop: dst}
	pkt := p.q.dev.Alloc(header.EthernetLen + header.IPv6Len + ndLen)
	if pkt == nil {
		i.host.count.drops[DropNoBuffer].Add(1)
		return
	}
	b := pkt.Extend(header.EthernetLen + header.IPv6Len + ndLen)
	header.PutEthernet(b, [6]byte{}, i.hwAddr(), header.TypeIPv6)
	putND(b[header.EthernetLen:], target, dst.As16())
	header.PutNeighborAdvertisement(b[header.EthernetLen+header.IPv6Len:], target, dst.As16(), target, flags, (*[6]byte)(i.mac.Load()))
	i.host.count.icmpOut.Add(1)
	p.send([]*nic.Packet{pkt}, now)
}

// receiveSolicitation answers who asks for one of our addresses (RFC 4861
// section 7.2.3).
func (q *queue) receiveSolicitation(ip header.IPv6, m header.ICMPv6, now time.Duration) bool {
	s, o, err := header.ParseNeighborSolicitation(ip, m)
	if err != nil {
		return false
	}
	i := q.iface
	if i.resolve != nil || !i.hasAddr(s.TargetAddr()) {
		return true // somebody else's
	}
	src := ip.SrcAddr()
	dst, flags := src, uint8(header.NDPSolicited|header.NDPOverride)
	switch {
	case src.IsUnspecified(): // duplicate address detection: tell everybody
		dst, flags = allNodes, header.NDPOverride
	case o.HasSourceLink:
		i.neighbors.Heard(src, o.SourceLink, now)
	}
	i.sendAdvertisement(s.Target(), dst, flags, now)
	q.host.carryOut(i, now)
	return true
}

// allNodes is ff02::1 (RFC 4291 section 2.7.1).
var allNodes = netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 1})

// receiveAdvertisement takes the answer to a solicitation (RFC 4861 section 7.2.5).
func (q *queue) receiveAdvertisement(ip header.IPv6, m header.ICMPv6, now time.Duration) bool {
	a, o, err := header.ParseNeighborAdvertisement(ip, m)
	if err != nil {
		return false
	}
	target := a.TargetAddr()
	if q.iface.resolve == nil && !q.iface.hasAddr(target) { // without the option: a zero address
		q.iface.neighbors.Advertised(target, o.TargetLink, a.Solicited(), a.Override(), now)
		q.host.carryOut(q.iface, now)
	}
	return true
}
