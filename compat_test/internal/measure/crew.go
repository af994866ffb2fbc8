package measure

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// The phases of a measurement, in order.
const (
	warming int32 = iota
	counting
	stopping
)

// WarmUp is how long a load runs before it counts: connections leave slow
// start, and pools and the heap reach their size.
func WarmUp(d time.Duration) time.Duration { return min(d/2, 300*time.Millisecond) }

// HangTime is how long a worker may take to end the operation it is in. The
// machine may be busy with other work, so it is generous.
const HangTime = time.Minute

// A Crew is the goroutines that load a stack.
type Crew struct {
	phase   atomic.Int32
	running sync.WaitGroup
	workers []*worker
	// Faults gets the errors of the workers.
	Faults *Faults
}

// A worker repeats one operation. Its counters are its own cache lines: the
// Histogram keeps them apart from the next worker's.
type worker struct {
	ops     atomic.Uint64
	latency Histogram
}

// Add starts a worker that calls step until the crew stops. An error ends the
// worker, unless retry says that the next call starts afresh.
func (c *Crew) Add(step func() error, retry bool) {
	w := &worker{}
	c.workers = append(c.workers, w)
	c.running.Go(func() {
		last := time.Now()
		for {
			phase := c.phase.Load()
			if phase == stopping {
				return
			}
			err := step()
			now := time.Now()
			if err != nil {
				c.Faults.Add(err)
				if !retry {
					return
				}
				time.Sleep(time.Millisecond) // a refused dial must not spin
				last = time.Now()
				continue
			}
			if phase == counting {
				w.latency.Record(now.Sub(last))
			}
			w.ops.Add(1)
			last = now
		}
	})
}

// Ops is the number of operations completed.
func (c *Crew) Ops() uint64 {
	var n uint64
	for _, w := range c.workers {
		n += w.ops.Load()
	}
	return n
}

// Count lets the crew warm up, calls begin, counts latencies for d, and calls
// end. The error is that of ctx.
func (c *Crew) Count(ctx context.Context, d time.Duration, begin, end func()) error {
	if err := Sleep(ctx, WarmUp(d)); err != nil {
		return err
	}
	begin()
	c.phase.Store(counting)
	if err := Sleep(ctx, d); err != nil {
		return err
	}
	end()
	return nil
}

// Stop ends the workers. If they do not end by themselves, that is an error
// of the stack under test; unblock must then make their calls return.
func (c *Crew) Stop(unblock func()) {
	c.phase.Store(stopping)
	done := make(chan struct{})
	go func() { c.running.Wait(); close(done) }()
	if WaitFor(done) {
		return
	}
	c.Faults.Add(fmt.Errorf("workers still blocked %v after the end", HangTime))
	unblock()
	WaitFor(done)
}

// Latency is the distribution over all workers. Call it after Stop.
func (c *Crew) Latency() *Histogram {
	sum := &Histogram{}
	for _, w := range c.workers {
		sum.Add(&w.latency)
	}
	return sum
}

// WaitFor reports whether done was closed within HangTime.
func WaitFor(done <-chan struct{}) bool {
	t := time.NewTimer(HangTime)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}

// Sleep waits for d, or less if ctx ends before.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
