package steer

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/afxdp"
)

// inTime runs a test in virtual time.
func inTime(t *testing.T, test func(t *testing.T, s *Steering, f *fake)) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		s := New(f, f, f.kernels)
		defer s.Close()
		test(t, s, f)
	})
}

// abort opens and resets a connection.
func abort(t *testing.T, s *Steering, f *fake, w afxdp.Flow) {
	t.Helper()
	require.NoError(t, s.Hold(w))
	f.set(w, true)
	s.Release(w)
	f.set(w, false)
	s.Ended(w.Local, w.Remote, false)
	synctest.Wait()
}

// lateOnes is how many flows wait for late packets, and how long the list of them is.
func lateOnes(s *Steering) (listed, waiting int) {
	s.calls.Lock()
	defer s.calls.Unlock()
	return len(s.late.list), len(s.late.waiting)
}

// What is on its way to a connection that was reset meets the stack, not the kernel.
func TestAnAbortedConnectionKeepsItsEntryForAWhile(t *testing.T) {
	inTime(t, func(t *testing.T, s *Steering, f *fake) {
		abort(t, s, f, dial)
		require.Equal(t, 1, f.taken())
		time.Sleep(lateTime - 1)
		require.Equal(t, 1, f.taken())
		time.Sleep(2 * exceptionTime)
		require.Zero(t, f.taken())
		require.Zero(t, s.Flows())
		listed, waiting := lateOnes(s)
		require.Zero(t, listed)
		require.Zero(t, waiting)
	})
}

func TestAConnectionThatWasInTimeWaitKeepsNone(t *testing.T) {
	inTime(t, func(t *testing.T, s *Steering, f *fake) {
		require.NoError(t, s.Hold(dial))
		f.set(dial, true)
		s.Release(dial)
		f.set(dial, false)
		s.Ended(dial.Local, dial.Remote, true)
		synctest.Wait()
		require.Zero(t, f.taken())
	})
}

// The SYN may have been answered as the dial was given up.
func TestADialThatComesToNothingKeepsItsEntryForAWhile(t *testing.T) {
	inTime(t, func(t *testing.T, s *Steering, f *fake) {
		require.NoError(t, s.Hold(dial))
		s.Release(dial)
		synctest.Wait()
		require.Equal(t, 1, f.taken())
		time.Sleep(lateTime + exceptionTime)
		require.Zero(t, f.taken())
	})
}

// The tuple of a connection that was reset is dialled again: its entry is the new
// one's.
func TestATupleThatIsUsedAgainAfterAnAbort(t *testing.T) {
	inTime(t, func(t *testing.T, s *Steering, f *fake) {
		abort(t, s, f, dial)
		time.Sleep(lateTime / 2)
		require.NoError(t, s.Hold(dial))
		f.set(dial, true)
		s.Release(dial)
		time.Sleep(2 * lateTime)
		require.Equal(t, 1, f.taken())
		f.set(dial, false)
		s.Ended(dial.Local, dial.Remote, false)
		time.Sleep(lateTime - 1) // anew
		require.Equal(t, 1, f.taken())
		time.Sleep(2 * exceptionTime)
		require.Zero(t, f.taken())
		require.Equal(t, []string{"+flow", "-flow"}, f.did())
	})
}

// The peer of a connection that was reset comes back while its port is listened on
// again: nothing is taken from the new connection.
func TestAnEntryOfAConnectionThatLives(t *testing.T) {
	inTime(t, func(t *testing.T, s *Steering, f *fake) {
		abort(t, s, f, one)
		require.NoError(t, s.OpenPort(web))
		f.set(one, true)
		time.Sleep(2 * lateTime)
		s.ClosePort(web, func() {})
		require.Equal(t, 1, f.taken())
		time.Sleep(2 * lateTime)
		require.Equal(t, 1, f.taken())
	})
}

// However many connections are reset, few entries wait for late packets.
func TestAFloodOfAbortsDoesNotFillTheFilter(t *testing.T) {
	inTime(t, func(t *testing.T, s *Steering, f *fake) {
		f.room = 2 * mostLate
		for i := range 3 * mostLate {
			abort(t, s, f, flow("10.0.0.1:40000", fmt.Sprintf("10.0.%d.%d:80", 1+i/250, 1+i%250)))
			require.LessOrEqual(t, f.taken(), mostLate+1)
		}
		require.Equal(t, mostLate, s.Flows())
		listed, waiting := lateOnes(s)
		require.Equal(t, mostLate, listed)
		require.Equal(t, mostLate, waiting)
		time.Sleep(lateTime + exceptionTime)
		require.Zero(t, f.taken())
	})
}

// Nor does the same one, again and again, make anything grow.
func TestAbortsOfOneTuple(t *testing.T) {
	inTime(t, func(t *testing.T, s *Steering, f *fake) {
		for range 2 * mostLate {
			abort(t, s, f, dial)
		}
		require.Equal(t, 1, f.taken())
		listed, waiting := lateOnes(s)
		require.Equal(t, mostLate, listed)
		require.Equal(t, 1, waiting)
	})
}

// Entries that wait for late packets make room for connections.
func TestAFullFilterLetsGoWhatIsOver(t *testing.T) {
	inTime(t, func(t *testing.T, s *Steering, f *fake) {
		f.room = 2
		abort(t, s, f, one)
		abort(t, s, f, two)
		require.NoError(t, s.Hold(dial))
		require.True(t, f.takes(dial))
		f.set(dial, true)
		f.room = f.taken()
		require.Error(t, s.Hold(flow("10.0.0.1:40001", "10.0.0.2:80")), "what lives stays")
		require.True(t, f.takes(dial))
	})
}

// A tuple that became the kernel's while its entry waited stays the kernel's.
func TestAnExceptionIsNotTakenBackByALateEntry(t *testing.T) {
	inTime(t, func(t *testing.T, s *Steering, f *fake) {
		abort(t, s, f, one)
		f.theirs = []afxdp.Flow{one}
		require.NoError(t, s.OpenPort(web))
		time.Sleep(2 * lateTime)
		require.Equal(t, map[afxdp.Flow]bool{one: true}, f.excepts())
		require.Zero(t, s.Flows())
	})
}

func (f *fake) did() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.log)
}

func (f *fake) takes(w afxdp.Flow) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.flows[w]
}

func (f *fake) excepts() map[afxdp.Flow]bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.except)
}
