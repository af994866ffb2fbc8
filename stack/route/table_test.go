package route

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func addr(s string) netip.Addr {
	if s == "" {
		return netip.Addr{}
	}
	return netip.MustParseAddr(s)
}

// via returns a route; an empty gateway means on link.
func via(p, gateway string, ifindex, metric int) Route {
	return Route{Prefix: prefix(p), Gateway: addr(gateway), Ifindex: ifindex, Metric: metric}
}

func table(t *testing.T, routes ...Route) *Table {
	tab := new(Table)
	for _, r := range routes {
		require.NoError(t, tab.Add(r))
	}
	return tab
}

func TestEmptyTableHasNoRoute(t *testing.T) {
	var tab Table
	_, ok := tab.Lookup(addr("192.0.2.1"))
	require.False(t, ok)
	_, ok = tab.Lookup(netip.Addr{})
	require.False(t, ok)
	require.Empty(t, tab.Routes())
	require.Zero(t, tab.Remove(via("0.0.0.0/0", "", 0, 0)))
	require.Zero(t, tab.RemoveInterface(1))
}

func TestLongestPrefixWins(t *testing.T) {
	tab := table(t,
		via("0.0.0.0/0", "10.0.0.1", 1, 0),
		via("10.0.0.0/8", "", 1, 0),
		via("10.1.0.0/16", "10.0.0.2", 2, 0),
		via("10.1.2.3/32", "10.0.0.3", 3, 0),
		via("::/0", "fe80::1", 4, 0),
		via("2001:db8::/32", "", 5, 0),
		via("2001:db8:0:1::/64", "", 6, 0),
		via("2001:db8:0:1::7/128", "fe80::7", 7, 0),
	)
	for dst, want := range map[string]string{
		"192.0.2.1":         "0.0.0.0/0",
		"10.255.0.1":        "10.0.0.0/8",
		"10.1.255.255":      "10.1.0.0/16",
		"10.1.2.3":          "10.1.2.3/32",
		"10.1.2.2":          "10.1.0.0/16",
		"::ffff:10.1.2.3":   "10.1.2.3/32",
		"2001:db9::1":       "::/0",
		"2001:db8::1":       "2001:db8::/32",
		"2001:db8:0:1::8":   "2001:db8:0:1::/64",
		"2001:db8:0:1::7":   "2001:db8:0:1::7/128",
		"2001:db8:0:1::7%2": "2001:db8:0:1::7/128",
	} {
		r, ok := tab.Lookup(addr(dst))
		require.True(t, ok, dst)
		require.Equal(t, prefix(want), r.Prefix, dst)
	}
}

func TestNextHopIsTheGatewayOrTheDestination(t *testing.T) {
	dst := addr("10.1.2.3")
	onLink, gateway := via("10.0.0.0/8", "", 1, 0), via("10.0.0.0/8", "192.0.2.1", 1, 0)
	require.Equal(t, dst, onLink.NextHop(dst))
	require.Equal(t, addr("192.0.2.1"), gateway.NextHop(dst))
}

func TestSmallestMetricWinsThenTheOldest(t *testing.T) {
	tab := table(t,
		via("0.0.0.0/0", "10.0.0.1", 1, 200),
		via("0.0.0.0/0", "10.0.0.2", 2, 100),
		via("0.0.0.0/0", "10.0.0.3", 3, 100),
	)
	r, _ := tab.Lookup(addr("192.0.2.1"))
	require.Equal(t, 2, r.Ifindex)
	require.Equal(t, 1, tab.Remove(via("0.0.0.0/0", "10.0.0.2", 0, 0)))
	r, _ = tab.Lookup(addr("192.0.2.1"))
	require.Equal(t, 3, r.Ifindex)
}

func TestLookupOnAnInterfaceSeesOnlyItsRoutes(t *testing.T) {
	tab := table(t,
		via("fe80::/64", "", 1, 0),
		via("fe80::/64", "", 2, 0),
		via("::/0", "fe80::1", 3, 0),
		via("2001:db8::/32", "", 1, 0),
	)
	for _, tt := range []struct {
		dst     string
		ifindex int
		want    string
	}{
		{"fe80::9%b", 2, "fe80::/64"},
		{"fe80::9", 3, "::/0"},
		{"2001:db8::1", 3, "::/0"}, // the longer prefix is another interface's
		{"2001:db8::1", 2, ""},
		{"2001:db8::1", 0, "2001:db8::/32"},
	} {
		r, ok := tab.LookupOn(addr(tt.dst), tt.ifindex)
		require.Equal(t, tt.want != "", ok)
		if ok {
			require.Equal(t, prefix(tt.want), r.Prefix)
			require.True(t, tt.ifindex == 0 || r.Ifindex == tt.ifindex)
		}
	}
}

