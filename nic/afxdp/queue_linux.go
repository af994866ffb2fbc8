package afxdp

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
)

// Options of descriptors (Documentation/networking/af_xdp.rst, "Multi-Buffer
// Support"; xsk-tx-metadata.rst).
const (
	optionContinued = unix.XDP_PKT_CONTD
	optionMetadata  = unix.XDP_TX_METADATA
)

const (
	refillBatch = 64
	maxParts    = 16 // of a frame to be sent: the kernel drops one of more than MAX_SKB_FRAGS, and loses its buffers
	reapAt      = 64 // completions at which Pending asks for a Recv
	shortSleep  = time.Millisecond
	deafAt      = 8 // bursts received without a sleep in between
)

// queue is the socket of one of the interface's queues. It implements
// nic.Queue.
type queue struct {
	dev   *Device
	index int
	file  *os.File // the socket: open as long as a system call uses it
	raw   syscall.RawConn
	bell  *bell
	*socket
	out *queue // where its packets are sent: the interface may have fewer queues to send

	recv struct {
		mu     sync.Mutex
		closed bool
		cons   uint32 // of rx
		fill   uint32 // producer of the fill ring
		target uint32 // buffers kept in the fill ring
		fresh  [refillBatch]*nic.Packet
		head   *nic.Packet // of a frame whose last parts are to come
		last   *nic.Packet
		bad    bool // a part of it was not to be believed
		poll   func(fd uintptr)
		bursts int // received since the queue was armed
	}
	send struct {
		mu     sync.Mutex
		closed bool
		prod   uint32 // of tx
		cons   uint32 // of comp
	}
	kick   func(fd uintptr)
	supers *superSender // nil: the device takes no super-segments

	wake     func()
	armed    atomic.Bool
	sleep    chan struct{} // the waiter is to wait: capacity 1
	readable func(fd uintptr) bool
	short    atomic.Bool // Alloc or Send fell short: wake when that may be over
	starved  atomic.Bool // the pool had no buffers for the fill ring: look again
	again    atomic.Bool // the kernel has not taken all that was sent: kick it again
	deadline atomic.Bool // the waiter has one

	rxPackets, rxBytes, rxDropped  atomic.Uint64
	txPackets, txBytes, txDropped  atomic.Uint64
	txFull, noBuffer, kicks, wakes atomic.Uint64
	calls                          atomic.Uint64 // system calls of the packet path
	final                          unix.XDPStatistics
}

func newQueue(d *Device, index int, s *socket) (*queue, error) {
	q := &queue{dev: d, index: index, socket: s, file: os.NewFile(uintptr(s.fd), "AF_XDP"), sleep: make(chan struct{}, 1)}
	q.out = q
	// Made once: a closure for each call would be an allocation.
	q.kick, q.recv.poll, q.readable = q.kickBurst, q.pollDevice, q.isReadable
	var err error
	if q.raw, err = q.file.SyscallConn(); err == nil {
		q.bell, err = newBell(s.fd)
	}
	if err != nil {
		q.file.Close()
		return nil, err
	}
	return q, nil
}

// SetWake implements nic.Queue.
func (q *queue) SetWake(wake func()) { q.wake = wake }

// Pending implements nic.Queue.
func (q *queue) Pending() bool {
	if q.rx.used() != 0 || q.dev.busyPoll || q.starved.Load() || q.owesKick() {
		return true
	}
	done := q.comp.used()
	return done >= reapAt || done > 0 && q.short.Load()
}

// Arm implements nic.Queue.
func (q *queue) Arm() bool {
	if q.wake == nil || q.dev.follower.Dead() {
		return true
	}
	if q.comp.used() > 0 {
		q.reap()
	}
	q.recv.bursts = 0
	q.armed.Store(true)
	if q.rx.used() != 0 {
		q.armed.Store(false)
		return false
	}
	// A driver that has found the fill ring empty just before the latest refill
	// will not look again by itself.
	if q.fill.wantsWakeup() {
		q.calls.Add(1)
		_ = q.raw.Control(q.recv.poll)
	}
	select {
	case q.sleep <- struct{}{}:
	default:
	}
	if q.short.Load() || q.starved.Load() || q.owesKick() {
		q.setDeadline() // the waiter may be asleep since an earlier Arm
	}
	return true
}

// fellShort asks for a wake-up in a while: nothing tells when buffers come back.
func (q *queue) fellShort() {
	q.short.Store(true)
	if q.armed.Load() {
		q.setDeadline()
	}
}

func (q *queue) setDeadline() {
	q.bell.setDeadline(time.Now().Add(shortSleep))
	q.deadline.Store(true) // last: the waiter clears none that it does not know of
}

// isReadable reports whether there is something to receive, or nobody who sleeps
// until there is: then the bell need not be listened to.
func (q *queue) isReadable(uintptr) bool { return q.rx.used() != 0 || !q.armed.Load() }

// wait sleeps in the runtime's poller whenever the queue was armed, and wakes
// the stack when there is something to receive, or after a while if something
// fell short.
//
// No wake-up is lost: the bell listens, and has the poller note changes, from
// before readable looks at the ring, until the wait has ended, and Arm has set the
// flag before. The wait may be one for an earlier Arm: a queue is armed again
// without having woken anybody when something else wakes the poller.
func (q *queue) wait() {
	for {
		select {
		case <-q.dev.done:
			return
		case <-q.sleep:
		}
		if !q.armed.Load() {
			continue // of an earlier Arm, after which something else woke the stack
		}
		if q.deadline.Swap(false) {
			q.bell.setDeadline(time.Time{})
		}
		if q.short.Swap(false) || q.starved.Load() || q.owesKick() {
			q.setDeadline()
		}
		if err := q.bell.wait(q.readable); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return // closed
		}
		if q.armed.CompareAndSwap(true, false) {
			q.wakes.Add(1)
			q.wake()
		}
	}
}

// NextEvent implements nic.Queue.
func (q *queue) NextEvent() time.Duration { return nic.Never }

// close ends the queue: a goroutine that sleeps on it wakes up, and the kernel
// lets go of its buffers.
func (q *queue) close() error {
	return errors.Join(q.shut(), q.supers.close()) // a flush takes send.mu
}

func (q *queue) shut() error {
	q.recv.mu.Lock()
	defer q.recv.mu.Unlock()
	q.send.mu.Lock()
	defer q.send.mu.Unlock()
	_ = q.raw.Control(func(fd uintptr) { q.final = q.statistics(fd) })
	q.reapLocked()
	q.recv.closed, q.send.closed = true, true
	err := errors.Join(q.file.Close(), q.bell.close())
	q.detach()
	q.recv.head.Release()
	q.recv.head = nil
	return err
}

// Stats implements nic.Queue.
func (q *queue) Stats() nic.QueueStats {
	q.send.mu.Lock()
	kernel := q.final
	q.send.mu.Unlock()
	_ = q.raw.Control(func(fd uintptr) { kernel = q.statistics(fd) })
	return nic.QueueStats{
		RxPackets: q.rxPackets.Load(), RxBytes: q.rxBytes.Load(),
		RxDropped: q.rxDropped.Load() + kernel.Rx_dropped + kernel.Rx_ring_full,
		TxPackets: q.txPackets.Load(), TxBytes: q.txBytes.Load(), TxDropped: q.txDropped.Load(),
		TxFull: q.txFull.Load(), NoBuffer: q.noBuffer.Load(), Kicks: q.kicks.Load(), Wakes: q.wakes.Load(), Calls: q.calls.Load() + q.bell.calls.Load(),
	}
}
