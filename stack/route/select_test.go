package route

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func prefixes(s string) (ps []netip.Prefix) {
	for _, f := range strings.Fields(s) {
		ps = append(ps, prefix(f))
	}
	return ps
}

// The examples of RFC 6724 section 10.1 that need only the rules implemented,
// and one or more for each rule.
func TestSourceAddressSelection(t *testing.T) {
	for _, tt := range []struct{ rule, dst, candidates, want string }{
		{"none", "2001:db8::1", "", ""},
		{"family", "2001:db8::1", "192.0.2.1/24", ""},
		{"family", "192.0.2.9", "2001:db8::1/64", ""},
		{"only one", "2001:db8::1", "fe80::1/64", "fe80::1"},
		{"unspecified", "192.0.2.9", "0.0.0.0/0 192.0.2.1/24", "192.0.2.1"},

		{"1 same", "2001:db8:1::1", "2001:db8:3::1/64 2001:db8:1::1/64 fe80::1/64", "2001:db8:1::1"},
		{"1 same", "192.0.2.9", "192.0.2.1/24 192.0.2.9/32", "192.0.2.9"},
		{"1 same", "192.0.2.9", "192.0.2.9/32 192.0.2.1/24", "192.0.2.9"},

		// 10.1
		{"2 scope", "2001:db8:1::1", "2001:db8:3::1/64 fe80::1/64", "2001:db8:3::1"},
		{"2 scope", "ff05::1", "2001:db8:3::1/64 fe80::1/64", "2001:db8:3::1"},
		{"2 scope", "fe80::1", "fe80::2/64 2001:db8:1::1/64", "fe80::2"},
		{"2 scope", "fe80::1", "2001:db8:1::1/64 fe80::2/64", "fe80::2"},
		{"2 scope", "ff02::1", "2001:db8:1::1/64 fe80::2/64", "fe80::2"},
		{"2 scope", "fe80::1%eth0", "2001:db8:1::1/64 fe80::2/64", "fe80::2"},
		{"2 scope", "192.0.2.9", "169.254.1.1/16 10.0.0.1/8", "10.0.0.1"},
		{"2 scope", "169.254.7.7", "10.0.0.1/8 169.254.1.1/16", "169.254.1.1"},
		{"2 scope", "2001:db8::1", "::1/128 fe80::1/64 2001:db8:9::1/64", "2001:db8:9::1"},

		{"6 label", "2002:c633:6401::1", "2001:db8:1::2/64 2002:c633:6401::d5e3:7953/48", "2002:c633:6401::d5e3:7953"},
		{"6 label", "2001:db8::1", "fd00::1/64 2002:c633::1/48 2001:db8:ffff::1/64", "2001:db8:ffff::1"},
		{"6 label", "fd11::1", "2001:db8::1/64 fd22::1/64", "fd22::1"},

		{"8 prefix", "2001:db8:1::1", "2001:db8:1::2/64 2001:db8:3::2/64", "2001:db8:1::2"},
		{"8 prefix", "2001:db8:3::1", "2001:db8:1::2/64 2001:db8:3::2/64", "2001:db8:3::2"},
		// Beyond the subnet nothing counts: the first wins.
		{"8 prefix", "2001:db8:1::5", "2001:db8:1::2/64 2001:db8:1::4/64", "2001:db8:1::2"},
		{"8 prefix", "192.0.2.9", "10.0.0.1/8 192.0.2.1/24", "192.0.2.1"},
		{"order", "198.51.100.1", "10.0.0.1/24 10.0.0.2/24", "10.0.0.1"},
		{"mapped", "::ffff:192.0.2.9", "10.0.0.1/8 192.0.2.1/24", "192.0.2.1"},
	} {
		got, ok := SelectSource(addr(tt.dst), prefixes(tt.candidates))
		require.Equal(t, tt.want != "", ok, "%+v", tt)
		require.Equal(t, addr(tt.want), got, "%+v", tt)
	}
}

func TestSourceAddressForARoute(t *testing.T) {
	candidates := prefixes("10.0.0.5/24 192.168.1.5/24 10.0.1.5/24 2001:db8::5/64")
	for _, tt := range []struct {
		name string
		r    Route
		dst  string
		want string
	}{
		{"the subnet of the gateway", via("0.0.0.0/0", "192.168.1.1", 1, 0), "10.7.7.7", "192.168.1.5"},
		{"the subnet of the destination", via("10.0.0.0/8", "", 1, 0), "10.0.1.9", "10.0.1.5"},
		{"no subnet: the longest match", via("0.0.0.0/0", "172.16.0.1", 1, 0), "192.168.2.2", "192.168.1.5"},
		{"the destination is ours", via("10.0.0.0/8", "192.168.1.1", 1, 0), "10.0.1.5", "10.0.1.5"},
		{"preferred", Route{Prefix: prefix("0.0.0.0/0"), Source: addr("10.0.1.5")}, "10.0.0.1", "10.0.1.5"},
		{"IPv6", via("::/0", "fe80::1", 1, 0), "2001:db8:9::1", "2001:db8::5"},
	} {
		got, ok := tt.r.SelectSource(addr(tt.dst), candidates)
		require.True(t, ok, tt.name)
		require.Equal(t, addr(tt.want), got, tt.name)
	}
}

