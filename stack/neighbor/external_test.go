package neighbor

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What an authority says holds at once, for a neighbour in any state, but makes no
// entry.
func TestAnAuthorityIsBelieved(t *testing.T) {
	f := setup(t, Config{})
	f.Set(addr1, macA, f.now)
	require.Zero(t, f.Len())

	e := f.Lookup(addr1, f.now)
	f.Enqueue(e, 7, f.now)
	require.Equal(t, []act{{kind: SolicitMulticast, addr: addr1}}, f.acts())
	f.Set(addr1, macA, f.now)
	require.Equal(t, []act{{Resolved, addr1, macA, []int{7}}}, f.acts())
	require.Equal(t, Reachable, e.State())

	f.Set(addr1, macB, f.now) // no doubt, no probe
	mac, ok := f.Use(e, f.now)
	require.True(t, ok)
	require.Equal(t, macB, mac)
	require.Empty(t, f.acts())

	f.Set(addr1, none, f.now) // cannot be
	f.Set(addr1, [6]byte{1}, f.now)
	require.Equal(t, Reachable, e.State())
}

func TestALostNeighbourIsAskedForAgain(t *testing.T) {
	f := setup(t, Config{})
	f.Lose(addr1, true, f.now) // of nobody
	e := f.Lookup(addr1, f.now)
	f.Set(addr1, macA, f.now)
	require.Equal(t, Reachable, e.State())
	f.Lose(addr1, false, f.now)
	_, ok := f.Use(e, f.now)
	require.False(t, ok)
	require.Empty(t, f.acts(), "nobody asks until somebody sends")
	f.Enqueue(e, 1, f.now)
	require.Equal(t, []act{{kind: SolicitMulticast, addr: addr1}}, f.acts())
	f.Lose(addr1, false, f.now) // is being asked for
	require.Empty(t, f.acts())
	f.Lose(addr1, true, f.now)
	require.Equal(t, []act{{kind: Unreachable, addr: addr1, pending: []int{1}}}, f.acts())
	_, status := f.Enqueue(e, 2, f.now)
	require.Equal(t, NoAnswer, status)

	f.AddPermanent(addr6, macA, f.now)
	f.Lose(addr6, true, f.now)
	f.Set(addr6, macB, f.now)
	mac, ok := f.Use(f.Lookup(addr6, f.now), f.now)
	require.True(t, ok)
	require.Equal(t, macA, mac)
}
