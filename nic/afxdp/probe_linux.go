package afxdp

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic/internal/link"
)

// Probe says what Open would do with the same configuration, and what that does
// to the interface. It changes nothing. What keeps Open from succeeding is among
// the report's Obstacles; the error is for what cannot be looked at.
func Probe(cfg Config) (Report, error) {
	cfg, err := cfg.check()
	if err != nil {
		return Report{}, err
	}
	var r Report
	err = link.InNamespace(cfg.NetNS, func() error {
		f, err := inspect(&cfg)
		if err != nil {
			return err
		}
		obstacles := f.obstacles(&cfg)
		r = f.report(&cfg)
		r.Obstacles = obstacles
		return nil
	})
	if err != nil {
		return Report{}, fmt.Errorf("afxdp: %w", err)
	}
	return r, nil
}

// report is what is known of an interface without touching it.
func (f *face) report(cfg *Config) Report {
	r := Report{
		Interface: f.name, Index: int(f.Index), Driver: f.driver, MAC: f.MAC, MTU: f.MTU, Up: f.Up,
		RxQueues: f.rx, TxQueues: f.tx, Queues: cfg.Queues,
		Attach: f.willAttach(cfg), Memory: Choice{smallPages, f.fewer}, BusyPoll: Choice{Value: off},
		NeedWakeup: Choice{Value: on},
	}
	r.Copy = f.willCopy(cfg, r.Attach.Value)
	if r.Frames = (Choice{singleBuffer, "the kernel has no multi-buffer (Linux 6.6)"}); f.multi {
		r.Frames = Choice{multiBuffer, ""}
	}
	if cfg.HugePages {
		r.Memory = Choice{largePages, "if the system has free ones"}
	}
	if cfg.BusyPoll > 0 {
		r.BusyPoll = Choice{on, fmt.Sprintf("%d us, %d packets", cfg.BusyPoll, cfg.BusyPollBudget)}
	}
	switch {
	case cfg.NoOffload:
		r.TxChecksum = Choice{bySoftware, "as configured"}
	case r.Copy.Value == zeroCopy && f.xsk&xskTxChecksum != 0:
		r.TxChecksum = Choice{byDevice, ""}
	case r.Copy.Value == zeroCopy:
		r.TxChecksum = Choice{bySoftware, "the driver does not offer it to AF_XDP"}
	default:
		r.TxChecksum = Choice{byKernel, "from Linux 6.8 on, in copy mode"}
	}
	r.Segments = Choice{bySoftware, ""}
	if r.TxChecksum.Value == byKernel {
		r.Segments = r.TxChecksum
	}
	r.Effects = f.effects(cfg, &r)
	return r
}

func (f *face) willAttach(cfg *Config) Choice {
	switch {
	case cfg.Attach == AttachNative:
		return Choice{native, "as configured"}
	case cfg.Attach == AttachGeneric:
		return Choice{generic, "as configured"}
	case f.handsOn() && cfg.Copy != CopyNever:
		return Choice{generic, "the driver " + f.driver + " hands a native program on to interfaces under it, whose packets AF_XDP sockets of this one do not get"}
	case !f.told:
		return Choice{native, "if the driver takes it, else generic: the kernel does not tell before Linux 6.3"}
	case f.features&xdpRedirect != 0:
		return Choice{native, ""}
	}
	return Choice{generic, "the driver " + orUnknown(f.driver) + " has no XDP of its own"}
}

func (f *face) willCopy(cfg *Config, attach string) Choice {
	switch {
	case cfg.Copy == CopyAlways:
		return Choice{copyMode, "as configured"}
	case attach == generic:
		return Choice{copyMode, "a generic attach has no other"}
	case cfg.Copy == CopyNever:
		return Choice{zeroCopy, "as configured"}
	case !f.told:
		return Choice{zeroCopy, "if the driver takes it, else copy: the kernel does not tell before Linux 6.3"}
	case f.features&xdpZeroCopy != 0:
		return Choice{zeroCopy, ""}
	}
	return Choice{copyMode, "the driver " + orUnknown(f.driver) + " has no zero copy"}
}

// capabilities are those that Open needs, by their numbers (capabilities(7)).
var capabilities = []struct {
	name  string
	bit   uint
	admin bool // CAP_SYS_ADMIN does as well, for bpf(2)
}{
	{"CAP_NET_RAW", unix.CAP_NET_RAW, false},
	{"CAP_NET_ADMIN", unix.CAP_NET_ADMIN, true},
	{"CAP_BPF", unix.CAP_BPF, true},
}

// lacking are the capabilities that the calling thread has not.
func lacking() (names []string) {
	for _, c := range capabilities {
		if !capable(c.bit) && !(c.admin && capable(unix.CAP_SYS_ADMIN)) {
			names = append(names, c.name)
		}
	}
	return names
}

// capable reports whether the calling thread has a capability.
func capable(bit uint) bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	return unix.Capget(&header, &sets[0]) != nil || sets[bit/32].Effective>>(bit%32)&1 != 0
}

