package stack

import (
	"net/netip"
	"time"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/stack/header"
	"github.com/fastnet-go/fastnet/stack/reassembly"
)

// receiveIPv6 takes a packet that begins with its IPv6 header (RFC 8200).
func (q *queue) receiveIPv6(p *nic.Packet, now time.Duration) {
	h := q.host
	ip, payload, err := header.ParseIPv6(p.Bytes())
	if err != nil {
		h.drop(p, DropIPHeader)
		return
	}
	if q.martian6(ip.SrcAddr(), ip.DstAddr()) {
		h.drop(p, DropMartian)
		return
	}
	if ip.NextHeader() == header.ProtoTCP { // nearly always
		q.deliverIPv6(p, ip, header.ProtoTCP, payload, now)
		return
	}
	x, err := header.WalkIPv6(ip, payload)
	if err != nil {
		h.count.drops[DropIPHeader].Add(1)
		if x.Problem.Respond {
			q.parameterProblem(p, ip, len(payload), x.Problem, now)
		}
		p.Release()
		return
	}
	if x.Fragment != nil {
		q.receiveFragment6(p, ip, x, len(payload), now)
		return
	}
	switch x.Proto {
	case header.ProtoTCP, header.ProtoUDP, header.ProtoICMPv6:
		q.deliverIPv6(p, ip, x.Proto, x.Payload, now)
	case header.ProtoNoNext:
		p.Release()
	default:
		h.count.drops[DropProtocol].Add(1)
		q.parameterProblem(p, ip, len(payload), x.Problem, now)
		p.Release()
	}
}

// martian6 reports whether a packet can not have come this way (RFC 4291
// sections 2.5.3, 2.5.5.2 and 2.7).
func (q *queue) martian6(src, dst netip.Addr) bool {
	return src.IsMulticast() || src.Is4In6() || dst.Is4In6() || dst.IsUnspecified() ||
		!q.iface.loopback && (src.IsLoopback() || dst.IsLoopback())
}

// deliverIPv6 passes the payload of a whole packet to its transport.
func (q *queue) deliverIPv6(p *nic.Packet, ip header.IPv6, proto uint8, payload []byte, now time.Duration) {
	h := q.host
	d := ipPacket{src: ip.SrcAddr(), dst: ip.DstAddr(), tos: ip.TrafficClass(), ttl: ip.HopLimit()}
	d.sum = ip.PseudoSum(proto, len(payload))
	whole := header.IPv6Len + ip.PayloadLen()
	d.raw = p.Bytes()[:min(whole, p.Len())]
	// The payload is the packet's end: extension headers come before it.
	p.Trim(len(d.raw))
	p.TrimFront(len(d.raw) - len(payload))
	if proto == header.ProtoTCP {
		k := tuple{local: addr16(ip.Dst()), remote: addr16(ip.Src())}
		if isLinkLocal(d.src) {
			k.scope = uint32(q.iface.index)
		}
		q.receiveTCP(p, &k, d.sum, now)
		return
	}
	if !q.accepts(&d) {
		h.drop(p, DropNotLocal)
		return
	}
	if q.iface.forged(d.src) {
		h.drop(p, DropMartian)
		return
	}
	if proto == header.ProtoUDP {
		q.receiveUDP(p, &d, now)
	} else {
		q.receiveICMPv6(p, ip, &d, now)
	}
}

// receiveFragment6 keeps a fragment until its packet is whole (RFC 8200 section
// 4.5).
func (q *queue) receiveFragment6(p *nic.Packet, ip header.IPv6, x header.ExtResult, length int, now time.Duration) {
	h := q.host
	if !h.isLocal(ip.DstAddr()) && !q.memberOf(ip.DstAddr()) {
		h.drop(p, DropNotLocal)
		return
	}
	const lengthField, offsetField = 4, 2
	d, status := h.fragments.add(h.fragments.v6, &reassembly.Fragment{
		Key:    reassembly.Key{Src: ip.SrcAddr(), Dst: ip.DstAddr(), ID: x.Fragment.ID()},
		Offset: x.Fragment.Offset(), More: x.Fragment.More(), ECN: ip.TrafficClass() & 3,
		Header: p.Bytes()[:x.HeaderLen+header.IPv6FragmentLen], Payload: x.Payload,
	})
	switch status {
	case reassembly.Complete:
		p.Release()
		q.reassembled6(d, now)
		return
	case reassembly.Held:
	case reassembly.BadLength:
		q.parameterProblem(p, ip, length, header.ParamProblem{Respond: true, Pointer: lengthField}, now)
	case reassembly.TooBig:
		q.parameterProblem(p, ip, length, header.ParamProblem{Respond: true, Pointer: uint32(x.HeaderLen + offsetField)}, now)
	}
	if status != reassembly.Held {
		h.count.drops[DropFragment].Add(1)
	}
	p.Release()
}

// reassembled6 takes the fragment header out and delivers the packet.
func (q *queue) reassembled6(d reassembly.Datagram, now time.Duration) {
	n := len(d.Header) - header.IPv6FragmentLen
	next := header.IPv6Fragment(d.Header[n:]).NextHeader()
	at := nextHeaderBefore(d.Header[:n])
	p := q.host.datagram(d.Header[:n], d.Payload)
	if p == nil {
		return
	}
	b := p.Bytes()
	b[at] = next
	if len(b)-header.IPv6Len > 65535 {
		q.host.drop(p, DropFragment)
		return
	}
	header.IPv6(b).SetPayloadLen(len(b) - header.IPv6Len)
	ip, payload, err := header.ParseIPv6(b)
	if err != nil {
		q.host.drop(p, DropFragment)
		return
	}
	x, err := header.WalkIPv6(ip, payload)
	if err != nil || x.Fragment != nil { // a fragment within one
		q.host.drop(p, DropFragment)
		return
	}
	switch x.Proto {
	case header.ProtoTCP, header.ProtoUDP, header.ProtoICMPv6:
		q.deliverIPv6(p, ip, x.Proto, x.Payload, now)
	default:
		q.host.drop(p, DropProtocol)
	}
}

// nextHeaderBefore is the offset of the last next-header field in a chain of
// headers, that WalkIPv6 has checked.
func nextHeaderBefore(b []byte) int {
	at, off := 6, header.IPv6Len
	for off+8 <= len(b) {
		at = off
		off += 8 + 8*int(b[off+1])
	}
	return at
}
