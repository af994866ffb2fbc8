package fastnet

import (
	"log/slog"
	"net/netip"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/afpacket"
	"github.com/fastnet-go/fastnet/nic/fault"
	"github.com/fastnet-go/fastnet/nic/tap"
	"github.com/fastnet-go/fastnet/stack"
	"github.com/fastnet-go/fastnet/stack/route"
)

// Config describes a Network. The zero value of a field takes its default.
// One of Device, Tap, XDP, Packet, Wire and LoopbackOnly says which device it is on.
type Config struct {
	Name string // in log lines; default the device's

	// Device is a device that the caller made and closes, after the Network.
	Device nic.Device
	// Tap makes the Network open a TAP device, and close it (Linux only).
	Tap *tap.Config
	// XDP makes the Network open an interface of Linux's by AF_XDP, beside the
	// kernel, and close it.
	XDP *XDP
	// Packet makes the Network open an interface of Linux's by packet sockets,
	// with addresses of its own beside the kernel's, and close it.
	Packet *afpacket.Config
	// Wire is the name of a device given to RegisterDevice.
	Wire string
	// LoopbackOnly makes a host without a device: it has nothing but its own
	// loopback interface (127.0.0.0/8 and ::1), for programs and tests both of
	// whose ends are in this process. Addresses, routes, MTU, Pcap and Faults
	// are not for it.
	LoopbackOnly bool

	Addresses []netip.Prefix // the host's addresses with their subnets' lengths
	Gateway   netip.Addr     // of the default route
	Routes    []route.Route  // further routes
	MTU       int            // bytes; default the device's

	// DNS are name servers that names are looked up with, through the network;
	// none means by the system's resolver, outside of it. See Network.Resolver.
	DNS []netip.AddrPort

	// Loopback says whose the loopback addresses are; the default is the
	// kernel's with a TAP device, XDP and Packet, and the stack's else.
	Loopback Loopback

	// Kernel are further sockets that are the kernel's.
	Kernel []KernelRule

	Require bool          // refuse what only the kernel can serve
	Backlog int           // connections that wait for Accept, of a listener; default 4096
	Pcap    string        // a file to which everything is written that the stack sees
	Faults  *fault.Config // what happens to frames on their way

	// Poller drives the host. The default is one of the process's own, of
	// which there are at most GOMAXPROCS-1, and which end with the last
	// network. Tests in a synctest bubble bring their own.
	Poller *stack.Poller
	Clock  stack.Clock       // default stack.SystemClock()
	Rand   func([]byte)      // default the system's
	Logger *slog.Logger      // default slog.Default()
	TCP    stack.TCPDefaults // of connections that ask for nothing else
}

// devices is how many devices c names; LoopbackOnly is none.
func (c *Config) devices() int {
	n := 0
	for _, named := range []bool{c.Device != nil, c.Tap != nil, c.XDP != nil, c.Packet != nil, c.Wire != ""} {
		if named {
			n++
		}
	}
	return n
}

// Loopback says who serves loopback addresses (127.0.0.0/8 and ::1).
type Loopback uint8

const (
	// LoopbackDefault is LoopbackKernel with a TAP device, XDP and Packet, and
	// LoopbackStack else.
	LoopbackDefault Loopback = iota
	// LoopbackStack: they are the host's own. Nothing of the network but what
	// cannot be served by the stack touches the kernel.
	LoopbackStack
	// LoopbackKernel: dials and listeners on them are the kernel's, and a TCP
	// listener on a wildcard address listens in the kernel too.
	LoopbackKernel
)
