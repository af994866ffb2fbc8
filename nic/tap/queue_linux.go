package tap

import (
	"errors"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/internal/vnet"
)

// queue is one descriptor of the interface. It implements nic.Queue.
//
// Every frame is one system call, there is none for several. So Send writes at
// once, and Kick does nothing: waiting for Kick would only move the calls to
// another goroutine.
type queue struct {
	dev   *device
	index int
	file  *os.File
	raw   syscall.RawConn

	vhost *vhost // nil: frames go by the descriptor

	rx struct {
		mu     sync.Mutex // the poller's, and Close's
		closed bool
		parts  [1 + spill]*nic.Packet // where the next frame goes
		iov    [2 + spill]unix.Iovec
		header [vnet.HeaderSize]byte
		out    []*nic.Packet // Recv's argument
		n      int           // and its result
		read   func(fd uintptr)
	}
	tx struct {
		mu     sync.Mutex
		iov    []unix.Iovec
		header [vnet.HeaderSize]byte
		in     []*nic.Packet // Send's argument
		write  func(fd uintptr)
	}

	wake     func()
	armed    atomic.Bool
	short    nic.Shortage
	sleep    chan struct{} // the waiter is to wait: capacity 1
	readable func(fd uintptr) bool
	look     func(fd uintptr) // sets ready; Arm's
	ready    bool

	rxPackets, rxBytes, rxDropped atomic.Uint64
	txPackets, txBytes, txDropped atomic.Uint64
	txFull                        atomic.Uint64
	noBuffer, kicks, wakes        atomic.Uint64
}

func newQueue(d *device, index int, file *os.File) *queue {
	q := &queue{dev: d, index: index, file: file, sleep: make(chan struct{}, 1)}
	// Made once: a closure for each call would be an allocation.
	q.rx.read, q.tx.write = q.readBurst, q.writeBurst
	q.readable = poll
	q.look = func(fd uintptr) { q.ready = poll(fd) }
	return q
}

// Recv implements nic.Queue.
func (q *queue) Recv(pkts []*nic.Packet) int {
	q.rx.mu.Lock()
	defer q.rx.mu.Unlock()
	if q.rx.closed || q.dev.Dead() {
		return 0
	}
	if q.vhost != nil {
		return q.recvVhost(pkts)
	}
	q.rx.out, q.rx.n = pkts, 0
	// Control keeps the descriptor open meanwhile. (Read would wait for the
	// goroutine that sleeps on it.)
	_ = q.raw.Control(q.rx.read)
	q.rx.out = nil
	return q.rx.n
}

// readBurst reads frames until there are none, or out is full.
func (q *queue) readBurst(fd uintptr) {
	bytes := 0
	lost := 0
	for q.rx.n < len(q.rx.out) && lost < 64 {
		p, size, errno := q.readFrame(fd)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			if errno != unix.EAGAIN {
				q.dev.Die(errno)
			}
			break
		}
		if p == nil {
			lost++
			q.rxDropped.Add(1)
			continue
		}
		p.Queue = uint16(q.index)
		bytes += size
		q.rx.out[q.rx.n] = p
		q.rx.n++
	}
	if q.rx.n > 0 {
		q.rxPackets.Add(uint64(q.rx.n))
		q.rxBytes.Add(uint64(bytes))
	}
}

// readFrame reads one frame, and returns nil if it had to be dropped.
//
// A frame of up to the MTU fits into the first part; what the kernel did not
// cut spills into the large ones, as many as it needs. Those it does not need
// stay for the next frame.
func (q *queue) readFrame(fd uintptr) (*nic.Packet, int, unix.Errno) {
	iov := q.rx.iov[:1]
	iov[0].Base = &q.rx.header[0]
	iov[0].SetLen(vnet.HeaderSize)
	room := 0
	for i := range q.rx.parts {
		p := q.rx.parts[i]
		if p == nil {
			if p = q.part(i); p == nil {
				break // pool exhausted: what does not fit is dropped
			}
			q.rx.parts[i] = p
		}
		n := p.Tailroom()
		iov = append(iov, unix.Iovec{Base: &p.Buffer()[p.Headroom()]})
		iov[len(iov)-1].SetLen(n)
		room += n
	}
	n, _, errno := unix.Syscall(unix.SYS_READV, fd, uintptr(unsafe.Pointer(&iov[0])), uintptr(len(iov)))
	if errno != 0 {
		return nil, 0, errno
	}
	size := int(n) - vnet.HeaderSize
	if size <= 0 || size >= room {
		return nil, 0, 0 // cut off, or nothing
	}
	first := q.rx.parts[0]
	for i, left := 0, size; left > 0; i++ {
		p := q.rx.parts[i]
		q.rx.parts[i] = nil
		left -= len(p.Extend(min(left, p.Tailroom())))
		if i > 0 {
			first.Append(p)
		}
	}
	if !vnet.Parse(&q.rx.header, first) {
		first.Release()
		return nil, 0, 0
	}
	return first, size, 0
}

