package stack

import (
	"crypto/rand"
	"math"
	"time"

	"github.com/fastnet-go/fastnet/internal/bubble"
)

// Never is the time of no deadline.
const Never = time.Duration(math.MaxInt64)

// Clock tells the time since its origin. It must not run backwards, and is
// called from any goroutine.
type Clock func() time.Duration

// processStart is the origin of the system's clock: an hour back, so that no time
// that it tells is zero or close to it.
var processStart = time.Now().Add(-time.Hour)

func systemClock() time.Duration {
	d := time.Since(processStart)
	if d < 0 { // a goroutine of a testing/synctest bubble, whose time begins with the year 2000
		d = bubble.Time() + bubbleLag
	}
	return d
}

// bubbleLag is what systemClock is ahead of bubble.Time.
var bubbleLag = time.Since(processStart) - bubble.Time()

// SystemClock returns the clock that hosts have by default. They share it, and
// so a poller reads it once for all of them. In a testing/synctest bubble it is
// one that begins now, as the bubble's time is another.
func SystemClock() Clock {
	if !bubble.Inside() {
		return systemClock
	}
	base := time.Now().Add(-time.Hour)
	return func() time.Duration { return time.Since(base) }
}

// systemRand fills b with bytes that nobody can guess.
func systemRand(b []byte) { rand.Read(b) }
