package stack

import (
	"sync"

	"github.com/fastnet-go/fastnet/internal/bubble"
)

// waitList is where goroutines wait for news of what a mutex guards. It is a
// condition, as sync.Cond's, but a goroutine of a testing/synctest bubble may
// wait on one of a host outside, whose poller wakes it: it waits for a channel
// that was made outside. In a host that was made in the bubble the channels are
// the bubble's, and time passes for who waits.
type waitList struct {
	head, tail *waiter // those that nobody has woken, oldest first
	waiting    int32   // those and the ones that have not come back yet
}

// waiter is lent to a goroutine while it waits.
type waiter struct {
	news chan struct{} // of capacity 1: to wake never blocks
	next *waiter
}

func newWaiter() *waiter { return &waiter{news: make(chan struct{}, 1)} }

// wait sleeps until somebody wakes it. mu, which guards the list, is held, and
// released meanwhile.
func (l *waitList) wait(p *waiterPool, mu sync.Locker) {
	w := p.get()
	l.waiting++
	if l.tail == nil {
		l.head = w
	} else {
		l.tail.next = w
	}
	l.tail = w
	mu.Unlock()
	<-w.news
	p.pool.Put(w)
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

// waiterPool has a host's waiters.
type waiterPool struct {
	pool    sync.Pool
	bubbled bool // the host was made in a bubble
}

func (p *waiterPool) init() { p.bubbled = bubble.Inside() }

// spareWaiters is how many are made with the one that a goroutine in a bubble
// needs, as that is a detour.
const spareWaiters = 15

// get returns a waiter. The mutexes of the caller's stay locked.
func (p *waiterPool) get() *waiter {
	if w, _ := p.pool.Get().(*waiter); w != nil {
		return w
	}
	if p.bubbled || !bubble.Inside() {
		return newWaiter()
	}
	var w *waiter
	bubble.Outside(func() {
		w = newWaiter()
		for range spareWaiters {
			p.pool.Put(newWaiter())
		}
	})
	return w
}
