package stack

import (
	"io"
	"slices"
	"time"

	"github.com/fastnet-go/fastnet/stack/timer"
)

// A socket may have several holders, as the kernel's have by dup(2): the socket
// itself, and the handles that Dup makes. Each has its own deadlines and is closed
// by itself; the socket ends when the last is closed. Everything else they share:
// what one reads the others do not, and an option that one sets all have.

// holder is what each has of its own. What guards the socket's queue guards it.
type holder struct {
	closed   bool
	expired  bool          // the deadline has passed
	deadline time.Duration // 0 and Never: none to come
	timer    timer.Timer
}

func (o *holder) init() { o.deadline = Never }

// expireAt sets the deadline to what Host.instant made of it. It reports whether that
// has passed: the caller wakes who waits.
func (o *holder) expireAt(h *Host, when time.Duration, past bool) bool {
	o.deadline, o.expired = when, past
	if !past && when != Never {
		h.arm(&o.timer, when)
	}
	return past
}

// expire is called by the timer, which may be an older deadline's. It reports
// whether the deadline has passed.
func (o *holder) expire(h *Host, now time.Duration) bool {
	switch {
	case o.deadline == Never || o.deadline == 0 || o.closed:
	case o.deadline <= now:
		o.expired = true
		return true
	default:
		h.arm(&o.timer, o.deadline)
	}
	return false
}

// TCPHandle is another holder of a TCPConn. Its methods are those of the TCPConn,
// which has the others.
type TCPHandle struct {
	conn           *TCPConn
	reader, writer holder
}

// Dup returns another holder of the connection, or ErrClosed.
func (c *TCPConn) Dup() (*TCPHandle, error) {
	h := &TCPHandle{conn: c}
	h.reader.init()
	h.writer.init()
	h.reader.timer.Init(h, timerRead)
	h.writer.timer.Init(h, timerWrite)
	c.lock()
	defer c.unlock()
	if c.released {
		return nil, ErrClosed
	}
	c.others = append(c.others, h)
	return h, nil
}

// detach ends the calls of one holder, and reports whether there are others. The
// lock is held.
func (c *TCPConn) detach(r, w *holder) (others bool) {
	if c.others == nil { // nobody but the TCPConn
		return false
	}
	w.closed = true
	c.wq.wake()
	c.rq.mu.Lock()
	r.closed = true
	c.rq.wake()
	c.rq.mu.Unlock()
	c.host.wheel.Stop(&r.timer)
	c.host.wheel.Stop(&w.timer)
	c.others = slices.DeleteFunc(c.others, func(h *TCPHandle) bool { return &h.writer == w })
	return !c.wq.closed || len(c.others) > 0
}

// Expire is called by the host's timer wheel.
func (h *TCPHandle) Expire(id int, now time.Duration) {
	if id == timerRead {
		h.conn.rq.expire(&h.reader, h.conn.host, now)
	} else {
		h.conn.wq.expire(&h.writer, now)
	}
}

// Read is as TCPConn.Read.
func (h *TCPHandle) Read(b []byte) (int, error) { return h.conn.read(&h.reader, b) }

// Peek is as TCPConn.Peek.
func (h *TCPHandle) Peek(b []byte, wait bool) (int, error) { return h.conn.peek(&h.reader, b, wait) }

// Forward is as TCPConn.Forward.
func (h *TCPHandle) Forward(write func(bufs [][]byte) (int64, error)) (written int64, readErr, writeErr error) {
	return h.conn.forward(&h.reader, write)
}

// Write is as TCPConn.Write.
func (h *TCPHandle) Write(b []byte) (int, error) { return h.conn.writeBy(&h.writer, b) }

// WriteBuffers is as TCPConn.WriteBuffers.
func (h *TCPHandle) WriteBuffers(bufs [][]byte) (int64, error) {
	return h.conn.writeBuffers(&h.writer, bufs)
}

// Fill is as TCPConn.Fill.
func (h *TCPHandle) Fill(r io.Reader, large bool) (written int64, readErr, writeErr error) {
	return h.conn.fill(&h.writer, r, large)
}

// CloseWrite is the connection's.
func (h *TCPHandle) CloseWrite() error { return h.conn.CloseWrite() }

// SetReadDeadline is as TCPConn.SetReadDeadline, for the handle's calls.
func (h *TCPHandle) SetReadDeadline(t time.Time) error { return h.conn.setReadDeadline(&h.reader, t) }

// SetWriteDeadline is as TCPConn.SetWriteDeadline, for the handle's calls.
func (h *TCPHandle) SetWriteDeadline(t time.Time) error { return h.conn.setWriteDeadline(&h.writer, t) }

// Close ends the handle's calls, and the connection if it is the last holder, as
// TCPConn.Close does.
func (h *TCPHandle) Close() error { return h.conn.close(&h.reader, &h.writer) }
