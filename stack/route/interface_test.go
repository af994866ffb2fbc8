package route

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAnInterfacesRoutesAreReplacedInOneStep(t *testing.T) {
	var table Table
	p, a := netip.MustParsePrefix, netip.MustParseAddr
	other := Route{Prefix: p("10.0.0.0/8"), Ifindex: 1}
	require.NoError(t, table.Add(other))
	require.NoError(t, table.Add(Route{Prefix: p("10.9.0.0/24"), Ifindex: 2}))
	set := []Route{
		{Prefix: p("10.9.0.0/24"), Source: a("10.9.0.1")},
		{Prefix: p("10.9.0.0/24"), Source: a("10.9.0.9")}, // the first wins
		{Prefix: p("0.0.0.0/0"), Gateway: a("10.9.0.254"), Metric: 100},
		{Prefix: p("10.0.0.0/8"), Metric: 7},
		{Prefix: p("fd09::/64"), Metric: 256},
		{Prefix: p("10.8.0.0/24"), Gateway: a("fd09::1")}, // cannot be
	}
	before := table.Generation()
	require.ErrorContains(t, table.SetInterface(2, set), "10.8.0.0/24")
	require.Equal(t, before+1, table.Generation())
	require.Len(t, table.Routes(), 5)
	r, ok := table.Lookup(a("10.9.0.7"))
	require.True(t, ok)
	require.Equal(t, a("10.9.0.1"), r.Source)
	r, _ = table.Lookup(a("10.1.2.3"))
	require.Equal(t, other, r)
	r, _ = table.Lookup(a("192.0.2.1"))
	require.Equal(t, a("10.9.0.254"), r.Gateway)

	table.SetInterface(2, set) // the same again
	require.Equal(t, before+1, table.Generation())
	require.NoError(t, table.SetInterface(2, nil))
	require.Equal(t, []Route{other}, table.Routes())
}
