// Package dialer connects to a name: it resolves it, puts the addresses in
// order, and tries them as Happy Eyeballs version 2 (RFC 8305) says, until one
// answers, the caller's context ends, or none is left.
//
// It knows no sockets: an attempt is a function, a connection a type
// parameter. Nothing here imports package net.
package dialer

import (
	"context"
	"time"

	"github.com/fastnet-go/fastnet/internal/defect"
)

// DefaultDelay is the time between two attempts, unless one fails earlier.
// RFC 8305 section 8 recommends 250 ms; package net's documented default for
// the delay of the other address family is 300 ms, and drop-in means that one.
const DefaultDelay = 300 * time.Millisecond

// Attempt connects to one address. It returns soon after ctx has ended.
type Attempt[A, C any] func(ctx context.Context, addr A) (C, error)

// More are addresses that come while a Race is on: of the family whose name servers
// answer late (RFC 8305 section 3).
type More[A any] struct {
	C <-chan []A // gives at most one batch, and may be closed without
	// Insert puts the batch among those that are left to try after last.
	Insert func(last A, left, batch []A) []A
}

// Race tries addrs, of which there is at least one, in their order: the next
// attempt starts when the one before has failed, or delay after its start
// (RFC 8305 section 5). The first connection wins; the other attempts are
// cancelled, and a connection that one of them yields all the same is given to
// discard. No attempt is under way any more when Race returns.
//
// If none succeeds the error is that of the first address, which as in package
// net counts as the most relevant one. With more, which may be the zero value, that is
// once its addresses have failed too, or there are none.
func Race[A, C any](ctx context.Context, addrs []A, more More[A], delay time.Duration, attempt Attempt[A, C], discard func(C)) (C, error) {
	if len(addrs) == 1 && more.C == nil {
		return attempt(ctx, addrs[0])
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	type result struct {
		index int
		conn  C
		err   error
	}
	results := make(chan result)
	left, started, running := addrs, 0, 0
	var last A
	start := func() {
		i := started
		last, left = left[0], left[1:]
		started++
		running++
		go func(addr A) {
			c, err := attempt(ctx, addr)
			results <- result{i, c, err}
		}(last)
	}
	start()
	timer := time.NewTimer(delay)
	defer timer.Stop()

	var won C
	var firstErr error
	done := false
	due := false // the next attempt is, once there is an address for it
	for running > 0 || more.C != nil && ctx.Err() == nil {
		var ended <-chan struct{} // attempts see that for themselves
		if running == 0 {
			ended = ctx.Done()
		}
		select {
		case <-ended:
		case <-timer.C:
			due = !defect.On(defect.FallbackNever)
		case batch := <-more.C:
			more.C = nil
			if len(batch) > 0 && !defect.On(defect.LateFamilyLost) {
				left = more.Insert(last, left, batch)
			}
		case r := <-results:
			running--
			switch {
			case r.err == nil && done:
				if !defect.On(defect.LoserLeaks) {
					discard(r.conn)
				}
			case r.err == nil:
				won, done = r.conn, true
				cancel()
			case r.index == 0:
				firstErr = r.err
			}
			// While the newest attempt still has its time the next waits.
			due = due || r.index == started-1
		}
		if due && len(left) > 0 && ctx.Err() == nil {
			start()
			timer.Reset(delay)
			due = false
		}
	}
	if done {
		return won, nil
	}
	return won, firstErr
}
