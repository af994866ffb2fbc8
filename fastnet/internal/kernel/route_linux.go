package kernel

import (
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// RouteTo asks the kernel's routes, policy routing included, how it sends to dst
// from src, which may be zero (RTM_GETROUTE, rtnetlink(7)). It costs some tens of
// microseconds. A destination that has no route, that is local or a group is not
// ours: what the kernel's socket does with it is right.
func (f *Follower) RouteTo(dst, src netip.Addr) Way {
	dst = dst.Unmap()
	if !dst.IsValid() || dst.IsUnspecified() || dst.IsMulticast() || dst.IsLoopback() {
		return Way{}
	}
	options := &netlink.RouteGetOptions{}
	if dst.IsLinkLocalUnicast() && dst.Is6() { // on a link: the zone's
		state := f.State()
		if dst.Zone() != state.Name {
			return Way{}
		}
		options.OifIndex = f.index
		dst = dst.WithZone("")
	}
	if src.IsValid() && !src.IsUnspecified() {
		options.SrcAddr = net.IP(src.Unmap().WithZone("").AsSlice())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.handle == nil {
		return Way{}
	}
	routes, err := f.handle.RouteGetWithOptions(net.IP(dst.AsSlice()), options)
	if err != nil || len(routes) == 0 {
		return Way{}
	}
	r := &routes[0]
	if r.Type != unix.RTN_UNICAST || r.LinkIndex != f.index || r.Via != nil {
		return Way{}
	}
	w := Way{Ours: true, Source: src.Unmap()} // the kernel does not repeat what it is told
	if a, ok := netip.AddrFromSlice(r.Src); ok {
		w.Source = a.Unmap()
	}
	return w
}
