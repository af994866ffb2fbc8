package netstack

import (
	"fmt"
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/ethernet"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"github.com/fastnet-go/fastnet/nic"
)

// Config describes a host.
type Config struct {
	// Device is the host's only interface. The host owns it from New on.
	Device nic.Device
	// Addresses of the interface, with their networks. Everything else is
	// taken to be on the link too: there is no router.
	Addresses []netip.Prefix
	// Now is the clock that the device's events are timed by; nil is a
	// monotonic one that starts at 0.
	Now func() time.Duration
}

// Host is a gVisor stack on one interface. Its methods may be called from any
// goroutine.
type Host struct {
	stack *stack.Stack
	link  *link
}

const interfaceID = tcpip.NICID(1)

// New starts a host. It answers ARP, neighbour solicitations and echo requests
// by itself; duplicate address detection is off, so that it is ready at once.
func New(cfg Config) (*Host, error) {
	if cfg.Now == nil {
		origin := time.Now()
		cfg.Now = func() time.Duration { return time.Since(origin) }
	}
	// A neighbour that does not answer for three seconds would be gone: on a machine
	// that is busy it is slow.
	neighbors := stack.DefaultNUDConfigurations()
	neighbors.MaxMulticastProbes, neighbors.MaxUnicastProbes = 60, 60
	h := &Host{
		link: newLink(cfg.Device, cfg.Now),
		stack: stack.New(stack.Options{
			NUDConfigs:         neighbors,
			NetworkProtocols:   []stack.NetworkProtocolFactory{arp.NewProtocol, ipv4.NewProtocol, ipv6.NewProtocol},
			TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6},
		}),
	}
	if err := h.configure(cfg.Addresses); err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

func (h *Host) configure(addresses []netip.Prefix) error {
	sack := tcpip.TCPSACKEnabled(true)
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: tcp.DefaultReceiveBufferSize, Max: 8 << 20}
	send := tcpip.TCPSendBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: tcp.DefaultSendBufferSize, Max: 8 << 20}
	for _, o := range []tcpip.SettableTransportProtocolOption{&sack, &receive, &send} {
		if err := h.stack.SetTransportProtocolOption(tcp.ProtocolNumber, o); err != nil {
			return fmt.Errorf("netstack: setting %T: %v", o, err)
		}
	}
	if err := h.stack.CreateNIC(interfaceID, ethernet.New(h.link)); err != nil {
		return fmt.Errorf("netstack: creating the interface: %v", err)
	}
	for _, a := range addresses {
		err := h.stack.AddProtocolAddress(interfaceID, tcpip.ProtocolAddress{
			Protocol:          protocolOf(a.Addr()),
			AddressWithPrefix: tcpip.AddressWithPrefix{Address: address(a.Addr()), PrefixLen: a.Bits()},
		}, stack.AddressProperties{})
		if err != nil {
			return fmt.Errorf("netstack: adding address %v: %v", a, err)
		}
	}
	h.stack.SetRouteTable([]tcpip.Route{
		{Destination: header.IPv4EmptySubnet, NIC: interfaceID},
		{Destination: header.IPv6EmptySubnet, NIC: interfaceID},
	})
	return nil
}

// Close resets the connections, ends what the host started and closes the
// device.
func (h *Host) Close() error {
	h.stack.Close()
	// The pollers first: Wait holds the stack's lock while it waits for them,
	// and delivering a packet takes that.
	h.link.Close()
	h.link.Wait()
	h.stack.Wait()
	return h.link.device.Close()
}

// Counters are those that tell whether a peer's segments were liked.
type Counters struct {
	Received, Sent    uint64 // TCP segments
	Invalid           uint64 // malformed TCP segments
	ChecksumErrors    uint64 // of TCP
	MalformedIP       uint64
	Retransmits       uint64
	ResetsSent        uint64
	ResetsReceived    uint64
	EstablishedResets uint64
	Dropped           uint64 // frames that the device had no room for
}

// Counters returns the host's counters.
func (h *Host) Counters() Counters {
	s := h.stack.Stats()
	return Counters{
		Received: s.TCP.ValidSegmentsReceived.Value(), Sent: s.TCP.SegmentsSent.Value(),
		Invalid: s.TCP.InvalidSegmentsReceived.Value(), ChecksumErrors: s.TCP.ChecksumErrors.Value(),
		MalformedIP: s.IP.MalformedPacketsReceived.Value(),
		Retransmits: s.TCP.Retransmits.Value(),
		ResetsSent:  s.TCP.ResetsSent.Value(), ResetsReceived: s.TCP.ResetsReceived.Value(),
		EstablishedResets: s.TCP.EstablishedResets.Value(),
		Dropped:           h.link.dropped.Load(),
	}
}

func address(a netip.Addr) tcpip.Address {
	return tcpip.AddrFromSlice(a.Unmap().AsSlice())
}

func protocolOf(a netip.Addr) tcpip.NetworkProtocolNumber {
	if a.Unmap().Is4() {
		return ipv4.ProtocolNumber
	}
	return ipv6.ProtocolNumber
}

func fullAddress(a netip.AddrPort) tcpip.FullAddress {
	if !a.IsValid() {
		return tcpip.FullAddress{}
	}
	return tcpip.FullAddress{NIC: interfaceID, Addr: address(a.Addr()), Port: a.Port()}
}
