package route

import "net/netip"

// SelectSource returns the source address for packets to dst by route r: its
// preferred source if it names one, which must be the host's; for IPv4 an
// address in the subnet of the next hop; else what the function [SelectSource] says.
// The candidates are the addresses of the outgoing interface, with their prefix lengths.
func (r *Route) SelectSource(dst netip.Addr, candidates []netip.Prefix) (netip.Addr, bool) {
	if r.Source.IsValid() {
		return r.Source, true
	}
	dst = dst.Unmap().WithZone("")
	if dst.Is4() {
		best := netip.Prefix{}
		hop := r.NextHop(dst)
		for _, c := range candidates {
			if c.Addr() == dst {
				return dst, true
			}
			if usable(c, dst) && c.Contains(hop) && (!best.IsValid() || c.Bits() > best.Bits()) {
				best = c
			}
		}
		if best.IsValid() {
			return best.Addr(), true
		}
	}
	return SelectSource(dst, candidates)
}

// SelectSource returns the best source address for dst among candidates, which
// are addresses with the prefix lengths of their subnets, by those rules of
// RFC 6724 section 5 that need no more than that: 1 (same address), 2 (scope), 6
// (label) and 8 (longest matching prefix). Of equals the first wins. It returns
// false if no candidate is of dst's family.
func SelectSource(dst netip.Addr, candidates []netip.Prefix) (netip.Addr, bool) {
	dst = dst.Unmap().WithZone("")
	best := netip.Prefix{}
	for _, c := range candidates {
		if usable(c, dst) && (!best.IsValid() || betterSource(c, best, dst)) {
			best = c
		}
	}
	return best.Addr(), best.IsValid()
}

// usable reports whether c can be the source of packets to dst at all.
func usable(c netip.Prefix, dst netip.Addr) bool {
	a := c.Addr()
	return c.IsValid() && a.Is4() == dst.Is4() && !a.Is4In6() && !a.IsUnspecified() && !a.IsMulticast()
}

// betterSource reports whether a is a better source for dst than b.
func betterSource(a, b netip.Prefix, dst netip.Addr) bool {
	// Rule 1: prefer the same address.
	if b.Addr() == dst {
		return false
	}
	if a.Addr() == dst {
		return true
	}
	// Rule 2: prefer the smallest scope that suffices, else the largest.
	sa, sb, sd := scopeOf(a.Addr()), scopeOf(b.Addr()), scopeOf(dst)
	switch {
	case sa < sb:
		return sa >= sd
	case sb < sa:
		return sb < sd
	}
	// Rule 6: prefer a matching label.
	label := policyOf(dst).label
	la, lb := policyOf(a.Addr()).label == label, policyOf(b.Addr()).label == label
	if la != lb {
		return la
	}
	// Rule 8: use the longest matching prefix, within the source's subnet.
	return matching(a, dst) > matching(b, dst)
}

// matching is CommonPrefixLen of RFC 6724 section 2.2: of source and
// destination, up to the length of the source's prefix.
func matching(source netip.Prefix, dst netip.Addr) int {
	return min(toKey(source.Addr().WithZone("")).common(toKey(dst)), source.Bits())
}
