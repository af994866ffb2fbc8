// Package timer is the stack's timer wheel: a hashed hierarchical wheel
// (Varghese and Lauck, 1987, scheme 7) with a tick of a millisecond, made for
// lazy timers. TCP arms its retransmission timer with each segment and nearly
// always before it expires with a later time; here that costs one atomic load. The
// timer stays queued where it was, and its handler, called early, looks at the
// deadline its owner has by now and arms it again.
//
// Times are durations since the clock's origin. The package has no clock and no
// goroutine: its user asks [Wheel.Next] how long to sleep and calls
// [Wheel.Advance]. Nothing allocates: timers are part of what they belong to.
//
// Lock order: handlers take their owner's lock and are called without the wheel's, and
// owners call [Wheel.Arm] and [Wheel.Stop] with their lock held: owner, then wheel.
package timer

import (
	"math"
	"sync/atomic"
	"time"
)

const (
	// Tick is the wheel's resolution: expiry is rounded up to a multiple of it.
	Tick = time.Millisecond
	// Never is the time of no deadline.
	Never = time.Duration(math.MaxInt64)
)

// An Expirer owns timers. The id, given to [Timer.Init], tells it which of them
// expired.
type Expirer interface {
	// Expire is called by [Wheel.Advance] with the time given to it. The timer is
	// no longer queued and may be armed again at once. As the timer may have been
	// armed for later or stopped meanwhile, Expire must check its deadline.
	Expire(id int, now time.Duration)
}

// Timer is an entry of a [Wheel], to be embedded in what it belongs to; its
// zero value, after [Timer.Init], is ready. It must not be copied, nor used with a
// second wheel while it is queued on a first.
type Timer struct {
	// queued is the tick for which the timer is queued plus one, 0 if it is
	// not queued. It is written with the wheel's lock held.
	queued     atomic.Int64
	prev, next *Timer
	expirer    Expirer
	id         int32
	place      uint16
}

// Init names the owner of t and the number by which the owner knows it. It is
// called once, before t is first armed; id is a small number.
func (t *Timer) Init(owner Expirer, id int) {
	t.expirer, t.id = owner, int32(id)
}

// Queued reports whether t waits on a wheel. Without a lock that orders it with
// Arm, Stop and the handler, the answer may be out of date at once.
func (t *Timer) Queued() bool { return t.queued.Load() != 0 }

// list is a first-in, first-out list linked through the timers.
type list struct{ head, tail *Timer }

func (l *list) push(t *Timer) {
	t.prev, t.next = l.tail, nil
	if l.tail == nil {
		l.head = t
	} else {
		l.tail.next = t
	}
	l.tail = t
}

func (l *list) pop() *Timer {
	t := l.head
	if t != nil {
		l.remove(t)
	}
	return t
}

func (l *list) remove(t *Timer) {
	if t.prev == nil {
		l.head = t.next
	} else {
		t.prev.next = t.next
	}
	if t.next == nil {
		l.tail = t.prev
	} else {
		t.next.prev = t.prev
	}
	t.prev, t.next = nil, nil
}
