package tap

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/internal/fdbased"
	"github.com/fastnet-go/fastnet/nic/internal/link"
	"github.com/fastnet-go/fastnet/nic/internal/vnet"
)

// device is an open TAP interface.
type device struct {
	fdbased.Device
	cfg     Config
	regions []region        // the memory of the pools, for vhost-net
	first   syscall.RawConn // of the first queue
}

// Open opens or creates a TAP interface. Its errors say what to do. One that it
// created is gone after Close.
func Open(cfg Config) (nic.Device, error) {
	d, err := open(cfg)
	if err != nil {
		return nil, err
	}
	return d, nil
}

func open(cfg Config) (*device, error) {
	given := cfg.FDs // taken over, whatever happens
	refuse := func(err error) (*device, error) {
		for _, fd := range given {
			unix.Close(fd)
		}
		return nil, err
	}
	cfg, err := cfg.check()
	if err != nil {
		return refuse(err)
	}
	d := &device{cfg: cfg}
	entered := false // the namespace: set closes them itself
	err = d.Open(cfg.NetNS, func() ([]int, error) {
		entered = true
		return d.set()
	}, tunPath, d.newQueue)
	switch {
	case err == nil:
		return d, nil
	case !entered:
		return refuse(fmt.Errorf("tap: %w", err))
	}
	return nil, fmt.Errorf("tap: %w", err)
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
	d.About = nic.Info{Name: name, Driver: "tap", MAC: d.cfg.MAC, MTU: l.MTU}
	if checksum {
		d.About.Offloads |= nic.TxChecksum | nic.RxChecksum
	}
	if segments {
		d.About.Offloads |= nic.TSO4 | nic.TSO6 | nic.LRO
		d.About.MaxSend = fdbased.MaxFrame
	}
	if err := d.makeBuffers(segments); err != nil {
		return fail(err)
	}
	return fds, nil
}

func (d *device) makeBuffers(segments bool) error {
	cfg := fdbased.BufferConfig{MTU: d.About.MTU, Small: d.cfg.Pool, Super: segments, Freed: d.Freed}
	switch {
	case d.cfg.VHost:
		// There before the kernel is told where. A large frame is spread over small
		// buffers.
		cfg.Memory = func(size int) ([]byte, error) {
			b := make([]byte, size)
			d.regions = append(d.regions, regionOf(b))
			return b, nil
		}
	case segments:
		cfg.Large = max(64, d.cfg.Pool/8)
	}
	return d.MakeBuffers(cfg)
}

func (d *device) newQueue(i int, file *os.File) fdbased.Endpoint {
	if i == 0 {
		d.first, _ = file.SyscallConn() // only of a nil File there is none
	}
	if d.cfg.VHost {
		return newVhostQueue(d, i, file)
	}
	return newQueue(d, i, file)
}

// deleted says whether the interface really is: it may only have moved to
// another namespace. The descriptor knows.
func (d *device) deleted() (err error) {
	failed := d.first.Control(func(fd uintptr) {
		request, e := unix.NewIfreq("")
		if e == nil {
			e = unix.IoctlIfreq(int(fd), unix.TUNGETIFF, request)
		}
		err = e
	})
	return errors.Join(err, failed)
}
