package afpacket

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

// batch is how many frames a system call receives or sends at the most.
const batch = 32

// mmsghdr is the kernel's struct mmsghdr.
type mmsghdr struct {
	hdr    unix.Msghdr
	length uint32
}

// slot is where a frame is received. A frame of up to the MTU fits into the first
// part; what nobody has cut spills into the large ones, as many as it needs.
// Those it does not need stay for the next frame.
type slot struct {
	parts  [1 + spill]*nic.Packet
	iov    [2 + spill]unix.Iovec
	header [vnet.HeaderSize]byte
}

// queue is one packet socket. It implements nic.Queue.
type queue struct {
	dev   *device
	index int
	file  *os.File
	raw   syscall.RawConn

	rx struct {
		mu     sync.Mutex // the poller's, and Close's
		closed bool
		slots  [batch]slot
		msgs   [batch]mmsghdr
		spare  [batch]*nic.Packet
		cut    vnet.Datagrams // datagrams that came as one frame
		late   []*nic.Packet  // what was received but not handed out yet, in order
		waits  atomic.Bool    // late is not empty
		out    []*nic.Packet  // Recv's argument
		n      int            // and its result
		read   func(fd uintptr)
	}
	tx transmitter

	wake     func()
	armed    atomic.Bool
	short    nic.Shortage
	sleep    chan struct{} // the waiter is to wait: capacity 1
	readable func(fd uintptr) bool
	look     func(fd uintptr) // sets ready; Arm's
	ready    bool

	rxPackets, rxBytes, rxDropped atomic.Uint64
	noBuffer, kicks, wakes        atomic.Uint64
}

func newQueue(d *device, index int, file *os.File) *queue {
	q := &queue{dev: d, index: index, file: file, sleep: make(chan struct{}, 1)}
	// Made once: a closure for each call would be an allocation.
	q.rx.read = q.readBurst
	q.readable = func(fd uintptr) bool { return poll(fd, unix.POLLIN) }
	q.look = func(fd uintptr) { q.ready = poll(fd, unix.POLLIN) }
	q.initTransmitter()
	return q
}

// Recv implements nic.Queue.
func (q *queue) Recv(pkts []*nic.Packet) int {
	q.rx.mu.Lock()
	defer q.rx.mu.Unlock()
	if q.rx.closed || q.dev.Dead() {
		return 0
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
	bytes := q.handOut()
	for tries := 0; q.rx.n < len(q.rx.out) && tries < 3*batch; tries++ {
		want := q.post(min(batch, len(q.rx.out)-q.rx.n))
		if want == 0 {
			// No buffers at all: what comes is lost, or else it would be what the
			// poller is told of for ever.
			if _, err := unix.Read(int(fd), q.rx.slots[0].header[:]); err == nil {
				q.rxDropped.Add(1)
				continue
			}
			break
		}
		got, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&q.rx.msgs[0])), uintptr(want), unix.MSG_DONTWAIT, 0, 0)
		if errno == unix.EINVAL {
			q.rxDropped.Add(1) // metadata that the header cannot express; the frame is gone
			continue
		}
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			// EAGAIN: there are none. ENETDOWN: the link's state tells.
			break
		}
		for i := range int(got) {
			p, size := q.take(i)
			switch {
			case q.rx.cut.Any():
				q.cutDatagrams()
			case p == nil:
				q.rxDropped.Add(1)
			case len(q.rx.late) > 0: // behind those that were cut
				q.rx.late = append(q.rx.late, p)
			default:
				p.Queue = uint16(q.index)
				bytes += size
				q.rx.out[q.rx.n] = p
				q.rx.n++
			}
		}
		bytes += q.handOut()
		if int(got) < want {
			break // one call less than to be told so
		}
	}
	if q.rx.n > 0 {
		q.rxPackets.Add(uint64(q.rx.n))
		q.rxBytes.Add(uint64(bytes))
	}
}

// post makes n slots ready to receive, or as many as there are buffers for, and
// returns how many.
func (q *queue) post(n int) int {
	need := 0
	for i := range n {
		if q.rx.slots[i].parts[0] == nil {
			need++
		}
	}
	have := q.dev.rxSmall.GetBatch(q.rx.spare[:need])
	for i := range n {
		s := &q.rx.slots[i]
		if s.parts[0] == nil {
			if have == 0 {
				return i // the slots behind keep theirs
			}
			have--
			s.parts[0], q.rx.spare[have] = q.rx.spare[have], nil
			s.iov[1].Base = &s.parts[0].Buffer()[s.parts[0].Headroom()]
			s.iov[1].SetLen(s.parts[0].Tailroom())
		}
		used := 2
		for k := 1; k <= spill; k++ {
			p := s.parts[k]
			if p == nil {
				if p = q.dev.rxLarge.Get(); p == nil {
					break // what does not fit is dropped
				}
				s.parts[k] = p
				s.iov[k+1].Base = &p.Buffer()[p.Headroom()]
				s.iov[k+1].SetLen(p.Tailroom())
			}
			used++
		}
		s.iov[0].Base = &s.header[0]
		s.iov[0].SetLen(vnet.HeaderSize)
		m := &q.rx.msgs[i].hdr
		m.Iov = &s.iov[0]
		m.SetIovlen(used)
	}
	return n
}

