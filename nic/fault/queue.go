package fault

import (
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/fastnet-go/fastnet/nic"
)

// retry is how long a frame waits that was due when the device's ring was full,
// if nothing calls Recv or Send before.
const retry = 100 * time.Microsecond

const (
	burst  = 64
	rounds = 16 // bursts that one Recv takes at the most
)

// queue is a queue of the device behind its two lanes.
type queue struct {
	nic.Queue
	now    func() time.Duration
	rx, tx lane

	wake  func()
	armed atomic.Bool
	told  atomic.Int64 // the event of ours that the poller knows of
	retry atomic.Int64 // when to try again what the device did not take; 0: it took all

	received [burst]*nic.Packet // Recv's, which one goroutine calls
	sending  [burst]*nic.Packet // flush's, which holds tx.mu
	entries  [burst]held        // where the frames of sending came from
}

func newQueue(inner nic.Queue, index int, seed uint64, bare bool, now func() time.Duration) *queue {
	stream := uint64(2 * index)
	q := &queue{Queue: inner, now: now}
	q.rx.inner, q.tx.inner = inner, inner
	q.rx.keepSuper = true
	q.rx.lose = bare
	q.rx.chance = rand.New(rand.NewPCG(seed, stream))
	q.tx.chance = rand.New(rand.NewPCG(seed, stream+1))
	q.told.Store(int64(nic.Never))
	return q
}

// Recv implements nic.Queue.
func (q *queue) Recv(pkts []*nic.Packet) int {
	q.tx.mu.Lock()
	sent := q.tx.held.len() > 0 && q.flush(q.now())
	q.tx.mu.Unlock()
	if sent {
		q.Queue.Kick()
	}
	if q.rx.idle() {
		return q.Queue.Recv(pkts)
	}
	// All that the device has, as long as nothing is to be returned: 0 would
	// say that there is no more to receive.
	want := min(burst, len(pkts))
	for range rounds {
		in := q.received[:q.Queue.Recv(q.received[:want])]
		if n := q.pass(in, pkts); n > 0 || len(in) < want {
			return n
		}
	}
	return 0
}

// pass takes what came in, and returns in out what is due.
func (q *queue) pass(in, out []*nic.Packet) int {
	now := q.now()
	q.rx.mu.Lock()
	defer q.rx.mu.Unlock()
	for i, p := range in {
		q.rx.take(now, p)
		in[i] = nil
	}
	n := 0
	for n < len(out) && q.rx.held.next() <= now {
		out[n] = q.rx.held.pop().frame
		n++
	}
	return n
}

// Send implements nic.Queue. It takes everything, unless the device's ring is
// full and frames that are due wait for it already.
func (q *queue) Send(pkts []*nic.Packet) int {
	if q.tx.idle() {
		return q.Queue.Send(pkts)
	}
	now := q.now()
	q.tx.mu.Lock()
	defer q.tx.mu.Unlock()
	q.flush(now)
	if q.tx.held.next() <= now {
		return 0
	}
	for _, p := range pkts {
		q.tx.take(now, p)
	}
	q.flush(now)
	return len(pkts)
}

// flush passes to the device what is due, and reports whether it took
// anything. tx.mu is held: the order of frames hangs on it, and a device's Send
// calls nothing of its caller's.
func (q *queue) flush(now time.Duration) (sent bool) {
	h := &q.tx.held
	for h.next() <= now {
		n := 0
		for n < burst && h.next() <= now {
			q.entries[n] = h.pop()
			q.sending[n] = q.entries[n].frame
			n++
		}
		took := q.Queue.Send(q.sending[:n])
		sent = sent || took > 0
		for _, e := range q.entries[took:n] {
			h.restore(e)
		}
		clear(q.entries[:n])
		clear(q.sending[:n])
		if took < n {
			q.retry.Store(int64(now + retry))
			return sent
		}
	}
	q.retry.Store(0)
	return sent
}

// Kick implements nic.Queue. A poller that sleeps is woken if Send gave it
// something to do at a time that it does not know of yet.
func (q *queue) Kick() {
	q.Queue.Kick()
	if !q.armed.Load() {
		return
	}
	if next := q.next(); int64(next) < q.told.Load() {
		q.told.Store(int64(next))
		q.wakeOnce()
	}
}

// SetWake implements nic.Queue.
func (q *queue) SetWake(wake func()) {
	q.wake = wake
	q.Queue.SetWake(q.wakeOnce)
}

// wakeOnce makes one call of the device's wake and ours.
func (q *queue) wakeOnce() {
	if q.armed.CompareAndSwap(true, false) {
		q.wake()
	}
}

// Arm implements nic.Queue. Beside frames to receive, an event that the poller
// has not learnt from NextEvent makes it return false, once.
func (q *queue) Arm() bool {
	q.armed.Store(q.wake != nil)
	next := q.next()
	if int64(next) < q.told.Load() || next <= q.now() {
		q.told.Store(int64(next))
		q.armed.Store(false)
		return false
	}
	if !q.Queue.Arm() {
		q.armed.Store(false)
		return false
	}
	return true
}

// Pending is always true: an event may be due.
func (q *queue) Pending() bool { return true }

// NextEvent implements nic.Queue.
func (q *queue) NextEvent() time.Duration {
	next := q.next()
	q.told.Store(int64(next))
	return min(next, q.Queue.NextEvent())
}

// next is the time of the next event of ours.
func (q *queue) next() time.Duration {
	tx := q.tx.next()
	if tx != nic.Never {
		tx = max(tx, time.Duration(q.retry.Load()))
	}
	return min(q.rx.next(), tx)
}
