package neighbor

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// host returns the n-th address of a /64.
func host(n int) netip.Addr {
	a := netip.MustParseAddr("2001:db8::").As16()
	a[13], a[14], a[15] = byte(n>>16), byte(n>>8), byte(n)
	return netip.AddrFrom16(a)
}

// meet makes a reachable entry.
func (f *fixture) meet(addr netip.Addr) *Entry[int] {
	e := f.Lookup(addr, f.now)
	f.enqueue(e, 0)
	f.Advertised(addr, macA, true, true, f.now)
	f.acts()
	return e
}

func TestLeastRecentlyUsedEntryIsEvicted(t *testing.T) {
	f := setup(t, Config{MaxEntries: 4})
	var all []*Entry[int]
	for i := range 4 {
		all = append(all, f.meet(host(i)))
		f.now += 2 * sec
	}
	f.Use(all[0], f.now)
	f.Lookup(host(100), f.now)
	require.Equal(t, 4, f.Len())
	require.True(t, all[1].Dead())
	for _, i := range []int{0, 2, 3} {
		require.False(t, all[i].Dead(), i)
	}
	require.EqualValues(t, 1, f.Stats().Evicted)
}

func TestScanOfAddressesDoesNotPushOutThoseInUse(t *testing.T) {
	f := setup(t, Config{MaxEntries: 64})
	var live []*Entry[int]
	for i := range 48 {
		live = append(live, f.meet(host(i)))
	}
	failed := 0
	for i := range 1000 {
		addr := host(1000 + i)
		if i%2 == 0 {
			f.Heard(addr, macB, f.now)
		} else {
			f.enqueue(f.Lookup(addr, f.now), i)
		}
		require.LessOrEqual(t, f.Len(), 64)
		for _, a := range f.acts() {
			if a.kind == Unreachable {
				failed++
			}
		}
	}
	for _, e := range live {
		require.False(t, e.Dead())
	}
	require.Greater(t, failed, 400, "the packets of evicted entries come back")
}

func TestNewNeighboursAreResolvedThoughTheCacheIsFull(t *testing.T) {
	f := setup(t, Config{MaxEntries: 16})
	for i := range 16 {
		f.meet(host(i))
	}
	a, b := f.Lookup(host(100), f.now), f.Lookup(host(101), f.now)
	f.enqueue(a, 1)
	f.enqueue(b, 2)
	f.acts()
	require.False(t, a.Dead())
	require.False(t, b.Dead())
}
