package kernel

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink"
)

// Obstacle is why an interface cannot be taken, whatever else is configured: one
// line that says what to do.
type Obstacle string

func (o Obstacle) Error() string { return string(o) }

// Check returns an Obstacle if the interface is of a kind whose packets are not
// its own, or not to be told apart.
func (f *Follower) Check() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.handle == nil {
		return errGone
	}
	link, err := f.handle.LinkByIndex(f.index)
	if err != nil {
		return err
	}
	a := link.Attrs()
	if a.EncapType != "ether" {
		return Obstacle(fmt.Sprintf("%s carries no Ethernet frames (it is of type %s): use an Ethernet interface", a.Name, a.EncapType))
	}
	if a.MasterIndex != 0 {
		name, kind := "another interface", "device"
		if m, err := f.handle.LinkByIndex(a.MasterIndex); err == nil {
			name, kind = m.Attrs().Name, m.Type()
		}
		return Obstacle(fmt.Sprintf("%s is a port of the %s %s, which has its addresses: take it out (ip link set %s nomaster), or use package net", a.Name, kind, name, a.Name))
	}
	if !stripsVLAN(a.Name) {
		return nil
	}
	links, err := dump(f.handle.LinkList)
	if err != nil {
		return err
	}
	var vlans []string
	for _, l := range links {
		if l.Type() == "vlan" && l.Attrs().ParentIndex == f.index {
			vlans = append(vlans, l.Attrs().Name)
		}
	}
	if len(vlans) > 0 {
		return Obstacle(fmt.Sprintf("%s takes the tags off the packets of its VLANs (%s) before they can be told apart: turn that off (ethtool -K %s rxvlan off), or use package net", a.Name, strings.Join(vlans, ", "), a.Name))
	}
	return nil
}

// HasAddress returns the name of the interface on which the kernel has an address,
// or "".
func (f *Follower) HasAddress(a netip.Addr) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.handle == nil {
		return ""
	}
	addrs, err := dump(func() ([]netlink.Addr, error) { return f.handle.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return ""
	}
	for _, o := range addrs {
		if p, ok := toPrefix(o.IPNet); ok && p.Addr() == a.Unmap() {
			if l, err := f.handle.LinkByIndex(o.LinkIndex); err == nil {
				return l.Attrs().Name
			}
			return "another interface"
		}
	}
	return ""
}

// HasDefaultRoute reports whether what the machine sends to the world leaves by the
// interface.
func (s *State) HasDefaultRoute() bool {
	for _, r := range s.Routes {
		if r.Prefix.Bits() == 0 {
			return true
		}
	}
	return false
}
