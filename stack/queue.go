package stack

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fastnet-go/fastnet/nic"
)

const (
	burst        = 64       // packets taken from a queue at a time, at the most
	manyWoken    = 18       // see queue.busy
	maxWoken     = 32       // goroutines woken at a time, at the most
	maxOverflow  = 4 * 1024 // packets kept for a device whose ring is full
	stallTimeout = time.Millisecond
)

// queue is a queue pair of a device as the stack sees it.
type queue struct {
	host  *Host
	iface *Interface
	dev   nic.Queue
	batch nic.BatchAllocator // dev, if it is one
	index int

	worker atomic.Pointer[worker] // who polls it; nil: a single goroutine

	// Receiving. mu is held by who polls; a reader may try to.
	mu        sync.Mutex
	pkts      [maxWoken]*nic.Packet
	cur       *TCPConn // locked: the connection of the packet before
	run       run      // what of cur's packets the state machine has not seen yet
	datagrams datagramRun
	lull      lull
	apart     bool // each segment comes from the state machine and goes to it alone: for tests
	down      bool // under mu: the host is closed
	// group: the frame at hand came by a multicast or broadcast Ethernet address.
	group bool
	// frame: the frame at hand, whole, and framePacket whose it is.
	frame       []byte
	framePacket *nic.Packet
	following   *nic.Packet   // what comes behind it, if that is known
	coalesced   atomic.Uint64 // segments that were taken together with the one before
	strays      atomic.Uint64 // runs of segments of connections at home on another queue
	limit       int           // of goroutines woken at a time while busy
	woken       int           // goroutines that the burst has woken

	// busy: a burst woke many more goroutines than there are processors, and
	// the queue was not found empty since. Then fewer are woken at a time,
	// and a reader does not poll: it would only take work from another.
	busy atomic.Bool

	// Transmitting.
	kickWanted atomic.Bool
	// state: queueFull while overflow is not empty or a connection is stalled, and
	// above it how often the poller has armed the device. See transmit.go.
	state    atomic.Uint32
	again    atomic.Bool // the poller is to look at a stall before it sleeps
	txMu     sync.Mutex
	overflow []*nic.Packet // refused by the device, in order
	stalled  []*TCPConn    // waiting for a buffer or for the ring
	retryAt  time.Duration

	acks delayedAcks
}

func newQueue(i *Interface, index int, dev nic.Queue) *queue {
	q := &queue{host: i.host, iface: i, dev: dev, index: index, retryAt: Never}
	// Two goroutines a processor at a time: more would only wait, and so would
	// a goroutine that has to do with the kernel, behind them.
	q.limit = min(maxWoken, max(4, 2*runtime.GOMAXPROCS(0)))
	dev.SetWake(q.wake)
	q.batch, _ = dev.(nic.BatchAllocator)
	return q
}

// alloc fills pkts with packets with room for size bytes and returns how many
// there were.
func (q *queue) alloc(pkts []*nic.Packet, size int) int {
	if q.batch != nil {
		return q.batch.AllocBatch(pkts, size)
	}
	for i := range pkts {
		if pkts[i] = q.dev.Alloc(size); pkts[i] == nil {
			return i
		}
	}
	return len(pkts)
}

func (q *queue) wake() {
	if w := q.worker.Load(); w != nil {
		w.wake()
	}
}

// poll handles a burst of received packets, and what waits to be sent. It
// returns how many packets it moved. It does nothing if somebody else polls.
func (q *queue) poll() int {
	n := 0
	if q.isFull() {
		n += q.retry()
	}
	if !q.dev.Pending() || !q.mu.TryLock() {
		return n
	}
	if q.down {
		q.mu.Unlock()
		return n
	}
	pkts := q.pkts[:]
	if q.busy.Load() {
		pkts = q.pkts[:q.limit]
	}
	now := time.Duration(0)
	q.woken = 0
	k, drained := 0, false
	for k < burst && q.woken < len(pkts) {
		m := q.dev.Recv(pkts)
		if m == 0 {
			drained = true
			break
		}
		if k == 0 {
			now = q.host.now()
		}
		k += m
		for i, p := range pkts[:m] {
			pkts[i] = nil
			if q.following = nil; i+1 < m {
				q.following = pkts[i+1]
			}
			q.receive(p, now)
		}
		if m < len(pkts) {
			drained = true
			break
		}
	}
	if k > 0 {
		q.endRun(now)
		q.endDatagrams()
		q.lull.received(k)
		if busy := q.woken >= manyWoken || q.busy.Load() && !(drained && q.woken < q.limit); busy != q.busy.Load() {
			q.busy.Store(busy)
		}
	}
	q.mu.Unlock()
	return n + k
}

// endRun finishes a run of packets of one connection: answers what it received,
// and lets it go.
func (q *queue) endRun(now time.Duration) {
	if c := q.cur; c != nil {
		q.endSegments(now)
		q.cur = nil
		if home := c.home.Load(); home != q {
			q.elsewhere(c, home)
		}
		if c.woke {
			c.woke = false
			q.woken++
		}
		c.afterInput(now)
		c.unlock()
	}
}

// nextEvent is when poll must be called although no packet wakes the poller, of a
// host that has none: nobody has armed its devices, so it looks once a
// stallTimeout whether they have room again.
func (q *queue) nextEvent() time.Duration {
	next := q.dev.NextEvent()
	if q.isFull() {
		q.txMu.Lock()
		next = min(next, q.retryAt)
		q.txMu.Unlock()
		if next == Never { // just now made full
			next = 0
		}
	}
	return next
}

// shutReceive ends receiving. When it returns nobody is in the receive path.
func (q *queue) shutReceive() {
	q.mu.Lock()
	q.down = true
	q.mu.Unlock()
}
