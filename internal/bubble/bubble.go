// Package bubble is for what goroutines of a testing/synctest bubble share with
// those outside.
//
// A goroutine, a channel, a timer and a sync.WaitGroup that are made in a bubble
// belong to it: a channel of a bubble's must not be used outside, and a goroutine
// of a bubble's that waits on a sync.Cond must not be woken from outside. With
// channels that were made outside both go well: who waits for one is not durably
// blocked, and the bubble's time stands still meanwhile, as it does when a
// goroutine waits for a socket of package net.
package bubble

import (
	"sync"
	"time"
)

// Inside reports whether the calling goroutine is in a bubble. It costs a reading
// of the clock, which a bubble's goroutine gets without the monotonic part.
func Inside() bool {
	t := time.Now()
	return t == t.Round(0)
}

// Outside calls f on a goroutine outside every bubble, and returns when f has. A
// caller that is in none calls f itself.
func Outside(f func()) {
	if !Inside() {
		f()
		return
	}
	c := &call{f: f}
	c.done.Lock()
	calls.Lock()
	calls.queue = append(calls.queue, c)
	calls.Unlock()
	calls.begin.Reset(0)
	c.done.Lock() // a channel of ours would be the bubble's
}

// call is one of Outside's. Its mutex is unlocked by who has called f.
type call struct {
	f    func()
	done sync.Mutex
}

// calls are those that no goroutine has taken. A timer that was made outside runs
// its function outside, whoever sets it: so no goroutine needs to wait for them.
var calls struct {
	sync.Mutex
	queue []*call
	begin *time.Timer
}

func init() {
	calls.begin = time.AfterFunc(time.Hour, run)
	calls.begin.Stop()
}

func run() {
	calls.Lock()
	queue := calls.queue
	calls.queue = nil
	calls.Unlock()
	for _, c := range queue {
		c.f()
		c.done.Unlock()
	}
}
