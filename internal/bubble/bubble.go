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

import "time"

// Inside reports whether the calling goroutine is in a bubble. It costs a reading
// of the clock, which a bubble's goroutine gets without the monotonic part.
func Inside() bool {
	t := time.Now()
	return t == t.Round(0)
}

// start is the origin of Time, where the system has no clock of its own.
var start = time.Now()

// base is what the system's clock told as the process began.
var base = monotonic()

// Time returns how long the process has run, inside a bubble too. It costs a
// system call, on some systems a coarse one.
func Time() time.Duration { return monotonic() - base }
