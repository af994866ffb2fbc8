package wire

import (
	"sync"
	"sync/atomic"

	"github.com/fastnet-go/fastnet/nic"
)

// ring is a bounded queue of packets that any goroutine may fill and empty. It
// carries pointers: a packet is built in a buffer of the sending port's pool,
// read there by the receiver, and released to that pool.
type ring struct {
	slots []*nic.Packet
	mask  uint64

	_    [64]byte
	mu   sync.Mutex    // the producers'
	head atomic.Uint64 // next slot to fill
	_    [48]byte
	cmu  sync.Mutex    // the consumers': the poller, and Close
	tail atomic.Uint64 // next slot to empty
	// What was received, under cmu.
	packets, bytes uint64
	_              [32]byte
}

func newRing(size int) *ring {
	n := 1
	for n < size {
		n *= 2
	}
	return &ring{slots: make([]*nic.Packet, n), mask: uint64(n - 1)}
}

// push queues what fits of pkts and returns how many that is.
func (r *ring) push(pkts []*nic.Packet) int {
	r.mu.Lock()
	head := r.head.Load()
	n := min(len(pkts), len(r.slots)-int(head-r.tail.Load()))
	for i, p := range pkts[:n] {
		r.slots[(head+uint64(i))&r.mask] = p
	}
	if n > 0 {
		r.head.Store(head + uint64(n))
	}
	r.mu.Unlock()
	return n
}

// pop moves up to len(pkts) packets out, and counts them as received if counted is
// true.
func (r *ring) pop(pkts []*nic.Packet, counted bool) int {
	if r.empty() {
		return 0
	}
	r.cmu.Lock()
	tail := r.tail.Load()
	n := min(len(pkts), int(r.head.Load()-tail))
	for i := range pkts[:n] {
		slot := &r.slots[(tail+uint64(i))&r.mask]
		pkts[i] = *slot
		*slot = nil
	}
	if n > 0 {
		r.tail.Store(tail + uint64(n))
	}
	if counted {
		r.packets += uint64(n)
		for _, p := range pkts[:n] {
			r.bytes += uint64(p.FrameLen())
		}
	}
	r.cmu.Unlock()
	return n
}

// taken is what was received.
func (r *ring) taken() (packets, bytes uint64) {
	r.cmu.Lock()
	defer r.cmu.Unlock()
	return r.packets, r.bytes
}

func (r *ring) empty() bool { return r.head.Load() == r.tail.Load() }

func (r *ring) full() bool { return r.head.Load()-r.tail.Load() >= uint64(len(r.slots)) }
