package header

import (
	"encoding/binary"
	"math/bits"
)

// checksumGeneric is Checksum in Go. Two carry chains keep two additions in
// flight; each is closed once a loop, since a carry is lost over the branch.
func checksumGeneric(b []byte, initial uint16) uint16 {
	ne := binary.NativeEndian
	s0, s1 := uint64(swapNative(initial)), uint64(0)
	for len(b) >= 64 {
		var c0, c1 uint64
		v := b[:64:64]
		s0, c0 = bits.Add64(s0, ne.Uint64(v[0:]), 0)
		s0, c0 = bits.Add64(s0, ne.Uint64(v[8:]), c0)
		s0, c0 = bits.Add64(s0, ne.Uint64(v[16:]), c0)
		s0, c0 = bits.Add64(s0, ne.Uint64(v[24:]), c0)
		s0, _ = bits.Add64(s0, 0, c0)
		s1, c1 = bits.Add64(s1, ne.Uint64(v[32:]), 0)
		s1, c1 = bits.Add64(s1, ne.Uint64(v[40:]), c1)
		s1, c1 = bits.Add64(s1, ne.Uint64(v[48:]), c1)
		s1, c1 = bits.Add64(s1, ne.Uint64(v[56:]), c1)
		s1, _ = bits.Add64(s1, 0, c1)
		b = b[64:]
	}
	return finishGeneric(b, s0, s1)
}

// copyChecksumGeneric is CopyChecksum in Go; dst and src have the same length.
// Two passes beat one loop that loads and stores words, as the runtime's copy
// uses vectors. The sum is of src: reading back what was just written, in words
// of another size, would wait for the stores.
func copyChecksumGeneric(dst, src []byte, initial uint16) uint16 {
	copy(dst, src)
	return checksumGeneric(src, initial)
}

// finishGeneric adds the two chains and the fewer than 64 bytes that remain, and
// turns the result into network order.
func finishGeneric(b []byte, s0, s1 uint64) uint16 {
	ne := binary.NativeEndian
	s, c := bits.Add64(s0, s1, 0)
	s += c // cannot overflow again: a sum that carried is at most 2^64-2
	for len(b) >= 8 {
		s, c = bits.Add64(s, ne.Uint64(b), 0)
		s += c
		b = b[8:]
	}
	// At most seven bytes are left; their words sum to less than 2^34.
	var t uint64
	if len(b) >= 4 {
		t += uint64(ne.Uint32(b))
		b = b[4:]
	}
	if len(b) >= 2 {
		t += uint64(ne.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		t += uint64(swapNative(uint16(b[0]) << 8))
	}
	s, c = bits.Add64(s, t, 0)
	return swapNative(fold64(s + c))
}
