package header

import (
	"encoding/binary"
	"net/netip"
)

// Quote is what can be learned from the packet that an ICMP error quotes. Its
// source is the host that receives the error, unless the error is forged:
// callers check addresses, ports and sequence number against what they sent
// (RFC 5927 section 4).
type Quote struct {
	// Src, Dst are both IPv4 or both IPv6, without zone.
	Src, Dst netip.Addr
	// Proto is the upper-layer protocol.
	Proto uint8
	// SrcPort, DstPort are those of TCP, UDP or SCTP, else zero.
	SrcPort, DstPort uint16
	// Seq is the TCP sequence number, else zero.
	Seq uint32
	// EchoID and EchoSeq are those of an ICMP or ICMPv6 echo request, else
	// zero.
	EchoID, EchoSeq uint16
	// TotalLen is the length of the quoted packet when it was whole, in
	// bytes: what to shrink from when an error tells no MTU (RFC 1191
	// section 5).
	TotalLen int
}

// ParseQuote reads the packet, possibly truncated, that is quoted in payload,
// the part of an ICMP error after its first 8 bytes. ok is false if there are
// not at least an IP header and 8 bytes of the upper layer (RFC 792), or the
// packet was a fragment other than the first. The caller checks that the
// addresses are of the family of the message.
func ParseQuote(payload []byte) (q Quote, ok bool) {
	if len(payload) == 0 {
		return q, false
	}
	switch payload[0] >> 4 {
	case 4:
		return parseQuote4(payload)
	case 6:
		return parseQuote6(payload)
	}
	return q, false
}

// Quote is ParseQuote for the payload of an error message, and also checks that
// the packet quoted is IPv4.
func (m ICMPv4) Quote() (Quote, bool) {
	q, ok := ParseQuote(m.Payload())
	return q, ok && q.Src.Is4()
}

// Quote is ParseQuote for the payload of an error message, and also checks that
// the packet quoted is IPv6.
func (m ICMPv6) Quote() (Quote, bool) {
	q, ok := ParseQuote(m.Payload())
	return q, ok && q.Src.Is6()
}

func parseQuote4(b []byte) (q Quote, ok bool) {
	if len(b) < IPv4MinLen {
		return q, false
	}
	h := IPv4(b)
	hl := h.HeaderLen()
	if hl < IPv4MinLen || hl > len(b) || h.FragmentOffset() != 0 {
		return q, false
	}
	q.Src, q.Dst, q.Proto, q.TotalLen = h.SrcAddr(), h.DstAddr(), h.Protocol(), h.TotalLen()
	return q, q.transport(b[hl:])
}

func parseQuote6(b []byte) (q Quote, ok bool) {
	if len(b) < IPv6Len {
		return q, false
	}
	h := IPv6(b)
	q.Src, q.Dst, q.Proto, q.TotalLen = h.SrcAddr(), h.DstAddr(), h.NextHeader(), IPv6Len+h.PayloadLen()
	b = b[IPv6Len:]
	for range MaxExtensions + 1 {
		n := 0
		switch q.Proto {
		case ProtoHopByHop, ProtoDestOptions, ProtoRouting:
			if len(b) < 8 {
				return q, false
			}
			n = 8 + 8*int(b[1])
		case ProtoFragment:
			n = IPv6FragmentLen
			if len(b) < n || IPv6Fragment(b).Offset() != 0 {
				return q, false
			}
		default:
			return q, q.transport(b)
		}
		if len(b) < n {
			return q, false
		}
		q.Proto, b = b[0], b[n:]
	}
	return q, false
}

// transport reads the first 8 bytes of the upper layer.
func (q *Quote) transport(b []byte) bool {
	if len(b) < 8 {
		return false
	}
	switch q.Proto {
	case ProtoTCP:
		q.Seq = binary.BigEndian.Uint32(b[4:8])
		fallthrough
	case ProtoUDP, ProtoSCTP:
		q.SrcPort, q.DstPort = binary.BigEndian.Uint16(b[0:2]), binary.BigEndian.Uint16(b[2:4])
	case ProtoICMP, ProtoICMPv6:
		// The packets a host sent are quoted to it: requests, not replies.
		if q.Proto == ProtoICMP && b[0] == ICMPv4Echo || q.Proto == ProtoICMPv6 && b[0] == ICMPv6Echo {
			q.EchoID, q.EchoSeq = binary.BigEndian.Uint16(b[4:6]), binary.BigEndian.Uint16(b[6:8])
		}
	}
	return true
}
