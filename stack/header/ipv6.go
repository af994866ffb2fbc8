package header

import (
	"encoding/binary"
	"net/netip"
)

// IPv6Len is the length of an IPv6 header without extension headers, and
// IPv6MinMTU the least MTU of any link (RFC 8200 section 5).
const (
	IPv6Len    = 40
	IPv6MinMTU = 1280
)

// IPv6 is a view on an IPv6 header (RFC 8200 section 3).
type IPv6 []byte

// ParseIPv6 splits b, the payload of a frame, into header and payload, which
// begins with the extension headers if there are any; bytes beyond the payload
// length are link padding and cut off. Jumbograms (RFC 2675) are not supported:
// a payload length of zero is an empty payload.
//
// Errors: ErrShort (b shorter than the header, or than it says), ErrVersion.
func ParseIPv6(b []byte) (h IPv6, payload []byte, err error) {
	if len(b) < IPv6Len {
		return nil, nil, ErrShort
	}
	if b[0]>>4 != 6 {
		return nil, nil, ErrVersion
	}
	end := IPv6Len + int(binary.BigEndian.Uint16(b[4:6]))
	if end > len(b) {
		return nil, nil, ErrShort
	}
	return IPv6(b[:IPv6Len:IPv6Len]), b[IPv6Len:end:end], nil
}

// TrafficClass returns the traffic class: DSCP (RFC 2474) and ECN (RFC 3168).
func (h IPv6) TrafficClass() uint8 { return h[0]<<4 | h[1]>>4 }

// FlowLabel returns the flow label, 20 bits (RFC 6437).
func (h IPv6) FlowLabel() uint32 { return binary.BigEndian.Uint32(h[0:4]) & 0xfffff }

// PayloadLen returns the length of what follows this header, in bytes.
func (h IPv6) PayloadLen() int { return int(binary.BigEndian.Uint16(h[4:6])) }

// NextHeader returns the type of what follows this header: one of the Proto
// constants.
func (h IPv6) NextHeader() uint8 { return h[6] }

// HopLimit returns the hop limit.
func (h IPv6) HopLimit() uint8 { return h[7] }

// Src returns the source address.
func (h IPv6) Src() [16]byte { return [16]byte(h[8:24]) }

// Dst returns the destination address.
func (h IPv6) Dst() [16]byte { return [16]byte(h[24:40]) }

// SrcAddr returns the source address, without zone.
func (h IPv6) SrcAddr() netip.Addr { return netip.AddrFrom16(h.Src()) }

// DstAddr returns the destination address, without zone.
func (h IPv6) DstAddr() netip.Addr { return netip.AddrFrom16(h.Dst()) }

// PseudoSum returns PseudoSum6 for an upper layer of protocol proto and length
// bytes.
func (h IPv6) PseudoSum(proto uint8, length int) uint16 {
	return PseudoSum6(h.Src(), h.Dst(), proto, length)
}

// SetTrafficClass sets the traffic class.
func (h IPv6) SetTrafficClass(v uint8) {
	h[0] = 0x60 | v>>4
	h[1] = v<<4 | h[1]&0xf
}

// SetFlowLabel sets the flow label, 20 bits.
func (h IPv6) SetFlowLabel(v uint32) {
	w := binary.BigEndian.Uint32(h[0:4])
	binary.BigEndian.PutUint32(h[0:4], w&^0xfffff|v&0xfffff)
}

// SetPayloadLen sets the length of what follows the header, 0 to 65535 bytes.
func (h IPv6) SetPayloadLen(n int) { binary.BigEndian.PutUint16(h[4:6], uint16(n)) }

// SetNextHeader sets the type of what follows the header.
func (h IPv6) SetNextHeader(v uint8) { h[6] = v }

// SetHopLimit sets the hop limit.
func (h IPv6) SetHopLimit(v uint8) { h[7] = v }

// SetSrc sets the source address.
func (h IPv6) SetSrc(a [16]byte) { copy(h[8:24], a[:]) }

// SetDst sets the destination address.
func (h IPv6) SetDst(a [16]byte) { copy(h[24:40], a[:]) }

// IPv6Fields are the fields of an IPv6 header.
type IPv6Fields struct {
	TrafficClass uint8
	FlowLabel    uint32 // 20 bits
	PayloadLen   int    // bytes after the header, 0 to 65535
	NextHeader   uint8
	HopLimit     uint8
	Src, Dst     [16]byte
}

// Put writes a header of IPv6Len bytes to b, which must be that long.
func (f *IPv6Fields) Put(b []byte) {
	b = b[:IPv6Len]
	binary.BigEndian.PutUint32(b[0:4], 6<<28|uint32(f.TrafficClass)<<20|f.FlowLabel&0xfffff)
	binary.BigEndian.PutUint16(b[4:6], uint16(f.PayloadLen))
	b[6], b[7] = f.NextHeader, f.HopLimit
	copy(b[8:24], f.Src[:])
	copy(b[24:40], f.Dst[:])
}
