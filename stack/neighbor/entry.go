package neighbor

import (
	"net/netip"
	"sync/atomic"
	"time"
)

// coarse is the resolution of an entry's times of use and confirmation, so
// that connections which share a router seldom write to its cache line.
const coarse = time.Second

// Entry is what the cache knows of one neighbour. A connection may keep the
// pointer: it stays the entry of its address until [Entry.Dead] says that
// the cache has let go of it. Its methods may be called by any goroutine.
type Entry[P any] struct {
	word      atomic.Uint64 // see word; written with the cache locked
	used      atomic.Int64  // time of last use, coarse
	confirmed atomic.Int64  // time of last proof of reachability, coarse
	addr      netip.Addr

	// The rest belongs to the cache's lock.
	proven     bool // the address was confirmed at some time
	solicits   int  // solicitations sent in this state
	lifetime   time.Duration
	deadline   time.Duration // when Advance looks at the entry
	heapIndex  int           // in Cache.deadlines, -1 if there is no deadline
	entryIndex int           // in Cache.entries
	pending    []P
}

// Addr returns the neighbour's IP address, without a zone.
func (e *Entry[P]) Addr() netip.Addr { return e.addr }

// MAC returns the neighbour's link-layer address; ok is false while it is not
// known and for ever once the entry is dead. It costs one atomic load. A sender
// calls [Cache.Use] instead, which also keeps the entry fresh.
func (e *Entry[P]) MAC() (mac [6]byte, ok bool) {
	w := e.load()
	if !w.state().known() {
		return mac, false
	}
	return w.mac(), true
}

// Dead reports whether the cache has dropped the entry (evicted, removed or
// aged): its holder looks the address up again.
func (e *Entry[P]) Dead() bool { return e.State() == Dead }

// State returns the entry's state.
func (e *Entry[P]) State() State { return e.load().state() }

func (e *Entry[P]) load() word { return word(e.word.Load()) }

// set replaces address and state, and removes doubt.
func (e *Entry[P]) set(mac [6]byte, s State) { e.word.Store(uint64(pack(mac, s))) }

// touch moves one of an entry's times to now, if it is worth the write.
func touch(at *atomic.Int64, now time.Duration) {
	if int64(now)-at.Load() >= int64(coarse) {
		at.Store(int64(now))
	}
}
