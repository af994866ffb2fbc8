package fdbased

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

// Queue is a descriptor, and all of nic.Queue but Send and Kick. It is set up by
// Init, and by the fields Read, Owed and Reclaim, before Start.
type Queue struct {
	Device *Device
	Raw    syscall.RawConn // holds the descriptor open during a call
	index  int
	file   *os.File

	// Read receives: it calls Deliver up to Wanted times. It is called with Rx
	// held, as the one that does.
	Read func(fd uintptr)
	// Owed, if set, says that Arm's wake-up is due already, for a reason of the
	// driver's. Arm has set its flag before.
	Owed func() bool
	// Reclaim, if set, releases packets that have been sent, when Alloc falls
	// short.
	Reclaim func()

	Rx sync.Mutex // the poller's, and Close's
	rx struct {
		closed       bool
		small, large Stock
		slots        []Slot
		out          []*nic.Packet // Recv's argument
		n            int           // and its result
		bytes        int
	}

	wake  func()
	armed atomic.Bool
	short nic.Shortage
	quiet bool             // nobody looks at the descriptor's state
	look  func(fd uintptr) // sets ready; Arm's
	ready bool
	sleep func() // has the waiter wait
	done  chan struct{}

	rxPackets, rxBytes atomic.Uint64
	noBuffer, wakes    atomic.Uint64

	// What only the driver knows of nic.QueueStats.
	RxDropped, TxPackets, TxBytes, TxDropped, TxFull, Kicks atomic.Uint64
}

// Init makes q queue number index of d. The descriptor is one of the runtime's
// poller: it does not block.
func (q *Queue) Init(d *Device, index int, file *os.File) {
	q.Device, q.index, q.file, q.done = d, index, file, make(chan struct{})
	q.Raw, _ = file.SyscallConn() // only of a nil File there is none
	q.rx.small.Pool, q.rx.large.Pool = d.RxSmall, d.RxLarge
	// Made once: a closure for each call would be an allocation.
	q.look = func(fd uintptr) { q.ready = poll(fd, unix.POLLIN) }
}

// Start starts the goroutine that sleeps until the queue is readable.
func (q *Queue) Start() error {
	q.sleep = q.Waiter(q.Raw.Read, unix.POLLIN, q.Wake)
	return nil
}

// Quiet is in place of Start for a driver that is told of frames otherwise than
// by the descriptor's state, and calls Wake itself.
func (q *Queue) Quiet() { q.quiet = true }

// Recv implements nic.Queue.
func (q *Queue) Recv(pkts []*nic.Packet) int {
	q.Rx.Lock()
	defer q.Rx.Unlock()
	if q.rx.closed || q.Device.Dead() {
		return 0
	}
	q.rx.out, q.rx.n, q.rx.bytes = pkts, 0, 0
	// Control keeps the descriptor open meanwhile. (Read would wait for the
	// goroutine that sleeps on it.)
	_ = q.Raw.Control(q.Read)
	q.rx.out = nil
	if q.rx.n > 0 {
		q.rxPackets.Add(uint64(q.rx.n))
		q.rxBytes.Add(uint64(q.rx.bytes))
	}
	return q.rx.n
}

// Wanted is how many packets more Recv was asked for.
func (q *Queue) Wanted() int { return len(q.rx.out) - q.rx.n }

// Deliver makes a frame of size bytes one that Recv returns.
func (q *Queue) Deliver(p *nic.Packet, size int) {
	p.Queue = uint16(q.index)
	q.rx.out[q.rx.n] = p
	q.rx.n++
	q.rx.bytes += size
}

// Alloc implements nic.Queue.
func (q *Queue) Alloc(size int) *nic.Packet {
	var one [1]*nic.Packet
	q.AllocBatch(one[:], size)
	return one[0]
}

// AllocBatch implements nic.BatchAllocator.
func (q *Queue) AllocBatch(pkts []*nic.Packet, size int) int {
	n := q.Get(pkts, size)
	if n < len(pkts) && q.Reclaim != nil {
		q.Reclaim()
		n += q.Get(pkts[n:], size)
	}
	if n < len(pkts) {
		q.noBuffer.Add(1)
	}
	return n
}