// Most are the examples of RFC 6724 section 10.2; a destination without
// a source is not reachable.
func TestDestinationOrder(t *testing.T) {
	for _, tt := range []struct {
		rule    string
		sources string // candidates on the only interface
		dsts    string
		want    string
	}{
		{"1 unusable", "192.0.2.1/24", "2001:db8::1 198.51.100.1", "198.51.100.1 2001:db8::1"},
		{"2 scope", "2001:db8:1::2/64 fe80::1/64 169.254.13.78/16", "198.51.100.121 2001:db8:1::1", "2001:db8:1::1 198.51.100.121"},
		{"2 scope", "fe80::1/64 198.51.100.117/24", "2001:db8:1::1 198.51.100.121", "198.51.100.121 2001:db8:1::1"},
		{"6 precedence", "2001:db8:1::2/64 fe80::1/64 10.1.2.4/24", "10.1.2.3 2001:db8:1::1", "2001:db8:1::1 10.1.2.3"},
		{"8 scope", "2001:db8:1::2/64 fe80::2/64", "2001:db8:1::1 fe80::1", "fe80::1 2001:db8:1::1"},
		{"5 label", "2002:c633:6401::2/64 fe80::2/64", "2001:db8:1::1 2002:c633:6401::1", "2002:c633:6401::1 2001:db8:1::1"},
		{"6 precedence, 6to4", "2002:c633:6401::2/64 2001:db8:1::2/64 fe80::2/64", "2002:c633:6401::1 2001:db8:1::1", "2001:db8:1::1 2002:c633:6401::1"},
		{"9 prefix", "2001:db8:1::2/64 2001:db8:3::2/64 fe80::1/64", "2001:db8:ffff::9 2001:db8:3::9", "2001:db8:3::9 2001:db8:ffff::9"},
		{"9 not for IPv4", "192.0.2.1/24", "198.51.100.1 192.0.2.9 10.0.0.1", "198.51.100.1 192.0.2.9 10.0.0.1"},
		{"10 order", "2001:db8::1/64", "2001:db8:1::2 2001:db8:1::1", "2001:db8:1::2 2001:db8:1::1"},
		{"nothing", "192.0.2.1/24", "", ""},
	} {
		var dsts []netip.Addr
		for _, s := range strings.Fields(tt.dsts) {
			dsts = append(dsts, addr(s))
		}
		SortDestinations(dsts, func(dst netip.Addr) (netip.Addr, bool) {
			return SelectSource(dst, prefixes(tt.sources))
		})
		var got []string
		for _, d := range dsts {
			got = append(got, d.String())
		}
		require.Equal(t, tt.want, strings.Join(got, " "), tt.rule)
	}
}

func TestSortingKeepsTheAddressesAndIsStable(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	kinds := [][16]byte{{}, {0xfe, 0x80}, {0x20, 2}, {0x20, 1}, {0xfc}, {0xff, 2}, {10: 0xff, 11: 0xff}}
	for range 200 {
		dsts := make([]netip.Addr, 1+rng.IntN(10))
		for i := range dsts {
			b := kinds[rng.IntN(len(kinds))]
			b[15], b[4] = byte(rng.IntN(4)), byte(rng.IntN(2))
			dsts[i] = netip.AddrFrom16(b)
		}
		before := append([]netip.Addr(nil), dsts...)
		source := func(dst netip.Addr) (netip.Addr, bool) {
			return SelectSource(dst, prefixes("2001:db8::1/64 fe80::1/64 10.0.0.1/8"))
		}
		SortDestinations(dsts, source)
		require.ElementsMatch(t, before, dsts)
		again := append([]netip.Addr(nil), dsts...)
		SortDestinations(again, source)
		require.Equal(t, dsts, again)
	}
	invalid := []netip.Addr{{}, addr("10.0.0.2")}
	SortDestinations(invalid, func(dst netip.Addr) (netip.Addr, bool) { return addr("10.0.0.1"), true })
	require.Equal(t, []netip.Addr{addr("10.0.0.2"), {}}, invalid)
}
