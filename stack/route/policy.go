package route

import "net/netip"

// policy is a line of the default policy table, RFC 6724 section 2.1.
type policy struct {
	prefix     netip.Prefix
	precedence int
	label      int
}

// policies has longer prefixes first, so that the first match is the longest.
var policies = [...]policy{
	{netip.MustParsePrefix("::1/128"), 50, 0},
	{netip.MustParsePrefix("::ffff:0:0/96"), 35, 4}, // IPv4
	{netip.MustParsePrefix("::/96"), 1, 3},          // IPv4-compatible, deprecated
	{netip.MustParsePrefix("2001::/32"), 5, 5},      // Teredo
	{netip.MustParsePrefix("2002::/16"), 30, 2},     // 6to4
	{netip.MustParsePrefix("3ffe::/16"), 1, 12},     // 6bone, returned
	{netip.MustParsePrefix("fec0::/10"), 1, 11},     // site-local, deprecated
	{netip.MustParsePrefix("fc00::/7"), 3, 13},      // unique local
	{netip.MustParsePrefix("::/0"), 40, 1},
}

// policyOf returns the policy for an address without zone.
func policyOf(a netip.Addr) *policy {
	k := toKey(netip.AddrFrom16(a.As16()))
	i := 0
	for k.common(toKey(policies[i].prefix.Addr())) < policies[i].prefix.Bits() {
		i++ // the last matches all
	}
	return &policies[i]
}

// scope is how far an address reaches: RFC 6724 section 3.1, with the values of
// IPv6 multicast scopes (RFC 4291 section 2.7).
type scope uint8

const (
	linkLocal scope = 0x2
	siteLocal scope = 0x5
	global    scope = 0xe
)

func scopeOf(a netip.Addr) scope {
	switch {
	case a.Is6() && a.IsMulticast():
		return scope(a.As16()[1] & 0xf)
	case a.IsLinkLocalUnicast(), a.IsLoopback(), a.Is4() && a.IsLinkLocalMulticast():
		// For IPv4 these are section 3.2; private addresses are global.
		return linkLocal
	case a.Is6() && siteLocalPrefix.Contains(a):
		return siteLocal
	}
	return global
}

var siteLocalPrefix = netip.MustParsePrefix("fec0::/10")
