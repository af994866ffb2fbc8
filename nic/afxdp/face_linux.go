package afxdp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/internal/link"
)

// face is what the kernel tells of an interface.
type face struct {
	link.State
	name   string
	driver string
	rx, tx int // queues

	program uint32 // id of the XDP program that is attached; 0: none
	mode    byte   // how: IFLA_XDP_ATTACHED
	master  bool   // it belongs to a bond, a bridge, a team
	lro     bool
	rxVLAN  bool   // its driver takes VLAN tags off
	multi   bool   // a frame may have several buffers: found by queuesFree
	fewer   string // why there are fewer buffers than usual

	hashKey   []byte // of receive side scaling: see nic.Info
	hashTable []uint16

	features uint64 // NETDEV_XDP_ACT_*
	told     bool   // the kernel has told them (6.3)
	maxSegs  uint32 // buffers of a frame in zero copy mode
	xsk      uint64 // NETDEV_XSK_FLAGS_*
}

// include/uapi/linux/netdev.h
const (
	netdevCmdDevGet       = 1
	netdevAttrIfindex     = 1
	netdevAttrFeatures    = 3
	netdevAttrMaxSegs     = 4
	netdevAttrXSKFeatures = 6

	xdpRedirect   = 1 << 1
	xdpZeroCopy   = 1 << 3
	xdpRxSG       = 1 << 5
	xskTxChecksum = 1 << 1
)

// include/uapi/linux/if_link.h: how a program is attached
const (
	attachedNative  = 1
	attachedGeneric = 2
)

// inspect asks the kernel about the interface of cfg, in the thread's network
// namespace, and completes cfg.
func inspect(cfg *Config) (*face, error) {
	n, err := link.Open()
	if err != nil {
		return nil, err
	}
	defer n.Close()
	f := &face{name: cfg.Interface, rx: 1, tx: 1}
	if f.State, err = n.Get(cfg.Interface); err != nil {
		if errors.Is(err, unix.ENODEV) {
			return nil, fmt.Errorf("there is no interface %s: ip link shows those there are: %w", cfg.Interface, err)
		}
		return nil, fmt.Errorf("looking up %s: %w", cfg.Interface, err)
	}
	if f.Type != unix.ARPHRD_ETHER || f.MAC == (nic.MAC{}) {
		return nil, fmt.Errorf("%s is no Ethernet interface: choose one that has an Ethernet address: %w", cfg.Interface, ErrUnavailable)
	}
	if err := f.askLink(n); err != nil {
		return nil, err
	}
	f.askEthtool()
	f.askNetdev()
	return f, f.complete(cfg)
}

// complete gives cfg the defaults that depend on the interface.
func (f *face) complete(cfg *Config) error {
	if cfg.Queues == 0 {
		cfg.Queues = f.rx
	}
	if cfg.Queues > f.rx {
		return fmt.Errorf("%d queues: %s has %d (ethtool -l %s)", cfg.Queues, f.name, f.rx, f.name)
	}
	if cfg.FrameSize == 0 {
		cfg.FrameSize = 2048
		if f.MTU+ethernetHeader+kernelRoom > 2048 {
			cfg.FrameSize = 4096
		}
	}
	if cfg.Frames == 0 {
		cfg.Frames = min(65536, cfg.Queues*3*cfg.Ring)
		if limit := lockable(); limit/cfg.FrameSize < cfg.Frames {
			cfg.Frames = max(cfg.Queues*64, limit/cfg.FrameSize*9/10)
			f.fewer = fmt.Sprintf("%d buffers only: no more memory may be locked (ulimit -l, LimitMEMLOCK=infinity, or CAP_IPC_LOCK)", cfg.Frames)
		}
	}
	return nil
}

// lockable is how many bytes the process may lock in memory, after it has raised
// its limit as far as it may: the kernel counts the buffers against it.
func lockable() int {
	var limit unix.Rlimit
	if capable(unix.CAP_IPC_LOCK) || unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit) != nil {
		return math.MaxInt
	}
	if limit.Cur < limit.Max {
		limit.Cur = limit.Max
		_ = unix.Setrlimit(unix.RLIMIT_MEMLOCK, &limit)
	}
	return int(min(limit.Max, math.MaxInt))
}

