package tap

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
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
	index  int32 // of the interface; 0 if it is not known
	queues []*queue

	// Receiving has pools of its own: a slow reader never stops a sender.
	rxSmall, rxLarge *nic.Pool // rxLarge: nil if super-segments do not come
	txSmall, txLarge *nic.Pool // txLarge: nil without TSO

	monitor    *os.File // announcements of links; nil if there are none
	monitorRaw syscall.RawConn

	closed atomic.Bool
	dead   atomic.Bool   // closed, or gone: link.Err says why
	done   chan struct{} // closed by Close
	all    sync.WaitGroup

	mu        sync.Mutex
	link      nic.Link
	changes   chan struct{} // link has changed: capacity 1
	notifying sync.Mutex    // held over a call of changed; before mu
	changed   func(nic.Link)
	reported  nic.Link
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
	d := &device{cfg: cfg, done: make(chan struct{}), changes: make(chan struct{}, 1)}
	var fds []int
	err = inNamespace(cfg.NetNS, func() (err error) {
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
		if d.monitor != nil {
			d.monitor.Close()
		}
		return nil, err
	}
	checksum, segments, err := setOffloads(fds, !d.cfg.NoOffload)
	if err != nil {
		return fail(err)
	}
	// Before the link is looked at, so that no change is missed.
	if fd, err := openNetlink(unix.RTMGRP_LINK); err == nil {
		if err := unix.SetNonblock(fd, true); err != nil {
			unix.Close(fd)
			return fail(err)
		}
		d.monitor = os.NewFile(uintptr(fd), "rtnetlink")
	} else {
		return fail(err)
	}
	l, err := setUpKernelEnd(name, &d.cfg)
	if err != nil {
		if len(d.cfg.FDs) == 0 || !errors.Is(err, unix.ENODEV) {
			return fail(err)
		}
		// The descriptors are of an interface in another namespace: nobody
		// will tell of its link.
		l = link{up: true, mtu: d.cfg.MTU}
		if l.mtu == 0 {
			l.mtu = 1500
		}
	}
	d.index = l.index
	d.link = l.state()
	d.reported = d.link
	d.info = nic.Info{Name: name, Driver: "tap", MAC: d.cfg.MAC, MTU: l.mtu}
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
		p, e := nic.NewPool(cfg)
		err = errors.Join(err, e)
		return p
	}
	d.rxSmall, d.txSmall = pool(small), pool(small)
	if segments {
		d.rxLarge = pool(nic.PoolConfig{
			BufferSize: headroom + largePart, Headroom: headroom, Max: max(64, d.cfg.Pool/8), Slab: 8,
		})
		d.txLarge = pool(nic.PoolConfig{
			BufferSize: (headroom + maxSuper + 63) &^ 63, Headroom: headroom, Max: max(16, d.cfg.Pool/16), Slab: 2,
		})
	}
	return err
}

// start starts the goroutines: one for each queue, which sleeps until it is
// readable, and two for the link.
func (d *device) start() (err error) {
	for _, q := range d.queues {
		if q.raw, err = q.file.SyscallConn(); err != nil {
			return err
		}
	}
	if d.monitorRaw, err = d.monitor.SyscallConn(); err != nil {
		return err
	}
	for _, q := range d.queues {
		d.all.Go(q.wait)
	}
	d.all.Go(d.watch)
	d.all.Go(d.report)
	return nil
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
	if d.closed.Swap(true) {
		return nic.ErrClosed
	}
	d.dead.Store(true)
	d.mu.Lock()
	d.link.Up, d.link.Err = false, nic.ErrClosed
	d.mu.Unlock()
	close(d.done)
	var err error
	for _, q := range d.queues {
		err = errors.Join(err, q.close())
	}
	err = errors.Join(err, d.monitor.Close())
	d.all.Wait()
	return err
}

// InUse is the number of buffers that somebody else than the device holds: for
// tests that look for leaks.
func (d *device) InUse() int {
	n := 0
	for _, p := range []*nic.Pool{d.rxSmall, d.rxLarge, d.txSmall, d.txLarge} {
		if p != nil {
			n += p.InUse()
		}
	}
	for _, q := range d.queues {
		n -= q.posted()
	}
	return n
}
