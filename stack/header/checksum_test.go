package header

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// naiveSum is the reference: RFC 1071 section 4.1, word by word.
func naiveSum(b []byte, initial uint16) uint16 {
	s := uint64(initial)
	for len(b) >= 2 {
		s += uint64(b[0])<<8 | uint64(b[1])
		b = b[2:]
	}
	if len(b) == 1 {
		s += uint64(b[0]) << 8
	}
	return foldNaive(s)
}

func foldNaive(s uint64) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

// checksumImpl is one implementation of Checksum and CopyChecksum.
type checksumImpl struct {
	name string
	sum  func(b []byte, initial uint16) uint16
	copy func(dst, src []byte, initial uint16) uint16
}

// sums are the implementations that must agree; the build for a machine may add
// its own.
var sums = []checksumImpl{
	{"dispatch", Checksum, CopyChecksum},
	{"generic", checksumGeneric, copyChecksumGeneric},
}

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// Every length and alignment gives the naive sum, and a copy writes the bytes
// and none beside them.
func TestChecksumMatchesNaive(t *testing.T) {
	const maxLen, guard = 4096, 64
	r := rand.New(rand.NewPCG(1, 2))
	data := randomBytes(r, maxLen+guard)
	dst := make([]byte, maxLen+3*guard)
	for _, impl := range sums {
		t.Run(impl.name, func(t *testing.T) {
			for off := range 32 {
				at := guard + (off*5)%32
				words := uint64(0) // of data[off:off+n], carries not folded
				for n := 0; n <= maxLen; n++ {
					src, initial := data[off:off+n], uint16(n*7919+off)
					want := foldNaive(words + uint64(initial))
					if got := impl.sum(src, initial); got != want {
						t.Fatalf("len %d offset %d: got %#x, want %#x", n, off, got, want)
					}
					clear(dst[at-32 : at+n+32])
					if got := impl.copy(dst[at:at+n], src, initial); got != want {
						t.Fatalf("copy len %d offset %d: got %#x, want %#x", n, off, got, want)
					}
					if string(dst[at:at+n]) != string(src) {
						t.Fatalf("copy len %d offset %d: wrong bytes", n, off)
					}
					if string(dst[at-32:at]) != string(zeros[:32]) || string(dst[at+n:at+n+32]) != string(zeros[:32]) {
						t.Fatalf("copy len %d offset %d: wrote outside", n, off)
					}
					words += uint64(data[off+n]) << (8 * (1 - n&1))
				}
			}
		})
	}
}

var zeros [64]byte

func TestChecksumOfLargeBuffers(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	random := randomBytes(r, 1<<18)
	ones := make([]byte, 1<<18)
	for i := range ones {
		ones[i] = 0xff
	}
	dst := make([]byte, 1<<18)
	for _, impl := range sums {
		for range 50 {
			lo := r.IntN(1 << 17)
			hi, initial := lo+r.IntN(1<<17), uint16(r.Uint32())
			for _, data := range [][]byte{random, ones} {
				want := naiveSum(data[lo:hi], initial)
				require.Equal(t, want, impl.sum(data[lo:hi], initial), "%s [%d:%d]", impl.name, lo, hi)
				require.Equal(t, want, impl.copy(dst[lo:], data[lo:hi], initial), "%s [%d:%d]", impl.name, lo, hi)
				require.True(t, string(dst[lo:hi]) == string(data[lo:hi]))
			}
		}
	}
}

// Zero comes out only for all-zero data and initial; every other sum congruent
// to zero is 0xffff.
func TestChecksumRepresentsZeroTwice(t *testing.T) {
	for _, impl := range sums {
		for _, n := range []int{0, 1, 2, 20, 64, 65, 1460} {
			b := make([]byte, n)
			require.Equal(t, uint16(0), impl.sum(b, 0), "%s %d", impl.name, n)
			require.Equal(t, uint16(0xffff), impl.sum(b, 0xffff), "%s %d", impl.name, n)
			if n >= 2 {
				b[0], b[1] = 0xff, 0xff
				require.Equal(t, uint16(0xffff), impl.sum(b, 0), "%s %d", impl.name, n)
				require.Equal(t, uint16(0xffff), impl.sum(b, 0xffff), "%s %d", impl.name, n)
			}
		}
	}
}

func TestChecksumOfRFC1071Example(t *testing.T) {
	require.Equal(t, uint16(0xddf2), Checksum([]byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}, 0))
}

