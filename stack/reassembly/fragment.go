package reassembly

import "net/netip"

// maxDatagram is the largest IPv4 total length and IPv6 payload length.
const maxDatagram = 65535

// Headers of IPv6 that do not count in the payload length of a reassembled
// packet: the fixed header, and the Fragment header, which is removed.
const ipv6Uncounted = 40 + 8

// Key names a datagram. Proto is 0 for IPv6, which does not need it (RFC 8200
// section 4.5). The zones of link-local addresses tell interfaces apart.
type Key struct {
	Src, Dst netip.Addr
	ID       uint32
	Proto    uint8
}

// Fragment is a fragment as it arrived. The table keeps no reference to it.
type Fragment struct {
	Key    Key
	Offset int   // of Payload in the datagram's, in bytes
	More   bool  // the flag More Fragments
	ECN    uint8 // the two bits of RFC 3168
	// Header is the IPv4 header, or all IPv6 headers up to and with the Fragment
	// header.
	Header []byte
	// Payload is what follows.
	Payload []byte
}

// Datagram is a complete one.
type Datagram struct {
	Header  []byte // of the fragment with offset 0, as it arrived
	Payload []byte
	ECN     uint8 // of the fragments together, RFC 3168 section 5.3
}

// Status says what became of a fragment.
type Status uint8

const (
	// Complete: Add returned the datagram.
	Complete Status = iota + 1
	// Held: other fragments are missing.
	Held
	// Duplicate: the same fragment had come before; ignored.
	Duplicate
	// Overlapped: contradicts other fragments; the whole datagram was dropped.
	Overlapped
	// BadLength: dropped, as its length is zero, or is no multiple of eight though
	// more follow. For the latter an IPv6 host sends Parameter Problem, pointing to
	// the Payload Length (RFC 8200 section 4.5).
	BadLength
	// TooBig: dropped, as the datagram would be longer than 65535 bytes. An IPv6 host
	// sends Parameter Problem, pointing to the Fragment Offset.
	TooBig
	// Refused: dropped, because of a limit, or with an IPv6 datagram dropped before.
	Refused
)

// Expired is a datagram whose time ran out though its first fragment had come:
// its sender is told by Time Exceeded, code 1 (RFC 792, RFC 4443 section 3.3), which
// quotes that fragment.
type Expired struct {
	Key     Key
	Header  []byte
	Payload []byte
}

// end returns where the fragment ends in the datagram's payload.
func (f *Fragment) end() int { return f.Offset + len(f.Payload) }

// check returns 0 if the fragment may be part of a datagram.
func (f *Fragment) check() Status {
	switch {
	case f.Offset < 0 || f.Offset%8 != 0 || len(f.Payload) == 0:
		return BadLength
	case f.More && len(f.Payload)%8 != 0:
		return BadLength
	case f.end()+counted(f.Key, f.Header) > maxDatagram:
		return TooBig
	}
	return 0
}

// counted returns how much of a header is part of the length that maxDatagram bounds.
func counted(key Key, header []byte) int {
	if key.Src.Is6() {
		return max(0, len(header)-ipv6Uncounted)
	}
	return len(header)
}

// mixedECN says that fragments are not of one packet, or were tampered with.
const mixedECN = 0xff

// joinECN returns the ECN field of a datagram whose fragments had those of set, a bit
// a value: RFC 3168 section 5.3. Congestion experienced must not get lost.
func joinECN(set uint8) uint8 {
	const notECT, ect1, ect0, ce = 1 << 0, 1 << 1, 1 << 2, 1 << 3
	switch {
	case set&ce != 0 && set&notECT != 0:
		return mixedECN
	case set&ce != 0:
		return 3
	case set&notECT != 0:
		return 0
	case set == ect1:
		return 1
	}
	return 2 // ECT(0), or both
}
