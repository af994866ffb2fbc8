package route

import (
	"cmp"
	"net/netip"
	"slices"
)

// destination is an address to sort with what the rules compare.
type destination struct {
	addr       netip.Addr
	usable     bool
	scope      scope
	scopeMatch bool
	labelMatch bool
	precedence int
	matching   int // common prefix with the source, IPv6 only
}

// SortDestinations sorts the addresses of a peer in place into the order in which
// to try them, by those rules of RFC 6724 section 6 that need no more than
// addresses: 1 (avoid unusable ones), 2 (matching scope), 5 (matching label), 6
// (precedence), 8 (smaller scope), 9 (longest matching prefix) and 10 (else
// leave the order). source returns the address from which a destination
// would be reached, and false if it cannot be.
//
// Rule 9 is not applied to IPv4, where a common prefix of two addresses says
// nothing about their distance and would defeat the rotation of DNS records. For
// IPv6 it looks at the first 64 bits, a subnet's usual length.
func SortDestinations(dsts []netip.Addr, source func(dst netip.Addr) (netip.Addr, bool)) {
	sorted := make([]destination, len(dsts))
	for i, a := range dsts {
		sorted[i] = attributes(a, source)
	}
	slices.SortStableFunc(sorted, compareDestinations)
	for i := range sorted {
		dsts[i] = sorted[i].addr
	}
}

func attributes(a netip.Addr, source func(netip.Addr) (netip.Addr, bool)) destination {
	d := destination{addr: a}
	if !a.IsValid() {
		return d
	}
	bare := a.Unmap().WithZone("")
	p := policyOf(bare)
	d.scope, d.precedence = scopeOf(bare), p.precedence
	src, ok := source(a)
	if !ok || !src.IsValid() {
		return d
	}
	src = src.Unmap().WithZone("")
	d.usable = true
	d.scopeMatch = scopeOf(src) == d.scope
	d.labelMatch = policyOf(src).label == p.label
	if bare.Is6() && src.Is6() {
		d.matching = matching(netip.PrefixFrom(src, 64), bare)
	}
	return d
}

// compareDestinations is negative if a is to be tried before b. Addresses of equal
// precedence are of the same family, so the order is total.
func compareDestinations(a, b destination) int {
	return cmp.Or(
		compareBool(a.usable, b.usable),
		compareBool(a.scopeMatch, b.scopeMatch),
		compareBool(a.labelMatch, b.labelMatch),
		cmp.Compare(b.precedence, a.precedence),
		cmp.Compare(a.scope, b.scope),
		cmp.Compare(b.matching, a.matching),
	)
}

// compareBool puts true before false.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}
