package tap

import (
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/internal/fdbased"
	"github.com/fastnet-go/fastnet/nic/internal/vnet"
)

// queue is one descriptor of the interface. It implements nic.Queue.
//
// Every frame is one system call, there is none for several. So Send writes at
// once, and Kick does nothing: waiting for Kick would only move the calls to
// another goroutine.
type queue struct {
	fdbased.Queue
	slots  []fdbased.Slot // one: where the next frame goes
	beyond int            // buffers to have ready for the frames after it

	tx struct {
		mu     sync.Mutex
		iov    []unix.Iovec
		header [vnet.HeaderSize]byte
		in     []*nic.Packet // Send's argument
		write  func(fd uintptr)
	}
}

func newQueue(d *device, index int, file *os.File) *queue {
	q := &queue{}
	q.Init(&d.Device, index, file)
	q.slots = q.MakeSlots(1)
	// No queue keeps from the others what they need.
	q.beyond = min(fdbased.Batch, d.cfg.Pool/(4*d.cfg.Queues))
	// Made once: a closure for each call would be an allocation.
	q.Read, q.tx.write = q.readBurst, q.writeBurst
	return q
}

// readBurst reads frames until there are none, or no more are wanted.
func (q *queue) readBurst(fd uintptr) {
	dropped := q.RxDropped.Load()
	for q.Wanted() > 0 && q.RxDropped.Load()-dropped < 64 {
		err := q.readFrame(fd)
		if err == unix.EAGAIN {
			return
		}
		if err != nil && err != unix.EINTR {
			q.Device.Die(err)
			return
		}
	}
}

// readFrame reads one frame, and delivers it unless it has to be dropped.
func (q *queue) readFrame(fd uintptr) error {
	if q.Post(q.slots, min(q.beyond, q.Wanted()-1)) == 0 {
		return q.Discard(fd)
	}
	s := &q.slots[0]
	iov := s.Vectors()
	n, _, errno := unix.Syscall(unix.SYS_READV, fd, uintptr(unsafe.Pointer(&iov[0])), uintptr(len(iov)))
	if errno != 0 {
		return errno
	}
	size := int(n) - vnet.HeaderSize
	if size <= 0 || size >= s.Room() {
		q.RxDropped.Add(1) // cut off, or nothing
		return nil
	}
	p := s.Take(size)
	if !vnet.Parse(&s.Header, p) {
		p.Release()
		q.RxDropped.Add(1)
		return nil
	}
	q.Deliver(p, size)
	return nil
}

// Send implements nic.Queue. It takes everything: the kernel has no ring that
// could be full.
func (q *queue) Send(pkts []*nic.Packet) int {
	q.tx.mu.Lock()
	defer q.tx.mu.Unlock()
	q.tx.in = pkts
	if q.Device.Dead() || q.Raw.Control(q.tx.write) != nil {
		q.Drop(pkts)
	}
	q.tx.in = nil
	return len(pkts)
}

// writeBurst writes the frames of tx.in, and releases them.
func (q *queue) writeBurst(fd uintptr) {
	mtu := q.Device.Link().MTU
	sent, bytes := 0, 0
	for _, p := range q.tx.in {
		size, ok := fdbased.Header(&q.tx.header, p, mtu)
		if ok && q.writeFrame(fd, p) {
			sent++
			bytes += size
		}
		p.Release()
	}
	q.TxPackets.Add(uint64(sent))
	q.TxBytes.Add(uint64(bytes))
	q.TxDropped.Add(uint64(len(q.tx.in) - sent))
	clear(q.tx.iov) // keeps no buffer alive
}

// writeFrame writes a frame behind its header.
func (q *queue) writeFrame(fd uintptr, p *nic.Packet) bool {
	iov := fdbased.AppendVectors(q.tx.iov[:0], &q.tx.header, p)
	q.tx.iov = iov
	for {
		_, _, errno := unix.Syscall(unix.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&iov[0])), uintptr(len(iov)))
		switch errno {
		case 0:
			return true
		case unix.EINTR:
			continue
		case unix.EBADFD, unix.ENODEV:
			q.Device.Die(errno)
		}
		// EIO: the interface is down. EAGAIN, ENOBUFS: the kernel has no
		// memory for it. EINVAL: it did not like the metadata.
		return false
	}
}

// Kick implements nic.Queue.
func (q *queue) Kick() { q.Kicks.Add(1) }
