package neighbor

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzEachPacketComesBackOnce plays a program of three-byte instructions on a
// small cache and keeps account of its packets, entries and deadlines.
func FuzzEachPacketComesBackOnce(f *testing.F) {
	f.Add([]byte{0, 1, 0, 1, 1, 0, 2, 1, 0xff, 6, 200, 0})
	f.Add([]byte{0, 1, 0, 0, 1, 0, 6, 40, 0, 6, 40, 0, 6, 40, 0, 6, 40, 0})
	rng := rand.New(rand.NewPCG(7, 8))
	for range 6 {
		b := make([]byte, 900)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		x := setup(t, Config{MaxEntries: 4, MaxPending: 3, StaleTime: 40 * sec,
			Rand: func() uint64 { return 12345 }})
		held := map[int]bool{} // packets that the cache has
		macs := [][6]byte{macA, macB, {}, {0xff}}
		packet := 0
		kept := map[netip.Addr]*Entry[int]{}
		for ; len(in) >= 3; in = in[3:] {
			addr := host(int(in[1] & 7))
			mac := macs[in[2]&3]
			solicited, override := in[2]&4 != 0, in[2]&8 != 0
			e := kept[addr]
			if e == nil || e.Dead() {
				e = x.Lookup(addr, x.now)
				kept[addr] = e
			}
			switch in[0] % 10 {
			case 0, 1:
				packet++
				dropped, s := x.Enqueue(e, packet, x.now)
				_, known := e.MAC()
				require.Equal(t, known, s == Known)
				if s == Queued || s == QueuedDropped {
					held[packet] = true
				}
				if s == QueuedDropped {
					require.True(t, held[dropped])
					delete(held, dropped)
				}
			case 2, 3:
				before, live := e.MAC()
				state := e.State()
				x.Advertised(addr, mac, solicited, override, x.now)
				after, _ := e.MAC()
				if live && state != Stale {
					require.Equal(t, before, after, "a live address was replaced in %v", state)
				}
			case 4:
				x.Heard(addr, mac, x.now)
			case 5:
				x.Use(e, x.now)
				x.Confirm(e, x.now)
			case 6:
				x.now += time.Duration(in[1]) * 100 * time.Millisecond
			case 7:
				x.Use(e, x.now)
			case 8:
				x.Remove(addr)
			case 9:
				if in[1] > 200 {
					x.Flush()
				} else if in[1] > 190 {
					x.AddPermanent(addr, macA, x.now)
				}
			}
			for _, a := range x.Advance(x.now, nil) {
				_, known := a.Entry.MAC()
				switch a.Kind {
				case Resolved, SolicitUnicast:
					require.NotEqual(t, none, a.MAC)
				case SolicitMulticast:
					require.False(t, known && a.Entry.State() == Reachable && len(a.Entry.pending) > 0)
				}
				for _, p := range a.Pending {
					require.True(t, held[p], "packet %d was not held", p)
					delete(held, p)
				}
			}
			require.Greater(t, x.Next(), x.now)
			account(t, x, held)
		}
		x.Flush()
		for _, a := range x.Advance(x.now, nil) {
			for _, p := range a.Pending {
				delete(held, p)
			}
		}
		require.Empty(t, held)
		require.Equal(t, x.permanent, x.Len())
		require.Equal(t, Never, x.Next())
	})
}

// account checks the cache's books.
func account(t *testing.T, x *fixture, held map[int]bool) {
	pending, permanent := 0, 0
	for i, e := range x.entries {
		require.Equal(t, i, e.entryIndex)
		require.Same(t, e, x.byAddr[e.addr])
		require.False(t, e.Dead())
		require.LessOrEqual(t, len(e.pending), 3)
		pending += len(e.pending)
		if e.State() == Permanent {
			permanent++
			require.Negative(t, e.heapIndex)
		} else {
			require.Same(t, e, x.deadlines[e.heapIndex])
			require.Greater(t, e.deadline, x.now)
		}
		if e.State().known() {
			require.Empty(t, e.pending)
		}
	}
	require.Len(t, held, pending)
	require.Equal(t, permanent, x.permanent)
	require.Len(t, x.byAddr, len(x.entries))
	require.Len(t, x.deadlines, len(x.entries)-permanent)
	require.LessOrEqual(t, len(x.entries)-permanent, 4)
	for i := range x.deadlines {
		if i > 0 {
			require.LessOrEqual(t, x.deadlines[(i-1)/2].deadline, x.deadlines[i].deadline)
		}
	}
	for i := range x.recent {
		if e := x.recent[i].Load(); e != nil {
			require.False(t, e.Dead())
		}
	}
}

func TestAllMayUseTheCacheAtOnce(t *testing.T) {
	c := New[int](Config{MaxEntries: 8, MaxPending: 4})
	var mu sync.Mutex
	back, in := 0, 0
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 0))
			var acts []Action[int]
			sent, returned := 0, 0
			for i := range 2000 {
				now := time.Duration(i) * 50 * time.Millisecond
				addr := host(rng.IntN(16))
				e := c.Lookup(addr, now)
				if _, ok := c.Use(e, now); !ok {
					switch _, s := c.Enqueue(e, i, now); s {
					case Queued:
						sent++
					case QueuedDropped:
						sent++
						returned++
					}
				}
				c.Confirm(e, now)
				acts = c.Advance(now, acts[:0])
				for _, a := range acts {
					returned += len(a.Pending)
					if a.Kind == SolicitMulticast && rng.IntN(2) == 0 {
						c.Advertised(a.Addr, macA, true, true, now)
					}
				}
				if rng.IntN(50) == 0 {
					c.Heard(addr, macB, now)
					c.Snapshot()
				}
				if mac, ok := e.MAC(); ok && mac != macA && mac != macB {
					t.Error("torn address", mac)
				}
			}
			mu.Lock()
			in, back = in+sent, back+returned
			mu.Unlock()
		})
	}
	wg.Wait()
	c.Flush()
	for _, a := range c.Advance(0, nil) {
		back += len(a.Pending)
	}
	require.Equal(t, in, back, "packets in and out")
}

func BenchmarkUse(b *testing.B) {
	c := New[int](Config{})
	e := c.Lookup(addr1, 0)
	c.Enqueue(e, 0, 0)
	c.Advertised(addr1, macA, true, true, 0)
	b.Run("Use", func(b *testing.B) {
		for b.Loop() {
			c.Use(e, 1)
		}
	})
	b.Run("Confirm", func(b *testing.B) {
		for b.Loop() {
			c.Confirm(e, 1)
		}
	})
	b.Run("Lookup", func(b *testing.B) {
		for b.Loop() {
			c.Lookup(addr1, 1)
		}
	})
}
