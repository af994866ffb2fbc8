package header

import (
	"encoding/binary"
	"math/bits"
)

// The Internet checksum (RFC 1071): the one's complement of the
// one's-complement sum of the 16-bit big-endian words of the data. Functions
// here deal in the sum; a checksum field holds its complement.
//
// The sum does not depend on the byte order in which it is computed except
// for a final swap (RFC 1071 section 2 (B)), nor on the width of the words
// as carries are folded back (2 (C)), so the loops load eight bytes a time
// in the machine's own order.

// Checksum returns the folded one's-complement sum of b added to initial. It
// is not complemented: the field's value is ^Checksum(...). An odd b counts as
// padded with a zero byte. Over data that contains its own correct checksum
// (and the pseudo header, as initial) it returns 0xffff.
func Checksum(b []byte, initial uint16) uint16 {
	return checksum(b, initial)
}

// CopyChecksum copies src to dst and returns the sum Checksum(src, initial),
// touching the bytes once. It panics if dst is shorter than src. The two must
// not overlap, except that they may be the same bytes.
func CopyChecksum(dst, src []byte, initial uint16) uint16 {
	return copyChecksum(dst[:len(src)], src, initial)
}

// Combine returns the sum of a concatenation from those of its parts: a is
// the sum of the first, which is aLen bytes long, and b that of the second. The
// second part's bytes change places in their words if aLen is odd (RFC 1071
// section 2 (B)).
func Combine(a, b uint16, aLen int) uint16 {
	if aLen&1 != 0 {
		b = bits.ReverseBytes16(b)
	}
	return add16(a, b)
}

// PseudoSum4 returns the sum of the pseudo header that TCP and UDP checksum
// over IPv4 (RFC 9293 section 3.1, RFC 768). length is that of the transport
// header and data in bytes, at most 65535.
func PseudoSum4(src, dst [4]byte, proto uint8, length int) uint16 {
	s := uint64(binary.BigEndian.Uint32(src[:])) + uint64(binary.BigEndian.Uint32(dst[:])) +
		uint64(proto) + uint64(uint32(length))
	return fold64(s)
}

// PseudoSum6 returns the sum of the pseudo header of upper layers over IPv6
// (RFC 8200 section 8.1). length is that of the upper-layer header and data in
// bytes.
func PseudoSum6(src, dst [16]byte, proto uint8, length int) uint16 {
	s, c := bits.Add64(binary.BigEndian.Uint64(src[:]), binary.BigEndian.Uint64(src[8:]), 0)
	s, c = bits.Add64(s, binary.BigEndian.Uint64(dst[:]), c)
	s, c = bits.Add64(s, binary.BigEndian.Uint64(dst[8:]), c)
	s, c = bits.Add64(s, uint64(proto)+uint64(uint32(length)), c)
	s, c = bits.Add64(s, 0, c)
	return fold64(s + c)
}

// Update16 returns the new value of a checksum field whose present value is sum
// after one 16-bit word of the data changed from old to new (RFC 1624 section
// 3, equation 3).
func Update16(sum, old, new uint16) uint16 {
	return ^add16(add16(^sum, ^old), new)
}

// add16 is one's-complement addition: the carry comes back in.
func add16(a, b uint16) uint16 {
	s := uint32(a) + uint32(b)
	return uint16(s) + uint16(s>>16)
}

// fold64 reduces a sum of 64-bit words to one of 16-bit words. It returns zero
// only for zero.
func fold64(s uint64) uint16 {
	s = s>>32 + s&0xffffffff
	s = s>>32 + s&0xffffffff
	s = s>>16 + s&0xffff
	s = s>>16 + s&0xffff
	return uint16(s)
}

// swapNative turns a 16-bit word of the network into one in the machine's
// order, or back.
func swapNative(v uint16) uint16 {
	var w [2]byte
	binary.NativeEndian.PutUint16(w[:], v)
	return binary.BigEndian.Uint16(w[:])
}
