package tcp

import (
	"syscall"
	"time"
)

// CloseWrite sends FIN after the data that was written (RFC 9293 section
// 3.10.4). Call Next afterwards. A connection attempt ends at once.
func (c *Conn) CloseWrite(now time.Duration) {
	if c.finQueue {
		return
	}
	switch c.state {
	case StateSynSent:
		c.fail(0, 0)
		return
	case StateSynReceived: // FIN-WAIT-1 once it is established
	case StateEstablished:
		c.state = StateFinWait1
	case StateCloseWait:
		c.state = StateLastAck
	default:
		return
	}
	c.finQueue = true
}

// Orphan is CloseWrite by an application that reads no more either: data that
// comes now is answered by RST (RFC 9293 section 3.10.4), FIN-WAIT-2 ends by
// itself and retransmissions end earlier. Call Next afterwards. The caller who
// holds received data that nobody will read calls Abort instead (RFC 2525
// section 2.17).
func (c *Conn) Orphan(now time.Duration) Events {
	if c.state == StateClosed {
		return 0
	}
	c.CloseWrite(now)
	c.orphan = true
	c.dropHeld()
	switch c.state {
	case StateFinWait2:
		c.lifeAt = now + c.cfg.FinWait2
	case StateClosed:
		return Closed
	}
	return SendReady
}

// Abort ends the connection now; Next gives the RST, if the state wants one
// (RFC 9293 section 3.10.5). Err is ECONNABORTED.
func (c *Conn) Abort(now time.Duration) {
	switch c.state {
	case StateClosed:
		return
	case StateSynReceived, StateEstablished, StateFinWait1, StateFinWait2, StateCloseWait:
		if c.state != StateSynReceived || c.nxt != c.iss { // else the peer has not even our SYN-ACK
			c.rstDue, c.rstAck, c.rstSeq = true, true, c.nxt
		}
	case StateClosing, StateLastAck:
		// The peer has our FIN, or data before it is lost with the abort.
		if c.una != c.nxt || !c.finSent {
			c.rstDue, c.rstAck, c.rstSeq = true, true, c.nxt
		}
	}
	c.fail(syscall.ECONNABORTED, 0)
}

// fail enters CLOSED with errno as the reason, 0 for an orderly end. What the
// caller can still take by Reassembled stays until Release.
func (c *Conn) fail(errno syscall.Errno, ev Events) Events {
	if errno != 0 {
		c.err = errno
	}
	c.state = StateClosed
	c.phase = phaseOpen
	c.rtxAt, c.ackAt, c.lifeAt = Never, Never, Never
	c.synDue, c.probeDue, c.keepDue, c.ackNow, c.ackWait = false, false, false, false, false
	c.acksOwed = 0
	c.sq.release(c.cfg.Pool)
	c.dropScoreboard()
	c.dropHeld()
	return ev | Closed
}

// Release returns all memory to the pool and stops the timers. The Conn is
// CLOSED after it, and can be used again.
func (c *Conn) Release() {
	if c.cfg == nil {
		return
	}
	err := c.err
	c.fail(0, 0)
	c.dropReassembly()
	c.rstDue = false
	c.err = err
}

// enterTimeWait enters TIME-WAIT; its end is lifeAt.
func (c *Conn) enterTimeWait(now time.Duration, r *Result) {
	c.state = StateTimeWait
	c.rtxAt = Never
	c.persist = false
	c.lifeAt = now + c.cfg.TimeWait
	r.Events |= TimeWaiting
}

// peerFIN acts on the peer's FIN, which is next in order (RFC 9293 section
// 3.10.7.4, eighth check).
func (c *Conn) peerFIN(now time.Duration, r *Result) {
	c.rcvNxt++
	c.rcvEdge = maxSeq(c.rcvEdge, c.rcvNxt)
	c.ackNow = true
	r.Events |= EOF | AckNow
	switch c.state {
	case StateEstablished:
		c.state = StateCloseWait
	case StateFinWait1:
		c.state = StateClosing
	case StateFinWait2:
		c.enterTimeWait(now, r)
	}
}
