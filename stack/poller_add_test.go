package stack

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A host that is added just before the poller sleeps ends the sleep: it has not
// armed the host's queues, so no packet could.
func TestHostAddedAsThePollerGoesToSleep(t *testing.T) {
	p := &Poller{hosts: make(map[*Host]struct{})}
	w := &worker{poller: p, begun: true, wakeup: make(chan struct{}, 1), clock: SystemClock()} // by the test
	w.queues.Store(&[]*queue{})
	w.hosts.Store(&[]*Host{})
	p.workers = []*worker{w}
	late := NewHost(Config{})
	var between func()
	first := NewHost(Config{Clock: func() time.Duration {
		if between != nil {
			f := between
			between = nil
			f()
		}
		return time.Second
	}})
	require.NoError(t, p.Add(first))
	require.Equal(t, Never, w.park(), "nothing to do")
	w.parked.Store(false)
	between = func() { require.NoError(t, p.Add(late)) } // park asks each host for its time
	require.Zero(t, w.park())
	w.parked.Store(false)
	require.Equal(t, Never, w.park())
	w.parked.Store(false)
	require.NoError(t, late.Close())
	require.NoError(t, first.Close())
}
