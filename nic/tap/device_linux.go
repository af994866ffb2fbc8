package tap

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/internal/link"
	"github.com/fastnet-go/fastnet/nic/internal/vnet"
)

const (
	headroom  = 64
	largePart = 16 << 10 // the parts behind the first of a large frame received
	spill     = 4        // so many: with the first part, room for 64 KiB
)

// device is an open TAP interface.
type device struct {
	cfg    Config
	info   nic.Info
	queues []*queue

	// Receiving has pools of its own: a slow reader never stops a sender.
	rxSmall, rxLarge *nic.Pool   // rxLarge: nil if super-segments do not come
	tx               []*nic.Pool // small, and large with TSO
	regions          []region    // their memory, for vhost-net

	*link.Follower               // the link, and its end
	done           chan struct{} // closed by Close
	all            sync.WaitGroup
}

// Open opens or creates a TAP interface. Its errors say what to do.
func Open(cfg Config) (nic.Device, error) {
	d, err := open(cfg)
	if err != nil {
		return nil, err
	}
	return d, nil
}

func open(cfg Config) (*device, error) {
	cfg, err := cfg.check()
	if err != nil {
		for _, fd := range cfg.FDs {
			unix.Close(fd)
		}
		return nil, err
	}
	d := &device{cfg: cfg, done: make(chan struct{})}
	var fds []int
	err = link.InNamespace(cfg.NetNS, func() (err error) {
		fds, err = d.set()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("tap: %w", err)
	}
	for i, fd := range fds {
		d.queues = append(d.queues, newQueue(d, i, os.NewFile(uintptr(fd), tunPath)))
	}
	if err := d.start(); err != nil {
		_ = d.Close()
		return nil, fmt.Errorf("tap: %w", err)
	}
	return d, nil
}

// set attaches to the interface and sets both of its ends up, in the thread's
// network namespace.
func (d *device) set() ([]int, error) {
	fds, name, err := attach(&d.cfg)
	if err != nil {
		return nil, err
	}
	fail := func(err error) ([]int, error) {
		for _, fd := range fds {
			unix.Close(fd)
		}
		if d.Follower != nil {
			d.Follower.Close()
		}
		return nil, err
	}
	header := vnet.HeaderSize
	if d.cfg.VHost {
		header = vhostHeader
	}
	checksum, segments, err := setOffloads(fds, !d.cfg.NoOffload, header)
	if err != nil {
		return fail(err)
	}
	// Before the link is looked at, so that no change is missed.
	if d.Follower, err = link.NewFollower(); err != nil {
		return fail(err)
	}
	l, err := setUpKernelEnd(name, &d.cfg)
	if err != nil {
		if len(d.cfg.FDs) == 0 || !errors.Is(err, unix.ENODEV) {
			return fail(err)
		}
		// The descriptors are of an interface in another namespace: nobody
		// will tell of its link.
		l = link.State{Up: true, MTU: d.cfg.MTU}
		if l.MTU == 0 {
			l.MTU = 1500
		}
	}
	d.Set("tap: "+name, l.Index, l.Link())
	d.Deleted = d.deleted
	d.info = nic.Info{Name: name, Driver: "tap", MAC: d.cfg.MAC, MTU: l.MTU}
	if checksum {
		d.info.Offloads |= nic.TxChecksum | nic.RxChecksum
	}
	if segments {
		d.info.Offloads |= nic.TSO4 | nic.TSO6 | nic.LRO
		d.info.MaxSend = maxSuper
	}
	if err := d.makePools(segments); err != nil {
		return fail(err)
	}
	return fds, nil
}

func (d *device) makePools(segments bool) error {
	small := nic.PoolConfig{
		// One byte more than the largest frame: a buffer that is full then
		// tells that a frame was cut off.
		BufferSize: max(2048, (headroom+ethernetHeader+d.info.MTU+1+63)&^63),
		Headroom:   headroom,
		Max:        d.cfg.Pool,
	}
	var err error
	pool := func(cfg nic.PoolConfig) *nic.Pool {
		if d.cfg.VHost { // in one piece, there before the kernel is told where
			cfg.Slab = cfg.Max
			cfg.Memory = func(size int) ([]byte, error) {
				b := make([]byte, size)
				d.regions = append(d.regions, regionOf(b))
				return b, nil
			}
		}
		p, e := nic.NewPool(cfg)
		err = errors.Join(err, e)
		if d.cfg.VHost && e == nil {
			p.Get().Release()
		}
		return p
	}
	small.Freed = d.freed
	d.rxSmall = pool(small)
	d.tx = append(d.tx, pool(small))
	if segments && !d.cfg.VHost { // which spreads a frame over small ones
		d.rxLarge = pool(nic.PoolConfig{
			BufferSize: headroom + largePart, Headroom: headroom, Max: max(64, d.cfg.Pool/8), Slab: 8,
		})
	}
	if segments {
		d.tx = append(d.tx, pool(nic.PoolConfig{
			BufferSize: (headroom + maxSuper + 63) &^ 63, Headroom: headroom, Max: max(16, d.cfg.Pool/16), Slab: 2,
			Freed: d.freed,
		}))
	}
	return err
}

// freed wakes the pollers that sleep after their Alloc fell short.
func (d *device) freed() {
	for _, q := range d.queues {
		if q.short.Any() || q.vhost != nil {
			q.wakeArmed()
		}
	}
}

// start starts the goroutines: one for each queue, which sleeps until it is
// readable, and those that follow the link.
func (d *device) start() (err error) {
	for _, q := range d.queues {
		if q.raw, err = q.file.SyscallConn(); err != nil {
			return err
		}
	}
	for _, q := range d.queues {
		if !d.cfg.VHost {
			d.all.Go(q.wait)
			continue
		}
		failed := q.raw.Control(func(fd uintptr) { q.vhost, err = openVhost(d, int(fd)) })
		if err = errors.Join(err, failed); err != nil {
			q.vhost = nil
			return err
		}
		d.all.Go(q.waitVhost)
	}
	return d.Start()
}

// deleted says whether the interface really is: it may only have moved to
// another namespace. The descriptor knows.
func (d *device) deleted() (err error) {
	failed := d.queues[0].raw.Control(func(fd uintptr) {
		request, e := unix.NewIfreq("")
		if e == nil {
			e = unix.IoctlIfreq(int(fd), unix.TUNGETIFF, request)
		}
		err = e
	})
	return errors.Join(err, failed)
}

// Info implements nic.Device.
func (d *device) Info() nic.Info {
	info := d.info
	info.MTU = d.Link().MTU
	return info
}

// Queues implements nic.Device.
func (d *device) Queues() []nic.Queue {
	qs := make([]nic.Queue, len(d.queues))
	for i, q := range d.queues {
		qs[i] = q
	}
	return qs
}

// Close implements nic.Device. An interface that Open created is gone then.
func (d *device) Close() error {
	err := d.Mark()
	if err != nil {
		return err
	}
	close(d.done)
	for _, q := range d.queues {
		err = errors.Join(err, q.close())
	}
	err = errors.Join(err, d.Follower.Close())
	d.all.Wait()
	return err
}

// InUse is the number of buffers that somebody else than the device holds: for
// tests that look for leaks.
func (d *device) InUse() int {
	n := 0
	for _, p := range append([]*nic.Pool{d.rxSmall, d.rxLarge}, d.tx...) {
		if p != nil {
			n += p.InUse()
		}
	}
	for _, q := range d.queues {
		n -= q.posted()
	}
	return n
}
