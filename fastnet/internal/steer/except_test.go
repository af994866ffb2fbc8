package steer

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/afxdp"
)

func (f *fake) have(theirs ...afxdp.Flow) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.theirs = theirs
}

func (f *fake) exceptions() map[afxdp.Flow]bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := map[afxdp.Flow]bool{}
	for w := range f.except {
		all[w] = true
	}
	return all
}

// The connections of the kernel's on one address stay its own while a listener on
// another address of the same port closes, or a UDP socket on it.
func TestAPortThatIsGivenBackLeavesTheExceptionsOfOthers(t *testing.T) {
	inTime(t, func(t *testing.T, s *Steering, f *fake) {
		web4 := afxdp.Port{Protocol: TCP, Addr: netip.MustParseAddr("10.0.0.1"), Port: 443}
		web6 := afxdp.Port{Protocol: TCP, Addr: netip.MustParseAddr("fd00::1"), Port: 443}
		quic := afxdp.Port{Protocol: UDP, Port: 443}
		six := flow("[fd00::1]:443", "[fd00::2]:1000")
		f.have(one, six)
		for _, p := range []afxdp.Port{web4, web6, quic} {
			require.NoError(t, s.OpenPort(p))
		}
		require.Equal(t, map[afxdp.Flow]bool{one: true, six: true}, f.exceptions())
		s.ClosePort(quic, func() {})
		require.Equal(t, map[afxdp.Flow]bool{one: true, six: true}, f.exceptions())
		s.ClosePort(web6, func() {})
		require.Equal(t, map[afxdp.Flow]bool{one: true}, f.exceptions())
		s.ClosePort(web4, func() {})
		require.Empty(t, f.exceptions())
	})
}

// A peer that connects again by the same port, to the kernel, in the moment that the
// exception of its last connection ends is left to the kernel, and not reset meanwhile.
func TestATupleOfTheKernelsThatIsUsedAgainAsItsExceptionEnds(t *testing.T) {
	inTime(t, func(t *testing.T, s *Steering, f *fake) {
		f.have(one)
		require.NoError(t, s.OpenPort(web))
		for range 3 {
			s.settleExceptions()
		}
		require.False(t, f.held)
		for _, late := range []bool{false, true} { // its SYN has waited for a processor
			f.have()
			if !late {
				f.removed = func() { f.theirs = []afxdp.Flow{one} } // the list of before does not have it
			}
			s.settleExceptions()
			f.removed = nil
			require.True(t, f.held)
			if late {
				require.Empty(t, f.exceptions())
				f.have(one)
				s.settleExceptions()
				require.True(t, f.held)
			}
			require.Equal(t, map[afxdp.Flow]bool{one: true}, f.exceptions())
			s.settleExceptions()
			s.settleExceptions()
			require.False(t, f.held, "for ever")
		}
	})
}

// The peer of a connection that was reset connects again by the same port: the entry
// that waits for late packets is in the way of whoever listens now, and goes.
func TestAPeerThatComesAgainIsNotKeptByLatePackets(t *testing.T) {
	inTime(t, func(t *testing.T, s *Steering, f *fake) {
		abort(t, s, f, one)
		require.Equal(t, 1, f.taken())
		s.Ended(one.Local, one.Remote, true)
		synctest.Wait()
		require.Zero(t, f.taken())
		listed, waiting := lateOnes(s)
		require.Equal(t, 1, listed)
		require.Zero(t, waiting)
		time.Sleep(lateTime + 2*exceptionTime)
		listed, _ = lateOnes(s)
		require.Zero(t, listed)
		require.Equal(t, []string{"+flow", "-flow"}, f.did())
	})
}
