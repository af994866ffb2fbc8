package tcp

import (
	"syscall"
	"time"
)

const (
	maxRetries = 200 // a limit of what Config can ask for
	maxBackoff = 20  // MaxRTO comes before
)

// interval is the current retransmission timeout, backed off (RFC 6298 section
// 5.5).
func (c *Conn) interval() time.Duration {
	return min(c.rto<<c.backoff, c.cfg.MaxRTO)
}

// arm starts the retransmission (or persist) timer.
func (c *Conn) arm(now time.Duration) {
	c.armedAt = now
	c.rtxAt = now + c.interval()
	if limit := c.cfg.UserTimeout; limit > 0 {
		since := now
		if c.stallAt > 0 {
			since = c.stallAt
		}
		c.rtxAt = min(c.rtxAt, max(since+limit, now+time.Millisecond))
	}
}

// rearm restarts the retransmission timer, or stops it when nothing is in
// flight (RFC 6298 sections 5.2 and 5.3).
func (c *Conn) rearm(now time.Duration) {
	c.persist = false
	if c.una == c.nxt {
		c.rtxAt = Never
		return
	}
	c.arm(now)
}

// startPersist starts the persist timer: the window holds back all there is to
// send, and nothing is in flight whose ACK could open it (RFC 9293 section
// 3.8.6.1; it also is the override timer of section 3.8.6.2.1).
func (c *Conn) startPersist(now time.Duration) {
	c.persist = true
	c.backoff, c.retries, c.stallAt = 0, 0, 0
	c.arm(now)
}

// endPersist stops it: the window has opened.
func (c *Conn) endPersist() {
	c.persist, c.probeDue = false, false
	c.backoff, c.retries, c.stallAt = 0, 0, 0
	c.rtxAt = Never
}

// Deadline is when Tick is to be called, Never for not at all. It may move with
// each call of any other method.
func (c *Conn) Deadline() time.Duration {
	if c.state == StateClosed {
		return Never
	}
	d := min(c.rtxAt, c.ackAt, c.lifeAt)
	if c.keep.Enable {
		d = min(d, c.keepDeadline())
	}
	return d
}

// keepDeadline is when the next keep-alive probe is due. Data in flight and
// probes of the window make it needless.
func (c *Conn) keepDeadline() time.Duration {
	if !c.keep.Enable || c.state < StateEstablished || c.state == StateTimeWait || c.rtxAt != Never {
		return Never
	}
	if c.keepProbes == 0 {
		return c.lastRcv + c.keep.Idle
	}
	return c.keepAt + c.keep.Interval
}

// Tick acts on what is due at now. Call Next afterwards.
func (c *Conn) Tick(now time.Duration) (ev Events) {
	if c.state == StateClosed {
		return 0
	}
	if now >= c.lifeAt {
		// The end of TIME-WAIT, or of FIN-WAIT-2 without an owner.
		return c.fail(0, 0)
	}
	if now >= c.ackAt {
		// The peer waits for more than we thought to be two segments: learn anew.
		c.rcvSeg = min(minRcvSeg, c.rcvMSS)
		c.FlushAck()
		ev |= AckNow
	}
	if now >= c.rtxAt {
		ev |= c.timeout(now)
	}
	if now >= c.ProbeDeadline() {
		ev |= c.probeTail(now)
	}
	if c.state != StateClosed && now >= c.keepDeadline() {
		ev |= c.keepAlive(now)
	}
	return ev
}

// timeout is the retransmission or persist timer (RFC 6298 section 5, RFC 9293
// section 3.8.6.1).
func (c *Conn) timeout(now time.Duration) Events {
	if c.stallAt == 0 {
		c.stallAt = c.armedAt
	}
	if !c.persist && c.sndWnd == 0 && c.lastRcv > c.armedAt && c.state > StateSynReceived {
		// The peer has closed its window on data in flight, and answers: then
		// retransmissions are probes, and do not count.
		c.retries, c.stallAt = 0, c.armedAt
	}
	if int(c.retries) >= c.retryLimit() || c.orphanStuck() ||
		c.cfg.UserTimeout > 0 && now-c.stallAt >= c.cfg.UserTimeout {
		errno := syscall.ETIMEDOUT
		if c.softErr != 0 {
			errno = c.softErr
		}
		return c.fail(errno, Failed)
	}
	c.retries++
	c.backoff = min(c.backoff+1, maxBackoff)
	switch {
	case c.state <= StateSynReceived:
		c.stats.timeouts++
		c.timing = false
		c.synDue = true
	case c.persist:
		c.probeDue = true
	default:
		c.stats.timeouts++
		c.enterLoss(now)
	}
	c.arm(now)
	return SendReady
}

// orphanStuck reports whether the peer of a connection that nobody waits for has
// answered with a closed window until probes were MaxRTO apart, as in Linux.
func (c *Conn) orphanStuck() bool {
	return c.orphan && (c.persist || c.sndWnd == 0) && c.state > StateSynReceived &&
		int(c.backoff) >= min(c.cfg.OrphanRetries, maxBackoff) && c.interval() >= c.cfg.MaxRTO
}

// retryLimit is how many timeouts without an answer end the connection.
func (c *Conn) retryLimit() int {
	limit := c.cfg.DataRetries
	switch {
	case c.state <= StateSynReceived:
		limit = c.cfg.SYNRetries
	case c.orphan:
		limit = min(limit, c.cfg.OrphanRetries)
	}
	return min(limit, maxRetries)
}

// keepAlive sends the next probe, or gives up (RFC 9293 section 3.8.4).
func (c *Conn) keepAlive(now time.Duration) Events {
	silent := c.cfg.UserTimeout > 0 && now-c.lastRcv >= c.cfg.UserTimeout
	if int(c.keepProbes) >= c.keep.Count || c.keepProbes > 0 && silent {
		c.rstDue, c.rstAck, c.rstSeq = true, true, c.nxt
		return c.fail(syscall.ETIMEDOUT, Failed) | AckNow
	}
	c.keepProbes++
	c.keepAt = now
	c.keepDue = true
	return SendReady
}
