package neighbor

import "time"

// Status says what [Cache.Enqueue] did with a packet.
type Status uint8

const (
	// Queued: the cache keeps the packet until an [Action] returns it.
	Queued Status = iota + 1
	// QueuedDropped: as Queued, and the oldest packet made room: it is returned
	// for release.
	QueuedDropped
	// Known: not kept: the address is known by now, the caller sends.
	Known
	// NoAnswer: not kept: the neighbour did not answer lately. A host reports
	// EHOSTUNREACH.
	NoAnswer
	// Gone: not kept: the entry is dead, the caller looks up again.
	Gone
)

// Use returns the link-layer address for a packet to be sent now, and notes the
// use: a stale entry will be probed unless an upper layer confirms it. If ok is
// false the packet goes to [Cache.Enqueue]. For a reachable neighbour Use
// costs two atomic loads.
func (c *Cache[P]) Use(e *Entry[P], now time.Duration) (mac [6]byte, ok bool) {
	w := e.load()
	switch w.state() {
	case Reachable, Delay, Probe, Permanent:
		touch(&e.used, now)
	case Stale:
		c.useStale(e, now)
	default:
		return mac, false
	}
	return w.mac(), true
}

// useStale is Use for an entry that was stale: RFC 4861 section 7.3.3.
func (c *Cache[P]) useStale(e *Entry[P], now time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.used.Store(int64(now))
	if w := e.load(); w.state() == Stale {
		e.set(w.mac(), Delay)
		c.deadlines.set(e, now+c.cfg.DelayFirstProbe)
		c.publish()
	}
}

// Confirm is the hint of an upper layer that a packet sent to e lately has
// arrived, as by an acknowledgement of new data (RFC 4861 section 7.3.1). For a
// reachable neighbour it costs two atomic loads. It says nothing about an entry whose
// address is doubted: the hint may have been on its way since before.
func (c *Cache[P]) Confirm(e *Entry[P], now time.Duration) {
	w := e.load()
	switch w.state() {
	case Reachable:
		touch(&e.confirmed, now)
	case Stale, Delay, Probe:
		if w&doubted != 0 {
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if e.load() == w { // nothing has happened meanwhile
			c.reachable(e, w.mac(), now)
			c.publish()
		}
	}
}

// Enqueue keeps p until e's link-layer address is known, and starts to ask for
// it if nobody has. The first solicitation comes from [Cache.Advance], due at once.
// When too many packets wait, the oldest of them is returned in dropped.
func (c *Cache[P]) Enqueue(e *Entry[P], p P, now time.Duration) (dropped P, s Status) {
	c.mu.Lock()
	defer c.mu.Unlock()
	state := e.State()
	if state.known() {
		return dropped, Known
	}
	switch state {
	case Dead:
		return dropped, Gone
	case Failed:
		if now < e.deadline {
			return dropped, NoAnswer
		}
		c.solicit(e, now)
	case None:
		c.solicit(e, now)
	}
	e.used.Store(int64(now))
	s = Queued
	if len(e.pending) >= c.cfg.MaxPending {
		dropped, s = e.pending[0], QueuedDropped
		n := copy(e.pending, e.pending[1:])
		clear(e.pending[n:])
		e.pending = e.pending[:n]
		c.stats.PendingDrops++
	}
	e.pending = append(e.pending, p)
	c.publish()
	return dropped, s
}
