package header

import "golang.org/x/sys/cpu"

// hasAVX2 is set once, before main.
var hasAVX2 = cpu.X86.HasAVX2

// The lengths from which the vector code is faster than the Go code, by
// BenchmarkChecksum. They must be 32 or more.
const (
	avx2MinSum  = 128
	avx2MinCopy = 32
)

func checksum(b []byte, initial uint16) uint16 {
	if len(b) >= avx2MinSum && hasAVX2 {
		return checksumAVX2(b, initial)
	}
	return checksumGeneric(b, initial)
}

func copyChecksum(dst, src []byte, initial uint16) uint16 {
	if len(src) >= avx2MinCopy && hasAVX2 {
		return copyChecksumAVX2(dst, src, initial)
	}
	return copyChecksumGeneric(dst, src, initial)
}

// checksumAVX2 is Checksum for 32 bytes or more.
func checksumAVX2(b []byte, initial uint16) uint16 {
	s := sumAVX2(&b[0], len(b)&^1) + uint64(swapNative(initial))
	if len(b)&1 != 0 {
		s += uint64(b[len(b)-1])
	}
	return swapNative(fold64(s))
}

// copyChecksumAVX2 is CopyChecksum for 32 bytes or more.
func copyChecksumAVX2(dst, src []byte, initial uint16) uint16 {
	dst = dst[:len(src)]
	s := copySumAVX2(&dst[0], &src[0], len(src)&^1) + uint64(swapNative(initial))
	if i := len(src) - 1; i&1 == 0 {
		dst[i] = src[i]
		s += uint64(src[i])
	}
	return swapNative(fold64(s))
}

// sumAVX2 returns a number congruent, modulo 2^16-1, to the sum of the n bytes
// at p as little-endian words, and zero only if they all are zero. n is even
// and 32 or more. The result is below 2^63 for any n there is memory for.
//
//go:noescape
func sumAVX2(p *byte, n int) uint64

// copySumAVX2 is sumAVX2 of src, and copies src to dst. The last bytes are
// written twice.
//
//go:noescape
func copySumAVX2(dst, src *byte, n int) uint64
