package kernel

import (
	"net/netip"
	"slices"
	"strconv"

	"github.com/fastnet-go/fastnet/stack/route"
)

// State is what the kernel has configured on an interface.
type State struct {
	Index int
	Name  string
	MAC   [6]byte
	MTU   int  // bytes
	Up    bool // administratively, and a carrier is there
	Addrs []netip.Prefix
	// Routes are those through the interface, those to its subnets included. Of
	// routes to the same prefix in several tables the main table's is here.
	// Their Ifindex is the kernel's.
	Routes []route.Route
}

// Equal reports whether two states are the same.
func (s *State) Equal(o *State) bool {
	return s.Index == o.Index && s.Name == o.Name && s.MAC == o.MAC && s.MTU == o.MTU && s.Up == o.Up &&
		slices.Equal(s.Addrs, o.Addrs) && slices.Equal(s.Routes, o.Routes)
}

// Has reports whether a is one of the interface's addresses.
func (s *State) Has(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(s.Addrs, func(p netip.Prefix) bool { return p.Addr() == a })
}

// InZone reports whether an address's zone, if it has one, is the interface, by name or
// index: another one may have the same link-local address.
func (s *State) InZone(a netip.Addr) bool {
	z := a.Zone()
	return z == "" || z == s.Name || z == strconv.Itoa(s.Index)
}

// Way is how the kernel sends to a destination.
type Way struct {
	Ours   bool       // out of the interface, to a single host that is not this one
	Source netip.Addr // the source address that it takes
}

// NeighborState says what the kernel thinks of a neighbour.
type NeighborState uint8

const (
	// Known: its address may be used: the kernel confirms it as it sees fit.
	Known NeighborState = iota + 1
	// Failed: it did not answer.
	Failed
	// Forgotten: the kernel has let go of it.
	Forgotten
)

// Handler is told what happens to an interface, by one goroutine. A nil function
// is not called.
type Handler struct {
	// Changed gets the whole state after each change of it.
	Changed func(State)
	// Neighbor tells of one neighbour; mac is set if it is known.
	Neighbor func(a netip.Addr, mac [6]byte, s NeighborState)
	// Routing says that the answers of RouteTo may be others now.
	Routing func()
	// Gone is the last call: the interface does not exist any more.
	Gone func(error)
}
