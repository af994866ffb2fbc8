package stack

import (
	"time"

	"github.com/fastnet-go/fastnet/internal/defect"
)

// deadlines: SetReadDeadline with a time in the past, and with none, is what
// net/http does on every request, so both must cost nothing: no timer is
// touched. A timer that is pending for a deadline that was taken back finds
// that out when it expires.

// longAgo is a second of Unix time before any that a clock tells, that of a
// testing/synctest bubble included: the year 1998.
const longAgo = 900_000_000

// instant turns a time.Time into one of the host's clock: Never for the zero
// time, and past for one that is not to come.
func (h *Host) instant(t time.Time) (when time.Duration, past bool) {
	if t.IsZero() {
		return Never, false
	}
	if t.Unix() < longAgo {
		return 0, true // without a look at the clock
	}
	d := time.Until(t)
	if d <= 0 {
		return 0, true
	}
	now := h.now()
	if d > Never-now {
		return Never, false
	}
	return now + d, false
}

// SetDeadline sets both deadlines.
func (c *TCPConn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline makes Reads, those that wait now included, return
// os.ErrDeadlineExceeded from t on. The zero time means never.
func (c *TCPConn) SetReadDeadline(t time.Time) error { return c.setReadDeadline(&c.rq.holder, t) }

func (c *TCPConn) setReadDeadline(by *holder, t time.Time) error {
	when, past := c.host.instant(t)
	r := &c.rq
	r.mu.Lock()
	if by.closed || r.ended {
		r.mu.Unlock()
		return ErrClosed
	}
	by.deadline, by.expired = when, past || by.expired && t.IsZero() && defect.On(defect.ReadDeadlineStays)
	if past && !defect.On(defect.PendingReadSleepsOn) {
		r.wake()
	} else if when != Never {
		c.host.arm(&by.timer, when)
	}
	r.mu.Unlock()
	return nil
}

// expire is called by a holder's timer.
func (r *receiveQueue) expire(by *holder, h *Host, now time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if by.expire(h, now) {
		r.wake()
	}
}

// SetWriteDeadline makes Writes, those that wait now included, return
// os.ErrDeadlineExceeded from t on. The zero time means never.
func (c *TCPConn) SetWriteDeadline(t time.Time) error { return c.setWriteDeadline(&c.wq.holder, t) }

func (c *TCPConn) setWriteDeadline(by *holder, t time.Time) error {
	when, past := c.host.instant(t)
	c.lock()
	defer c.unlock()
	if by.closed || c.wq.ended {
		return ErrClosed
	}
	if defect.On(defect.WriteDeadlineIgnored) {
		return nil
	}
	if by.expireAt(c.host, when, past) {
		c.wq.wake()
	}
	return nil
}

func (w *writeQueue) expire(by *holder, now time.Duration) {
	c := w.conn
	c.lock()
	defer c.unlock()
	if by.expire(c.host, now) {
		w.wake()
	}
}
