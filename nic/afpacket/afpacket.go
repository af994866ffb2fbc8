// Package afpacket is a driver for an Ethernet interface of the Linux kernel's,
// through packet sockets (AF_PACKET): for kernels, users and machines that have
// no AF_XDP.
//
// The kernel keeps the interface, and sees every frame too: a packet socket is
// given a copy. So the stack has addresses of its own there, which the kernel
// must not have, and a filter in the kernel keeps from us what is for others.
// What the kernel receives for an address that is not its own it drops, unless it
// forwards packets: then the stack needs a MAC address of its own as well
// (Config.OwnMAC). Programs of the same machine that use the kernel's sockets do
// not reach the stack's addresses, for a switch sends no frame back to the port
// it came from.
//
// Frames cross with partial checksums and as TCP super-segments, both ways, and
// each says so (PACKET_VNET_HDR). Receiving is recvmmsg into the packets' own
// buffers; a ring of the kernel's (PACKET_RX_RING) would have to be copied out
// of, for it takes its slots back in order only, has no place for 64 KiB, and in
// its version 3 tells of a packet up to a millisecond late. Send gathers frames,
// Kick gives them to sendmmsg, which is no dearer than PACKET_TX_RING.
//
// It needs CAP_NET_RAW, in the user namespace that owns the network namespace:
// root in "unshare -Urn" has it. Super-segments need Linux 5.1.
//
// Read device_linux.go first, then queue_linux.go and transmit_linux.go, for what a
// packet socket has of its own; ../internal/fdbased is the rest of the device and
// its queues, which it shares with other drivers. filter.go is what the kernel
// keeps from us, open_linux.go sets the sockets up.
package afpacket

import (
	"fmt"
	"net/netip"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/internal/fdbased"
)

// Config describes the device. The zero value of a field takes its default.
type Config struct {
	// Interface is the name of an Ethernet interface of the kernel's.
	Interface string

	// Addrs are the stack's addresses: only what is for them, and ARP and
	// multicast, is received. There is at least one, and the kernel has none of
	// them.
	Addrs []netip.Prefix

	// OwnMAC gives the stack a MAC address of its own beside the interface's: MAC,
	// or a random one. It is necessary where the kernel forwards packets, and
	// impossible on most wireless interfaces and in clouds that allow one only.
	OwnMAC bool
	MAC    nic.MAC // implies OwnMAC; default: the interface's

	// Queues is the number of sockets, among which the kernel spreads flows
	// (PACKET_FANOUT), 1 to 256; default 1.
	Queues int

	Pool   int // small buffers of each direction; default 4096
	Buffer int // bytes that the kernel keeps for each socket, each way; default 4 MiB

	// NoOffload makes the stack compute checksums and cut segments of what it
	// sends. What it receives is as its sender left it.
	NoOffload bool

	// QdiscBypass sends past the interface's queueing discipline: less work, but
	// no shaping, and what finds the device's ring full is lost (a packet socket
	// that does not bypass it is told to wait).
	QdiscBypass bool

	// NetNS is the path of the network namespace in which the interface is:
	// /run/netns/NAME, /proc/PID/ns/net. Default: the process's.
	NetNS string
}

// check returns cfg with its defaults, or what is wrong with it.
func (cfg Config) check() (Config, error) {
	if cfg.Queues == 0 {
		cfg.Queues = 1
	}
	if cfg.Pool == 0 {
		cfg.Pool = 4096
	}
	if cfg.Buffer == 0 {
		cfg.Buffer = 4 << 20
	}
	if cfg.MAC != (nic.MAC{}) {
		cfg.OwnMAC = true
	} else if cfg.OwnMAC {
		cfg.MAC = fdbased.RandomMAC()
	}
	switch {
	case cfg.Interface == "":
		return cfg, fmt.Errorf("afpacket: no interface: name one of the kernel's, as eth0")
	case len(cfg.Interface) > 15:
		return cfg, fmt.Errorf("afpacket: the name %q has %d bytes: an interface's has 15 at most", cfg.Interface, len(cfg.Interface))
	case len(cfg.Addrs) == 0:
		return cfg, fmt.Errorf("afpacket: %s: no address: give the stack one that the kernel does not have", cfg.Interface)
	case len(cfg.Addrs) > 128:
		return cfg, fmt.Errorf("afpacket: %s: %d addresses: the filter has room for 128", cfg.Interface, len(cfg.Addrs))
	case cfg.Queues < 1 || cfg.Queues > 256:
		return cfg, fmt.Errorf("afpacket: %d queues: want 1 to 256", cfg.Queues)
	case cfg.Pool < 64:
		return cfg, fmt.Errorf("afpacket: a pool of %d buffers: want at least 64", cfg.Pool)
	case cfg.Buffer < 1<<16 || cfg.Buffer > 1<<30:
		return cfg, fmt.Errorf("afpacket: buffers of %d bytes: want %d to %d", cfg.Buffer, 1<<16, 1<<30)
	case cfg.MAC[0]&1 != 0:
		return cfg, fmt.Errorf("afpacket: the address %x is a multicast one: give one whose first byte is even", cfg.MAC[:])
	}
	for _, a := range cfg.Addrs {
		if !a.IsValid() || a.Addr().Zone() != "" {
			return cfg, fmt.Errorf("afpacket: the address %v is not one with a prefix length", a)
		}
	}
	return cfg, nil
}