func TestCopyChecksumInPlace(t *testing.T) {
	b := randomBytes(rand.New(rand.NewPCG(5, 6)), 1461)
	want := append([]byte(nil), b...)
	require.Equal(t, naiveSum(want, 9), CopyChecksum(b, b, 9))
	require.Equal(t, want, b)
}

func TestCopyChecksumPanicsOnShortDestination(t *testing.T) {
	require.Panics(t, func() { CopyChecksum(make([]byte, 4), make([]byte, 5), 0) })
	require.Panics(t, func() { CopyChecksum(make([]byte, 1459, 4096), make([]byte, 5000), 0) })
}

func TestCombineSplitsAnywhere(t *testing.T) {
	b := randomBytes(rand.New(rand.NewPCG(7, 8)), 333)
	want := naiveSum(b, 0)
	for i := range len(b) + 1 {
		require.Equal(t, want, Combine(Checksum(b[:i], 0), Checksum(b[i:], 0), i), "split at %d", i)
	}
}

func TestPseudoSums(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for range 100 {
		a, b := randomBytes(r, 32), randomBytes(r, 32)
		proto, n := uint8(r.Uint32()), r.IntN(65536)
		p4 := append(append(append([]byte(nil), a[:4]...), b[:4]...), 0, proto, byte(n>>8), byte(n))
		require.Equal(t, naiveSum(p4, 0), PseudoSum4([4]byte(a), [4]byte(b), proto, n))
		p6 := append(append([]byte(nil), a[:16]...), b[:16]...)
		p6 = binary.BigEndian.AppendUint32(p6, uint32(n))
		p6 = append(p6, 0, 0, 0, proto)
		require.Equal(t, naiveSum(p6, 0), PseudoSum6([16]byte(a), [16]byte(b), proto, n))
	}
	var all [16]byte
	for i := range all {
		all[i] = 0xff
	}
	require.Equal(t, uint16(0xffff), PseudoSum6(all, all, 0xff, 0xff00))
	require.Equal(t, uint16(0xff), PseudoSum6(all, all, 0, 0xff))
}

// RFC 1624 section 4: the example on which equation 2 fails.
func TestUpdate16OnRFC1624Example(t *testing.T) {
	require.Equal(t, uint16(0x0000), Update16(0xdd2f, 0x5555, 0x3285))
}

func TestUpdate16EqualsRecomputing(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for range 1000 {
		b := randomBytes(r, 20)
		i := 2 * r.IntN(10)
		old, sum := binary.BigEndian.Uint16(b[i:]), ^Checksum(b, 0)
		binary.BigEndian.PutUint16(b[i:], uint16(r.Uint32()))
		require.Equal(t, ^Checksum(b, 0), Update16(sum, old, binary.BigEndian.Uint16(b[i:])))
	}
}

func FuzzChecksum(f *testing.F) {
	f.Add([]byte{}, uint16(0), 0)
	f.Add([]byte("odd"), uint16(0xffff), 1)
	f.Add(make([]byte, 129), uint16(1), 65)
	f.Fuzz(func(t *testing.T, b []byte, initial uint16, cut int) {
		want := naiveSum(b, initial)
		dst := make([]byte, len(b))
		for _, impl := range sums {
			if got := impl.sum(b, initial); got != want {
				t.Fatalf("%s: got %#x, want %#x", impl.name, got, want)
			}
			if got := impl.copy(dst, b, initial); got != want || string(dst) != string(b) {
				t.Fatalf("%s copy: got %#x, want %#x", impl.name, got, want)
			}
		}
		if cut >= 0 && cut <= len(b) {
			if got := Combine(Checksum(b[:cut], initial), Checksum(b[cut:], 0), cut); got != want {
				t.Fatalf("combine at %d: got %#x, want %#x", cut, got, want)
			}
		}
	})
}

var sinkSum uint16

func BenchmarkChecksum(b *testing.B) {
	for _, impl := range sums {
		for _, n := range []int{20, 64, 128, 256, 1460, 65483} {
			src, dst := make([]byte, n), make([]byte, n)
			b.Run(fmt.Sprintf("sum/%s/%d", impl.name, n), func(b *testing.B) {
				b.SetBytes(int64(n))
				for b.Loop() {
					sinkSum = impl.sum(src, 0)
				}
			})
			b.Run(fmt.Sprintf("copy/%s/%d", impl.name, n), func(b *testing.B) {
				b.SetBytes(int64(n))
				for b.Loop() {
					sinkSum = impl.copy(dst, src, 0)
				}
			})
		}
	}
}
