package nic

import (
	"encoding/binary"
	"math/bits"
)

// CompleteChecksum returns the checksum that a frame with ChecksumPartial still
// lacks, and the field's offset in the frame. It changes nothing: who owns the
// frame alone stores the sum (big-endian) and sets Checksum to ChecksumNone.
// ok is false if the frame is not partial, or if its field lies outside of it.
//
// The field holds the pseudo-header's sum, so the complement of the sum over
// everything from ChecksumStart on is the result (virtio 1.2 section 5.1.6.2).
func (p *Packet) CompleteChecksum() (sum uint16, offset int, ok bool) {
	start := int(p.ChecksumStart)
	offset = start + int(p.ChecksumOffset)
	if p.Checksum != ChecksumPartial || offset+2 > p.FrameLen() {
		return 0, 0, false
	}
	var total uint64
	odd := false // an odd number of bytes lies behind us
	for skip := start; p != nil; p = p.next {
		b := p.Bytes()
		if skip >= len(b) {
			skip -= len(b)
			continue
		}
		b = b[skip:]
		skip = 0
		s := onesSum(b)
		if odd { // its bytes are of the other significance: RFC 1071 section 2(B)
			s = bits.ReverseBytes16(s)
		}
		total += uint64(s)
		odd = odd != (len(b)&1 != 0)
	}
	sum = ^fold(total)
	if sum == 0 {
		// The same number in one's complement, but not UDP's "no checksum"
		// (RFC 768).
		sum = 0xffff
	}
	return sum, offset, true
}

// onesSum is the one's complement sum of b in 16-bit words (RFC 1071).
func onesSum(b []byte) uint16 {
	var s uint64
	for ; len(b) >= 8; b = b[8:] {
		v := binary.BigEndian.Uint64(b)
		s += v>>32 + v&0xffffffff
	}
	for ; len(b) >= 2; b = b[2:] {
		s += uint64(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		s += uint64(b[0]) << 8
	}
	return fold(s)
}

func fold(s uint64) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}
