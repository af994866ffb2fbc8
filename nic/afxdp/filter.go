package afxdp

import "net/netip"

// Address is a local address that packets are taken for.
type Address struct {
	Addr netip.Addr
	Mode Mode
}

// Mode is how much is taken for an address.
type Mode uint8

const (
	// Shared: the kernel has the address too, and ours are only the ports, the
	// flows, the ICMP errors that quote one of them, and the later fragments of
	// what was taken.
	Shared Mode = iota
	// Exclusive: every packet for the address is ours, with ARP requests for
	// it, ARP replies to it and neighbour solicitations for it.
	Exclusive
	// FlowsOnly is Shared without the ports.
	FlowsOnly
)

// Port is a local port that is listened on.
type Port struct {
	Protocol uint8 // 6 is TCP, 17 UDP
	// Addr is the address it is open on: one of SetAddresses, or 0.0.0.0 for
	// any IPv4 one, :: for any IPv6 one, or the zero Addr for any at all.
	Addr netip.Addr
	Port uint16
}

// Flow is a connection, or a connected UDP socket: both ends.
type Flow struct {
	Protocol      uint8 // 6 is TCP, 17 UDP
	Local, Remote netip.AddrPort
}

// FilterCounters counts received packets by what became of them. All but the
// first six are packets that the kernel has got.
type FilterCounters struct {
	Port      uint64 // taken for a port that is listened on
	Flow      uint64 // taken for a flow
	Exclusive uint64 // taken for an exclusive address
	ICMP      uint64 // errors taken for the packet that they quote
	Fragment  uint64 // later fragments, taken because the first was
	MapFull   uint64 // first fragments taken whose later ones will be missed

	Passed        uint64 // not ours
	FragmentEarly uint64 // later fragments for a shared address whose first has not been taken
	Bad           uint64 // malformed, or with more headers than are looked at
	NoSocket      uint64 // ours, but came on a queue that is not served
}

// Taken is the number of packets that went to the sockets.
func (c *FilterCounters) Taken() uint64 {
	return c.Port + c.Flow + c.Exclusive + c.ICMP + c.Fragment
}
