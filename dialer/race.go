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

// Race tries addrs, of which there is at least one, in their order: the next
// attempt starts when the one before has failed, or delay after its start
// (RFC 8305 section 5). The first connection wins; the other attempts are
// cancelled, and a connection that one of them yields all the same is given to
// discard. No attempt is under way any more when Race returns.
//
// If none succeeds the error is that of the first address, which as in package
// net counts as the most relevant one.
func Race[A, C any](ctx context.Context, addrs []A, delay time.Duration, attempt Attempt[A, C], discard func(C)) (C, error) {
	if len(addrs) == 1 {
		return attempt(ctx, addrs[0])
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	type result struct {
		index int
		conn  C
		err   error
	}
	results := make(chan result, len(addrs))
	started, running := 0, 0
	start := func() {
		i := started
		started++
		running++
		go func() {
			c, err := attempt(ctx, addrs[i])
			results <- result{i, c, err}
		}()
	}
	start()
	timer := time.NewTimer(delay)
	defer timer.Stop()

	var won C
	var firstErr error
	done := false
	for running > 0 {
		select {
		case <-timer.C:
			if defect.On(defect.FallbackNever) {
				continue
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
			if r.index != started-1 {
				continue // the newest attempt still has its time
			}
		}
		if started < len(addrs) && ctx.Err() == nil {
			start()
			timer.Reset(delay)
		}
	}
	if done {
		return won, nil
	}
	return won, firstErr
}
