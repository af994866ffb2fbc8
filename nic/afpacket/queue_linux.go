package afpacket

import (
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/internal/fdbased"
	"github.com/fastnet-go/fastnet/nic/internal/vnet"
)

// batch is how many frames a system call receives or sends at the most.
const batch = fdbased.Batch

// queue is one packet socket. It implements nic.Queue.
type queue struct {
	fdbased.Queue
	dev *device

	slots []fdbased.Slot // batch
	msgs  [batch]fdbased.Message
	cut   vnet.Datagrams // datagrams that came as one frame
	late  []*nic.Packet  // what was received but not handed out yet, in order
	waits atomic.Bool    // late is not empty

	tx transmitter
}

func (d *device) newQueue(index int, file *os.File) fdbased.Endpoint {
	q := &queue{dev: d}
	q.Init(&d.Device, index, file)
	q.slots = q.MakeSlots(batch)
	// Made once: a closure for each call would be an allocation.
	q.Read, q.tx.write = q.readBurst, q.writeBurst
	q.Owed = func() bool { return q.waits.Load() || q.tx.hasRoom() }
	return q
}

// Start starts the goroutines: one sleeps until the socket is readable, one until
// it is writable again.
func (q *queue) Start() error {
	q.tx.await = q.Waiter(q.Raw.Write, unix.POLLOUT, q.roomAgain)
	return q.Queue.Start()
}

// readBurst reads frames until there are none, or no more are wanted.
func (q *queue) readBurst(fd uintptr) {
	q.handOut()
	for tries := 0; q.Wanted() > 0 && tries < 3*batch; tries++ {
		want := q.post(min(batch, q.Wanted()))
		if want == 0 {
			if q.Discard(fd) == nil {
				continue
			}
			break
		}
		got, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&q.msgs[0])), uintptr(want), unix.MSG_DONTWAIT, 0, 0)
		if errno == unix.EINVAL {
			q.RxDropped.Add(1) // metadata that the header cannot express; the frame is gone
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
			case q.cut.Any():
				q.cutDatagrams()
			case p == nil:
				q.RxDropped.Add(1)
			case len(q.late) > 0: // behind those that were cut
				q.late = append(q.late, p)
			default:
				q.Deliver(p, size)
			}
		}
		q.handOut()
		if int(got) < want {
			break // one call less than to be told so
		}
	}
}

// post makes n slots ready to receive, or as many as there are buffers for, and
// returns how many.
func (q *queue) post(n int) int {
	n = q.Post(q.slots[:n], 0)
	for i := range n {
		v := q.slots[i].Vectors()
		m := &q.msgs[i]
		m.Iov = &v[0]
		m.SetIovlen(len(v))
	}
	return n
}

// take returns the frame in slot i, and its size, or nil if it has to be dropped.
func (q *queue) take(i int) (*nic.Packet, int) {
	s, m := &q.slots[i], &q.msgs[i]
	size := int(m.Length) - vnet.HeaderSize
	if size <= 0 || m.Flags&unix.MSG_TRUNC != 0 {
		return nil, 0
	}
	p := s.Take(size)
	if !vnet.Parse(&s.Header, p) {
		if !q.cut.Set(&s.Header, p) {
			p.Release()
		}
		return nil, 0
	}
	return p, size
}

// cutDatagrams cuts a frame into the datagrams that a sender of this machine left
// together (UDP_SEGMENT).
func (q *queue) cutDatagrams() {
	for q.cut.Any() {
		p := q.dev.RxSmall.Get()
		if p == nil {
			q.RxDropped.Add(1)
			q.cut.Drop()
			return
		}
		if !q.cut.Next(p) {
			q.RxDropped.Add(1)
			p.Release()
			continue
		}
		q.late = append(q.late, p)
	}
}

// handOut passes on what could not be before.
func (q *queue) handOut() {
	if len(q.late) == 0 {
		return
	}
	n := min(q.Wanted(), len(q.late))
	for _, p := range q.late[:n] {
		q.Deliver(p, p.FrameLen())
	}
	rest := copy(q.late, q.late[n:])
	clear(q.late[rest:])
	q.late = q.late[:rest]
	q.waits.Store(rest > 0)
}

// Close ends the queue: the goroutines that sleep on it wake up.
func (q *queue) Close() error {
	q.Stats() // the last of what the kernel has counted
	err := q.Queue.Close()
	q.Rx.Lock()
	for _, p := range q.late {
		p.Release()
	}
	q.late = nil
	q.Rx.Unlock()
	q.drain()
	return err
}

// Held is the number of buffers that wait for a frame to come or to go.
func (q *queue) Held() int {
	n := q.Queue.Held()
	q.Rx.Lock()
	defer q.Rx.Unlock()
	return n + len(q.late) + q.tx.waiting()
}

// Stats implements nic.Queue.
func (q *queue) Stats() nic.QueueStats {
	// The kernel forgets what it has told.
	_ = q.Raw.Control(func(fd uintptr) { q.RxDropped.Add(lost(fd)) })
	return q.Queue.Stats()
}