// Get is AllocBatch with what is in the pools at the moment.
func (q *Queue) Get(pkts []*nic.Packet, size int) int {
	for i, pool := range q.Device.Tx {
		if size > pool.Room() {
			continue
		}
		n := pool.GetBatch(pkts)
		if n < len(pkts) {
			q.short.Note(i)
		}
		return n
	}
	return 0
}

// Short reports whether Alloc fell short and no wake-up has told that it need not
// any more.
func (q *Queue) Short() bool { return q.short.Any() }

// SetWake implements nic.Queue.
func (q *Queue) SetWake(wake func()) { q.wake = wake }

// Arm implements nic.Queue.
func (q *Queue) Arm() bool {
	if q.wake == nil || q.Device.Dead() {
		return true
	}
	if q.ready = false; !q.quiet && q.Raw.Control(q.look) == nil && q.ready {
		return false
	}
	q.armed.Store(true)
	// Only now: what came back before the flag was set woke nobody.
	owed := q.Owed != nil && q.Owed()
	if (q.short.Over(q.Device.Tx) || owed) && q.armed.CompareAndSwap(true, false) {
		return false
	}
	if !q.quiet {
		q.sleep()
	}
	return true
}

// Wake ends the poller's sleep, once.
func (q *Queue) Wake() {
	if q.armed.CompareAndSwap(true, false) {
		q.wakes.Add(1)
		q.wake()
	}
}

// Freed implements Endpoint.
func (q *Queue) Freed() {
	if q.short.Any() {
		q.Wake()
	}
}

// poll asks for the present state of a descriptor: the runtime's poller only
// tells changes.
func poll(fd uintptr, events int16) bool {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: events}}
	n, err := unix.Poll(fds[:], 0)
	return n > 0 || err != nil && !errors.Is(err, unix.EINTR)
}

// Waiter starts a goroutine that sleeps in the runtime's poller until the
// descriptor is ready, and then calls then, once for each call or some calls of
// the function returned, which does not block. until is Raw's Read or Write, and
// events what that waits for. It ends with the queue.
//
// No change is missed: until has the poller note changes from before poll looks
// at the state.
func (q *Queue) Waiter(until func(func(fd uintptr) bool) error, events int16, then func()) (wait func()) {
	asked := make(chan struct{}, 1)
	ready := func(fd uintptr) bool { return poll(fd, events) }
	q.Device.all.Go(func() {
		for {
			select {
			case <-q.done:
				return
			case <-asked:
			}
			if until(ready) != nil {
				return // closed
			}
			then()
		}
	})
	return func() {
		select {
		case asked <- struct{}{}:
		default:
		}
	}
}

// Go runs a goroutine of the queue's, for which Device.Close waits.
func (q *Queue) Go(f func()) { q.Device.all.Go(f) }

// NextEvent implements nic.Queue.
func (q *Queue) NextEvent() time.Duration { return nic.Never }

// Pending is always true: only a system call tells.
func (q *Queue) Pending() bool { return true }

// Close closes the descriptor, so that the goroutines which sleep on it wake up,
// and releases what waits for frames.
func (q *Queue) Close() error {
	close(q.done)
	err := q.file.Close()
	q.Rx.Lock()
	defer q.Rx.Unlock()
	q.rx.closed = true
	for i := range q.rx.slots {
		q.rx.slots[i].release()
	}
	q.rx.small.Release()
	q.rx.large.Release()
	return err
}

// Held implements Endpoint.
func (q *Queue) Held() int {
	q.Rx.Lock()
	defer q.Rx.Unlock()
	n := q.rx.small.Len() + q.rx.large.Len()
	for i := range q.rx.slots {
		n += q.rx.slots[i].held()
	}
	return n
}

// Stats implements nic.Queue.
func (q *Queue) Stats() nic.QueueStats {
	return nic.QueueStats{
		RxPackets: q.rxPackets.Load(), RxBytes: q.rxBytes.Load(), RxDropped: q.RxDropped.Load(),
		TxPackets: q.TxPackets.Load(), TxBytes: q.TxBytes.Load(), TxDropped: q.TxDropped.Load(), TxFull: q.TxFull.Load(),
		NoBuffer: q.noBuffer.Load(), Kicks: q.Kicks.Load(), Wakes: q.wakes.Load(),
	}
}
