package neighbor

import (
	"net/netip"
	"time"
)

// Set takes in what an authority says of a neighbour, not the neighbour itself:
// the operating system, which has its own cache and its own reasons to believe
// it. The address takes effect at once, and the neighbour counts as reachable. Set
// makes no entry.
func (c *Cache[P]) Set(addr netip.Addr, mac [6]byte, now time.Duration) {
	addr = canonical(addr)
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byAddr[addr]
	if e == nil || e.State() == Permanent || !c.acceptable(addr, mac) {
		return
	}
	if e.State().known() {
		c.reachable(e, mac, now)
	} else {
		c.resolve(e, mac, true, now)
	}
	c.publish()
}

// Lose takes in an authority's word that the address of a neighbour is not known
// any more: it is asked for again before more is sent. With failed the neighbour
// did not answer, and packets that wait for it come back from Advance.
func (c *Cache[P]) Lose(addr netip.Addr, failed bool, now time.Duration) {
	addr = canonical(addr)
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byAddr[addr]
	if e == nil {
		return
	}
	switch s := e.State(); {
	case s == Permanent || s == Dead || s == Failed:
		return
	case s == Incomplete && failed:
		c.stats.Failed++
		e.set([6]byte{}, Failed)
		c.deadlines.set(e, now+c.cfg.FailedHold)
		c.emit(Unreachable, e)
	case s.known():
		// None, not Incomplete: who sends next asks, and nobody if nobody does.
		e.proven = false
		e.set([6]byte{}, None)
		c.deadlines.set(e, now+c.cfg.StaleTime)
	}
	c.publish()
}
