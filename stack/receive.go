package stack

import (
	"io"
	"os"
	"sync"
	"time"

	"github.com/fastnet-go/fastnet/internal/defect"
	"github.com/fastnet-go/fastnet/nic"
)

// receiveQueue holds the in-order bytes that no Read has taken, as the packets
// that brought them. It has its own mutex, so that a reader does not wait for
// the connection's lock.
type receiveQueue struct {
	mu         sync.Mutex
	waits      waitList // readers
	head, tail *nic.Packet
	spill      *[]byte // follows the list: what came while there was no buffer for it
	bytes      int32   // on the list and in spill
	limit      int32   // the receive buffer's size, bytes
	drained    int32   // bytes read of which the peer has not been told
	mem        int32   // bytes of memory that the list and spill take
	charged    int32   // of these, known to the host's memory
	taken      int32   // bytes read since rightsize looked
	packets    int32
	end        error
	holder     // the TCPConn; others are its TCPHandles

	fixed  bool  // limit does not change by itself
	ended  bool  // the last holder has closed it
	shut   bool  // CloseRead was called
	credit int8  // rounds that a reader polls before it sleeps
	missed uint8 // blocked reads since credit ran out
}

// errDeadline is os.ErrDeadlineExceeded, which every call reports alike.
var errDeadline = os.ErrDeadlineExceeded

func (r *receiveQueue) init(limit int) {
	r.limit = int32(limit)
	r.holder.init()
	r.credit = 2
}

// keepWhole says when a packet is kept rather than copied out: a slow reader's
// small payloads must not hold on to large buffers of the device's, whose
// receive ring would starve.
func (r *receiveQueue) keepWhole(p *nic.Packet) bool {
	if p.Pool().Low() || r.mem > 2*r.limit {
		return false
	}
	return p.Len()*4 >= p.BufferSize() || r.waits.waiting > 0 && r.packets < 4
}

// append queues p, whose bytes are the payload. p is the queue's from then on.
func (r *receiveQueue) append(h *Host, p *nic.Packet) {
	if r.keepWhole(p) && r.spill == nil {
		r.bytes += int32(p.Len())
		r.push(p)
		return
	}
	r.copyOut(h, p.Bytes())
	p.Release()
}

// copyOut appends b to the queue in buffers of the host's, or on the heap if all
// are in use: it is acknowledged, so it must not be lost.
func (r *receiveQueue) copyOut(h *Host, b []byte) {
	r.bytes += int32(len(b))
	for len(b) > 0 && r.spill == nil {
		t := r.tail
		if t == nil || t.Pool() != h.held || t.Tailroom() == 0 {
			if t = h.held.Get(); t == nil {
				break
			}
			r.push(t)
		}
		n := min(len(b), t.Tailroom())
		copy(t.Extend(n), b)
		b = b[n:]
	}
	if len(b) > 0 {
		if r.spill == nil {
			r.spill = new([]byte)
		}
		*r.spill = append(*r.spill, b...)
		r.mem += int32(len(b))
	}
}

func (r *receiveQueue) push(p *nic.Packet) {
	if r.tail == nil {
		r.head = p
	} else {
		r.tail.SetLink(p)
	}
	r.tail = p
	r.packets++
	r.mem += int32(p.BufferSize())
}

// read takes up to len(b) bytes.
func (r *receiveQueue) read(b []byte) int {
	n := 0
	var done, last *nic.Packet // to be released together
	for n < len(b) && r.head != nil {
		p := r.head
		k := copy(b[n:], p.Bytes())
		n += k
		if defect.On(defect.ByteTwice) && k == p.Len() && 0 < n && n < len(b) {
			b[n] = b[n-1]
			n++
			r.bytes++
		}
		if k < p.Len() {
			p.TrimFront(k)
			break
		}
		r.head = p.Link()
		if r.head == nil {
			r.tail = nil
		}
		r.packets--
		r.mem -= int32(p.BufferSize())
		p.SetLink(nil)
		if done == nil {
			done = p
		} else {
			last.Append(p)
		}
		last = p
	}
	done.Release()
	if n < len(b) && r.spill != nil {
		k := copy(b[n:], *r.spill)
		n += k
		r.mem -= int32(k)
		if *r.spill = (*r.spill)[k:]; len(*r.spill) == 0 {
			r.spill = nil
		}
	}
	r.took(n)
	return n
}

// took notes that the reader has n bytes more.
func (r *receiveQueue) took(n int) {
	r.bytes -= int32(n)
	r.drained += int32(n)
	r.taken += int32(n)
}

// discard releases all that is queued and returns how many bytes that was.
func (r *receiveQueue) discard() int {
	n := int(r.bytes)
	for r.head != nil {
		p := r.head
		r.head = p.Link()
		p.SetLink(nil)
		p.Release()
	}
	r.tail, r.spill, r.bytes, r.packets, r.mem = nil, nil, 0, 0, 0
	return n
}

