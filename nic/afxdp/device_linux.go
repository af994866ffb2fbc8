package afxdp

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	ebpflink "github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/internal/fdbased"
	"github.com/fastnet-go/fastnet/nic/internal/link"
)

const (
	ethernetHeader = 18 // with one VLAN tag
	ethernetMin    = 14
)

// Device is an interface whose chosen packets come here. It implements
// nic.Device.
type Device struct {
	cfg    Config
	info   nic.Info
	report Report
	queues []*queue
	umem   *umem

	smallPages error // why there are no large ones, if they were asked for

	objects  *steerObjects // the program and its maps
	attached ebpflink.Link
	filter   *Filter

	follower *link.Follower
	up       atomic.Bool // as follower has it: cheap
	mtu      atomic.Int32

	parts      int  // of a frame, at the most
	largest    int  // bytes of a frame to be sent, at the most
	metadata   bool // the memory has room for it in front of each packet
	txChecksum bool
	segments   bool  // super-segments may be sent
	noSegments error // why not, if that was tried
	busyPoll   bool

	done chan struct{} // closed by Close
	all  sync.WaitGroup
}

var (
	_ nic.Device         = (*Device)(nil)
	_ nic.BatchAllocator = (*queue)(nil)
)

// Open takes an interface into use. It changes nothing of it but what Probe
// says, and all of that is undone by Close, or when the process ends.
//
// Its errors say what to do. Those that no other configuration would avoid wrap
// ErrUnavailable or ErrBusy.
func Open(cfg Config) (*Device, error) {
	cfg, err := cfg.check()
	if err != nil {
		return nil, err
	}
	var d *Device
	err = link.InNamespace(cfg.NetNS, func() (err error) {
		d, err = open(cfg)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("afxdp: %w", err)
	}
	return d, nil
}

// open is Open in the thread's network namespace.
func open(cfg Config) (_ *Device, err error) {
	d := &Device{cfg: cfg, done: make(chan struct{})}
	// Before the link is looked at, so that no change is missed.
	if d.follower, err = link.NewFollower(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			d.abandon()
		}
	}()
	face, err := inspect(&cfg)
	if err != nil {
		return nil, err
	}
	d.cfg = cfg
	d.report = face.report(&cfg)
	n := d.report.Queues
	var multi bool
	if d.objects, multi, err = loadProgram(&cfg, face.MAC, n); err != nil {
		return nil, err
	}
	if err := d.choose(face, multi); err != nil {
		return nil, err
	}
	face.askRSS()
	d.filter = newFilter(d.objects)
	d.info = nic.Info{Name: cfg.Interface, Driver: "afxdp", MAC: face.MAC, MTU: face.MTU, HashKey: face.hashKey, HashTable: face.hashTable}
	if d.txChecksum {
		d.info.Offloads |= nic.TxChecksum
	}
	if d.segments {
		d.info.Offloads |= nic.TSO4 | nic.TSO6
		d.info.MaxSend = fdbased.MaxFrame
	}
	if face.barePartial(&cfg, d.report.Attach.Value) {
		d.info.Offloads |= nic.RxBarePartial
	}
	d.changed(face.State)
	d.follower.Set("afxdp: "+cfg.Interface, face.Index, face.Link())
	d.follower.Changed = d.changed
	if err := d.follower.Start(); err != nil {
		return nil, err
	}
	for _, q := range d.queues {
		d.all.Go(q.wait)
	}
	return d, nil
}

// changed follows what the kernel says of the interface.
func (d *Device) changed(s link.State) error {
	if d.info.MAC != s.MAC {
		return errors.New("its Ethernet address was changed: open it again")
	}
	if limit := d.roomMTU(); s.MTU > limit {
		return fmt.Errorf("its MTU was changed to %d, and its packets take %d at the most: open it again", s.MTU, limit)
	}
	d.mtu.Store(int32(s.MTU))
	if d.up.Swap(s.Up) != s.Up && s.Up {
		for _, q := range d.queues {
			q.Kick() // what was sent before the link went down
		}
	}
	return nil
}

// roomMTU is the largest MTU whose packets the buffers take.
func (d *Device) roomMTU() int {
	return min(65535, d.parts*(d.umem.frame-kernelRoom)-ethernetHeader)
}

// Info implements nic.Device.
func (d *Device) Info() nic.Info {
	info := d.info
	info.MTU = d.Link().MTU
	return info
}