// part returns a buffer for part i of the next frame, or nil.
func (q *queue) part(i int) *nic.Packet {
	switch {
	case i == 0:
		return q.dev.rxSmall.Get()
	case q.dev.rxLarge != nil:
		return q.dev.rxLarge.Get()
	}
	return nil
}

// Alloc implements nic.Queue.
func (q *queue) Alloc(size int) *nic.Packet {
	p := q.get(size)
	if p == nil && q.vhost != nil {
		q.reclaim()
		p = q.get(size)
	}
	if p == nil {
		q.noBuffer.Add(1)
	}
	return p
}

func (q *queue) get(size int) *nic.Packet {
	for i, pool := range q.dev.tx {
		if size > pool.Room() {
			continue
		}
		p := pool.Get()
		if p == nil {
			q.short.Note(i)
		}
		return p
	}
	return nil
}

// reclaim takes back what the kernel's thread has sent.
func (q *queue) reclaim() {
	q.tx.mu.Lock()
	defer q.tx.mu.Unlock()
	if !q.dev.Dead() {
		q.vhost.reclaim(q)
	}
}

// AllocBatch implements nic.BatchAllocator.
func (q *queue) AllocBatch(pkts []*nic.Packet, size int) int {
	n := 0
	for i, pool := range q.dev.tx {
		if size > pool.Room() {
			continue
		}
		n = pool.GetBatch(pkts)
		if n < len(pkts) && q.vhost != nil {
			q.reclaim()
			n += pool.GetBatch(pkts[n:])
		}
		if n < len(pkts) {
			q.short.Note(i)
		}
		break
	}
	if n < len(pkts) {
		q.noBuffer.Add(1)
	}
	return n
}

// Send implements nic.Queue. It takes everything: the kernel has no ring that
// could be full.
func (q *queue) Send(pkts []*nic.Packet) int {
	q.tx.mu.Lock()
	defer q.tx.mu.Unlock()
	if q.vhost != nil && !q.dev.Dead() {
		return q.sendVhost(pkts)
	}
	q.tx.in = pkts
	if q.dev.Dead() || q.raw.Control(q.tx.write) != nil {
		for _, p := range pkts {
			p.Release()
		}
		q.txDropped.Add(uint64(len(pkts)))
	}
	q.tx.in = nil
	return len(pkts)
}

// writeBurst writes the frames of tx.in, and releases them.
func (q *queue) writeBurst(fd uintptr) {
	mtu := q.dev.Link().MTU
	sent, bytes := 0, 0
	for _, p := range q.tx.in {
		size := p.FrameLen()
		if q.fits(p, size, mtu) && q.writeFrame(fd, p) {
			sent++
			bytes += size
		}
		p.Release()
	}
	q.txPackets.Add(uint64(sent))
	q.txBytes.Add(uint64(bytes))
	q.txDropped.Add(uint64(len(q.tx.in) - sent))
	clear(q.tx.iov) // keeps no buffer alive
}

// fits reports whether a frame of size bytes can be sent, and makes its header.
func (q *queue) fits(p *nic.Packet, size, mtu int) bool {
	if p.Segment == nic.SegmentNone && size > ethernetHeader+mtu || size > maxSuper {
		return false
	}
	return vnet.Put(&q.tx.header, &p.Meta, size)
}

