package stack

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// maxPark bounds a sleep while a timer is pending. It is half the minimum
// retransmission time-out, so that arming one need not wake the poller.
const maxPark = 100 * time.Millisecond

// worker is one goroutine of a poller.
type worker struct {
	poller *Poller
	index  int
	begun  bool // run is running; under the poller's mutex
	queues atomic.Pointer[[]*queue]
	hosts  atomic.Pointer[[]*Host] // whose timers it advances

	parked atomic.Bool
	wakeup chan struct{}
	stop   atomic.Bool

	// The goroutine's own.
	clock     Clock
	now       time.Duration // at the latest tick
	looked    time.Duration // when the scheduler last looked at its network poller
	lookEvery time.Duration // how often it is made to look
	turn      time.Duration // what a yield takes, on average
	busy      bool          // the latest round made many goroutines runnable
	rounds    int           // since the timers were looked at
	behind    int           // looks in a row that found a reader polling
	yielder   *netpollWait  // nil before first use
	noYield   bool          // there is none to be had
	napper    *netpollWait  // likewise: see nap.go
	noNap     bool

	round sync.Mutex // held during a round: Remove waits for its end
}

// wake ends w's sleep. A worker that is awake costs one load.
func (w *worker) wake() {
	if w.parked.Load() && w.parked.CompareAndSwap(true, false) {
		select {
		case w.wakeup <- struct{}{}:
		default:
		}
	}
}

// timerRounds is how many rounds pass between looks at the timers, whose
// resolution is a millisecond.
const timerRounds = 16

// run is the worker's goroutine: poll in bursts, yield after each round, sleep
// when a few rounds found nothing.
func (w *worker) run() {
	defer w.poller.done.Done()
	cfg := &w.poller.cfg
	w.clock = SystemClock()
	w.lookEvery = cfg.Look
	defer func() {
		for _, n := range []*netpollWait{w.yielder, w.napper} {
			if n != nil {
				n.close()
			}
		}
	}()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	idle := 0
	for !w.stop.Load() {
		n := w.work()
		if n > 0 {
			idle = 0
		} else if idle++; idle > cfg.IdleRounds {
			idle = 0
			if !cfg.Busy {
				if !w.nap() {
					w.idle(timer)
				}
				continue
			}
			w.flush()
		}
		w.yield()
	}
}

// work is one round: a burst of each queue, timers, kicks. It returns what it
// found to do.
func (w *worker) work() int {
	w.round.Lock()
	defer w.round.Unlock()
	n := 0
	w.busy = false
	qs := *w.queues.Load()
	for _, q := range qs {
		if k := q.poll(); k > 0 {
			n += k
			w.busy = w.busy || q.busy.Load()
		}
	}
	if w.rounds++; w.rounds >= timerRounds {
		w.tick()
	}
	for _, q := range qs {
		q.kickNow()
	}
	return n
}

// tick handles the timers that are due.
func (w *worker) tick() {
	w.rounds = 0
	w.now = w.clock()
	for _, h := range *w.hosts.Load() {
		h.tick(w.nowOf(h))
		h.waiters.deliver()
	}
}

// nowOf is the time on h's clock. Hosts on the system's clock share the reading
// of the latest tick.
func (w *worker) nowOf(h *Host) time.Duration {
	if h.systemClock {
		return w.now
	}
	return h.now()
}

// yield lets other goroutines run after a round. When each round makes many of them
// runnable no processor runs out of work, and the scheduler would look at its network
// poller every 10 ms only.
func (w *worker) yield() {
	if !w.busy || w.poller.cfg.Look < 0 || w.noYield {
		runtime.Gosched()
		return
	}
	before := w.clock()
	if before-w.looked < w.lookEvery {
		runtime.Gosched()
		w.turn += (w.clock() - before - w.turn) / 8
		return
	}
	if w.yielder == nil {
		var err error
		if w.yielder, err = newYielder(); err != nil {
			w.noYield = true
			return
		}
	}
	w.yielder.wait()
	w.looked = w.clock()
	// With an idle processor, whose thread sleeps in the network poller, the
	// detour is not needed, and to wake that thread takes its time. Then the
	// looks become rare.
	if w.looked-before > 2*w.turn+slowLook {
		w.lookEvery = min(2*w.lookEvery, maxLook)
	} else {
		w.lookEvery = max(w.lookEvery/2, w.poller.cfg.Look)
	}
}

