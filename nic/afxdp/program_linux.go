package afxdp

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	ebpflink "github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
)

// frags says that the program takes frames of several buffers (Linux 5.18).
const frags = unix.BPF_F_XDP_HAS_FRAGS

// way is a way of loading the program.
type way struct {
	flags  uint32
	helper uint8 // it reads what lies at varying offsets by bpf_xdp_load_bytes, which takes no CAP_PERFMON
}

// ways are those to be tried, the best first. The flag and the helper came with
// the same kernel.
var ways = []way{{frags, 1}, {0, 0}}

// loadProgram loads the program and makes its maps. The program's maps, itself
// and its link must stay referenced as long as the device is in use: collected
// as garbage they would be closed, and the packets pass. multi tells whether the
// program takes frames of several buffers.
func loadProgram(cfg *Config, mac nic.MAC, queues int) (objects *steerObjects, multi bool, err error) {
	// Before Linux 5.11 maps count against RLIMIT_MEMLOCK.
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, false, fmt.Errorf("raising the limit of locked memory (ulimit -l): %w: %w", ErrUnavailable, err)
	}
	for _, w := range ways {
		if objects, err = loadWay(cfg, mac, queues, w); err == nil {
			return objects, w.flags&frags != 0, nil
		}
		if errors.Is(err, unix.EPERM) {
			return nil, false, missing("loading the eBPF program", "CAP_BPF and CAP_NET_ADMIN", err)
		}
	}
	var refused *ebpf.VerifierError
	if errors.As(err, &refused) && !capable(unix.CAP_PERFMON) && !capable(unix.CAP_SYS_ADMIN) {
		return nil, false, missing("loading the eBPF program into a kernel before Linux 5.18", "CAP_PERFMON", unix.EPERM)
	}
	return nil, false, fmt.Errorf("this kernel does not accept the eBPF program: Linux 5.10 or later is needed: %w: %w", ErrUnavailable, err)
}

func loadWay(cfg *Config, mac nic.MAC, queues int, w way) (*steerObjects, error) {
	spec, err := loadSteer()
	if err != nil {
		return nil, err
	}
	for name, size := range map[string]int{
		steerMapSockets: queues, steerMapPortBits: cfg.MaxPorts, steerMapBoundPorts: cfg.MaxPorts,
		steerMapFlows: cfg.MaxFlows, steerMapFragments: cfg.MaxFragments,
	} {
		spec.Maps[name].MaxEntries = uint32(size)
	}
	if err := spec.Variables[steerVarMac].Set(mac); err != nil {
		return nil, err
	}
	if err := spec.Variables[steerVarByHelper].Set(w.helper); err != nil {
		return nil, err
	}
	spec.Programs[steerProgSteer].Flags = w.flags
	objects := new(steerObjects)
	return objects, spec.LoadAndAssign(objects, nil)
}

// attach puts the program on an interface, in the thread's network namespace.
func attach(objects *steerObjects, index int, name string, generic bool) (ebpflink.Link, error) {
	flags, way := ebpflink.XDPDriverMode, "native"
	if generic {
		flags, way = ebpflink.XDPGenericMode, "generic"
	}
	l, err := ebpflink.AttachXDP(ebpflink.XDPOptions{Program: objects.Steer, Interface: index, Flags: flags})
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, unix.EPERM):
		return nil, missing("attaching an XDP program to "+name, "CAP_NET_ADMIN and CAP_BPF", err)
	case errors.Is(err, unix.EBUSY), errors.Is(err, unix.EEXIST):
		return nil, fmt.Errorf("%s has an XDP program already: end the program that attached it (bpftool net, bpftool link), or detach it (ip link set %s xdp off): %w: %w", name, name, ErrBusy, err)
	case errors.Is(err, unix.EOPNOTSUPP):
		return nil, fmt.Errorf("the driver of %s takes no %s XDP program: %w: %w", name, way, ErrUnavailable, err)
	case errors.Is(err, unix.ERANGE):
		return nil, fmt.Errorf("the MTU of %s, or of its peer, is too large for a %s XDP program: %w: %w", name, way, ErrUnavailable, err)
	case errors.Is(err, unix.ENOSPC):
		return nil, fmt.Errorf("%s has fewer queues than a %s XDP program needs (ethtool -l %s): %w: %w", name, way, name, ErrUnavailable, err)
	case errors.Is(err, unix.EINVAL):
		return nil, fmt.Errorf("the kernel or the driver of %s refuses a %s XDP program on a link of its own (Linux 5.9): %w: %w", name, way, ErrUnavailable, err)
	}
	return nil, fmt.Errorf("attaching a %s XDP program to %s: %w: %w", way, name, ErrUnavailable, err)
}
