//go:build amd64 || arm64 || riscv64 || loong64

package tap

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic/internal/virtqueue"
)

// The numbers of vhost's requests are those of asm-generic/ioctl.h.
const (
	vhostGetFeatures = 0x8008af00
	vhostSetFeatures = 0x4008af00
	vhostSetOwner    = 0xaf01
	vhostSetMemTable = 0x4008af03
	vhostSetNum      = 0x4008af10
	vhostSetAddr     = 0x4028af11
	vhostSetBase     = 0x4008af12
	vhostSetKick     = 0x4008af20
	vhostSetCall     = 0x4008af21
	vhostSetBackend  = 0x4008af30

	mergeableBuffers = 1 << 15 // VIRTIO_NET_F_MRG_RXBUF: a frame may fill several buffers
	version1         = 1 << 32 // VIRTIO_F_VERSION_1
)

// region is memory that the kernel's thread reaches: struct vhost_memory_region.
// The address that descriptors have is the one that we have.
type region struct{ physical, size, user, flags uint64 }

func regionOf(b []byte) region {
	at := uint64(uintptr(unsafe.Pointer(&b[0])))
	return region{physical: at, size: uint64(len(b)), user: at}
}

// The arguments of the requests about one ring.
type (
	ringState   struct{ index, number uint32 }
	ringFile    struct{ index, fd int32 }
	ringAddress struct {
		index, flags           uint32
		desc, used, avail, log uint64
	}
)

// Start connects the descriptor with two virtqueues, and starts the goroutine that
// waits for the kernel's call.
func (v *vhostQueue) Start() (err error) {
	failed := v.Raw.Control(func(fd uintptr) { err = v.connect(int(fd)) })
	if err = errors.Join(err, failed); err == nil {
		v.Go(v.wait)
	}
	return err
}

func (v *vhostQueue) connect(tap int) (err error) {
	if v.fd, err = unix.Open(vhostPath, unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
		return vhostError(err)
	}
	if v.rx, err = virtqueue.New(vhostRing); err != nil {
		return err
	}
	if v.tx, err = virtqueue.New(vhostRing); err != nil {
		return err
	}
	call := -1
	for _, fd := range []*int{&v.rxKick, &v.txKick, &call} {
		if *fd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
			return fmt.Errorf("making an eventfd: %w", err)
		}
	}
	v.call = os.NewFile(uintptr(call), "eventfd")
	request := func(name string, number uintptr, argument unsafe.Pointer) {
		if err != nil {
			return
		}
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(v.fd), number, uintptr(argument)); errno != 0 {
			err = fmt.Errorf("%s (%s): %w", vhostPath, name, errno)
		}
	}
	request("VHOST_SET_OWNER", vhostSetOwner, nil)
	var features uint64
	request("VHOST_GET_FEATURES", vhostGetFeatures, unsafe.Pointer(&features))
	const want = uint64(version1 | mergeableBuffers)
	if err == nil && features&want != want {
		return fmt.Errorf("%s has the features %#x: it lacks some of %#x (VIRTIO_F_VERSION_1, VIRTIO_NET_F_MRG_RXBUF): %w", vhostPath, features, want, errors.ErrUnsupported)
	}
	features = want
	request("VHOST_SET_FEATURES", vhostSetFeatures, unsafe.Pointer(&features))
	var table struct {
		count, padding uint32
		regions        [8]region
	}
	v.regions = append([]region{regionOf(v.headers)}, v.dev.regions...)
	table.count = uint32(copy(table.regions[:], v.regions))
	request("VHOST_SET_MEM_TABLE", vhostSetMemTable, unsafe.Pointer(&table))
	for i, s := range []*virtqueue.Split{v.rx, v.tx} {
		// Until the poller sleeps, or Send falls short.
		s.Interrupts(false)
		desc, avail, used := s.Addresses()
		request("VHOST_SET_VRING_NUM", vhostSetNum, unsafe.Pointer(&ringState{uint32(i), vhostRing}))
		request("VHOST_SET_VRING_BASE", vhostSetBase, unsafe.Pointer(&ringState{uint32(i), 0}))
		request("VHOST_SET_VRING_ADDR", vhostSetAddr, unsafe.Pointer(&ringAddress{
			index: uint32(i), desc: uint64(desc), avail: uint64(avail), used: uint64(used)}))
		request("VHOST_SET_VRING_KICK", vhostSetKick, unsafe.Pointer(&ringFile{int32(i), int32([]int{v.rxKick, v.txKick}[i])}))
		request("VHOST_SET_VRING_CALL", vhostSetCall, unsafe.Pointer(&ringFile{int32(i), int32(call)}))
	}
	if err != nil {
		return err
	}
	v.refill()
	for i := range int32(2) {
		request("VHOST_NET_SET_BACKEND", vhostSetBackend, unsafe.Pointer(&ringFile{i, int32(tap)}))
	}
	return err
}

// vhostError says what to do when /dev/vhost-net cannot be opened.
func vhostError(err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return fmt.Errorf("vhost: there is no %s: load the driver (modprobe vhost_net), or leave vhost out: %w", vhostPath, err)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("vhost: opening %s is not permitted: run as root, let the user read and write it, or leave vhost out: %w", vhostPath, err)
	}
	return fmt.Errorf("vhost: opening %s: %w", vhostPath, err)
}