// Queues implements nic.Device.
func (d *Device) Queues() []nic.Queue {
	qs := make([]nic.Queue, len(d.queues))
	for i, q := range d.queues {
		qs[i] = q
	}
	return qs
}

// Link implements nic.Device.
func (d *Device) Link() nic.Link { return d.follower.Link() }

// Notify implements nic.Device.
func (d *Device) Notify(changed func(nic.Link)) { d.follower.Notify(changed) }

// Report says how the interface is used.
func (d *Device) Report() Report {
	r := d.report
	r.Effects = slices.Clone(r.Effects)
	return r
}

// Filter is what the program takes from the kernel: nothing at first.
func (d *Device) Filter() *Filter { return d.filter }

// Close implements nic.Device. The program is detached: from now on the kernel
// gets everything.
func (d *Device) Close() error {
	if err := d.follower.Mark(); err != nil {
		return err
	}
	d.up.Store(false)
	err := d.attached.Close()
	d.filter.close()
	close(d.done)
	for _, q := range d.queues {
		err = errors.Join(err, q.close())
	}
	err = errors.Join(err, d.follower.Close())
	d.all.Wait()
	d.release()
	return errors.Join(err, d.objects.Close())
}

// abandon undoes what open has done so far.
func (d *Device) abandon() {
	_ = d.follower.Mark()
	_ = d.follower.Close()
	d.drop()
	if d.objects != nil {
		_ = d.objects.Close()
	}
}

// drop undoes a way of using the interface.
func (d *Device) drop() {
	if d.attached != nil {
		_ = d.attached.Close()
		d.attached = nil
	}
	for _, q := range d.queues {
		_ = q.close()
	}
	d.queues = nil
	if d.umem != nil {
		d.release()
	}
}

// release takes the buffers back that the kernel had when the sockets were
// closed.
func (d *Device) release() {
	u := d.umem
	for i := range u.posted {
		if u.posted[i] {
			u.posted[i] = false
			u.packets[i].Release()
		}
	}
	for i := range u.sent {
		for u.sent[i].Load() != 0 {
			u.completed(uint64(i) << u.shift)
		}
	}
}

// InUse is the number of buffers that somebody else than the device and the
// kernel holds: for tests that look for leaks.
func (d *Device) InUse() int {
	for _, q := range d.queues {
		q.reap()
	}
	u := d.umem
	n := u.rx.InUse() + u.tx.InUse()
	for i := range u.posted {
		if u.posted[i] {
			n--
		}
	}
	for i := range u.sent {
		if u.sent[i].Load() != 0 {
			n--
		}
	}
	return n
}

// plan is a way of using the interface.
type plan struct {
	generic bool
	flags   uint16 // of bind: XDP_COPY, XDP_ZEROCOPY, XDP_USE_SG
}

// plans are the ways that the configuration allows, the best first.
func plans(cfg *Config, f *face) []plan {
	var all []plan
	add := func(generic bool, flags uint16) {
		all = append(all, plan{generic, flags | unix.XDP_USE_SG}, plan{generic, flags})
	}
	if cfg.Attach == AttachNative || cfg.Attach == AttachAuto && (!f.handsOn() || cfg.Copy == CopyNever) {
		if cfg.Copy == CopyNever || cfg.Copy == CopyAuto && (!f.told || f.features&xdpZeroCopy != 0) {
			add(false, unix.XDP_ZEROCOPY)
		}
		if cfg.Copy != CopyNever {
			add(false, unix.XDP_COPY)
		}
	}
	if cfg.Attach != AttachNative && cfg.Copy != CopyNever {
		add(true, unix.XDP_COPY)
	}
	return all
}

// choose takes the first plan that works.
func (d *Device) choose(f *face, multi bool) error {
	tx := max(1, d.cfg.Frames/3)
	var err error
	if d.umem, d.smallPages, err = newUMEM(d.cfg.FrameSize, d.cfg.Frames-tx, tx, d.cfg.HugePages); err != nil {
		return err
	}
	var tried []failure
	for _, p := range plans(&d.cfg, f) {
		if p.flags&unix.XDP_USE_SG != 0 && !multi {
			continue
		}
		err := d.try(f, p)
		if err == nil {
			d.reported(f, p, tried)
			return nil
		}
		d.drop()
		if final(err) {
			return err
		}
		tried = append(tried, failure{p, err})
	}
	return tried[0].err
}
