package afpacket

import (
	"sync"
	"sync/atomic"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/internal/fdbased"
)

// ring is how many packets wait for Kick at the most: a power of two.
const ring = 256

// transmitter is the transmit half of a queue: a ring that Send fills, and that
// who kicks empties by sendmmsg. The kernel copies, so a packet is released as
// soon as it is sent.
type transmitter struct {
	mu    sync.Mutex // the producers'
	slots [ring]*nic.Packet
	head  atomic.Uint32 // the next slot to send: who has flushing moves it
	tail  atomic.Uint32 // the next slot to fill: who has mu moves it

	flushing sync.Mutex
	blocked  atomic.Bool // the socket's buffer is full: the waiter goes on
	fell     atomic.Bool // Send fell short: a wake-up is owed when there is room
	await    func()      // has the waiter wait for room

	batch fdbased.SendBatch
	which [batch]uint32 // the slot of each of its frames
	write func(fd uintptr)
}

// waiting is the number of packets that Send took and that are not sent yet.
func (t *transmitter) waiting() int { return int(t.tail.Load() - t.head.Load()) }

// hasRoom reports whether there is room again after Send fell short, and forgets
// that it did.
func (t *transmitter) hasRoom() bool {
	if !t.fell.Load() || t.waiting() >= ring {
		return false
	}
	t.fell.Store(false)
	return true
}

// Send implements nic.Queue. It only queues: Kick sends.
func (q *queue) Send(pkts []*nic.Packet) int {
	sent := q.enqueue(pkts)
	if sent < len(pkts) {
		q.flush()
		sent += q.enqueue(pkts[sent:])
	}
	if sent < len(pkts) {
		q.TxFull.Add(uint64(len(pkts) - sent))
		q.tx.fell.Store(true)
	}
	return sent
}

// enqueue takes what the ring has room for.
func (q *queue) enqueue(pkts []*nic.Packet) int {
	q.tx.mu.Lock()
	defer q.tx.mu.Unlock()
	if q.dev.Dead() {
		q.Drop(pkts)
		return len(pkts)
	}
	tail := q.tx.tail.Load()
	n := min(len(pkts), ring-int(tail-q.tx.head.Load()))
	for i, p := range pkts[:n] {
		q.tx.slots[(tail+uint32(i))%ring] = p
	}
	q.tx.tail.Store(tail + uint32(n))
	return n
}

// Kick implements nic.Queue.
func (q *queue) Kick() {
	if q.tx.waiting() > 0 {
		q.Kicks.Add(1)
		q.flush()
	}
}

// flush sends what is queued, unless the socket is full or somebody else does:
// who has the lock looks again after letting it go.
func (q *queue) flush() {
	for q.tx.waiting() > 0 && !q.tx.blocked.Load() && q.tx.flushing.TryLock() {
		failed := q.Raw.Control(q.tx.write)
		q.tx.flushing.Unlock()
		if failed != nil {
			q.drain() // closed
			return
		}
	}
	if q.tx.fell.Load() && q.tx.waiting() < ring {
		q.Wake()
	}
}

// writeBurst sends up to a batch of frames, and releases them.
func (q *queue) writeBurst(fd uintptr) {
	t := &q.tx
	mtu := q.dev.Link().MTU
	head, tail := t.head.Load(), t.tail.Load()
	dropped := 0
	at := head
	for ; at != tail && t.batch.Len() < batch; at++ {
		p := t.slots[at%ring]
		if p == nil {
			continue // dropped before the socket was full
		}
		t.which[t.batch.Len()] = at
		if !t.batch.Add(p, mtu) {
			p.Release()
			t.slots[at%ring] = nil
			dropped++
		}
	}
	sent := t.batch.Send(fd)
	end := at
	if sent.Full {
		end = t.which[sent.Frames+sent.Dropped]
	}
	for ; head != end; head++ {
		p := t.slots[head%ring]
		t.slots[head%ring] = nil
		p.Release()
	}
	q.TxPackets.Add(uint64(sent.Frames))
	q.TxBytes.Add(uint64(sent.Bytes))
	q.TxDropped.Add(uint64(dropped + sent.Dropped))
	if sent.Full {
		t.blocked.Store(true)
		t.await()
	}
	t.head.Store(head)
}

// roomAgain sends what waits, now that the socket's buffer is not full any more,
// and wakes the stack if Send fell short meanwhile.
func (q *queue) roomAgain() {
	q.tx.blocked.Store(false)
	q.flush()
}

// drain drops what waits to be sent, once the device is closed.
func (q *queue) drain() {
	q.tx.flushing.Lock()
	defer q.tx.flushing.Unlock()
	q.tx.mu.Lock()
	defer q.tx.mu.Unlock()
	head, tail := q.tx.head.Load(), q.tx.tail.Load()
	for ; head != tail; head++ {
		if p := q.tx.slots[head%ring]; p != nil {
			p.Release()
			q.tx.slots[head%ring] = nil
			q.TxDropped.Add(1)
		}
	}
	q.tx.head.Store(tail)
}
