package header

import "encoding/binary"

// IPv6FragmentLen is the length of a fragment header.
const IPv6FragmentLen = 8

// IPv6Fragment is a view on a fragment header (RFC 8200 section 4.5).
type IPv6Fragment []byte

// NextHeader returns the type of the fragmentable part's first header.
func (f IPv6Fragment) NextHeader() uint8 { return f[0] }

// Offset returns where the data belongs in the fragmentable part, in bytes.
func (f IPv6Fragment) Offset() int { return int(binary.BigEndian.Uint16(f[2:4]) &^ 7) }

// More reports whether this is not the last fragment.
func (f IPv6Fragment) More() bool { return f[3]&1 != 0 }

// ID returns the identification that fragments of a packet share.
func (f IPv6Fragment) ID() uint32 { return binary.BigEndian.Uint32(f[4:8]) }

// PutIPv6Fragment writes a fragment header to b, which must be IPv6FragmentLen
// bytes or longer. offset is in bytes, a multiple of 8.
func PutIPv6Fragment(b []byte, nextHeader uint8, offset int, more bool, id uint32) {
	b = b[:IPv6FragmentLen]
	v := uint16(offset) &^ 7
	if more {
		v |= 1
	}
	b[0], b[1] = nextHeader, 0
	binary.BigEndian.PutUint16(b[2:4], v)
	binary.BigEndian.PutUint32(b[4:8], id)
}
