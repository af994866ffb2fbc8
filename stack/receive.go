package stack

import (
	"io"
	"os"
	"sync"
	"time"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/stack/timer"
)

// receiveQueue holds the in-order bytes that no Read has taken, as the packets
// that brought them. It has its own mutex, so that a reader does not wait for
// the connection's lock.
type receiveQueue struct {
	mu         sync.Mutex
	cond       sync.Cond
	head, tail *nic.Packet
	spill      []byte // follows the list: what came while there was no buffer for it
	bytes      int    // on the list and in spill
	limit      int    // the receive buffer's size, bytes
	drained    int    // bytes read of which the peer has not been told
	packets    int32
	waiting    int32 // readers
	end        error
	deadline   time.Duration
	timer      timer.Timer

	closed  bool  // Close was called
	shut    bool  // CloseRead was called
	expired bool  // the deadline has passed
	credit  int8  // rounds that a reader polls before it sleeps
	missed  uint8 // blocked reads since credit ran out
}

// errDeadline is os.ErrDeadlineExceeded, which every call reports alike.
var errDeadline = os.ErrDeadlineExceeded

func (r *receiveQueue) init(limit int) {
	r.cond.L = &r.mu
	r.limit = limit
	r.deadline = Never
	r.credit = 2
}

// keepWhole says when a packet is kept rather than copied out: a slow reader's
// small payloads must not hold on to large buffers of the device's, whose
// receive ring would starve.
func (r *receiveQueue) keepWhole(p *nic.Packet) bool {
	if p.Pool().Low() {
		return false
	}
	return p.Len()*4 >= p.BufferSize() || r.waiting > 0 && r.packets < 4
}

// append queues p, whose bytes are the payload. p is the queue's from then on.
func (r *receiveQueue) append(h *Host, p *nic.Packet) {
	if r.keepWhole(p) && r.spill == nil {
		r.bytes += p.Len()
		r.push(p)
		return
	}
	r.copyOut(h, p.Bytes())
	p.Release()
}

// copyOut appends b to the queue in buffers of the host's, or on the heap if all
// are in use: it is acknowledged, so it must not be lost.
func (r *receiveQueue) copyOut(h *Host, b []byte) {
	r.bytes += len(b)
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
	r.spill = append(r.spill, b...)
}

func (r *receiveQueue) push(p *nic.Packet) {
	if r.tail == nil {
		r.head = p
	} else {
		r.tail.SetLink(p)
	}
	r.tail = p
	r.packets++
}

// read takes up to len(b) bytes.
func (r *receiveQueue) read(b []byte) int {
	n := 0
	for n < len(b) && r.head != nil {
		p := r.head
		k := copy(b[n:], p.Bytes())
		n += k
		if k < p.Len() {
			p.TrimFront(k)
			break
		}
		r.head = p.Link()
		if r.head == nil {
			r.tail = nil
		}
		r.packets--
		p.SetLink(nil)
		p.Release()
	}
	if n < len(b) && r.spill != nil {
		k := copy(b[n:], r.spill)
		n += k
		if r.spill = r.spill[k:]; len(r.spill) == 0 {
			r.spill = nil
		}
	}
	r.bytes -= n
	r.drained += n
	return n
}

// discard releases all that is queued and returns how many bytes that was.
func (r *receiveQueue) discard() int {
	n := r.bytes
	for r.head != nil {
		p := r.head
		r.head = p.Link()
		p.SetLink(nil)
		p.Release()
	}
	r.tail, r.spill, r.bytes, r.packets = nil, nil, 0, 0
	return n
}

// free is how many bytes the queue still takes.
func (r *receiveQueue) free() int { return max(0, r.limit-r.bytes) }

// status is why a reader need not wait, although it may have nothing to read:
// nil if it should.
func (r *receiveQueue) status() error {
	switch {
	case r.closed:
		return ErrClosed
	case r.expired:
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
func (r *receiveQueue) wake() bool {
	if r.waiting > 0 {
		r.cond.Broadcast()
	}
	return r.waiting > 0
}

// wait sleeps until there is news.
func (r *receiveQueue) wait() {
	r.waiting++
	r.cond.Wait()
	r.waiting--
}

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
func (c *TCPConn) Read(b []byte) (int, error) {
	r := &c.rq
	r.mu.Lock()
	if len(b) == 0 && !r.closed {
		r.mu.Unlock()
		return 0, nil
	}
	if err := r.status(); err != nil {
		r.mu.Unlock()
		return 0, err
	}
	if r.bytes == 0 && r.end == nil && !r.shut {
		if err := c.awaitData(); err != nil {
			r.mu.Unlock()
			return 0, err
		}
	}
	if r.bytes == 0 {
		err := r.end
		if err == nil {
			err = io.EOF // shut
		}
		r.mu.Unlock()
		return 0, c.once(err, io.EOF)
	}
	n := r.read(b)
	update := r.drained >= r.limit/4
	r.mu.Unlock()
	if update {
		c.updateWindow()
	}
	return n, nil
}

// TryRead is Read that returns ErrWouldBlock instead of waiting.
func (c *TCPConn) TryRead(b []byte) (int, error) {
	r := &c.rq
	r.mu.Lock()
	wait := r.status() == nil && r.bytes == 0 && r.end == nil && !r.shut
	r.mu.Unlock()
	if wait && len(b) > 0 {
		return 0, ErrWouldBlock
	}
	return c.Read(b)
}

// awaitData returns when there is something to read or an end to report. The
// receive queue's mutex is held, and released meanwhile.
func (c *TCPConn) awaitData() error {
	r := &c.rq
	for n := r.rounds(); n > 0 && !c.home.busy.Load(); n-- {
		r.mu.Unlock()
		c.pollOnce()
		r.mu.Lock()
		if r.bytes > 0 {
			r.learn(true)
		} else if n == 1 {
			r.learn(false)
		}
		if err := r.status(); err != nil || r.bytes > 0 || r.end != nil {
			return err
		}
	}
	for r.bytes == 0 && r.end == nil && !r.shut {
		if err := r.status(); err != nil {
			return err
		}
		r.wait()
	}
	return r.status()
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
	c.syncWindow()
	if c.core.WindowUpdateDue() {
		c.core.FlushAck()
		c.output(c.host.now())
	}
}

// syncWindow tells the state machine how much the receive queue takes. The
// connection's lock is held.
func (c *TCPConn) syncWindow() {
	r := &c.rq
	r.mu.Lock()
	free := r.free()
	// What the reader made and the peer has not been told. Room that was never
	// offered, as by a SYN, whose window is small, comes with the next segment.
	r.drained = min(r.drained, max(0, free-c.core.Offered()))
	r.mu.Unlock()
	c.core.SetRcvSpace(free)
}