// take returns the frame in slot i, and its size, or nil if it has to be dropped.
func (q *queue) take(i int) (*nic.Packet, int) {
	s, m := &q.rx.slots[i], &q.rx.msgs[i]
	size := int(m.length) - vnet.HeaderSize
	if size <= 0 || m.hdr.Flags&unix.MSG_TRUNC != 0 {
		return nil, 0
	}
	first := s.parts[0]
	for k, left := 0, size; left > 0; k++ {
		p := s.parts[k]
		s.parts[k] = nil
		left -= len(p.Extend(min(left, p.Tailroom())))
		if k > 0 {
			first.Append(p)
		}
	}
	if !vnet.Parse(&s.header, first) {
		if !q.rx.cut.Set(&s.header, first) {
			first.Release()
		}
		return nil, 0
	}
	return first, size
}

// cutDatagrams cuts a frame into the datagrams that a sender of this machine left
// together (UDP_SEGMENT).
func (q *queue) cutDatagrams() {
	for q.rx.cut.Any() {
		p := q.dev.rxSmall.Get()
		if p == nil {
			q.rxDropped.Add(1)
			q.rx.cut.Drop()
			return
		}
		if !q.rx.cut.Next(p) {
			q.rxDropped.Add(1)
			p.Release()
			continue
		}
		q.rx.late = append(q.rx.late, p)
	}
}

// handOut passes on what could not be before, and returns how many bytes.
func (q *queue) handOut() int {
	if len(q.rx.late) == 0 {
		return 0
	}
	bytes := 0
	n := copy(q.rx.out[q.rx.n:], q.rx.late)
	for _, p := range q.rx.late[:n] {
		p.Queue = uint16(q.index)
		bytes += p.FrameLen()
	}
	q.rx.n += n
	rest := copy(q.rx.late, q.rx.late[n:])
	clear(q.rx.late[rest:])
	q.rx.late = q.rx.late[:rest]
	q.rx.waits.Store(rest > 0)
	return bytes
}

// Alloc implements nic.Queue.
func (q *queue) Alloc(size int) *nic.Packet {
	for i, pool := range q.dev.tx {
		if size > pool.Room() {
			continue
		}
		if p := pool.Get(); p != nil {
			return p
		}
		q.short.Note(i)
		break
	}
	q.noBuffer.Add(1)
	return nil
}

// AllocBatch implements nic.BatchAllocator.
func (q *queue) AllocBatch(pkts []*nic.Packet, size int) int {
	n := 0
	for i, pool := range q.dev.tx {
		if size > pool.Room() {
			continue
		}
		if n = pool.GetBatch(pkts); n < len(pkts) {
			q.short.Note(i)
		}
		break
	}
	if n < len(pkts) {
		q.noBuffer.Add(1)
	}
	return n
}

// SetWake implements nic.Queue.
func (q *queue) SetWake(wake func()) { q.wake = wake }

// Arm implements nic.Queue.
func (q *queue) Arm() bool {
	if q.wake == nil || q.dev.Dead() {
		return true
	}
	if q.rx.waits.Load() {
		return false
	}
	if q.ready = false; q.raw.Control(q.look) == nil && q.ready {
		return false
	}
	q.armed.Store(true)
	// Only now: what came back before the flag was set woke nobody.
	over := q.short.Over(q.dev.tx)
	if q.tx.hasRoom() {
		over = true
	}
	if over && q.armed.CompareAndSwap(true, false) {
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
func poll(fd uintptr, events int16) bool {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: events}}
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

// close ends the queue: the goroutines that sleep on it wake up.
func (q *queue) close() error {
	q.Stats() // the last of what the kernel has counted
	err := q.file.Close()
	q.rx.mu.Lock()
	q.rx.closed = true
	for i := range q.rx.slots {
		s := &q.rx.slots[i]
		for k, p := range s.parts {
			p.Release()
			s.parts[k] = nil
		}
		clear(s.iov[:])
	}
	for _, p := range q.rx.late {
		p.Release()
	}
	q.rx.late = nil
	q.rx.mu.Unlock()
	q.drain()
	return err
}

// posted is the number of buffers that wait for a frame to come or to go.
func (q *queue) posted() int {
	q.rx.mu.Lock()
	defer q.rx.mu.Unlock()
	n := 0
	for i := range q.rx.slots {
		for _, p := range q.rx.slots[i].parts {
			if p != nil {
				n++
			}
		}
	}
	return n + len(q.rx.late) + q.tx.waiting()
}

// Stats implements nic.Queue.
func (q *queue) Stats() nic.QueueStats {
	// The kernel forgets what it has told.
	_ = q.raw.Control(func(fd uintptr) { q.rxDropped.Add(lost(fd)) })
	return nic.QueueStats{
		RxPackets: q.rxPackets.Load(), RxBytes: q.rxBytes.Load(), RxDropped: q.rxDropped.Load(),
		TxPackets: q.tx.packets.Load(), TxBytes: q.tx.bytes.Load(), TxDropped: q.tx.dropped.Load(), TxFull: q.tx.full.Load(),
		NoBuffer: q.noBuffer.Load(), Kicks: q.kicks.Load(), Wakes: q.wakes.Load(),
	}
}
