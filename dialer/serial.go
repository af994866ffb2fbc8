package dialer

import (
	"context"
	"time"
)

// saneMinimum is the least time that an attempt is given, if there is as much.
const saneMinimum = 2 * time.Second

// Serial tries addrs, of which there is at least one, one after the other: what
// package net does for the addresses of one family, and for all of them when
// its fallback is switched off. The time until ctx's deadline is divided
// between the attempts. The error is that of the first attempt, or ended(addr)
// when ctx was over before an attempt at addr.
func Serial[A, C any](ctx context.Context, addrs []A, attempt Attempt[A, C], ended func(A, error) error) (c C, err error) {
	var firstErr error
	for i, addr := range addrs {
		if err := ctx.Err(); err != nil {
			return c, ended(addr, err)
		}
		actx, cancel := ctx, context.CancelFunc(func() {})
		if deadline, ok := ctx.Deadline(); ok {
			share, ok := Share(time.Now(), deadline, len(addrs)-i)
			if !ok {
				if firstErr == nil {
					firstErr = ended(addr, context.DeadlineExceeded)
				}
				break
			}
			if share.Before(deadline) {
				actx, cancel = context.WithDeadline(ctx, share)
			}
		}
		c, err := attempt(actx, addr)
		cancel()
		if err == nil {
			return c, nil
		}
		if firstErr == nil {
			firstErr = err
		}
	}
	return c, firstErr
}

// Share returns the deadline of one attempt when n of them are to be made
// until deadline: an equal part of the time, but no less than 2 s at the
// expense of the last ones. It returns false when no time is left.
func Share(now, deadline time.Time, n int) (time.Time, bool) {
	left := deadline.Sub(now)
	if left <= 0 {
		return time.Time{}, false
	}
	return now.Add(max(left/time.Duration(n), min(left, saneMinimum))), true
}
