package afxdp

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socket is an AF_XDP socket with its four rings.
type socket struct {
	fd                 int
	fill, comp, rx, tx ring
}

const (
	// releaseTime is how long a queue that is taken is tried again: where there
	// is a program on the interface, by somebody who uses it.
	releaseTime = time.Second
	// lateReleaseTime is for one that is taken by a socket without a program: of a
	// process that has just ended. The kernel lets go in a work queue and under the
	// lock of all interfaces, for which it may have to wait.
	lateReleaseTime = 15 * time.Second
)

// openSocket opens a socket in the thread's network namespace.
func openSocket() (*socket, error) {
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.EAFNOSUPPORT):
		return nil, fmt.Errorf("the kernel has no AF_XDP sockets: it needs Linux 5.10 or later with CONFIG_XDP_SOCKETS: %w: %w", ErrUnavailable, err)
	case errors.Is(err, unix.EPERM):
		return nil, missing("opening an AF_XDP socket", "CAP_NET_RAW", err)
	case err != nil:
		return nil, fmt.Errorf("opening an AF_XDP socket: %w", err)
	}
	return &socket{fd: fd}, nil
}

// bind binds the socket to a queue of an interface. first is the one of queue
// 0, whose memory and flags all share; it is bound before.
func (s *socket) bind(f *face, queue int, flags uint16, first *socket) error {
	name := f.name
	address := unix.SockaddrXDP{Flags: flags, Ifindex: uint32(f.Index), QueueID: uint32(queue)}
	if s != first {
		address.Flags, address.SharedUmemFD = unix.XDP_SHARED_UMEM, uint32(first.fd)
	}
	err := unix.Bind(s.fd, &address)
	// The kernel lets go of a queue a while after its socket is closed, or its
	// process has ended (xp_release_deferred).
	patience := releaseTime
	if f.program == 0 {
		patience = lateReleaseTime
	}
	for end := time.Now().Add(patience); errors.Is(err, unix.EBUSY) && time.Now().Before(end); {
		time.Sleep(releaseTime / 100)
		err = unix.Bind(s.fd, &address)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("queue %d of %s is taken: another AF_XDP socket is bound to it, end its program: %w: %w", queue, name, ErrBusy, err)
	case errors.Is(err, unix.EPERM):
		return missing("binding an AF_XDP socket to "+name, "CAP_NET_RAW", err)
	case errors.Is(err, unix.EOPNOTSUPP) && flags&unix.XDP_ZEROCOPY != 0:
		return fmt.Errorf("the driver has no zero copy: %w: %w", ErrUnavailable, err)
	case errors.Is(err, unix.EINVAL) && flags&unix.XDP_USE_SG != 0:
		return fmt.Errorf("no multi-buffer (Linux 6.6): %w: %w", ErrUnavailable, err)
	case errors.Is(err, unix.ENETDOWN):
		return fmt.Errorf("%s is down: ip link set %s up: %w", name, name, err)
	}
	return fmt.Errorf("binding an AF_XDP socket to queue %d of %s: %w: %w", queue, name, ErrUnavailable, err)
}

// missing is the error of who lacks a capability.
func missing(what, capability string, err error) error {
	return fmt.Errorf("%s needs %s: run as root, or give the program the capabilities (setcap cap_net_raw,cap_net_admin,cap_bpf+ep FILE): %w: %w",
		what, capability, ErrUnavailable, err)
}

// register makes u the socket's memory.
func (s *socket) register(u *umem, metadata bool) error {
	reg := unix.XDPUmemReg{Addr: uint64(uintptr(unsafe.Pointer(&u.mapping.mem[0]))), Len: uint64(len(u.packets) * u.frame), Size: uint32(u.frame)}
	size := unsafe.Sizeof(reg)
	if metadata {
		reg.Tx_metadata_len = metadataSize
		reg.Flags = unix.XDP_UMEM_TX_METADATA_LEN
	} else {
		size = unsafe.Offsetof(reg.Tx_metadata_len) // which older kernels do not know
	}
	ask := func() unix.Errno {
		_, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(s.fd), unix.SOL_XDP, unix.XDP_UMEM_REG, uintptr(unsafe.Pointer(&reg)), size, 0)
		return errno
	}
	errno := ask()
	// What a process of the same user had locked counts until the kernel lets go
	// of it, as with queues: see bind.
	for end := time.Now().Add(releaseTime); errno == unix.ENOBUFS && time.Now().Before(end); errno = ask() {
		time.Sleep(releaseTime / 100)
	}
	switch errno {
	case 0:
		return nil
	case unix.ENOBUFS:
		return fmt.Errorf("%d KiB of buffers are more than may be locked in memory: raise the limit (ulimit -l, LimitMEMLOCK=infinity), give the program CAP_IPC_LOCK, or have fewer buffers (frames=): %w: %w",
			(len(u.packets)*u.frame)>>10, ErrUnavailable, errno)
	}
	return fmt.Errorf("registering the buffers (XDP_UMEM_REG): %w", errno)
}