func TestAddRefusesWhatIsThereOrMakesNoSense(t *testing.T) {
	tab := table(t, via("10.0.0.0/8", "", 1, 0))
	require.ErrorIs(t, tab.Add(via("10.9.9.9/8", "", 1, 0)), ErrExists)
	for _, r := range []Route{
		{},
		{Prefix: prefix("10.0.0.0/8")},
		via("10.0.0.0/8", "", -1, 0),
		via("10.0.0.0/8", "fe80::1", 1, 1),
		via("2001:db8::/32", "10.0.0.1", 1, 1),
		via("10.0.0.0/8", "0.0.0.0", 1, 1),
		via("10.0.0.0/8", "224.0.0.1", 1, 1),
		{Prefix: prefix("10.0.0.0/8"), Ifindex: 1, Metric: 1, Source: addr("::1")},
	} {
		require.Error(t, tab.Add(r), "%v", r)
		require.Error(t, tab.Replace(r), "%v", r)
	}
	require.Len(t, tab.Routes(), 1)
}

func TestReplaceTakesThePlaceOfTheSamePrefixInterfaceAndMetric(t *testing.T) {
	tab := table(t,
		via("0.0.0.0/0", "10.0.0.1", 1, 100),
		via("0.0.0.0/0", "10.0.0.2", 1, 200),
		via("0.0.0.0/0", "10.1.0.1", 2, 100),
	)
	require.NoError(t, tab.Replace(via("0.0.0.0/0", "10.0.0.9", 1, 100)))
	require.ElementsMatch(t, []Route{
		via("0.0.0.0/0", "10.0.0.9", 1, 100),
		via("0.0.0.0/0", "10.0.0.2", 1, 200),
		via("0.0.0.0/0", "10.1.0.1", 2, 100),
	}, tab.Routes())
}

func TestRemoveMatchesTheFieldsThatAreNamed(t *testing.T) {
	all := []Route{
		via("0.0.0.0/0", "10.0.0.1", 1, 100),
		via("0.0.0.0/0", "10.0.0.2", 1, 200),
		via("0.0.0.0/0", "10.1.0.1", 2, 100),
		via("10.0.0.0/8", "", 1, 0),
	}
	for _, tt := range []struct {
		r    Route
		left int
	}{
		{via("0.0.0.0/0", "", 0, 0), 1},
		{via("0.0.0.0/0", "10.0.0.2", 0, 0), 3},
		{via("0.0.0.0/0", "", 1, 0), 2},
		{via("0.0.0.0/0", "", 0, 100), 2},
		{via("0.0.0.0/0", "10.9.9.9", 0, 0), 4},
		{via("10.0.0.0/9", "", 0, 0), 4},
		{Route{}, 4},
	} {
		tab := table(t, all...)
		require.Equal(t, 4-tt.left, tab.Remove(tt.r), "%v", tt.r)
		require.Len(t, tab.Routes(), tt.left)
	}
	tab := table(t, all...)
	require.Equal(t, 3, tab.RemoveInterface(1))
	require.Equal(t, all[2:3], tab.Routes())
}

func TestRoutesAreListedByFamilyAndPrefix(t *testing.T) {
	sorted := []Route{
		via("0.0.0.0/0", "10.0.0.1", 1, 0),
		via("10.0.0.0/8", "", 1, 0),
		via("10.0.0.0/24", "", 1, 0),
		via("192.0.2.0/24", "", 1, 0),
		via("2001:db8::/32", "", 1, 0),
		via("fe80::/64", "", 1, 0),
	}
	tab := new(Table)
	for i := range sorted {
		require.NoError(t, tab.Add(sorted[len(sorted)-1-i]))
	}
	require.Equal(t, sorted, tab.Routes())
}

func TestGenerationTellsOfEachChange(t *testing.T) {
	tab := new(Table)
	g := tab.Generation()
	for _, change := range []func(){
		func() { _ = tab.Add(via("10.0.0.0/8", "", 1, 0)) },
		func() { _ = tab.Replace(via("10.0.0.0/8", "10.0.0.1", 1, 0)) },
		func() { tab.Remove(via("10.0.0.0/8", "", 0, 0)) },
	} {
		change()
		require.NotEqual(t, g, tab.Generation())
		g = tab.Generation()
	}
	tab.Lookup(addr("10.0.0.1"))
	require.Equal(t, g, tab.Generation())
}

func TestLookupDoesNotAllocate(t *testing.T) {
	tab := table(t, via("0.0.0.0/0", "10.0.0.1", 1, 0), via("10.0.0.0/8", "", 1, 0))
	dst := addr("10.1.2.3")
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if r, ok := tab.Lookup(dst); !ok || r.Ifindex != 1 {
			t.Fail()
		}
	}))
}

