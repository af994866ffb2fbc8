package route

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
)

// ErrExists is returned by [Table.Add] for a route that the table has.
var ErrExists = errors.New("route exists")

// Route says where packets for a prefix go.
type Route struct {
	Prefix  netip.Prefix
	Gateway netip.Addr // next hop, of the prefix's family; invalid if the prefix is on link
	Ifindex int        // interface, above zero
	Metric  int        // of routes for the same prefix the smallest wins, then the oldest
	Source  netip.Addr // preferred source address; may be invalid
}

// NextHop returns the neighbour to which a packet for dst goes: the gateway, or
// dst itself on link.
func (r *Route) NextHop(dst netip.Addr) netip.Addr {
	if r.Gateway.IsValid() {
		return r.Gateway
	}
	return dst
}

// String returns the route in the manner of ip-route(8).
func (r Route) String() string {
	s := r.Prefix.String()
	if r.Gateway.IsValid() {
		s += " via " + r.Gateway.String()
	}
	s += fmt.Sprintf(" dev %d", r.Ifindex)
	if r.Source.IsValid() {
		s += " src " + r.Source.String()
	}
	return s + fmt.Sprintf(" metric %d", r.Metric)
}

// Table is a routing table. The zero Table is empty and ready. All methods may
// be called by any goroutine.
type Table struct {
	mu       sync.Mutex // serializes changes
	snapshot atomic.Pointer[snapshot]
}

// snapshot is a state of the table; it never changes.
type snapshot struct {
	v4, v6     *node
	generation uint64
}

// Add adds r. The bits of its prefix below the prefix length and zones are not
// looked at. The error wraps [ErrExists] if there is a route with the same prefix,
// gateway, interface and metric.
func (t *Table) Add(r Route) error {
	r, err := r.check()
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.edit(r.Prefix, func(old []Route) []Route {
		for _, o := range old {
			if o.Gateway == r.Gateway && o.Ifindex == r.Ifindex && o.Metric == r.Metric {
				err = fmt.Errorf("add %v: %w", r, ErrExists)
				return old
			}
		}
		return insert(old, r)
	})
	return err
}

// Replace adds r in the place of all routes with the same prefix, interface and
// metric, in one step.
func (t *Table) Replace(r Route) error {
	r, err := r.check()
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.edit(r.Prefix, func(old []Route) []Route {
		return insert(without(old, func(o Route) bool {
			return o.Ifindex == r.Ifindex && o.Metric == r.Metric
		}), r)
	})
	return nil
}

// Remove removes the routes with r's prefix and with those of gateway,
// interface and metric that r names, and returns how many. A field that is zero
// matches all.
func (t *Table) Remove(r Route) int {
	prefix, ok := canonical(r.Prefix)
	if !ok {
		return 0
	}
	gateway := r.Gateway.Unmap().WithZone("")
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	t.edit(prefix, func(old []Route) []Route {
		kept := without(old, func(o Route) bool {
			return (!gateway.IsValid() || o.Gateway == gateway) &&
				(r.Ifindex == 0 || o.Ifindex == r.Ifindex) &&
				(r.Metric == 0 || o.Metric == r.Metric)
		})
		n = len(old) - len(kept)
		return kept
	})
	return n
}

// RemoveInterface removes all routes of an interface and returns how many.
func (t *Table) RemoveInterface(ifindex int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for _, r := range t.Routes() {
		if r.Ifindex == ifindex {
			n++
			t.edit(r.Prefix, func(old []Route) []Route {
				return without(old, func(o Route) bool { return o == r })
			})
		}
	}
	return n
}

// Lookup returns the route for dst: the one with the longest prefix that
// contains it, and of those the one with the smallest metric. The zone of dst is
// not looked at, see [Table.LookupOn].
func (t *Table) Lookup(dst netip.Addr) (Route, bool) { return t.LookupOn(dst, 0) }

// LookupOn is [Table.Lookup] among the routes of one interface only, as a
// socket bound to it and a link-local destination need; 0 stands for all.
func (t *Table) LookupOn(dst netip.Addr, ifindex int) (Route, bool) {
	s := t.snapshot.Load()
	if s == nil || !dst.IsValid() {
		return Route{}, false
	}
	dst = dst.Unmap()
	root := s.v6
	if dst.Is4() {
		root = s.v4
	}
	r := root.lookup(toKey(dst), ifindex)
	if r == nil {
		return Route{}, false
	}
	return *r, true
}

// Routes returns all routes, IPv4 first, in the order of their prefixes.
func (t *Table) Routes() []Route {
	s := t.snapshot.Load()
	if s == nil {
		return nil
	}
	return s.v6.appendRoutes(s.v4.appendRoutes(nil))
}

// Generation returns a number that is another after each change. Who keeps the
// answer of a Lookup, and the generation from before it, knows when to ask again.
func (t *Table) Generation() uint64 {
	if s := t.snapshot.Load(); s != nil {
		return s.generation
	}
	return 0
}

// edit publishes the table in which change has been applied to the routes of
// prefix. It is called with mu held; change must not write to its argument.
func (t *Table) edit(prefix netip.Prefix, change func(old []Route) []Route) {
	var next snapshot
	if old := t.snapshot.Load(); old != nil {
		next = *old
	}
	next.generation++
	root := &next.v6
	if prefix.Addr().Is4() {
		root = &next.v4
	}
	*root = (*root).edit(toKey(prefix.Addr()), prefix.Bits(), change)
	t.snapshot.Store(&next)
}

// check returns r in the form in which the table keeps it.
func (r Route) check() (Route, error) {
	prefix, ok := canonical(r.Prefix)
	if !ok {
		return r, fmt.Errorf("route: invalid prefix %v", r.Prefix)
	}
	r.Prefix = prefix
	r.Gateway = r.Gateway.Unmap().WithZone("")
	r.Source = r.Source.Unmap().WithZone("")
	is4 := prefix.Addr().Is4()
	switch {
	case r.Ifindex <= 0:
		return r, fmt.Errorf("route %v: no interface", r)
	case r.Gateway.IsValid() && (r.Gateway.Is4() != is4 || r.Gateway.IsUnspecified() || r.Gateway.IsMulticast()):
		return r, fmt.Errorf("route %v: gateway is not a unicast address of the prefix's family", r)
	case r.Source.IsValid() && r.Source.Is4() != is4:
		return r, fmt.Errorf("route %v: source is not of the prefix's family", r)
	}
	return r, nil
}

// canonical masks a prefix and turns an IPv4-mapped one into IPv4.
func canonical(p netip.Prefix) (netip.Prefix, bool) {
	if !p.IsValid() {
		return p, false
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), true
}

// insert returns a copy of old, which is sorted by metric, with r in its place.
func insert(old []Route, r Route) []Route {
	at := 0
	for at < len(old) && old[at].Metric <= r.Metric {
		at++
	}
	return slices.Insert(slices.Clone(old), at, r)
}

// without returns a copy of old without the routes for which drop is true.
func without(old []Route, drop func(Route) bool) []Route {
	return slices.DeleteFunc(slices.Clone(old), drop)
}