// status is why a reader need not wait, although it may have nothing to read:
// nil if it should. by is the holder that it reads for.
func (r *receiveQueue) status(by *holder) error {
	switch {
	case by.closed || r.ended:
		return ErrClosed
	case by.expired:
		return errDeadline
	}
	return nil
}

// finish makes reads return err once the bytes before it are read. The first
// error stays.
func (r *receiveQueue) finish(err error) {
	r.mu.Lock()
	if r.end == nil {
		r.end = err
	}
	r.wake()
	r.mu.Unlock()
}

// wake wakes who waits, and reports whether anybody did.
func (r *receiveQueue) wake() bool { return r.waits.wakeAll() }

// rounds is how often a reader should poll before it sleeps. Polling finds the
// answer of a peer in the same process sooner than a wake-up does; for the
// one-byte read that net/http starts beside each request it is waste. So it is
// learnt, and tried again now and then.
func (r *receiveQueue) rounds() int8 {
	if r.credit > 0 {
		return r.credit
	}
	if r.missed++; r.missed%32 == 0 {
		return 1
	}
	return 0
}

// learn adjusts credit after a reader has polled.
func (r *receiveQueue) learn(found bool) {
	if found {
		r.credit = min(r.credit+1, 4)
	} else {
		r.credit = max(r.credit-1, 0)
	}
}

// Read reads what has arrived, at least a byte. It returns io.EOF after the
// peer's FIN, and what arrived before a reset comes before its error.
func (c *TCPConn) Read(b []byte) (int, error) { return c.read(&c.rq.holder, b) }

func (c *TCPConn) read(by *holder, b []byte) (int, error) {
	r := &c.rq
	r.mu.Lock()
	if len(b) == 0 && !by.closed && !r.ended {
		r.mu.Unlock()
		return 0, nil
	}
	if err := c.awaitReadable(by); err != nil {
		r.mu.Unlock()
		return 0, err
	}
	n := r.read(b)
	c.afterRead()
	return n, nil
}

// afterRead releases the receive queue's mutex after something was taken from it, and
// offers the window again if that was much.
func (c *TCPConn) afterRead() {
	r := &c.rq
	r.account(&c.host.memory)
	update := r.updateDue(&c.host.memory)
	r.mu.Unlock()
	if update {
		c.updateWindow()
	}
}

// awaitReadable returns when there is something to read, or why Read returns
// nothing. The receive queue's mutex is held, and released meanwhile.
func (c *TCPConn) awaitReadable(by *holder) error {
	r := &c.rq
	if err := r.status(by); err != nil {
		return err
	}
	if r.bytes == 0 && r.end == nil && !r.shut {
		if err := c.awaitData(by); err != nil {
			return err
		}
	}
	switch {
	case r.bytes > 0:
		return nil
	case r.end != nil:
		return c.once(r.end, io.EOF)
	}
	return io.EOF // shut
}

// TryRead is Read that returns ErrWouldBlock instead of waiting.
func (c *TCPConn) TryRead(b []byte) (int, error) {
	r := &c.rq
	r.mu.Lock()
	wait := r.status(&r.holder) == nil && r.bytes == 0 && r.end == nil && !r.shut
	r.mu.Unlock()
	if wait && len(b) > 0 {
		return 0, ErrWouldBlock
	}
	return c.Read(b)
}

// awaitData returns when there is something to read or an end to report. The
// receive queue's mutex is held, and released meanwhile.
func (c *TCPConn) awaitData(by *holder) error {
	r := &c.rq
	for n := r.rounds(); n > 0 && !c.home.Load().busy.Load(); n-- {
		r.mu.Unlock()
		c.pollOnce()
		r.mu.Lock()
		if r.bytes > 0 {
			r.learn(true)
		} else if n == 1 {
			r.learn(false)
		}
		if err := r.status(by); err != nil || r.bytes > 0 || r.end != nil {
			return err
		}
	}
	for r.bytes == 0 && r.end == nil && !r.shut {
		if err := r.status(by); err != nil {
			return err
		}
		r.waits.wait(c.host, &r.mu)
	}
	return r.status(by)
}

// updateWindow tells the peer of the room that the reader made, if that is
// worth a segment.
func (c *TCPConn) updateWindow() {
	c.lock()
	c.offerWindow()
	c.unlock()
}

// offerWindow is updateWindow with the lock held.
func (c *TCPConn) offerWindow() {
	now := c.host.now()
	c.syncWindow(now)
	if c.core.WindowUpdateDue() {
		c.core.FlushAck()
		c.output(now)
	}
}

// syncWindow tells the state machine how much the receive queue takes. The
// connection's lock is held.
func (c *TCPConn) syncWindow(now time.Duration) {
	r := &c.rq
	r.mu.Lock()
	c.rightsize(now)
	free := r.free(&c.host.memory)
	// What the reader made and the peer has not been told. Room that was never
	// offered, as by a SYN, whose window is small, comes with the next segment.
	r.drained = min(r.drained, int32(max(0, free-c.core.Offered())))
	r.mu.Unlock()
	c.core.SetRcvSpace(free)
}
