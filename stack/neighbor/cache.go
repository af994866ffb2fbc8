package neighbor

import (
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Never is the time of no deadline.
const Never = time.Duration(math.MaxInt64)

// Cache is the neighbour cache of one interface. P is what a packet that
// waits for resolution is to the caller. All methods may be called by any
// goroutine; the cache's lock is the innermost.
type Cache[P any] struct {
	next   atomic.Int64
	recent [64]atomic.Pointer[Entry[P]] // by hash of the address; written with mu held

	mu        sync.Mutex
	cfg       Config
	byAddr    map[netip.Addr]*Entry[P]
	entries   []*Entry[P] // all of byAddr, in an order that does not depend on chance
	permanent int         // how many of them are Permanent
	deadlines deadlines[P]
	out       []Action[P] // for the next Advance
	stats     Stats
}

// New returns an empty cache.
func New[P any](cfg Config) *Cache[P] {
	c := &Cache[P]{cfg: cfg.withDefaults(), byAddr: make(map[netip.Addr]*Entry[P])}
	c.next.Store(int64(Never))
	return c
}

// Lookup returns the entry for addr, a unicast address on the link, and makes
// one if there is none. A lookup makes nobody ask for the address: [Cache.Enqueue]
// does. The zone of addr is not looked at. Addresses looked up lately are
// found without a lock.
func (c *Cache[P]) Lookup(addr netip.Addr, now time.Duration) *Entry[P] {
	addr = canonical(addr)
	slot := &c.recent[recentIndex(addr)]
	if e := slot.Load(); e != nil && e.addr == addr && !e.Dead() {
		return e
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byAddr[addr]
	if e == nil {
		e = c.create(addr, now)
		c.deadlines.set(e, now+c.cfg.StaleTime)
		c.publish()
	}
	slot.Store(e)
	return e
}

// create adds an entry in state None and evicts another if there are too many.
func (c *Cache[P]) create(addr netip.Addr, now time.Duration) *Entry[P] {
	if len(c.entries)-c.permanent >= c.cfg.MaxEntries {
		c.evict()
	}
	e := &Entry[P]{addr: addr, heapIndex: -1, entryIndex: len(c.entries)}
	e.used.Store(int64(now))
	c.byAddr[addr] = e
	c.entries = append(c.entries, e)
	c.stats.Created++
	return e
}

// evict drops the entry that was not used for longest: one of those never
// confirmed if they are a quarter of all or more, else one of the others.
func (c *Cache[P]) evict() {
	var proven, unproven *Entry[P]
	count := 0
	older := func(e, than *Entry[P]) bool {
		return than == nil || e.used.Load() < than.used.Load()
	}
	for _, e := range c.entries {
		switch {
		case e.State() == Permanent:
		case e.proven:
			if older(e, proven) {
				proven = e
			}
		default:
			count++
			if older(e, unproven) {
				unproven = e
			}
		}
	}
	victim := proven
	if victim == nil || count >= max(1, c.cfg.MaxEntries/4) {
		victim = unproven
	}
	c.drop(victim)
	c.stats.Evicted++
}

// drop takes e out of the cache for good. Packets that wait for it come back
// from Advance.
func (c *Cache[P]) drop(e *Entry[P]) {
	if e.State() == Permanent {
		c.permanent--
	}
	e.set([6]byte{}, Dead)
	c.deadlines.remove(e)
	delete(c.byAddr, e.addr)
	c.recent[recentIndex(e.addr)].CompareAndSwap(e, nil)

	last := len(c.entries) - 1
	moved := c.entries[last]
	c.entries[e.entryIndex], moved.entryIndex = moved, e.entryIndex
	c.entries[last] = nil
	c.entries = c.entries[:last]
	if len(e.pending) > 0 {
		c.emit(Unreachable, e)
	}
}

// Remove drops the entry of addr, also a permanent one, and reports whether there was one.
func (c *Cache[P]) Remove(addr netip.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byAddr[canonical(addr)]
	if e == nil {
		return false
	}
	c.drop(e)
	c.publish()
	return true
}

// Flush drops all entries that are not permanent, as when the link went down.
func (c *Cache[P]) Flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range slices.Clone(c.entries) {
		if e.State() != Permanent {
			c.drop(e)
		}
	}
	c.publish()
}

// SetTimers changes ReachableTime and RetransTimer, as a router advertisement
// does (RFC 4861 section 6.3.4), for what is confirmed or sent from now on. Zero leaves
// a value as it is.
func (c *Cache[P]) SetTimers(reachable, retrans time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if reachable > 0 {
		c.cfg.ReachableTime = reachable
	}
	if retrans > 0 {
		c.cfg.RetransTimer = retrans
	}
}

// Len returns the number of entries.
func (c *Cache[P]) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.entries)
}

// Stats returns the counters.
func (c *Cache[P]) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

// Info is a copy of an entry, for display.
type Info struct {
	Addr      netip.Addr
	MAC       [6]byte // zero while it is not known
	State     State
	Used      time.Duration // time of last use, about a second coarse
	Confirmed time.Duration // time of last confirmation likewise, 0 if there was none
	Pending   int           // packets that wait
}

// Snapshot returns a copy of all entries, ordered by address.
func (c *Cache[P]) Snapshot() []Info {
	c.mu.Lock()
	defer c.mu.Unlock()
	infos := make([]Info, 0, len(c.entries))
	for _, e := range c.entries {
		w := e.load()
		infos = append(infos, Info{
			Addr: e.addr, MAC: w.mac(), State: w.state(),
			Used:      time.Duration(e.used.Load()),
			Confirmed: time.Duration(e.confirmed.Load()),
			Pending:   len(e.pending),
		})
	}
	slices.SortFunc(infos, func(a, b Info) int { return a.Addr.Compare(b.Addr) })
	return infos
}

// canonical returns addr as the cache's key: an interface's cache has no need
// of zones.
func canonical(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

// recentIndex returns an address's place in Cache.recent.
func recentIndex(addr netip.Addr) int {
	b := addr.As16()
	h := binary.LittleEndian.Uint64(b[:8])*0x9e3779b97f4a7c15 ^ binary.LittleEndian.Uint64(b[8:])
	return int(h * 0x9e3779b97f4a7c15 >> 58)
}
