package nic

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPoolGivesEachBufferOnceUntilItIsExhausted(t *testing.T) {
	l := newPool(t, PoolConfig{Max: 100, Slab: 30})
	seen := map[*byte]bool{}
	var all []*Packet
	for i := range 100 {
		p := l.Get()
		require.NotNil(t, p, i)
		require.False(t, seen[&p.Buffer()[0]])
		seen[&p.Buffer()[0]] = true
		require.Same(t, p, l.At(p.Index()))
		all = append(all, p)
	}
	require.Nil(t, l.Get())
	require.Nil(t, l.At(100))
	require.Equal(t, 100, l.InUse())
	all[42].Release()
	require.Same(t, all[42], l.Get())
	for _, p := range all {
		p.Release()
	}
	require.Zero(t, l.InUse())
}

func TestPoolReturnsPacketsAsNew(t *testing.T) {
	l := newPool(t, PoolConfig{BufferSize: 128, Headroom: 16, Max: 1})
	p := l.Get()
	p.Extend(50)
	p.Prepend(3)
	p.Meta = Meta{Checksum: ChecksumPartial, Segment: SegmentTCPv6, Hash: 7, HashValid: true, Time: 9}
	p.Release()
	q := l.Get()
	require.Same(t, p, q)
	require.Zero(t, q.Len())
	require.Equal(t, 16, q.Headroom())
	require.Equal(t, Meta{}, q.Meta)
	require.Nil(t, q.Link())
	require.Nil(t, q.Next())
}

func TestPoolChainIsAllOrNothing(t *testing.T) {
	l := newPool(t, PoolConfig{BufferSize: 100, Headroom: 20, Max: 4})
	require.Equal(t, 80, l.Room())
	require.Nil(t, l.GetChain(4*80+1))
	require.Zero(t, l.InUse())
	p := l.GetChain(4 * 80)
	require.NotNil(t, p)
	require.Equal(t, 4, l.InUse())
	p.Release()
	p = l.GetChain(0)
	require.Nil(t, p.Next())
	p.Release()
}

func TestPacketReturnsAfterItsLastOwner(t *testing.T) {
	l := newPool(t, PoolConfig{Max: 1})
	for range 3 { // the count of owners starts afresh each time
		p := l.Get()
		p.Retain()
		p.Retain()
		p.Release()
		p.Release()
		require.Nil(t, l.Get())
		require.Equal(t, 1, l.InUse())
		p.Release()
		require.Zero(t, l.InUse())
	}
}

func TestPoolTellsWhenItRunsLow(t *testing.T) {
	l := newPool(t, PoolConfig{Max: 16, Slab: 16, LowWater: 4})
	var out []*Packet
	for range 12 {
		out = append(out, l.Get())
	}
	require.False(t, l.Low())
	for range 3 {
		out = append(out, l.Get())
	}
	require.True(t, l.Low())
	for _, p := range out {
		p.Release()
	}
	l.Get().Release() // it looks again
	require.False(t, l.Low())
}

func TestPoolReportsWhyMemoryIsMissing(t *testing.T) {
	broken := errors.New("no memory")
	slabs := 0
	l := newPool(t, PoolConfig{Max: 100, Slab: 10, LowWater: 5, Memory: func(size int) ([]byte, error) {
		if slabs++; slabs > 1 {
			return nil, broken
		}
		return make([]byte, size), nil
	}})
	var out []*Packet
	for p := l.Get(); p != nil; p = l.Get() {
		out = append(out, p)
	}
	require.Len(t, out, 10)
	require.ErrorIs(t, l.Err(), broken)
	require.True(t, l.Low())
	for _, p := range out {
		p.Release()
	}
	l.Get().Release()
	require.False(t, l.Low(), "what there is suffices again")
	require.Equal(t, 2, slabs, "it does not ask again")
}

