package main

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

// warmUp is how long a load runs before it counts: connections leave slow
// start, and pools and the heap reach their size.
func warmUp(d time.Duration) time.Duration { return min(d/2, 300*time.Millisecond) }

// hangTime is how long a worker may take to end the operation it is in. The
// machine may be busy with other work, so it is generous.
const hangTime = 10 * time.Second

// A crew is the goroutines that load a stack.
type crew struct {
	phase   atomic.Int32
	running sync.WaitGroup
	workers []*worker
	faults  *faults
}

// A worker repeats one operation. Its counters are its own cache lines: the
// histogram keeps them apart from the next worker's.
type worker struct {
	ops     atomic.Uint64
	latency histogram
}

// add starts a worker that calls step until the crew stops. An error ends the
// worker, unless retry says that the next call starts afresh.
func (c *crew) add(step func() error, retry bool) {
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
				c.faults.add(err)
				if !retry {
					return
				}
				time.Sleep(time.Millisecond) // a refused dial must not spin
				last = time.Now()
				continue
			}
			if phase == counting {
				w.latency.record(now.Sub(last))
			}
			w.ops.Add(1)
			last = now
		}
	})
}

// ops is the number of operations completed.
func (c *crew) ops() uint64 {
	var n uint64
	for _, w := range c.workers {
		n += w.ops.Load()
	}
	return n
}

// measure lets the crew warm up and then counts for d. The operations are
// those that ops returns, which need not be the crew's own.
func (c *crew) measure(ctx context.Context, t Transport, d time.Duration, ops func() uint64) (Sample, error) {
	if err := sleep(ctx, warmUp(d)); err != nil {
		return Sample{}, err
	}
	from := read(t, ops)
	c.phase.Store(counting)
	if err := sleep(ctx, d); err != nil {
		return Sample{}, err
	}
	s := sampleBetween(from, read(t, ops))
	return s, nil
}

// stop ends the workers. If they do not end by themselves, that is an error
// of the stack under test; unblock must then make their calls return.
func (c *crew) stop(unblock func()) {
	c.phase.Store(stopping)
	done := make(chan struct{})
	go func() { c.running.Wait(); close(done) }()
	if waitFor(done) {
		return
	}
	c.faults.add(fmt.Errorf("workers still blocked %v after the end", hangTime))
	unblock()
	waitFor(done)
}

// latency is the distribution over all workers. Call it after stop.
func (c *crew) latency() *histogram {
	sum := &histogram{}
	for _, w := range c.workers {
		sum.add(&w.latency)
	}
	return sum
}

// waitFor reports whether done was closed within hangTime.
func waitFor(done <-chan struct{}) bool {
	t := time.NewTimer(hangTime)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}

// sleep waits for d, or less if ctx ends before.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
