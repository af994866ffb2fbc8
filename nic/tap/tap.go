// Package tap is a driver for Linux TAP interfaces: the other end of a cable
// whose near end is an interface of the kernel's.
//
// With the kernel's offloads, which are on unless Config says otherwise, frames
// cross with partial checksums and as TCP super-segments, both ways. A queue is
// a file descriptor, a frame one system call. There is no ring to fill: the
// kernel takes what it is given, or drops it. With Config.VHost there are rings,
// which a thread of the kernel's serves, and no system calls but to wake it.
//
// Read device_linux.go first, then queue_linux.go, for what a TAP interface has of
// its own; ../internal/fdbased is the rest of the device and its queues, which it
// shares with other drivers. kernelend_linux.go sets the kernel's end up;
// ../internal/vnet is the header in front of each frame, and ../internal/link
// follows the link. vhost_linux.go is the way by vhost-net, vhost_connect_linux.go how
// the kernel is told of it.
package tap

import (
	"fmt"
	"net/netip"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/internal/fdbased"
)

// Config describes a TAP interface. The zero value of a field takes its
// default.
type Config struct {
	// Name of the interface, at most 15 bytes. It is created, and vanishes
	// when the device is closed, unless it exists already ("ip tuntap add").
	// A %d in it becomes the first free number. Default "fast%d".
	Name string

	Queues int     // queue pairs, 1 to 256; default 1
	MTU    int     // of both ends, 68 to 65535; default: the interface's, 1500 for a new one
	MAC    nic.MAC // our address (the kernel's end has its own); default: a random one
	Pool   int     // small buffers of each direction; default 4096

	// NoOffload makes the kernel and the stack compute checksums and cut
	// segments in software.
	NoOffload bool

	// VHost has frames carried by the kernel's vhost-net, in rings that a thread
	// of the kernel's shares with us: no system call a frame. It needs
	// /dev/vhost-net (modprobe vhost_net).
	VHost bool

	// HostAddrs are set on the kernel's end, which is brought up then. IPv6
	// addresses are usable at once, without duplicate address detection.
	HostAddrs []netip.Prefix
	Up        bool // bring the kernel's end up in any case

	// Addrs are those of our own end. Open fails if the kernel has one of them
	// too: it would never send us anything for that.
	Addrs []netip.Prefix

	// NetNS is the path of the network namespace in which the interface is,
	// or is created: /run/netns/NAME, /proc/PID/ns/net. Default: the
	// process's.
	NetNS string

	// FDs are descriptors of /dev/net/tun, one for each queue, that somebody
	// with the privilege has attached with IFF_TAP|IFF_NO_PI|IFF_VNET_HDR. Open
	// takes them over, even when it fails; Name and Queues come from them.
	FDs []int
}

// check returns cfg with its defaults, or what is wrong with it.
func (cfg Config) check() (Config, error) {
	if cfg.Name == "" {
		cfg.Name = "fast%d"
	}
	if len(cfg.FDs) > 0 {
		cfg.Queues = len(cfg.FDs)
	}
	if cfg.Queues == 0 {
		cfg.Queues = 1
	}
	if cfg.Pool == 0 {
		cfg.Pool = 4096
	}
	if cfg.MAC == (nic.MAC{}) {
		cfg.MAC = fdbased.RandomMAC()
	}
	switch {
	case len(cfg.Name) > 15:
		return cfg, fmt.Errorf("tap: the name %q has %d bytes: an interface's has 15 at most", cfg.Name, len(cfg.Name))
	case cfg.Queues < 1 || cfg.Queues > 256:
		return cfg, fmt.Errorf("tap: %d queues: want 1 to 256", cfg.Queues)
	case cfg.MTU != 0 && (cfg.MTU < 68 || cfg.MTU > 65535):
		return cfg, fmt.Errorf("tap: an MTU of %d: want 68 to 65535", cfg.MTU)
	case cfg.Pool < 8:
		return cfg, fmt.Errorf("tap: a pool of %d buffers: want at least 8", cfg.Pool)
	case cfg.MAC[0]&1 != 0:
		return cfg, fmt.Errorf("tap: the address %x is a multicast one: give one whose first byte is even", cfg.MAC[:])
	}
	for _, a := range cfg.HostAddrs {
		if !a.IsValid() || a.Addr().Zone() != "" {
			return cfg, fmt.Errorf("tap: the address %v of the kernel's end is not one with a prefix length: write it as 10.77.0.1/24", a)
		}
	}
	return cfg, nil
}