// slowLook is what a look at the network poller may take longer than two yields,
// and maxLook how rare looks become.
const (
	slowLook = 10 * time.Microsecond
	maxLook  = 10 * time.Millisecond
)

// idle sends what waited for more to come, and sleeps unless there is something
// to do after all.
func (w *worker) idle(timer *time.Timer) {
	w.round.Lock()
	wait := w.park()
	w.round.Unlock()
	switch {
	case wait <= 0:
	case wait == Never:
		<-w.wakeup
	default:
		timer.Reset(wait)
		select {
		case <-w.wakeup:
		case <-timer.C:
		}
	}
	w.parked.Store(false)
}

// flush sends what waited for more to come, and need not wait on.
func (w *worker) flush() {
	for _, q := range *w.queues.Load() {
		q.flushAcks(pendingRest)
		q.kickNow()
	}
}

// park makes everything ready for a sleep, and returns for how long: 0 if there
// is something to do. From parked on, who makes work wakes the worker.
func (w *worker) park() time.Duration {
	queues, hosts := w.queues.Load(), w.hosts.Load()
	qs, hs := *queues, *hosts
	w.tick()
	w.flush()
	for _, h := range hs {
		if h.parkUntil.Load() != int64(Never) {
			h.parkUntil.Store(int64(Never))
		}
	}
	w.parked.Store(true)
	if w.queues.Load() != queues || w.hosts.Load() != hosts {
		return 0 // who added to them just now found no sleep to end
	}
	wait := Never
	for _, h := range hs {
		if h.waiters.ordered.Load() {
			return 0
		}
		if next := h.wheel.Next(); next != Never {
			wait = min(wait, next-w.nowOf(h), maxPark)
		}
	}
	for _, q := range qs {
		if !w.lockIdle(q) {
			return 0 // a reader polls it, and may leave packets behind
		}
		armed := q.down || q.arm()
		q.mu.Unlock()
		if !armed || q.kickNow() || q.acks.any.Load() { // since the flush, by a reader that polled
			return 0
		}
		if q.acks.held.Load() {
			wait = min(wait, ackPatience)
		}
		// Not q.nextEvent: Arm promises a wake-up when the device that fell short
		// has room again.
		if next := q.dev.NextEvent(); next != Never {
			wait = min(wait, next-w.nowOf(q.host))
		}
	}
	if w.stop.Load() {
		return 0
	}
	if wait != Never {
		for _, h := range hs {
			h.parkUntil.Store(int64(w.nowOf(h) + wait))
		}
	}
	return wait
}

// patientRounds is how often a worker that has nothing else to do looks whether a
// reader is done polling, before it waits for that. Mostly it is, at once.
const patientRounds = 4

// lockIdle locks q, unless a reader polls it. One that takes a long time, of a
// stream that keeps coming, is waited for: a worker that went on looking would take
// a processor, perhaps the peer's. Holders of q.mu wait for nothing of a worker's.
func (w *worker) lockIdle(q *queue) bool {
	if q.mu.TryLock() {
		w.behind = 0
		return true
	}
	if w.behind++; w.behind <= patientRounds {
		return false
	}
	w.behind = 0
	q.mu.Lock()
	return true
}

// awaitRound returns when the round under way, which may have begun with other
// queues, has ended.
func (w *worker) awaitRound() {
	w.round.Lock()
	defer w.round.Unlock()
}
