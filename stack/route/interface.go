package route

import (
	"errors"
	"slices"
)

// SetInterface replaces all routes of an interface, in one step. The Ifindex of
// routes is not looked at. Of two with the same prefix, gateway and metric the
// first is kept. Those that the table cannot have are left out, and the error
// says why.
func (t *Table) SetInterface(ifindex int, routes []Route) error {
	var errs []error
	var want []Route
	for _, r := range routes {
		r.Ifindex = ifindex
		r, err := r.check()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if !slices.ContainsFunc(want, func(o Route) bool {
			return o.Prefix == r.Prefix && o.Gateway == r.Gateway && o.Metric == r.Metric
		}) {
			want = append(want, r)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	var next snapshot
	if old := t.snapshot.Load(); old != nil {
		next = *old
	}
	edit := func(r Route, change func(old []Route) []Route) {
		root := &next.v6
		if r.Prefix.Addr().Is4() {
			root = &next.v4
		}
		*root = (*root).edit(toKey(r.Prefix.Addr()), r.Prefix.Bits(), change)
	}
	changed := false
	for _, r := range t.Routes() {
		if r.Ifindex != ifindex {
			continue
		}
		if i := slices.Index(want, r); i >= 0 {
			want = slices.Delete(want, i, i+1) // it stays
			continue
		}
		changed = true
		edit(r, func(old []Route) []Route { return without(old, func(o Route) bool { return o == r }) })
	}
	for _, r := range want {
		changed = true
		edit(r, func(old []Route) []Route { return insert(old, r) })
	}
	if changed {
		next.generation++
		t.snapshot.Store(&next)
	}
	return errors.Join(errs...)
}