// writeFrame writes a frame behind its header, which has a place of its own:
// somebody else may hold the packet too, so its headroom is not ours.
func (q *queue) writeFrame(fd uintptr, p *nic.Packet) bool {
	iov := append(q.tx.iov[:0], unix.Iovec{Base: &q.tx.header[0]})
	iov[0].SetLen(vnet.HeaderSize)
	for ; p != nil; p = p.Next() {
		if b := p.Bytes(); len(b) > 0 {
			iov = append(iov, unix.Iovec{Base: &b[0]})
			iov[len(iov)-1].SetLen(len(b))
		}
	}
	q.tx.iov = iov
	for {
		_, _, errno := unix.Syscall(unix.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&iov[0])), uintptr(len(iov)))
		switch errno {
		case 0:
			return true
		case unix.EINTR:
			continue
		case unix.EBADFD, unix.ENODEV:
			q.dev.Die(errno)
		}
		// EIO: the interface is down. EAGAIN, ENOBUFS: the kernel has no
		// memory for it. EINVAL: it did not like the metadata.
		return false
	}
}

// Kick implements nic.Queue.
func (q *queue) Kick() {
	if q.vhost != nil {
		q.kickVhost()
		return
	}
	q.kicks.Add(1)
}

// SetWake implements nic.Queue.
func (q *queue) SetWake(wake func()) { q.wake = wake }

// Arm implements nic.Queue.
func (q *queue) Arm() bool {
	if q.wake == nil || q.dev.Dead() {
		return true
	}
	if q.vhost != nil {
		return q.armVhost()
	}
	if q.ready = false; q.raw.Control(q.look) == nil && q.ready {
		return false
	}
	q.armed.Store(true)
	// Only now: what came back before the flag was set woke nobody.
	if q.short.Over(q.dev.tx) && q.armed.CompareAndSwap(true, false) {
		return false
	}
	select {
	case q.sleep <- struct{}{}:
	default:
	}
	return true
}

// poll asks for the present state of a descriptor: the runtime's poller only
// tells changes.
func poll(fd uintptr) bool {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds[:], 0)
	return n > 0 || err != nil && !errors.Is(err, unix.EINTR)
}

// wait sleeps in the runtime's poller whenever the queue was armed, and wakes
// the stack when there is something to read.
//
// No wake-up is lost: Read has the poller note changes from before poll looks
// at the state, and Arm has set the flag before.
func (q *queue) wait() {
	for {
		select {
		case <-q.dev.done:
			return
		case <-q.sleep:
		}
		if err := q.raw.Read(q.readable); err != nil {
			return // closed
		}
		q.wakeArmed()
	}
}

// wakeArmed ends the poller's sleep, once.
func (q *queue) wakeArmed() {
	if q.armed.CompareAndSwap(true, false) {
		q.wakes.Add(1)
		q.wake()
	}
}

// NextEvent implements nic.Queue.
func (q *queue) NextEvent() time.Duration { return math.MaxInt64 }

// Pending is always true: only a system call tells.
func (q *queue) Pending() bool { return true }

// close ends the queue: a goroutine that sleeps on it wakes up.
func (q *queue) close() error {
	q.rx.mu.Lock()
	defer q.rx.mu.Unlock()
	q.rx.closed = true
	if q.vhost != nil {
		q.tx.mu.Lock()
		q.vhost.stop()
		q.tx.mu.Unlock()
	}
	err := q.file.Close()
	for i, p := range q.rx.parts {
		p.Release()
		q.rx.parts[i] = nil
	}
	clear(q.rx.iov[:])
	return err
}

// posted is the number of buffers that wait for the next frame.
func (q *queue) posted() int {
	q.rx.mu.Lock()
	defer q.rx.mu.Unlock()
	n := 0
	for _, p := range q.rx.parts {
		if p != nil {
			n++
		}
	}
	if q.vhost != nil {
		q.tx.mu.Lock()
		defer q.tx.mu.Unlock()
		n += q.vhost.held()
	}
	return n
}

// Stats implements nic.Queue.
func (q *queue) Stats() nic.QueueStats {
	return nic.QueueStats{
		RxPackets: q.rxPackets.Load(), RxBytes: q.rxBytes.Load(), RxDropped: q.rxDropped.Load(),
		TxPackets: q.txPackets.Load(), TxBytes: q.txBytes.Load(), TxDropped: q.txDropped.Load(), TxFull: q.txFull.Load(),
		NoBuffer: q.noBuffer.Load(), Kicks: q.kicks.Load(), Wakes: q.wakes.Load(),
	}
}
