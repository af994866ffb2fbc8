package kernel

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Commands and flags of linux/ethtool.h beside those of package unix.
const (
	ethtoolGetChannels = 0x3c
	flagRxVLAN         = 1 << 8 // ETH_FLAG_RXVLAN
)

// ethtool makes a request of the ioctl that ethtool(8) uses; data is a structure
// of linux/ethtool.h.
func ethtool(name string, data unsafe.Pointer) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var request struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte // struct ifreq's union is larger
	}
	copy(request.name[:unix.IFNAMSIZ-1], name)
	request.data = data
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	runtime.KeepAlive(data)
	if errno != 0 {
		return errno
	}
	return nil
}

// stripsVLAN reports whether an interface takes VLAN tags off received packets
// (ethtool(8), rxvlan).
func stripsVLAN(name string) bool {
	flags := struct{ cmd, data uint32 }{cmd: unix.ETHTOOL_GFLAGS}
	return ethtool(name, unsafe.Pointer(&flags)) == nil && flags.data&flagRxVLAN != 0
}

// RxQueues returns how many queues an interface of the thread's network namespace
// receives on, as its driver tells it, and the parameter of ethtool -L that sets
// them. The number is 0 where the driver tells nothing.
func RxQueues(name string) (n int, parameter string) {
	var c struct {
		cmd, maxRx, maxTx, maxOther, maxCombined uint32
		rx, tx, other, combined                  uint32
	}
	c.cmd = ethtoolGetChannels
	if ethtool(name, unsafe.Pointer(&c)) != nil {
		return 0, ""
	}
	if c.rx > 0 {
		return int(c.rx + c.combined), "rx"
	}
	return int(c.combined), "combined"
}
