package fastnet

import (
	"net/netip"
	"slices"

	"github.com/fastnet-go/fastnet/stack"
	"github.com/fastnet-go/fastnet/stack/route"
)

// owns reports whether a is an address of the host's.
func (n *Network) owns(a netip.Addr) bool {
	if n.host == nil || a.IsLoopback() {
		return true
	}
	for _, i := range n.host.Interfaces() {
		for _, p := range i.Addrs {
			if p.Addr() == a {
				return true
			}
		}
	}
	return false
}

// replyFrom is the address of the host's that answers a datagram over IPv4 (RFC
// 1122 section 4.1.3.5): where that went to a group or was a broadcast, the first
// of the interface. It is asked for each datagram, so it allocates nothing.
func (n *Network) replyFrom(info *stack.DatagramInfo) netip.Addr {
	n.netIndexes()
	first := netip.IPv4Unspecified()
	theirs := n.shared != nil && !info.To.IsMulticast() && info.To != netip.AddrFrom4([4]byte{255, 255, 255, 255})
	for index, addrs := range *n.ifaceAddrs.Load() {
		for _, p := range addrs {
			switch {
			case p.Addr() == info.To || info.To.IsLoopback():
				return info.To
			case index == info.Interface-1 && p.Addr().Is4() && first.IsUnspecified():
				first = p.Addr()
			}
			theirs = theirs && !p.Contains(info.To) // else it was a broadcast
		}
	}
	if theirs { // came by the kernel's socket, to another interface
		return info.To
	}
	return first
}

// sortLookedUp is sortDestinations of addresses that were asked for apart, by family:
// nobody has sorted them together.
func (n *Network) sortLookedUp(dsts []netip.Addr) {
	if n.shared == nil {
		n.sortDestinations(dsts)
		return
	}
	route.SortDestinations(dsts, func(dst netip.Addr) (netip.Addr, bool) {
		w := n.shared.way(dst, netip.Addr{})
		return w.Source, w.Source.IsValid()
	})
}

// sortDestinations puts the addresses of a peer in the order in which to try
// them (RFC 6724 section 6), by the stack's routes and addresses: package net's
// resolver has sorted them by the kernel's.
func (n *Network) sortDestinations(dsts []netip.Addr) {
	if len(dsts) < 2 || n.host == nil || n.shared != nil {
		return
	}
	var routes route.Table
	for _, r := range n.host.Routes() {
		routes.Add(r) // a copy of a table: nothing is there twice
	}
	addrs := make(map[int][]netip.Prefix)
	for _, i := range n.host.Interfaces() {
		addrs[i.Index] = i.Addrs
	}
	route.SortDestinations(dsts, func(dst netip.Addr) (netip.Addr, bool) {
		if n.onKernel(dst) || slices.ContainsFunc(n.cfg.Kernel, func(r KernelRule) bool { return r.covers(r.Network, dst) }) {
			return dst, true
		}
		r, ok := routes.Lookup(dst)
		if !ok {
			return netip.Addr{}, false
		}
		return r.SelectSource(dst, addrs[r.Ifindex])
	})
}