func TestPoolRefusesNonsense(t *testing.T) {
	for _, cfg := range []PoolConfig{
		{BufferSize: 64, Headroom: 64},
		{Headroom: -1},
		{Max: -1},
		{Slab: -1},
	} {
		_, err := NewPool(cfg)
		require.Error(t, err, "%+v", cfg)
	}
}

// TestPoolServesManyGoroutines: owners on several goroutines, chains, second
// owners who release elsewhere, and observers. The race detector is the judge;
// a buffer with two owners at a time would be one, too.
func TestPoolServesManyGoroutines(t *testing.T) {
	l := newPool(t, PoolConfig{BufferSize: 128, Headroom: 16, Max: 64, Slab: 8})
	elsewhere := make(chan *Packet, 32)
	var workers, releasers sync.WaitGroup
	for range 2 {
		releasers.Go(func() {
			for p := range elsewhere {
				for part := p; part != nil; part = part.Next() {
					for _, b := range part.Bytes() {
						_ = b
					}
				}
				p.Release()
			}
		})
	}
	for w := range 4 {
		workers.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(w)))
			for range 3000 {
				p := l.GetChain(rng.IntN(400))
				if p == nil {
					continue
				}
				for part := p; part != nil; part = part.Next() {
					clear(part.Extend(8))
				}
				switch rng.IntN(3) {
				case 0:
					p.Release()
				case 1:
					elsewhere <- p
				case 2:
					p.Retain()
					elsewhere <- p
					p.Release()
				}
				if rng.IntN(50) == 0 {
					n := l.InUse()
					l.Low()
					if n < 0 || n > 64 {
						t.Errorf("%d in use of 64", n)
					}
				}
			}
		})
	}
	workers.Wait()
	close(elsewhere)
	releasers.Wait()
	require.Zero(t, l.InUse())
}

func TestPoolAllocatesNothingInSteadyState(t *testing.T) {
	l := newPool(t, PoolConfig{})
	l.Get().Release()
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		p := l.Get()
		p.Extend(100)
		p.Release()
	}))
}

func TestPoolGivesABatch(t *testing.T) {
	l := newPool(t, PoolConfig{BufferSize: 128, Headroom: 16, Max: 10, Slab: 4})
	pkts := make([]*Packet, 8)
	require.Equal(t, 8, l.GetBatch(pkts))
	seen := map[*Packet]bool{}
	for _, p := range pkts {
		require.Zero(t, p.Len())
		require.Equal(t, 16, p.Headroom())
		require.Nil(t, p.Link())
		seen[p] = true
		p.Extend(9)
		p.Queue = 3
	}
	require.Len(t, seen, 8)
	more := make([]*Packet, 4)
	require.Equal(t, 2, l.GetBatch(more), "what there is")
	require.Zero(t, l.GetBatch(more[2:]))
	for _, p := range append(pkts, more[:2]...) {
		p.Release()
	}
	require.Equal(t, 8, l.GetBatch(pkts))
	for _, p := range pkts {
		require.Zero(t, p.Len(), "as new")
		require.Zero(t, p.Queue)
		p.Release()
	}
	require.Zero(t, l.InUse())
	require.Zero(t, l.GetBatch(nil))
}

// The parts of a frame go back each to its own pool, but for those that have
// another owner.
func TestChainIsReleasedToItsPools(t *testing.T) {
	a, b := newPool(t, PoolConfig{Max: 8}), newPool(t, PoolConfig{Max: 8})
	for mask := range 1 << 6 {
		var first *Packet
		var kept []*Packet
		for i, l := range []*Pool{a, a, b, a, b, b} {
			p := l.Get()
			if mask>>i&1 != 0 {
				p.Retain()
				kept = append(kept, p)
			}
			if first == nil {
				first = p
			} else {
				first.Append(p)
			}
		}
		first.Release()
		require.Equal(t, len(kept), a.InUse()+b.InUse())
		for _, p := range kept {
			p.Split()
			p.Release()
		}
		require.Zero(t, a.InUse())
		require.Zero(t, b.InUse())
	}
	var none *Packet
	none.Release()
}
