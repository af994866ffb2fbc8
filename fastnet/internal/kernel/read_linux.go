package kernel

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/stack/route"
)

// readLink asks for all that State holds but the routes.
func readLink(h *netlink.Handle, index int) (State, error) {
	link, err := h.LinkByIndex(index)
	if err != nil {
		return State{}, err
	}
	a := link.Attrs()
	s := State{Index: index, Name: a.Name, MTU: a.MTU}
	copy(s.MAC[:], a.HardwareAddr)
	s.Up = a.RawFlags&unix.IFF_UP != 0 && a.RawFlags&unix.IFF_RUNNING != 0
	addrs, err := dump(func() ([]netlink.Addr, error) { return h.AddrList(link, netlink.FAMILY_ALL) })
	if err != nil {
		return s, fmt.Errorf("the addresses of %s: %w", a.Name, err)
	}
	for _, a := range addrs {
		// What is tentative may be another host's still (RFC 4862 section 5.4).
		if a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) != 0 && a.Flags&unix.IFA_F_OPTIMISTIC == 0 || a.IPNet == nil {
			continue
		}
		if p, ok := toPrefix(a.IPNet); ok && !slices.Contains(s.Addrs, p) {
			s.Addrs = append(s.Addrs, p)
		}
	}
	return s, nil
}

// readRoutes asks for the routes through an interface. Where they change faster than
// they can be listed what was seen last is returned, and whole is false.
func readRoutes(h *netlink.Handle, index int) (list []route.Route, whole bool, err error) {
	var all []netlink.Route
	whole = true
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := dump(func() ([]netlink.Route, error) {
			return h.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC, LinkIndex: index}, netlink.RT_FILTER_TABLE)
		})
		switch {
		case errors.Is(err, unix.EAFNOSUPPORT): // no IPv6 here
		case errors.Is(err, netlink.ErrDumpInterrupted):
			whole = false
		case err != nil:
			return nil, false, fmt.Errorf("the routes: %w", err)
		}
		all = append(all, routes...)
	}
	return routesOf(all, index), whole, nil
}

// dump repeats a dump that a change has interrupted, a few times.
func dump[T any](list func() ([]T, error)) ([]T, error) {
	for try := 1; ; try++ {
		l, err := list()
		if !errors.Is(err, netlink.ErrDumpInterrupted) || try == 3 {
			return l, err
		}
	}
}

func toPrefix(n *net.IPNet) (netip.Prefix, bool) {
	a, ok := netip.AddrFromSlice(n.IP)
	if !ok {
		return netip.Prefix{}, false
	}
	ones, size := n.Mask.Size()
	if a = a.Unmap(); a.BitLen() != size {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, ones), true
}

// routesOf picks the routes through an interface that a stack can use: the main
// table's, and those of others where the main one has none for the prefix.
func routesOf(all []netlink.Route, index int) []route.Route {
	var routes []route.Route
	inMain := make(map[netip.Prefix]bool)
	add := func(main bool) {
		for i := range all {
			r := &all[i]
			if (r.Table == unix.RT_TABLE_MAIN) != main || r.Table == unix.RT_TABLE_LOCAL || r.Type != unix.RTN_UNICAST {
				continue
			}
			o, ok := routeOf(r, index)
			if !ok || !main && inMain[o.Prefix] {
				continue
			}
			if main {
				inMain[o.Prefix] = true
			}
			if !slices.Contains(routes, o) {
				routes = append(routes, o)
			}
		}
	}
	add(true)
	add(false)
	return routes
}

// routeOf translates a route if it leaves through the interface. Of several next
// hops it is the first that does.
func routeOf(r *netlink.Route, index int) (route.Route, bool) {
	o := route.Route{Ifindex: index, Metric: r.Priority}
	switch {
	case r.Dst != nil:
		p, ok := toPrefix(r.Dst)
		if !ok || p.Addr().IsMulticast() {
			return o, false
		}
		o.Prefix = p.Masked()
	case r.Family == netlink.FAMILY_V6:
		o.Prefix = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	default:
		o.Prefix = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	link, gw, via := r.LinkIndex, r.Gw, r.Via
	if len(r.MultiPath) > 0 {
		link = 0
		for _, hop := range r.MultiPath {
			if hop.LinkIndex == index {
				link, gw, via = hop.LinkIndex, hop.Gw, hop.Via
				break
			}
		}
	}
	if link != index || via != nil { // an IPv6 next hop of an IPv4 route
		return o, false
	}
	if a, ok := netip.AddrFromSlice(gw); ok && !a.Unmap().IsUnspecified() {
		o.Gateway = a.Unmap()
	}
	if a, ok := netip.AddrFromSlice(r.Src); ok {
		o.Source = a.Unmap()
	}
	return o, true
}

// neighborOf translates what the kernel says of a neighbour.
func neighborOf(n *netlink.Neigh) (a netip.Addr, mac [6]byte, s NeighborState, ok bool) {
	a, ok = netip.AddrFromSlice(n.IP)
	if !ok {
		return
	}
	a = a.Unmap()
	const valid = unix.NUD_PERMANENT | unix.NUD_NOARP | unix.NUD_REACHABLE | unix.NUD_PROBE | unix.NUD_STALE | unix.NUD_DELAY
	switch {
	case n.State&valid != 0 && len(n.HardwareAddr) == len(mac):
		copy(mac[:], n.HardwareAddr)
		s = Known
	case n.State&unix.NUD_FAILED != 0:
		s = Failed
	default: // incomplete: the kernel is asking
		ok = false
	}
	return
}
