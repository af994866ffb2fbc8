package afpacket

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/internal/link"
)

const (
	headroom  = 64
	largePart = 16 << 10 // the parts behind the first of a large frame received
	spill     = 4        // so many: with the first part, room for 64 KiB
)

// ne is the machine's byte order, in which the kernel has its numbers.
var ne = binary.NativeEndian

// device is an open interface.
type device struct {
	*link.Follower // the link, and its end
	cfg            Config
	info           nic.Info
	queues         []*queue

	// Receiving has pools of its own: a slow reader never stops a sender.
	rxSmall, rxLarge *nic.Pool
	tx               []*nic.Pool // small, and large with TSO

	done chan struct{} // closed by Close
	all  sync.WaitGroup
}

// Open opens the interface that cfg names. Its errors say what to do.
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
		return nil, err
	}
	d := &device{cfg: cfg, done: make(chan struct{})}
	var fds []int
	err = link.InNamespace(cfg.NetNS, func() (err error) {
		fds, err = d.set()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("afpacket: %w", err)
	}
	for i, fd := range fds {
		d.queues = append(d.queues, newQueue(d, i, os.NewFile(uintptr(fd), "packet socket")))
	}
	if err := d.start(); err != nil {
		_ = d.Close()
		return nil, fmt.Errorf("afpacket: %w", err)
	}
	return d, nil
}

// set opens the sockets, in the thread's network namespace.
func (d *device) set() (fds []int, err error) {
	// Before the link is looked at, so that no change is missed.
	if d.Follower, err = link.NewFollower(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			d.Follower.Close()
		}
	}()
	s, err := lookUp(&d.cfg)
	if err != nil {
		return nil, err
	}
	mac := s.MAC
	if d.cfg.OwnMAC {
		mac = d.cfg.MAC
	}
	d.Set("afpacket: "+d.cfg.Interface, s.Index, s.Link())
	d.Changed = func(now link.State) error {
		if !d.cfg.OwnMAC && now.MAC != s.MAC {
			return fmt.Errorf("its MAC address was changed from %x to %x: open it anew", s.MAC[:], now.MAC[:])
		}
		return nil
	}
	d.info = nic.Info{
		Name: d.cfg.Interface, Driver: "afpacket", MAC: mac, MTU: s.MTU, Offloads: nic.RxChecksum | nic.LRO,
	}
	if !d.cfg.NoOffload {
		// The kernel does what the interface's hardware does not.
		d.info.Offloads |= nic.TxChecksum | nic.TSO4 | nic.TSO6
		d.info.MaxSend = maxSuper
	}
	if err := d.makePools(); err != nil {
		return nil, err
	}
	return openSockets(&d.cfg, s.Index)
}

func (d *device) makePools() error {
	small := nic.PoolConfig{
		BufferSize: max(2048, (headroom+ethernetHeader+d.info.MTU+63)&^63),
		Headroom:   headroom,
		Max:        max(d.cfg.Pool, 2*batch*d.cfg.Queues),
	}
	var err error
	pool := func(cfg nic.PoolConfig) *nic.Pool {
		p, e := nic.NewPool(cfg)
		err = errors.Join(err, e)
		return p
	}
	d.rxSmall = pool(small)
	d.rxLarge = pool(nic.PoolConfig{
		BufferSize: headroom + largePart, Headroom: headroom, Slab: 8,
		Max: max(d.cfg.Pool/8, 2*spill*batch*d.cfg.Queues),
	})
	small.Freed = d.freed
	d.tx = append(d.tx, pool(small))
	if !d.cfg.NoOffload {
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
		if q.short.Any() {
			q.wakeArmed()
		}
	}
}

// start starts the goroutines: two for each queue, which sleep until it is
// readable and until it is writable again, and those that follow the link.
func (d *device) start() (err error) {
	for _, q := range d.queues {
		if q.raw, err = q.file.SyscallConn(); err != nil {
			return err
		}
	}
	for _, q := range d.queues {
		d.all.Go(q.wait)
		d.all.Go(q.waitForRoom)
	}
	return d.Start()
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

// Close implements nic.Device. Nothing of ours is left on the interface then.
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
		n += p.InUse()
	}
	for _, q := range d.queues {
		n -= q.posted()
	}
	return n
}

// lost is what the kernel had no room for on a socket since it was last asked.
func lost(fd uintptr) uint64 {
	s, err := unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return 0
	}
	return uint64(s.Drops)
}
