package stack

import (
	"crypto/rand"
	"math"
	"time"
)

// Never is the time of no deadline.
const Never = time.Duration(math.MaxInt64)

// Clock tells the time since its origin. It must not run backwards, and is
// called from any goroutine.
type Clock func() time.Duration

// SystemClock returns a clock that starts now. Its origin lies an hour back, so
// that no time that it tells is zero or close to it.
func SystemClock() Clock {
	base := time.Now().Add(-time.Hour)
	return func() time.Duration { return time.Since(base) }
}

// systemRand fills b with bytes that nobody can guess.
func systemRand(b []byte) { rand.Read(b) }
