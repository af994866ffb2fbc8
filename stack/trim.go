package stack

import (
	"runtime"
	"time"
	"weak"
)

// The host's pools keep what was free at their busiest, so that it need not be
// allocated again. What they have not needed for a while goes back to the garbage
// collector when that has run, as with sync.Pool: a host that is idle is not woken
// for it, and a process in which nothing is collected has no use for the memory.

// trimPause is for how long at least a buffer was free before its pool lets it go:
// longer than the pauses of a connection that comes and goes.
const trimPause = 5 * time.Second

// collected is an object that nobody refers to, so that its cleanup runs after the
// next collection.
type collected struct {
	host  weak.Pointer[Host] // a host that nobody has any more needs no Close
	pause time.Duration      // between trims
	last  time.Time          // of the system's clock: cleanups run in no bubble
}

// trimAfterCollections has the pools trimmed after collections, until the host is
// closed.
func (h *Host) trimAfterCollections(pause time.Duration) {
	collected{host: weak.Make(h), pause: pause}.again()
}

func (c collected) again() { runtime.AddCleanup(&c, collected.run, c) }

func (c collected) run() {
	h := c.host.Value()
	if h == nil || h.closed.Load() {
		return
	}
	if now := time.Now(); now.Sub(c.last) >= c.pause {
		h.trim()
		c.last = now
	}
	c.again()
}

// trim lets go what the pools have not needed since the last trim.
func (h *Host) trim() {
	h.chunks.Trim()
	h.held.Trim()
	h.big.Trim()
}