// makeRings makes the socket's rings, and maps them.
func (s *socket) makeRings(size int) error {
	for _, option := range []int{unix.XDP_UMEM_FILL_RING, unix.XDP_UMEM_COMPLETION_RING, unix.XDP_RX_RING, unix.XDP_TX_RING} {
		if err := unix.SetsockoptInt(s.fd, unix.SOL_XDP, option, size); err != nil {
			return fmt.Errorf("making a ring of %d: %w", size, err)
		}
	}
	var off unix.XDPMmapOffsets
	length := uint32(unsafe.Sizeof(off))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(s.fd), unix.SOL_XDP, unix.XDP_MMAP_OFFSETS, uintptr(unsafe.Pointer(&off)), uintptr(unsafe.Pointer(&length)), 0)
	if errno != 0 || uintptr(length) != unsafe.Sizeof(off) {
		return fmt.Errorf("the kernel's rings have no flags (XDP_MMAP_OFFSETS): Linux 5.10 or later is needed: %w: %w", ErrUnavailable, errno)
	}
	var err error
	ring := func(r *ring, page int64, off unix.XDPRingOffset, entry uintptr) {
		if err == nil {
			*r, err = mapRing(s.fd, page, off, size, entry)
		}
	}
	ring(&s.fill, unix.XDP_UMEM_PGOFF_FILL_RING, off.Fr, addrSize)
	ring(&s.comp, unix.XDP_UMEM_PGOFF_COMPLETION_RING, off.Cr, addrSize)
	ring(&s.rx, unix.XDP_PGOFF_RX_RING, off.Rx, descSize)
	ring(&s.tx, unix.XDP_PGOFF_TX_RING, off.Tx, descSize)
	if err != nil {
		return fmt.Errorf("mapping a ring of %d: %w", size, err)
	}
	return nil
}

// tune sets what makes the socket faster and may fail.
func (s *socket) tune(cfg *Config) error {
	// In copy mode a packet under way is charged to the socket, with its
	// overhead: the rings alone shall be the limit.
	size := cfg.Ring * 8192
	if unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, size) != nil {
		_ = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, size)
	}
	// In copy mode a kick sends 32 packets, or as many as this says (6.17).
	_ = unix.SetsockoptInt(s.fd, unix.SOL_XDP, unix.XDP_MAX_TX_SKB_BUDGET, cfg.Ring)
	if cfg.BusyPoll == 0 {
		return nil
	}
	return errors.Join(
		unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_PREFER_BUSY_POLL, 1),
		unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_BUSY_POLL, cfg.BusyPoll),
		unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_BUSY_POLL_BUDGET, cfg.BusyPollBudget))
}

// zeroCopy reports whether the socket, which is bound, was given zero copy.
func (s *socket) zeroCopy() bool {
	flags, err := unix.GetsockoptInt(s.fd, unix.SOL_XDP, unix.XDP_OPTIONS)
	return err == nil && flags&unix.XDP_OPTIONS_ZEROCOPY != 0
}

// statistics are the kernel's counters of the socket.
func (s *socket) statistics(fd uintptr) (n unix.XDPStatistics) {
	length := uint32(unsafe.Sizeof(n))
	_, _, _ = unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_XDP, unix.XDP_STATISTICS, uintptr(unsafe.Pointer(&n)), uintptr(unsafe.Pointer(&length)), 0)
	return n
}

// detach gives the rings' memory back. The socket is gone when its descriptor
// is closed, too.
func (s *socket) detach() {
	for _, r := range []*ring{&s.fill, &s.comp, &s.rx, &s.tx} {
		r.mapping.detach()
	}
}
