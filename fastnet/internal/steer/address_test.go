package steer

import (
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/afxdp"
)

func is(a string) func(netip.Addr) bool {
	return func(b netip.Addr) bool { return b == netip.MustParseAddr(a) }
}

func none(netip.Addr) bool { return false }

// The connections on an address that leaves, accepted and dialled alike, have
// entries before the filter's addresses change; others have not.
func TestConnectionsOnAnAddressThatLeavesArePinned(t *testing.T) {
	inTime(t, func(t *testing.T, s *Steering, f *fake) {
		require.NoError(t, s.OpenPort(web))
		elsewhere := flow("10.0.0.9:443", "10.0.0.2:1000")
		for _, w := range []afxdp.Flow{one, two, dial, elsewhere} {
			f.set(w, true)
		}
		err := s.Readdress(is("10.0.0.1"), false, func(pinned bool) error {
			require.True(t, pinned)
			return f.change("addresses", func() {})
		})
		require.NoError(t, err)
		require.Equal(t, map[afxdp.Flow]bool{one: true, two: true, dial: true}, f.flows)
		require.Equal(t, []string{"+port", "+flow", "+flow", "+flow", "addresses"}, f.log)
		f.set(one, false)
		s.Ended(one.Local, one.Remote, true)
		synctest.Wait()
		require.Equal(t, 2, f.taken())
	})
}

// Where there is no room for all of them the address is not to lose its ports.
func TestAnAddressWhoseConnectionsHaveNoRoomIsNotPinned(t *testing.T) {
	inTime(t, func(t *testing.T, s *Steering, f *fake) {
		f.room = 1
		f.set(one, true)
		f.set(two, true)
		refused := errors.New("refused")
		require.ErrorIs(t, s.Readdress(is("10.0.0.1"), false, func(pinned bool) error {
			require.False(t, pinned)
			return refused
		}), refused)
	})
}

// What the kernel has on an address when it comes stays the kernel's, if its port is
// one of ours; and the stack resets nothing until it is sure.
func TestTheKernelsConnectionsOnAnAddressThatComesStayItsOwn(t *testing.T) {
	inTime(t, func(t *testing.T, s *Steering, f *fake) {
		require.NoError(t, s.OpenPort(web))
		f.held = false
		f.theirs = []afxdp.Flow{one, dial}
		require.NoError(t, s.Readdress(none, true, func(bool) error {
			return f.change("addresses", func() { f.theirs = append(f.theirs, two) }) // made meanwhile
		}))
		require.True(t, f.held)
		require.Equal(t, map[afxdp.Flow]bool{one: true, two: true}, f.except)
		require.Equal(t, []string{"+port", "except", "addresses", "except"}, f.log)
	})
}

// Before there is a filter there is nothing to pin in it.
func TestAddressesBeforeThereIsAFilter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		s := New(nil, f, f.kernels)
		defer s.Close()
		f.set(one, true)
		called := false
		require.NoError(t, s.Readdress(is("10.0.0.1"), true, func(pinned bool) error {
			called = !pinned
			return nil
		}))
		require.True(t, called)
		require.Empty(t, f.flows)
	})
}
