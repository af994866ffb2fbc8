package neighbor

import (
	"net/netip"
	"time"
)

// Advertised takes in what a neighbour says of itself. For ND it is a neighbour
// advertisement's target address, target link-layer address and flags (RFC 4861
// section 7.2.5); mac is zero if the option is left out, as the answer to a
// unicast solicitation may do (section 4.4).
//
// For ARP it is the sender of a reply, solicited if it was sent to us, or of a
// request that asks for another (the merge of RFC 826), not solicited; override
// is true. An advertisement never makes an entry, and does not replace the
// address of one in use: see the package's documentation.
func (c *Cache[P]) Advertised(addr netip.Addr, mac [6]byte, solicited, override bool, now time.Duration) {
	addr = canonical(addr)
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byAddr[addr]
	if e == nil || e.State() == None {
		c.stats.Unexpected++
		return
	}
	w := e.load()
	if mac == [6]byte{} {
		mac = w.mac() // none either while the address is not known
	}
	if !c.acceptable(addr, mac) {
		return
	}
	same := w.mac() == mac
	switch w.state() {
	case Incomplete, Failed: // Failed has asked too, the answer was slow
		c.resolve(e, mac, solicited, now)
	case Probe:
		switch {
		case solicited && same:
			c.reachable(e, mac, now)
		case !same && override:
			c.doubt(e, now)
		}
	case Reachable:
		switch {
		case !same && override:
			c.doubt(e, now)
		case !same: // section 7.2.5, I., a.
			c.stats.Contradicted++
			c.stale(e, w.mac())
		}
	case Delay:
		if !same && override {
			c.doubt(e, now)
		}
	case Stale:
		if !same && override {
			e.proven = false
			c.stale(e, mac)
		}
	}
	c.publish()
}

// Heard takes in the sender of a message that asks us: of an ARP request for
// one of our addresses, or the source link-layer address option of a neighbour or
// router solicitation, router advertisement or redirect (RFC 4861 sections
// 7.2.3 and 6.2.6). It says that an answer will be wanted, not that the sender
// is reachable: it makes an entry, but a stale one. The caller has checked that
// addr is on the link.
func (c *Cache[P]) Heard(addr netip.Addr, mac [6]byte, now time.Duration) {
	addr = canonical(addr)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.acceptable(addr, mac) {
		return
	}
	e := c.byAddr[addr]
	if e == nil {
		e = c.create(addr, now)
	}
	w := e.load()
	same := w.mac() == mac
	switch w.state() {
	case None, Incomplete, Failed:
		c.resolve(e, mac, false, now)
	case Reachable, Delay, Probe:
		if !same {
			c.doubt(e, now)
		}
	case Stale:
		if !same {
			e.proven = false
			c.stale(e, mac)
		}
	}
	c.publish()
}

// AddPermanent makes or replaces the entry of addr with one that neither ages
// nor changes until it is removed.
func (c *Cache[P]) AddPermanent(addr netip.Addr, mac [6]byte, now time.Duration) {
	addr = canonical(addr)
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byAddr[addr]
	if e == nil {
		e = c.create(addr, now)
	}
	if e.State() != Permanent {
		c.permanent++
	}
	e.set(mac, Permanent)
	c.deadlines.set(e, Never)
	if len(e.pending) > 0 {
		c.emit(Resolved, e)
	}
	c.publish()
}

// acceptable reports whether addr and mac can be a neighbour's. An ARP probe
// comes from 0.0.0.0 (RFC 5227), and who claims a multicast or broadcast
// link-layer address is not believed (RFC 1812 section 3.3.2).
func (c *Cache[P]) acceptable(addr netip.Addr, mac [6]byte) bool {
	ok := addr.IsValid() && !addr.IsUnspecified() && !addr.IsMulticast() && !addr.IsLoopback() &&
		addr != netip.AddrFrom4([4]byte{255, 255, 255, 255}) &&
		mac != [6]byte{} && mac[0]&1 == 0
	if !ok {
		c.stats.BadSender++
	}
	return ok
}

// resolve makes the address known of an entry that had none, and hands out the
// packets that wait for it.
func (c *Cache[P]) resolve(e *Entry[P], mac [6]byte, solicited bool, now time.Duration) {
	c.stats.Resolved++
	switch {
	case solicited:
		c.reachable(e, mac, now)
	case len(e.pending) > 0:
		// Stale, and about to be used.
		e.set(mac, Delay)
		c.deadlines.set(e, now+c.cfg.DelayFirstProbe)
	default:
		c.stale(e, mac)
	}
	if len(e.pending) > 0 {
		c.emit(Resolved, e)
	}
}

func (c *Cache[P]) reachable(e *Entry[P], mac [6]byte, now time.Duration) {
	e.confirmed.Store(int64(now))
	e.proven = true
	e.lifetime = c.cfg.reachableTime()
	e.set(mac, Reachable)
	c.deadlines.set(e, now+e.lifetime)
}

func (c *Cache[P]) stale(e *Entry[P], mac [6]byte) {
	e.set(mac, Stale)
	c.deadlines.set(e, time.Duration(e.used.Load())+c.cfg.StaleTime)
}

// doubt keeps the address of an entry in use although another was claimed, and
// sees to it that it is probed soon, but not more often than each RetransTimer.
func (c *Cache[P]) doubt(e *Entry[P], now time.Duration) {
	c.stats.Contradicted++
	w := e.load()
	soon := now + c.cfg.RetransTimer
	switch w.state() {
	case Reachable:
		e.set(w.mac(), Delay)
		c.deadlines.set(e, soon)
	case Delay:
		c.deadlines.set(e, min(e.deadline, soon))
	}
	e.word.Store(uint64(e.load() | doubted))
}