// askLink reads what Get leaves out.
func (f *face) askLink(n *link.Socket) error {
	err := n.Request(unix.RTM_GETLINK, 0, link.InfoMessage(f.Index, 0, 0), func(kind uint16, body []byte) {
		if kind != unix.RTM_NEWLINK || len(body) < unix.SizeofIfInfomsg {
			return
		}
		link.EachAttribute(body[unix.SizeofIfInfomsg:], func(kind uint16, value []byte) {
			switch kind {
			case unix.IFLA_NUM_RX_QUEUES:
				f.rx = int(number(value))
			case unix.IFLA_NUM_TX_QUEUES:
				f.tx = int(number(value))
			case unix.IFLA_MASTER:
				f.master = true
			case unix.IFLA_XDP:
				link.EachAttribute(value, func(kind uint16, value []byte) {
					switch {
					case kind == unix.IFLA_XDP_ATTACHED && len(value) > 0:
						f.mode = value[0]
					case kind == unix.IFLA_XDP_PROG_ID:
						f.program = uint32(number(value))
					}
				})
			}
		})
	})
	if err != nil {
		return fmt.Errorf("looking up %s: %w", f.name, err)
	}
	return nil
}

// number is an attribute's value, 0 if it is none.
func number(b []byte) uint64 {
	switch len(b) {
	case 4:
		return uint64(binary.NativeEndian.Uint32(b))
	case 8:
		return binary.NativeEndian.Uint64(b)
	}
	return 0
}

// askNetdev asks the netdev family (Linux 6.3) what the driver can do with XDP.
func (f *face) askNetdev() {
	n, err := link.OpenGeneric()
	if err != nil {
		return
	}
	defer n.Close()
	family, err := n.Family("netdev")
	if err != nil {
		return
	}
	index := link.AppendAttribute(nil, netdevAttrIfindex, binary.NativeEndian.AppendUint32(nil, uint32(f.Index)))
	_ = n.Generic(family, netdevCmdDevGet, index, func(kind uint16, value []byte) {
		switch kind {
		case netdevAttrFeatures:
			f.features, f.told = number(value), true
		case netdevAttrMaxSegs:
			f.maxSegs = uint32(number(value))
		case netdevAttrXSKFeatures:
			f.xsk = number(value)
		}
	})
}

// include/uapi/linux/ethtool.h
const (
	ethtoolGetFlags    = 0x25
	ethtoolGetChannels = 0x3c
	ethtoolFlagRxVLAN  = 1 << 8
	ethtoolFlagLRO     = 1 << 15
)

// askEthtool asks for the driver, the channels and the flags: what the driver
// does not tell stays as it is.
func (f *face) askEthtool() {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	if info, err := unix.IoctlGetEthtoolDrvinfo(fd, f.name); err == nil {
		f.driver = unix.ByteSliceToString(info.Driver[:])
	}
	var flags struct{ cmd, data uint32 }
	flags.cmd = ethtoolGetFlags
	if f.ethtool(fd, unsafe.Pointer(&flags)) == nil {
		f.lro, f.rxVLAN = flags.data&ethtoolFlagLRO != 0, flags.data&ethtoolFlagRxVLAN != 0
	}
	var channels struct {
		cmd, maxRx, maxTx, maxOther, maxCombined uint32
		rx, tx, other, combined                  uint32
	}
	channels.cmd = ethtoolGetChannels
	if f.ethtool(fd, unsafe.Pointer(&channels)) == nil {
		if n := int(channels.rx + channels.combined); n > 0 {
			f.rx = n
		}
		if n := int(channels.tx + channels.combined); n > 0 {
			f.tx = n
		}
	}
}

func (f *face) ethtool(fd int, data unsafe.Pointer) error {
	var request struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte // struct ifreq's union is larger
	}
	copy(request.name[:unix.IFNAMSIZ-1], f.name)
	request.data = data
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	runtime.KeepAlive(data)
	if errno != 0 {
		return errno
	}
	return nil
}

// barePartial reports whether frames may arrive with partial checksums that
// nothing announces: from local senders, through interfaces that are no
// hardware.
func (f *face) barePartial(cfg *Config, attached string) bool {
	if cfg.PartialChecksums {
		return true
	}
	switch f.driver {
	case "veth", "netkit", "tun", "macvlan", "macvtap", "ipvlan", "bridge", "dummy", "bonding", "team":
		return true
	case "virtio_net":
		// A native attach turns the host's partial checksums off.
		return attached == generic
	}
	return false
}

// handsOn reports whether the driver hands a native program on to interfaces
// under it, a bond's ports or a virtual function. Their packets do not come from
// the queues that the sockets are bound to, and the kernel drops what is
// redirected to a socket of another device (xsk_rcv_check). A generic attach is
// on the interface itself.
func (f *face) handsOn() bool { return f.driver == "bonding" || f.driver == "hv_netvsc" }
