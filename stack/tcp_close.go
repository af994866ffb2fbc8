package stack

import (
	"math"
	"time"

	"github.com/fastnet-go/fastnet/internal/defect"
	"github.com/fastnet-go/fastnet/stack/tcp"
)

// close makes readers return ErrClosed and drops what they did not read. It
// returns how many bytes that was.
func (r *receiveQueue) close(m *tcp.Memory) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	if !defect.On(defect.ReadersSleepOn) {
		r.wake()
	}
	n := r.discard()
	r.account(m)
	return n
}

// Close ends the connection. What was written still goes out, in the
// background; but if there are bytes that nobody has read, the peer is told by
// a RST (RFC 2525 section 2.17). While there are handles (see Dup) it only ends the
// TCPConn's own calls. A second Close returns ErrClosed.
func (c *TCPConn) Close() error { return c.close(&c.rq.holder, &c.wq.holder) }

func (c *TCPConn) close(r, w *holder) error {
	c.lock()
	defer c.unlock()
	if c.released || w.closed {
		if defect.On(defect.SecondCloseSucceeds) {
			return nil
		}
		return ErrClosed
	}
	if c.detach(r, w) {
		return nil
	}
	now := c.host.now()
	unread := c.release()
	if c.gone {
		return nil
	}
	unread = unread && !defect.On(defect.UnreadDataIsFinished) || defect.On(defect.CloseResets)
	if unread || c.linger == 0 && !defect.On(defect.LingerIgnored) {
		c.core.Abort(now)
	} else {
		if c.linger > 0 {
			c.lingerUntil = now + time.Duration(c.linger)*time.Second
		}
		c.events(c.core.Orphan(now), now)
	}
	c.output(now)
	return nil
}

// release lets go of what the application had of the connection: its calls
// return ErrClosed, and what it did not read is dropped. It reports whether there
// was any. The lock is held.
func (c *TCPConn) release() (unread bool) {
	if c.gone && !c.released {
		c.host.ended.remove(c)
	}
	c.released = true
	c.wq.ended = true
	c.wq.wake()
	unread = c.rq.close(&c.host.memory) > 0
	c.host.wheel.Stop(&c.rq.timer)
	c.host.wheel.Stop(&c.wq.timer)
	for _, h := range c.others {
		c.host.wheel.Stop(&h.reader.timer)
		c.host.wheel.Stop(&h.writer.timer)
	}
	return unread
}

// CloseWrite sends FIN after what was written. Reads go on.
func (c *TCPConn) CloseWrite() error {
	c.lock()
	defer c.unlock()
	switch {
	case c.released:
		return ErrClosed
	case c.gone || !c.established:
		return errNotConnected
	case c.wq.shut:
		return nil
	}
	c.wq.shut = true
	c.wq.wake()
	if defect.On(defect.CloseWriteClosesBoth) {
		c.rq.finish(errEOF)
	}
	if defect.On(defect.CloseWriteIsLocal) {
		return nil
	}
	now := c.host.now()
	c.core.CloseWrite(now)
	c.output(now)
	return nil
}

// CloseRead makes Reads return what has arrived and then io.EOF. What comes
// later is acknowledged and dropped.
func (c *TCPConn) CloseRead() error {
	c.lock()
	defer c.unlock()
	if c.released {
		return ErrClosed
	}
	if c.gone {
		return errNotConnected
	}
	c.rq.mu.Lock()
	c.rq.shut = !defect.On(defect.CloseReadIgnored)
	c.rq.wake()
	c.rq.mu.Unlock()
	return nil
}

// SetLinger says what Close does with data that is not acknowledged. Negative:
// it goes out in the background, the default. 0: it is dropped and the peer
// gets a RST. Positive: after so many seconds it is dropped.
func (c *TCPConn) SetLinger(seconds int) error {
	return c.set(func(time.Duration) { c.linger = int32(min(seconds, math.MaxInt32)) })
}

// endLinger drops what the peer has not acknowledged in time. If it has it all
// the connection ends as it would have.
func (c *TCPConn) endLinger(now time.Duration) {
	switch c.core.State() {
	case tcp.StateFinWait1, tcp.StateClosing, tcp.StateLastAck, tcp.StateSynReceived:
		c.core.Abort(now)
	}
}

// SetNoDelay turns the Nagle algorithm off (true) or on.
func (c *TCPConn) SetNoDelay(on bool) error {
	return c.set(func(now time.Duration) {
		c.core.SetNoDelay(on)
		c.output(now)
	})
}

// KeepAlive says when an idle connection is probed.
type KeepAlive = tcp.KeepAlive

// SetKeepAliveConfig sets when the peer is probed. A zero duration or count
// takes the default, a negative one leaves what was set before.
func (c *TCPConn) SetKeepAliveConfig(k KeepAlive) error {
	if defect.On(defect.KeepAliveIgnored) {
		return nil
	}
	return c.set(func(now time.Duration) {
		alive := c.core.KeepAlive()
		alive.Enable = k.Enable
		replace(&alive.Idle, k.Idle, defaultKeepAlive.Idle)
		replace(&alive.Interval, k.Interval, defaultKeepAlive.Interval)
		replace(&alive.Count, k.Count, defaultKeepAlive.Count)
		c.core.SetKeepAlive(alive)
		c.arm()
	})
}

// replace sets *v to want, or to def if that is zero, or not if it is negative.
func replace[T int | time.Duration](v *T, want, def T) {
	switch {
	case want > 0:
		*v = want
	case want == 0:
		*v = def
	}
}

// SetKeepAlive turns keep-alive probes on or off.
func (c *TCPConn) SetKeepAlive(on bool) error {
	k := KeepAlive{Enable: on, Idle: -1, Interval: -1, Count: -1}
	return c.SetKeepAliveConfig(k)
}

// SetReadBuffer sets the size of the receive buffer, in bytes, which does not
// grow by itself from then on. A window that was offered is not taken back.
func (c *TCPConn) SetReadBuffer(bytes int) error {
	return c.set(func(time.Duration) {
		c.rq.mu.Lock()
		c.rq.limit = int32(min(max(bytes, minBuffer), maxRcvBuf))
		c.rq.fixed = true
		c.core.SetRcvBuf(int(c.rq.limit))
		c.rq.mu.Unlock()
		c.offerWindow()
	})
}

// SetWriteBuffer sets the size of the send buffer, in bytes, which does not grow
// by itself from then on.
func (c *TCPConn) SetWriteBuffer(bytes int) error {
	return c.set(func(time.Duration) {
		c.core.SetSndBuf(max(bytes, minBuffer))
		c.wq.wake()
	})
}

// set runs change with the lock held, unless the connection is closed. One that
// has ended takes it without effect, as in Linux.
func (c *TCPConn) set(change func(now time.Duration)) error {
	c.lock()
	defer c.unlock()
	if c.released {
		return ErrClosed
	}
	if c.gone {
		return nil
	}
	change(c.host.now())
	return nil
}
