package afxdp

import (
	"fmt"
)

// Attach is the way in which the program is attached to the interface.
type Attach uint8

const (
	AttachAuto    Attach = iota // native, or generic if that fails
	AttachNative                // in the interface's driver
	AttachGeneric               // behind it: any driver, but slower
)

// Copy says whether the kernel may copy packets.
type Copy uint8

const (
	CopyAuto   Copy = iota // zero copy if the driver takes it
	CopyAlways             // never zero copy, which resets the queues of some drivers
	CopyNever              // fail rather than copy
)

// Config describes the use of an interface. The zero value of a field takes its
// default.
type Config struct {
	// Interface is its name.
	Interface string

	// NetNS is the path of the network namespace that the interface is in:
	// /run/netns/NAME, /proc/PID/ns/net. Default: the process's.
	NetNS string

	// Queues is how many of the interface's queues are served, from the first
	// on. Packets for others pass to the kernel. Default: all.
	Queues int

	Ring      int // descriptors of each ring, a power of two from 64 to 32768; default 2048
	Frames    int // buffers of all queues together, for both directions; default 6144 a queue, at most 65536
	FrameSize int // bytes of each buffer, 2048 or 4096; default: what takes a packet of the MTU, else 4096

	Attach Attach
	Copy   Copy

	// NoOffload makes the stack compute all checksums in software.
	NoOffload bool

	// PartialChecksums says that the interface hands over frames of local
	// senders whose checksums nobody has completed, and does not tell: as
	// xen-netfront does, and other interfaces of virtual machines whose peer is
	// a program on the same host. A checksum that is that of the pseudo-header
	// alone is taken for right then (nic.RxBarePartial). Drivers that are known
	// to do so need not be told.
	PartialChecksums bool

	// HugePages puts the buffers into pages of 2 MiB, if the system has free
	// ones (sysctl vm.nr_hugepages).
	HugePages bool

	// BusyPoll is for how many microseconds a system call may poll the
	// device, in place of its interrupts; 0: not at all. It needs
	// gro_flush_timeout and napi_defer_hard_irqs of the interface to be set.
	BusyPoll int
	// BusyPollBudget is how many packets such a call handles; default 64.
	BusyPollBudget int

	MaxPorts     int // ports of Filter; default 4096
	MaxFlows     int // flows of Filter; default 262144
	MaxFragments int // fragmented datagrams that the program remembers; default 4096
}

// Limits of Config.
const (
	minRing, maxRing = 64, 32768
	maxFrames        = 1 << 20
)

// check returns cfg with the defaults that do not depend on the interface, or
// what is wrong with it.
func (cfg Config) check() (Config, error) {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&cfg.Ring, 2048)
	def(&cfg.BusyPollBudget, 64)
	def(&cfg.MaxPorts, 4096)
	def(&cfg.MaxFlows, 262144)
	def(&cfg.MaxFragments, 4096)
	switch {
	case cfg.Interface == "":
		return cfg, fmt.Errorf("afxdp: no interface: name the one to use, as in xdp:eth0")
	case len(cfg.Interface) > 15:
		return cfg, fmt.Errorf("afxdp: the name %q has %d bytes: an interface's has 15 at most", cfg.Interface, len(cfg.Interface))
	case cfg.Queues < 0:
		return cfg, fmt.Errorf("afxdp: %d queues: want at least 1, or 0 for all of %s", cfg.Queues, cfg.Interface)
	case cfg.Ring < minRing || cfg.Ring > maxRing || cfg.Ring&(cfg.Ring-1) != 0:
		return cfg, fmt.Errorf("afxdp: rings of %d: want a power of two from %d to %d", cfg.Ring, minRing, maxRing)
	case cfg.FrameSize != 0 && cfg.FrameSize != 2048 && cfg.FrameSize != 4096:
		return cfg, fmt.Errorf("afxdp: buffers of %d bytes: the kernel takes 2048 or 4096", cfg.FrameSize)
	case cfg.Frames < 0 || cfg.Frames > maxFrames || cfg.Frames > 0 && cfg.Frames < 64:
		return cfg, fmt.Errorf("afxdp: %d buffers: want 64 to %d", cfg.Frames, maxFrames)
	case cfg.Attach > AttachGeneric:
		return cfg, fmt.Errorf("afxdp: there is no way of attaching number %d", cfg.Attach)
	case cfg.Copy > CopyNever:
		return cfg, fmt.Errorf("afxdp: there is no way of copying number %d", cfg.Copy)
	case cfg.Attach == AttachGeneric && cfg.Copy == CopyNever:
		return cfg, fmt.Errorf("afxdp: a generic attach copies: use a native one for zero copy")
	case cfg.BusyPoll < 0 || cfg.BusyPollBudget < 1 || cfg.BusyPollBudget > 65535:
		return cfg, fmt.Errorf("afxdp: busy polling for %d us, %d packets at a time: want 0 or more, and 1 to 65535", cfg.BusyPoll, cfg.BusyPollBudget)
	case cfg.MaxPorts < 1 || cfg.MaxFlows < 1 || cfg.MaxFragments < 1:
		return cfg, fmt.Errorf("afxdp: room for %d ports, %d flows, %d fragmented datagrams: want at least 1 of each", cfg.MaxPorts, cfg.MaxFlows, cfg.MaxFragments)
	}
	return cfg, nil
}
