package afpacket

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/internal/vnet"
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
	blocked  atomic.Bool   // the socket's buffer is full: the waiter goes on
	fell     atomic.Bool   // Send fell short: a wake-up is owed when there is room
	room     chan struct{} // the waiter is to wait: capacity 1

	headers [batch][vnet.HeaderSize]byte
	iov     []unix.Iovec
	msgs    [batch]mmsghdr
	which   [batch]uint32 // the slot of each message
	write   func(fd uintptr)

	packets, bytes, dropped, full atomic.Uint64
}

func (q *queue) initTransmitter() {
	q.tx.room = make(chan struct{}, 1)
	q.tx.write = q.writeBurst
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
		q.tx.full.Add(uint64(len(pkts) - sent))
		q.tx.fell.Store(true)
	}
	return sent
}

// enqueue takes what the ring has room for.
func (q *queue) enqueue(pkts []*nic.Packet) int {
	q.tx.mu.Lock()
	defer q.tx.mu.Unlock()
	if q.dev.Dead() {
		for _, p := range pkts {
			p.Release()
		}
		q.tx.dropped.Add(uint64(len(pkts)))
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
		q.kicks.Add(1)
		q.flush()
	}
}

// flush sends what is queued, unless the socket is full or somebody else does:
// who has the lock looks again after letting it go.
func (q *queue) flush() {
	for q.tx.waiting() > 0 && !q.tx.blocked.Load() && q.tx.flushing.TryLock() {
		failed := q.raw.Control(q.tx.write)
		q.tx.flushing.Unlock()
		if failed != nil {
			q.drain() // closed
			return
		}
	}
	if q.tx.fell.Load() && q.tx.waiting() < ring {
		q.wakeArmed()
	}
}

// writeBurst sends up to a batch of frames, and releases them.
func (q *queue) writeBurst(fd uintptr) {
	t := &q.tx
	mtu := q.dev.Link().MTU
	head, tail := t.head.Load(), t.tail.Load()
	t.iov = t.iov[:0]
	n, dropped := 0, 0
	at := head
	for ; at != tail && n < batch; at++ {
		p := t.slots[at%ring]
		if p == nil {
			continue // dropped before the socket was full
		}
		if size := p.FrameLen(); p.Segment == nic.SegmentNone && size > ethernetHeader+mtu || size > maxSuper || size < 14 ||
			!vnet.Put(&t.headers[n], &p.Meta, size) {
			p.Release()
			t.slots[at%ring] = nil
			dropped++
			continue
		}
		t.which[n] = at
		t.describe(n, p)
		n++
	}
	// The messages' vectors, now that they stay where they are.
	for i, k := 0, 0; i < n; i++ {
		m := &t.msgs[i].hdr
		m.Iov = &t.iov[k]
		k += int(m.Iovlen)
	}
	done, sent, bytes := 0, 0, 0
	full, told := false, false
	for done < n && !full {
		k, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&t.msgs[done])), uintptr(n-done), unix.MSG_DONTWAIT, 0, 0)
		switch {
		case errno == 0:
			for _, m := range t.msgs[done : done+int(k)] {
				bytes += int(m.length) - vnet.HeaderSize
			}
			sent += int(k)
			done += int(k)
		case errno == unix.EINTR:
		case errno == unix.EAGAIN: // the socket's buffer
			full = true
		case errno == unix.ENETDOWN && !told:
			told = true // perhaps only what the socket still had to say of the past
		default:
			// ENETDOWN, ENXIO: no link. ENOBUFS: the queueing discipline had no
			// room. EINVAL, EMSGSIZE: the kernel did not like the frame.
			done++
			dropped++
		}
	}
	end := at
	if full {
		end = t.which[done]
	}
	for ; head != end; head++ {
		p := t.slots[head%ring]
		t.slots[head%ring] = nil
		p.Release()
	}
	clear(t.iov) // keeps no buffer alive
	t.packets.Add(uint64(sent))
	t.bytes.Add(uint64(bytes))
	t.dropped.Add(uint64(dropped))
	if full {
		t.blocked.Store(true)
		select {
		case t.room <- struct{}{}:
		default:
		}
	}
	t.head.Store(head)
}

// describe makes message i that of p, behind its header, which has a place of its
// own: somebody else may hold the packet too, so its headroom is not ours.
func (t *transmitter) describe(i int, p *nic.Packet) {
	from := len(t.iov)
	t.iov = append(t.iov, unix.Iovec{Base: &t.headers[i][0]})
	t.iov[from].SetLen(vnet.HeaderSize)
	for ; p != nil; p = p.Next() {
		if b := p.Bytes(); len(b) > 0 {
			t.iov = append(t.iov, unix.Iovec{Base: &b[0]})
			t.iov[len(t.iov)-1].SetLen(len(b))
		}
	}
	t.msgs[i].hdr.SetIovlen(len(t.iov) - from)
}

// waitForRoom sleeps in the runtime's poller while the socket's buffer is full,
// then sends what waits, and wakes the stack if Send fell short meanwhile.
func (q *queue) waitForRoom() {
	writable := func(fd uintptr) bool { return poll(fd, unix.POLLOUT) }
	for {
		select {
		case <-q.dev.done:
			return
		case <-q.tx.room:
		}
		if err := q.raw.Write(writable); err != nil {
			return // closed
		}
		q.tx.blocked.Store(false)
		q.flush()
	}
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
			q.tx.dropped.Add(1)
		}
	}
	q.tx.head.Store(tail)
}
