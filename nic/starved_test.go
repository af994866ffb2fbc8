package nic

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFreedIsCalledOnceAfterGetFellShort(t *testing.T) {
	freed := 0
	l := newPool(t, PoolConfig{Max: 3, Freed: func() { freed++ }})
	a, b, c := l.Get(), l.Get(), l.Get()
	a.Release()
	require.Zero(t, freed, "nobody wanted one")
	require.Same(t, a, l.Get())
	require.False(t, l.Starved())

	require.Nil(t, l.Get())
	require.Nil(t, l.Get())
	require.True(t, l.Starved())
	a.Release()
	require.Equal(t, 1, freed)
	require.False(t, l.Starved())
	b.Release()
	c.Release()
	require.Equal(t, 1, freed, "told already")

	l.Get()
	l.Get()
	chain := l.Get()
	require.Nil(t, l.Get())
	chain.Append(a)
	chain.Release() // a chain goes back at once
	require.Equal(t, 2, freed)
}

func TestFreedComesAfterAChainThatFellShort(t *testing.T) {
	freed := 0
	l := newPool(t, PoolConfig{BufferSize: 100, Headroom: 20, Max: 3, Freed: func() { freed++ }})
	a := l.Get()
	require.Nil(t, l.GetChain(3*80))
	require.True(t, l.Starved(), "what it had taken and given back is not enough")
	before := freed
	a.Release()
	require.Equal(t, before+1, freed)
	l.GetChain(3 * 80).Release()
	var all [4]*Packet
	require.Equal(t, 3, l.GetBatch(all[:]))
	require.True(t, l.Starved())
	for _, p := range all[:3] {
		p.Release()
	}
	require.Equal(t, before+2, freed)
}

// TestNoShortageIsForgotten: who finds the pool empty sleeps until Freed. A call
// that is missing hangs the test.
func TestNoShortageIsForgotten(t *testing.T) {
	wake := make(chan struct{}, 1)
	var short atomic.Bool
	l := newPool(t, PoolConfig{Max: 4, Slab: 4, Freed: func() {
		if short.Load() {
			select {
			case wake <- struct{}{}:
			default:
			}
		}
	}})
	out := make(chan *Packet, 4)
	var releasers sync.WaitGroup
	for range 2 {
		releasers.Go(func() {
			for p := range out {
				p.Release()
			}
		})
	}
	for range 20000 {
		p := l.Get()
		for p == nil {
			// As Queue.Arm: the flag first, the look second.
			short.Store(true)
			if l.Starved() {
				select {
				case <-wake:
				case <-time.After(20 * time.Second):
					t.Fatal("asleep for good")
				}
			}
			short.Store(false)
			p = l.Get()
		}
		out <- p
	}
	close(out)
	releasers.Wait()
	require.Zero(t, l.InUse())
}

// A chain takes all that it needs or nothing, so that many who want several buffers
// each, of few, go on.
func TestChainsShareFewBuffers(t *testing.T) {
	var workers sync.WaitGroup
	wake := make([]chan struct{}, 3)
	for i := range wake {
		wake[i] = make(chan struct{}, 1)
	}
	l := newPool(t, PoolConfig{BufferSize: 100, Headroom: 20, Max: 4, Slab: 4, Freed: func() {
		for _, c := range wake {
			select {
			case c <- struct{}{}:
			default:
			}
		}
	}})
	for i := range wake {
		workers.Go(func() {
			for n := range 5000 {
				size := 80 * (1 + (n+i)%4)
				p := l.GetChain(size)
				for ; p == nil; p = l.GetChain(size) {
					if l.Starved() { // else a buffer has come back since
						select {
						case <-wake[i]:
						case <-time.After(20 * time.Second):
							t.Error("asleep for good")
							return
						}
					}
				}
				p.Release()
			}
		})
	}
	workers.Wait()
	require.Zero(t, l.InUse())
}

// A chain that cannot be had leaves the buffers that there are to others, and wakes
// nobody for them.
func TestChainThatFellShortTookNothing(t *testing.T) {
	freed := 0
	l := newPool(t, PoolConfig{BufferSize: 100, Headroom: 20, Max: 4, Slab: 1, Freed: func() { freed++ }})
	a := l.Get()
	require.Nil(t, l.GetChain(4*80))
	require.Zero(t, freed, "nothing was given back")
	require.Equal(t, 1, l.InUse())
	b := l.GetChain(3 * 80)
	require.NotNil(t, b)
	require.Equal(t, 4, l.InUse())
	for p := b; p != nil; p = p.Next() {
		require.Equal(t, 20, p.Headroom())
		require.Nil(t, p.Link())
		p.Extend(10)
	}
	b.Release()
	require.Equal(t, 1, freed)
	a.Release()
	require.Zero(t, l.InUse())
}
