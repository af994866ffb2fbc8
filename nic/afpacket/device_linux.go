package afpacket

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/internal/fdbased"
	"github.com/fastnet-go/fastnet/nic/internal/link"
)

// ne is the machine's byte order, in which the kernel has its numbers.
var ne = binary.NativeEndian

// device is an open interface.
type device struct {
	fdbased.Device
	cfg Config
}

// Open opens the interface that cfg names. Its errors say what to do. Nothing of
// ours is left on the interface after Close.
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
	d := &device{cfg: cfg}
	if err := d.Open(cfg.NetNS, d.set, "packet socket", d.newQueue); err != nil {
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
	d.About = nic.Info{
		Name: d.cfg.Interface, Driver: "afpacket", MAC: mac, MTU: s.MTU, Offloads: nic.RxChecksum | nic.LRO,
	}
	if !d.cfg.NoOffload {
		// The kernel does what the interface's hardware does not.
		d.About.Offloads |= nic.TxChecksum | nic.TSO4 | nic.TSO6
		d.About.MaxSend = fdbased.MaxFrame
	}
	// Each socket keeps buffers ready for a batch.
	batches := fdbased.Batch * d.cfg.Queues
	err = d.MakeBuffers(fdbased.BufferConfig{
		MTU: s.MTU, Small: max(d.cfg.Pool, 2*batches), Large: max(d.cfg.Pool/8, 2*fdbased.Spill*batches),
		Super: !d.cfg.NoOffload, Freed: d.Freed,
	})
	if err != nil {
		return nil, err
	}
	return openSockets(&d.cfg, s.Index)
}

// lost is what the kernel had no room for on a socket since it was last asked.
func lost(fd uintptr) uint64 {
	s, err := unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return 0
	}
	return uint64(s.Drops)
}