// obstacles is what makes Open fail.
func (f *face) obstacles(cfg *Config) (list []string) {
	for _, name := range lacking() {
		list = append(list, name+" is missing: run as root, or give the program the capabilities (setcap cap_net_raw,cap_net_admin,cap_bpf+ep FILE)")
	}
	if f.program != 0 {
		list = append(list, f.occupied())
	}
	if err := f.queuesFree(cfg); err != nil {
		list = append(list, err.Error())
	} else if room := cfg.FrameSize - kernelRoom - ethernetHeader; f.MTU > room && !f.multi {
		list = append(list, fmt.Sprintf("the MTU of %s, %d, is too large: without multi-buffer (Linux 6.6) at most %d", f.name, f.MTU, room))
	}
	return list
}

// occupied tells which program is attached already.
func (f *face) occupied() string {
	how := map[byte]string{attachedNative: native, attachedGeneric: generic}[f.mode]
	name := ""
	if p, err := ebpf.NewProgramFromID(ebpf.ProgramID(f.program)); err == nil {
		if info, err := p.Info(); err == nil {
			name = fmt.Sprintf(" %q", info.Name)
		}
		_ = p.Close()
	}
	if how != "" {
		how += " "
	}
	return fmt.Sprintf("%s has a %sXDP program already, number %d%s: end the program that attached it (bpftool net, bpftool link), or detach it (ip link set %s xdp off)",
		f.name, how, f.program, name, f.name)
}

// queuesFree tries to bind a socket to each queue, in copy mode, of which the
// driver learns nothing, and lets go of them again.
func (f *face) queuesFree(cfg *Config) error {
	u, _, err := newUMEM(2048, 2, 2, false)
	if err != nil {
		return err
	}
	var all []*socket
	defer func() {
		for _, s := range all {
			_ = unix.Close(s.fd)
			s.detach()
		}
	}()
	for i := range cfg.Queues {
		s, err := openSocket()
		if err != nil {
			return err
		}
		all = append(all, s)
		if i == 0 {
			if err := s.register(u, false); err != nil {
				return err
			}
		}
		if err := s.makeRings(minRing); err != nil {
			return err
		}
		err = s.bind(f, i, unix.XDP_COPY|unix.XDP_USE_SG, all[0])
		if i == 0 {
			if f.multi = err == nil; errors.Is(err, unix.EINVAL) {
				err = s.bind(f, i, unix.XDP_COPY, s)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// reported completes the report: p is what is used, and tried tells why nothing
// better is.
func (d *Device) reported(f *face, p plan, tried []failure) {
	r := &d.report
	why := func(worse func(plan) bool) string {
		for i := len(tried) - 1; i >= 0; i-- {
			if worse(tried[i].plan) {
				return tried[i].err.Error()
			}
		}
		return ""
	}
	if p.generic {
		if reason := why(func(q plan) bool { return !q.generic }); reason != "" {
			r.Attach.Reason = reason
		}
		r.Attach.Value = generic
	} else if r.Attach = (Choice{native, ""}); d.cfg.Attach == AttachNative {
		r.Attach.Reason = "as configured"
	}
	r.Copy = f.willCopy(&d.cfg, r.Attach.Value)
	if d.queues[0].zeroCopy() {
		r.Copy = Choice{zeroCopy, ""}
	} else if reason := why(func(q plan) bool { return q.flags&unix.XDP_ZEROCOPY != 0 }); reason != "" {
		r.Copy = Choice{copyMode, reason}
	}
	switch {
	case d.parts > 1:
		r.Frames = Choice{multiBuffer, ""}
	default:
		r.Frames = Choice{singleBuffer, why(func(q plan) bool { return q.flags&unix.XDP_USE_SG != 0 })}
	}
	if d.cfg.HugePages {
		r.Memory = Choice{largePages, f.fewer}
		if d.smallPages != nil {
			r.Memory = Choice{smallPages, "no free large ones: sysctl vm.nr_hugepages says how many there are: " + d.smallPages.Error()}
		}
	}
	switch {
	case !d.txChecksum:
		if !d.cfg.NoOffload {
			r.TxChecksum = Choice{bySoftware, "the kernel or the driver does not offer it to AF_XDP"}
		}
	case r.Copy.Value == zeroCopy:
		r.TxChecksum = Choice{byDevice, ""}
	default:
		r.TxChecksum = Choice{byKernel, "in copy mode, if the driver does not"}
	}
	switch {
	case d.segments:
		r.Segments = Choice{byKernel, "in copy mode, by a packet socket, if the driver does not"}
	case d.noSegments != nil:
		r.Segments = Choice{bySoftware, d.noSegments.Error()}
	default:
		r.Segments = Choice{bySoftware, ""}
	}
	r.Effects = f.effects(&d.cfg, r)
}

// failure is a plan that did not work.
type failure struct {
	plan
	err error
}

// final reports whether no other plan would do better after err.
func final(err error) bool {
	return errors.Is(err, ErrBusy) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENETDOWN)
}
