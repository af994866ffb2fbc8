package afxdp

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/internal/fdbased"
	"github.com/fastnet-go/fastnet/nic/internal/vnet"
)

const (
	superRing  = 256 // frames that wait for Kick: a power of two
	superBatch = 16  // frames of a system call
)

// superSender sends super-segments through a packet socket (packet(7),
// PACKET_VNET_HDR). A transmit ring cannot say that a frame is to be cut: its
// metadata has checksums only (Documentation/networking/xsk-tx-metadata.rst). In
// copy mode the kernel makes an sk_buff of each frame anyway, so that one of 64
// KiB in place of 45 is 45 times less of all that follows, at a veth's peer too.
//
// A small frame costs less by the ring. It comes here too while a super-segment
// waits, be it in the interface's queueing discipline, past which the ring leads: a
// connection's frames stay in order.
type superSender struct {
	q    *queue
	file *os.File
	raw  syscall.RawConn

	// Send fills the slots, with send.mu held; who has flushing empties them.
	slots      [superRing]*nic.Packet
	head, tail atomic.Uint32
	stuck      atomic.Bool // the kernel has not taken all: kick again in a while
	full       bool        // the socket's buffer is; under flushing
	sent       atomic.Bool // and perhaps still on the kernel's hands
	queued     int32       // bytes of what is; under send.mu
	ask        func(fd uintptr)

	flushing sync.Mutex
	headers  [superBatch][vnet.HeaderSize]byte
	iov      []unix.Iovec
	msgs     [superBatch]mmsghdr
	write    func(fd uintptr) // made once: it would be an allocation
}

// mmsghdr is a struct mmsghdr, which x/sys does not have.
type mmsghdr struct {
	hdr    unix.Msghdr
	length uint32
	_      [4]byte
}

// newSuperSender opens the socket in the thread's network namespace.
func newSuperSender(q *queue, index int) (*superSender, error) {
	// Protocol 0: it receives nothing.
	// Blocking, so that the runtime's poller is not told of each buffer sent.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening a packet socket: %w", err)
	}
	if err = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1); err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: index})
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("binding a packet socket: %w", err)
	}
	const size = 8 << 20 // bytes under way
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, size) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, size)
	}
	s := &superSender{q: q, file: os.NewFile(uintptr(fd), "packet socket")}
	s.write, s.ask = s.writeBurst, s.askQueued
	if s.raw, err = s.file.SyscallConn(); err != nil {
		s.file.Close()
		return nil, err
	}
	return s, nil
}

// waiting is how many frames Send took that the kernel has not.
func (s *superSender) waiting() int {
	if s == nil {
		return 0
	}
	return int(s.tail.Load() - s.head.Load())
}

// takes reports whether a super-segment of size bytes can be sent. The sum of each
// packet that is cut from it is filled in, so it must be partial.
func (s *superSender) takes(p *nic.Packet, size int) bool {
	return s != nil && size <= fdbased.MaxFrame && p.Checksum == nic.ChecksumPartial && p.SegmentSize > 0
}

// ahead reports whether there are frames that one sent now must not overtake.
// send.mu is held.
func (s *superSender) ahead() bool {
	switch {
	case s == nil:
		return false
	case s.waiting() > 0:
		return true
	case !s.sent.Load():
		return false
	}
	s.queued = 0
	_ = s.raw.Control(s.ask)
	if s.queued == 0 {
		s.sent.Store(false)
	}
	return s.queued != 0
}

// askQueued asks for the bytes that the interface has not sent.
func (s *superSender) askQueued(fd uintptr) {
	s.q.calls.Add(1)
	_, _, _ = unix.Syscall(unix.SYS_IOCTL, fd, unix.SIOCOUTQ, uintptr(unsafe.Pointer(&s.queued)))
}

// push takes a frame, and reports whether there was room. send.mu is held.
func (s *superSender) push(p *nic.Packet) bool {
	tail := s.tail.Load()
	if tail-s.head.Load() == superRing {
		return false
	}
	s.slots[tail%superRing] = p
	s.tail.Store(tail + 1)
	return true
}

// flush sends what waits, behind what is in the transmit ring, unless somebody else
// does: who has the lock looks again after letting it go.
func (s *superSender) flush() {
	for s.waiting() > 0 && s.flushing.TryLock() {
		s.full = false
		var err error
		if s.q.kickRing(); s.q.tx.used() == 0 {
			err = s.raw.Control(s.write)
		}
		left := s.q.tx.used() != 0
		// While the link is down nothing is taken, and Kick comes when it is up.
		stuck := s.full || left && s.q.dev.up.Load()
		s.stuck.Store(stuck)
		s.flushing.Unlock()
		if stuck {
			s.q.fellShort()
		}
		if stuck || left || err != nil {
			return
		}
	}
}

// writeBurst sends a batch. flushing is held.
func (s *superSender) writeBurst(fd uintptr) {
	head, tail := s.head.Load(), s.tail.Load()
	s.iov = s.iov[:0]
	n := 0
	for at := head; at != tail && n < superBatch; at++ {
		p := s.slots[at%superRing]
		if !vnet.Put(&s.headers[n], &p.Meta, p.FrameLen()) {
			break // to be dropped when it is the first
		}
		from := len(s.iov)
		s.iov = fdbased.AppendVectors(s.iov, &s.headers[n], p)
		s.msgs[n].hdr.SetIovlen(len(s.iov) - from)
		n++
	}
	// The messages' vectors, now that they stay where they are.
	for i, k := 0, 0; i < n; i++ {
		m := &s.msgs[i].hdr
		m.Iov = &s.iov[k]
		k += int(m.Iovlen)
	}
	done, told := 0, false
	for done < n && !s.full {
		s.q.calls.Add(1)
		k, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&s.msgs[done])), uintptr(n-done), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			done += int(k)
		case unix.EINTR:
		case unix.EAGAIN: // the socket's buffer
			s.full = true
		case unix.ENETDOWN:
			if !told { // perhaps what the socket still had to say of the past
				told = true
				continue
			}
			fallthrough
		default:
			// ENETDOWN, ENXIO: no link. ENOBUFS: the queueing discipline had no
			// room. EINVAL: the kernel did not like the frame.
			done++
			s.q.txDropped.Add(1)
		}
	}
	clear(s.iov) // keeps no buffer alive
	s.sent.Store(true)
	if n == 0 && head != tail {
		done = 1
		s.q.txDropped.Add(1)
	}
	s.release(done)
}

// release gives the first n frames back.
func (s *superSender) release(n int) {
	head := s.head.Load()
	for range n {
		slot := &s.slots[head%superRing]
		(*slot).Release()
		*slot = nil
		head++
	}
	s.head.Store(head)
}

// close ends it. Send takes nothing more.
func (s *superSender) close() error {
	if s == nil {
		return nil
	}
	err := s.file.Close()
	s.flushing.Lock()
	defer s.flushing.Unlock()
	s.q.txDropped.Add(uint64(s.waiting()))
	s.release(s.waiting())
	return err
}
