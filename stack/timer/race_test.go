package timer

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// conn stands for a connection with a lazy timer: the deadline is under its lock.
type conn struct {
	mu       sync.Mutex
	w        *Wheel
	timer    Timer
	deadline time.Duration
	served   int
	early    int
}

func (c *conn) Expire(_ int, now time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.deadline == Never:
	case now < c.deadline:
		c.early++
		c.w.Arm(&c.timer, c.deadline)
	default:
		c.served++
		c.deadline = Never
	}
}

// Whatever Arm's fast path sees while Advance runs beside it, a deadline set
// under the owner's lock is never lost.
func TestNoDeadlineIsLostBetweenArmAndAdvance(t *testing.T) {
	const conns, rounds = 4, 3000
	w := New(0)
	var clock atomic.Int64
	var wg sync.WaitGroup
	all := make([]*conn, conns)
	for i := range all {
		c := &conn{w: w, deadline: Never}
		c.timer.Init(c, 0)
		all[i] = c
		wg.Go(func() {
			for n := range rounds {
				c.mu.Lock()
				c.deadline = time.Duration(clock.Load()) + time.Duration(n%5)*Tick
				w.Arm(&c.timer, c.deadline)
				if n%97 == 0 {
					w.Stop(&c.timer)
					c.deadline = Never
				}
				c.mu.Unlock()
			}
		})
	}
	stop := make(chan struct{})
	var advance sync.WaitGroup
	advance.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				w.Advance(time.Duration(clock.Add(int64(Tick / 3))))
			}
		}
	})
	wg.Wait()
	close(stop)
	advance.Wait()
	run(w, time.Duration(clock.Load())+time.Minute)
	for _, c := range all {
		require.Equal(t, Never, c.deadline, "a deadline was never served")
	}
	require.Zero(t, w.Len())
	require.Equal(t, Never, w.Next())
}

func BenchmarkArmQueued(b *testing.B) {
	w, r := New(0), newRecorder(1)
	w.Arm(&r.timers[0], 200*ms)
	for b.Loop() {
		w.Arm(&r.timers[0], 300*ms)
	}
}

func BenchmarkArmStop(b *testing.B) {
	w, r := New(0), newRecorder(1)
	for b.Loop() {
		w.Arm(&r.timers[0], 300*ms)
		w.Stop(&r.timers[0])
	}
}
