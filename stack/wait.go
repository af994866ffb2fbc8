package stack

import (
	"sync"
	"sync/atomic"

	"github.com/fastnet-go/fastnet/internal/bubble"
)

// waitList is where goroutines wait for news of what a mutex guards. It is a
// condition, as sync.Cond is, but a goroutine of a testing/synctest bubble may
// wait on one of a host outside, whose poller wakes it: it waits for a channel
// that was made outside. In a host that was made in the bubble the channels are
// the bubble's, and time passes for who waits.
type waitList struct {
	head, tail *waiter // those that nobody has woken, oldest first
	waiting    int32   // those, and the ones that have not come back yet
}

// waiter is lent to a goroutine while it waits.
type waiter struct {
	news chan struct{} // of capacity 1: to wake never blocks
	next *waiter
}

func newWaiter() *waiter { return &waiter{news: make(chan struct{}, 1)} }

// wait sleeps until somebody wakes it, or now and then for no reason: the caller
// looks again at what it waits for. mu, which guards the list, is held, and
// released meanwhile.
func (l *waitList) wait(h *Host, mu sync.Locker) {
	w := h.waiters.get()
	if w == nil {
		mu.Unlock()
		h.orderWaiters()
		mu.Lock()
		return
	}
	l.waiting++
	if l.tail == nil {
		l.head = w
	} else {
		l.tail.next = w
	}
	l.tail = w
	mu.Unlock()
	<-w.news
	h.waiters.spare.Put(w)
	mu.Lock()
	l.waiting--
}

// wakeOne wakes the goroutine that has waited longest. The list's mutex is held.
func (l *waitList) wakeOne() {
	w := l.head
	if w == nil {
		return
	}
	if l.head, w.next = w.next, nil; l.head == nil {
		l.tail = nil
	}
	w.news <- struct{}{}
}

// wakeAll wakes all, and reports whether anybody waited. The list's mutex is held.
func (l *waitList) wakeAll() bool {
	for l.head != nil {
		l.wakeOne()
	}
	return l.waiting > 0
}

// waiters are a host's. A goroutine in a bubble other than the host's orders new
// ones from the host's poller.
type waiters struct {
	spare   sync.Pool
	bubbled bool // the host was made in a bubble

	ordering sync.Mutex // one order at a time
	ordered  atomic.Bool
	made     sync.Mutex // unlocked by who has made them: a channel would be the bubble's
}

// get returns a waiter, or nil if it must be ordered.
func (p *waiters) get() *waiter {
	if w, _ := p.spare.Get().(*waiter); w != nil {
		return w
	}
	if p.bubbled || !bubble.Inside() {
		return newWaiter()
	}
	return nil
}

// orderWaiters returns when the host's poller has made some waiters. No lock is
// held that the poller may need.
func (h *Host) orderWaiters() {
	p := &h.waiters
	p.ordering.Lock()
	defer p.ordering.Unlock()
	p.made.Lock()
	p.ordered.Store(true)
	if d := h.driver.Load(); d != nil {
		d.wake()
	} else { // then nobody wakes from outside either
		p.deliver()
	}
	p.made.Lock() // until deliver has unlocked it
	//lint:ignore SA2001 a mutex, unlike a channel of the bubble's, may be waited for here
	p.made.Unlock()
}

// spareWaiters is how many are made by one order.
const spareWaiters = 16

// deliver makes what was ordered.
func (p *waiters) deliver() {
	if p.ordered.Load() && p.ordered.CompareAndSwap(true, false) {
		for range spareWaiters {
			p.spare.Put(newWaiter())
		}
		p.made.Unlock()
	}
}