func TestReadersSeeEachChangeWhole(t *testing.T) {
	tab := table(t, via("10.0.0.0/8", "", 1, 0))
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				r, ok := tab.Lookup(addr("10.1.2.3"))
				if !ok || r.Gateway.IsValid() != (r.Ifindex == 2) {
					t.Error("half a change", r, ok)
					return
				}
			}
		})
	}
	for i := range 500 {
		_ = tab.Add(via("10.1.0.0/16", "10.0.0.1", 2, 0))
		_ = tab.Add(via("10.1.2.0/24", "", 1, i))
		tab.RemoveInterface(2)
		tab.Remove(via("10.1.2.0/24", "", 1, i))
	}
	close(stop)
	wg.Wait()
	require.Len(t, tab.Routes(), 1)
}

// FuzzTableActsLikeAList plays changes, seven bytes each, on the table and on a list.
func FuzzTableActsLikeAList(f *testing.F) {
	f.Add([]byte{0, 8, 10, 0, 0, 0, 1, 0, 16, 10, 1, 0, 0, 2, 1, 8, 10, 0, 0, 0, 1})
	rng := rand.New(rand.NewPCG(5, 6))
	for range 4 {
		b := make([]byte, 700)
		for i := range b {
			b[i] = byte(rng.Uint32()) & 0x8f // addresses with much in common
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		tab := new(Table)
		var list []Route
		matching := func(p netip.Prefix) (n int) {
			for _, r := range list {
				if r.Prefix == p {
					n++
				}
			}
			return n
		}
		for ; len(in) >= 7; in = in[7:] {
			v6, op := in[0]&0x80 != 0, in[0]&3
			a := netip.AddrFrom4([4]byte(in[2:6]))
			bits := int(in[1]) % 33
			if v6 {
				var b [16]byte
				copy(b[:], in[2:4])
				copy(b[7:], in[2:6])
				b[15] = in[5]
				a, bits = netip.AddrFrom16(b), int(in[1])%129
			}
			r := Route{Prefix: netip.PrefixFrom(a, bits).Masked(), Ifindex: int(in[6]&3) + 1, Metric: int(in[6] >> 2 & 3)}
			if _, ok := canonical(r.Prefix); !ok || r.Prefix.Addr().Is4In6() {
				continue
			}
			switch op {
			case 0, 1:
				exists := false
				for _, o := range list {
					exists = exists || o == r
				}
				err := tab.Add(r)
				require.Equal(t, exists, err != nil)
				if !exists {
					list = append(list, r)
				}
			case 2:
				require.Equal(t, matching(r.Prefix), tab.Remove(Route{Prefix: r.Prefix}))
				list = without(list, func(o Route) bool { return o.Prefix == r.Prefix })
			case 3:
				got, ok := tab.Lookup(a)
				var want *Route
				for i, o := range list {
					if o.Prefix.Contains(a) && (want == nil || o.Prefix.Bits() > want.Prefix.Bits() ||
						o.Prefix == want.Prefix && o.Metric < want.Metric) {
						want = &list[i]
					}
				}
				require.Equal(t, want != nil, ok)
				if ok {
					require.Equal(t, *want, got)
				}
			}
			require.ElementsMatch(t, list, tab.Routes())
			checkTrie(t, tab.snapshot.Load())
		}
	})
}

// checkTrie tells whether no node is superfluous or out of place.
func checkTrie(t *testing.T, s *snapshot) {
	if s == nil {
		return
	}
	var walk func(n *node)
	walk = func(n *node) {
		if n == nil {
			return
		}
		require.True(t, len(n.routes) > 0 || n.child[0] != nil && n.child[1] != nil)
		for i, c := range n.child {
			if c != nil {
				require.Greater(t, c.length, n.length)
				require.GreaterOrEqual(t, c.key.common(n.key), n.length)
				require.Equal(t, i, c.key.bit(n.length))
				walk(c)
			}
		}
	}
	walk(s.v4)
	walk(s.v6)
}

func BenchmarkLookup(b *testing.B) {
	for name, n := range map[string]int{"3": 3, "10000": 10000} {
		b.Run(name, func(b *testing.B) {
			tab := new(Table)
			rng := rand.New(rand.NewPCG(1, 1))
			var a [4]byte
			for range n {
				binary.BigEndian.PutUint32(a[:], rng.Uint32())
				_ = tab.Add(Route{Prefix: netip.PrefixFrom(netip.AddrFrom4(a), 24), Ifindex: 1})
			}
			dst := netip.AddrFrom4(a)
			for b.Loop() {
				tab.Lookup(dst)
			}
		})
	}
}
