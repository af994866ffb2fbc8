package neighbor

import (
	"net/netip"
	"time"
)

// ActionKind says what an [Action] asks for.
type ActionKind uint8

const (
	// SolicitMulticast: ask all who has Addr: broadcast an ARP request, or send a
	// neighbour solicitation to the solicited-node group (RFC 4861 section 7.2.2).
	SolicitMulticast ActionKind = iota + 1
	// SolicitUnicast: ask MAC whether it still has Addr.
	SolicitUnicast
	// Resolved: send Pending to MAC.
	Resolved
	// Unreachable: Pending cannot be sent; its senders get EHOSTUNREACH, or
	// ICMP destination unreachable. Entry is failed, or dead if it was evicted or
	// removed. Pending may be empty.
	Unreachable
)

// Action is something that [Cache.Advance] asks of its caller.
type Action[P any] struct {
	Kind    ActionKind
	Entry   *Entry[P]
	Addr    netip.Addr
	MAC     [6]byte // of SolicitUnicast and Resolved
	Pending []P     // of Resolved and Unreachable, oldest first; now the caller's
}

// Advance does what is due at now and appends what the caller is to do. It is
// called whenever [Cache.Next] is not after now: by whoever keeps the time, and by
// who called Enqueue or an input. Any goroutine may; each action is returned
// to one of them.
func (c *Cache[P]) Advance(now time.Duration, acts []Action[P]) []Action[P] {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.deadlines) > 0 && c.deadlines[0].deadline <= now {
		c.expire(c.deadlines[0], now)
	}
	acts = append(acts, c.out...)
	clear(c.out)
	c.out = c.out[:0]
	c.publish()
	return acts
}

// Next returns when Advance has something to do, at the latest: Never if
// nothing is to come, 0 if something is to be done at once. It costs one atomic load.
func (c *Cache[P]) Next() time.Duration { return time.Duration(c.next.Load()) }

// publish recomputes what Next returns.
func (c *Cache[P]) publish() {
	next := Never
	switch {
	case len(c.out) > 0:
		next = 0
	case len(c.deadlines) > 0:
		next = c.deadlines[0].deadline
	}
	if int64(next) != c.next.Load() {
		c.next.Store(int64(next))
	}
}

// expire does what the deadline of e asks for in its state, and sets the next.
func (c *Cache[P]) expire(e *Entry[P], now time.Duration) {
	w := e.load()
	switch w.state() {
	case Incomplete:
		if e.solicits < c.cfg.MaxMulticastSolicit {
			c.ask(SolicitMulticast, e, now)
			return
		}
		c.stats.Failed++
		e.set([6]byte{}, Failed)
		c.deadlines.set(e, now+c.cfg.FailedHold)
		c.emit(Unreachable, e)

	case Reachable:
		// Confirm moves only the time of confirmation, and the deadline
		// follows here.
		until := time.Duration(e.confirmed.Load()) + e.lifetime
		if until > now {
			c.deadlines.set(e, until)
			return
		}
		c.stale(e, w.mac())

	case None, Stale:
		if until := time.Duration(e.used.Load()) + c.cfg.StaleTime; until > now {
			c.deadlines.set(e, until)
			return
		}
		c.drop(e)

	case Delay:
		e.set(w.mac(), Probe)
		if w&doubted != 0 {
			e.word.Store(uint64(e.load() | doubted))
		}
		e.solicits = 0
		c.ask(SolicitUnicast, e, now)

	case Probe:
		if e.solicits < c.cfg.MaxUnicastSolicit {
			c.ask(SolicitUnicast, e, now)
			return
		}
		// RFC 4861 section 7.3.3 would delete the entry for the next packet
		// to start anew. There was traffic lately, so start at once; RFC
		// 7048 section 3 allows for it.
		e.proven = false
		c.solicit(e, now)

	case Failed:
		c.drop(e)

	default: // Permanent, Dead have none
		c.deadlines.set(e, Never)
	}
}

// solicit forgets the address of e and starts to ask all for it.
func (c *Cache[P]) solicit(e *Entry[P], now time.Duration) {
	e.set([6]byte{}, Incomplete)
	e.solicits = 0
	c.ask(SolicitMulticast, e, now)
}

// ask sends one solicitation.
func (c *Cache[P]) ask(kind ActionKind, e *Entry[P], now time.Duration) {
	e.solicits++
	c.stats.Solicitations++
	c.deadlines.set(e, now+c.cfg.RetransTimer)
	c.emit(kind, e)
}

// emit adds an action for e; the kinds that return packets take them from e.
func (c *Cache[P]) emit(kind ActionKind, e *Entry[P]) {
	a := Action[P]{Kind: kind, Entry: e, Addr: e.addr, MAC: e.load().mac()}
	if kind == Resolved || kind == Unreachable {
		a.Pending, e.pending = e.pending, nil
	}
	c.out = append(c.out, a)
}
