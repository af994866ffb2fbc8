package nic

import (
	"math/rand/v2"
	"runtime"
	"testing"
	"weak"

	"github.com/stretchr/testify/require"
)

// backed is how many of a pool's buffers have memory.
func backed(l *Pool) (n int) {
	for _, p := range l.slabs {
		if p.buf != nil {
			n++
		}
	}
	return n
}

func getAll(t *testing.T, l *Pool, n int) (all []*Packet) {
	t.Helper()
	for range n {
		p := l.Get()
		require.NotNil(t, p)
		require.Len(t, p.Buffer(), l.cfg.BufferSize)
		all = append(all, p)
	}
	return all
}

func releaseAll(all []*Packet) {
	for _, p := range all {
		p.Release()
	}
}

// What a pool needed at its busiest is the garbage collector's once it has been free
// from one Trim to the next, and is there again when it is needed.
func TestTrimGivesMemoryBack(t *testing.T) {
	l := newPool(t, PoolConfig{Max: 100, Slab: 16})
	all := getAll(t, l, 100)
	memory := weak.Make(&all[0].buf[0])
	l.Trim()
	require.Equal(t, 100, backed(l))
	releaseAll(all)
	l.Trim()
	require.Equal(t, 100, backed(l), "it was needed")
	l.Trim()
	require.Zero(t, backed(l))
	require.Zero(t, l.InUse())
	clear(all)
	runtime.GC()
	require.Nil(t, memory.Value())

	all = getAll(t, l, 100)
	require.Nil(t, l.Get())
	require.Equal(t, 100, l.InUse())
	seen := make(map[*byte]bool)
	for _, p := range all {
		require.Same(t, p, l.At(p.Index()))
		require.False(t, seen[&p.Buffer()[0]])
		seen[&p.Buffer()[0]] = true
	}
	releaseAll(all)
	require.Zero(t, l.InUse())
}

// A buffer in use keeps the memory of its slab, and what was needed since the last
// Trim stays.
func TestTrimLeavesWhatIsNeeded(t *testing.T) {
	l := newPool(t, PoolConfig{Max: 64, Slab: 8})
	all := getAll(t, l, 64)
	used := all[20]
	releaseAll(append(all[:20:20], all[21:]...))
	l.Trim()
	releaseAll(getAll(t, l, 30)) // of the 63
	l.Trim()
	require.Equal(t, 32, backed(l), "33 have been free, which is four slabs")
	require.NotNil(t, used.buf)
	require.Equal(t, 1, l.InUse())
	l.Trim()
	l.Trim()
	require.Equal(t, 8, backed(l))
	used.Release()
	l.Trim()
	l.Trim()
	require.Zero(t, backed(l))
}

// Memory of a device's own stays.
func TestTrimIsForTheHeap(t *testing.T) {
	l := newPool(t, PoolConfig{Max: 8, Slab: 8, Memory: func(size int) ([]byte, error) { return make([]byte, size), nil }})
	releaseAll(getAll(t, l, 8))
	l.Trim()
	l.Trim()
	require.Equal(t, 8, backed(l))
}

// A pool whose memory can come back is not low.
func TestAPoolThatWasTrimmedIsNotLow(t *testing.T) {
	l := newPool(t, PoolConfig{Max: 16, Slab: 4, LowWater: 8})
	all := getAll(t, l, 16)
	require.Nil(t, l.Get())
	require.True(t, l.Low())
	releaseAll(all)
	l.Trim()
	l.Trim()
	require.False(t, l.Low())
	all = getAll(t, l, 4)
	require.False(t, l.Low(), "twelve more can be had")
	all = append(all, getAll(t, l, 12)...)
	require.Nil(t, l.Get())
	require.True(t, l.Low())
	releaseAll(all)
}

// Trims at any moment change nothing for those who take and release.
func TestTrimsInBetween(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	l := newPool(t, PoolConfig{BufferSize: 256, Max: 60, Slab: 7})
	var out []*Packet
	for range 20000 {
		switch random.IntN(20) {
		case 0:
			l.Trim()
		case 1:
			releaseAll(out)
			out = out[:0]
		case 7:
			n := random.IntN(20)
			if p := l.GetChain(n * l.Room()); p != nil {
				for p != nil {
					next := p.next
					p.next = nil
					require.Len(t, p.Buffer(), 256)
					out = append(out, p)
					p = next
				}
			} else {
				require.Greater(t, len(out)+n, 60)
			}
		case 2, 3, 4, 5, 6:
			if len(out) > 0 {
				i := random.IntN(len(out))
				out[i].Release()
				out = append(out[:i], out[i+1:]...)
			}
		default:
			if p := l.Get(); p != nil {
				require.Len(t, p.Buffer(), 256)
				out = append(out, p)
			} else {
				require.Len(t, out, 60)
			}
		}
		require.Equal(t, len(out), l.InUse())
	}
}
