package route

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// key is an address as the trie compares it, its first bit on top; IPv4
// addresses have the upper 32 bits.
type key struct{ hi, lo uint64 }

func toKey(a netip.Addr) key {
	if a.Is4() {
		b := a.As4()
		return key{hi: uint64(binary.BigEndian.Uint32(b[:])) << 32}
	}
	b := a.As16()
	return key{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// bit returns bit i, counted from the top.
func (k key) bit(i int) int {
	if i < 64 {
		return int(k.hi >> (63 - i) & 1)
	}
	return int(k.lo >> (127 - i) & 1)
}

// common returns the number of leading bits that k and o share.
func (k key) common(o key) int {
	if x := k.hi ^ o.hi; x != 0 {
		return bits.LeadingZeros64(x)
	}
	return 64 + bits.LeadingZeros64(k.lo^o.lo)
}

// node is a node of a path-compressed binary trie (Morrison's Patricia, 1968).
// It stands for the first length bits of key, has routes for that prefix or two
// children that differ in the next bit, or both. Nodes are never changed.
type node struct {
	key    key // only its first length bits mean something
	length int
	routes []Route // by metric
	child  [2]*node
}

// lookup returns the best route for k, on an interface or, with 0, on any.
func (n *node) lookup(k key, ifindex int) *Route {
	var best *Route
	for n != nil && n.key.common(k) >= n.length {
		for i := range n.routes {
			if ifindex == 0 || n.routes[i].Ifindex == ifindex {
				best = &n.routes[i]
				break
			}
		}
		if n.length == 128 {
			break
		}
		n = n.child[k.bit(n.length)]
	}
	return best
}

// edit returns the trie in which change has been applied to the routes of the
// prefix of k with the given length.
func (n *node) edit(k key, length int, change func([]Route) []Route) *node {
	if n == nil {
		return leaf(k, length, change(nil))
	}
	shared := min(n.key.common(k), n.length, length)
	if shared < n.length {
		// The prefix is above n, or beside it.
		added := leaf(k, length, change(nil))
		switch {
		case added == nil:
			return n
		case shared == length:
			added.child[n.key.bit(length)] = n
			return added
		}
		fork := &node{key: k, length: shared}
		fork.child[k.bit(shared)] = added
		fork.child[n.key.bit(shared)] = n
		return fork
	}
	copied := *n
	if length == n.length {
		copied.routes = change(n.routes)
	} else {
		side := &copied.child[k.bit(n.length)]
		*side = (*side).edit(k, length, change)
	}
	return copied.compressed()
}

// compressed returns n, or what is left of it if it has become superfluous.
func (n *node) compressed() *node {
	switch {
	case len(n.routes) > 0:
		return n
	case n.child[0] == nil:
		return n.child[1]
	case n.child[1] == nil:
		return n.child[0]
	}
	return n
}

func leaf(k key, length int, routes []Route) *node {
	if len(routes) == 0 {
		return nil
	}
	return &node{key: k, length: length, routes: routes}
}

func (n *node) appendRoutes(to []Route) []Route {
	if n == nil {
		return to
	}
	to = append(to, n.routes...)
	return n.child[1].appendRoutes(n.child[0].appendRoutes(to))
}
