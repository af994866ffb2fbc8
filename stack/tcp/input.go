package tcp

import (
	"syscall"
	"time"
)

// Input takes a segment whose checksum and addresses are right. It is good to
// hand in a burst and call Next once afterwards.
func (c *Conn) Input(seg *Segment, now time.Duration) (r Result) {
	n := uint32(len(seg.Payload))
	if !c.predicts(seg, n) {
		return c.input(seg, now)
	}
	return c.take(seg, seg.Seq, n, n, now)
}

// InputRefused is Input for a segment whose data the caller has no memory for. New
// data is dropped without an answer, as if the path had lost it, and FIN with it;
// all else that the segment tells counts. That is the caller's way out, where a
// window that was offered cannot be taken back (RFC 9293 section 3.8.6): an ACK
// would ask the peer for the same data again at once, and have it believe in
// congestion. What is held out of order is given up too.
func (c *Conn) InputRefused(seg *Segment, now time.Duration) Result {
	c.refusing = true
	r := c.input(seg, now)
	c.refusing = false
	return r
}

// input is Input for any segment in any state.
func (c *Conn) input(seg *Segment, now time.Duration) (r Result) {
	switch c.state {
	case StateClosed:
		return r
	case StateSynSent:
		return c.inputSynSent(seg, now)
	case StateTimeWait:
		return c.inputTimeWait(seg, now)
	}
	// RFC 9293 section 3.10.7.4, step by step.
	if !c.acceptable(seg, now, &r) ||
		!c.checkControl(seg, now, &r) ||
		!c.checkAck(seg, now, &r) {
		return r
	}
	if c.tsOK && seg.Options.Timestamps && seg.Seq.LessThanEq(c.lastAck) {
		// RFC 7323 section 5.3, R3: the timestamp to echo is that of the segment
		// which the next ACK answers. Only now, as the ACK field is good: a forged
		// segment must not make PAWS drop the peer's.
		c.tsRecent, c.tsAt = seg.Options.TSVal, now
	}
	// Sixth, the URG bit: urgent data is data in line.
	// Seventh, the segment text; eighth, the FIN bit.
	if len(seg.Payload) > 0 || seg.Flags&flagFIN != 0 {
		c.text(seg, seg.Seq, now, &r)
	}
	if c.nxt.LessThan(c.sq.end) || c.finQueue && !c.finSent || c.phase >= phaseRecovery {
		r.Events |= SendReady
	}
	return r
}

// acceptable is the first check: timestamps (RFC 7323 section 5.3) and the
// sequence number. What is not acceptable is answered by an ACK.
func (c *Conn) acceptable(seg *Segment, now time.Duration, r *Result) bool {
	rst := seg.Flags&flagRST != 0
	if c.tsOK && !rst {
		if !seg.Options.Timestamps {
			// Section 3.2: silently dropped. A SYN of another connection gets
			// its challenge ACK nevertheless.
			if seg.Flags&flagSYN == 0 {
				return false
			}
		} else if int32(seg.Options.TSVal-c.tsRecent) < 0 && !c.tsExpired(now) {
			// R1: PAWS
			c.stats.paws++
			c.answer(seg, now, r)
			return false
		}
	}
	if c.simultaneousSYNACK(seg) {
		return true
	}
	n := length(seg.Flags, len(seg.Payload))
	wnd := c.rcvEdge - c.rcvNxt
	ok := false
	switch {
	case n == 0:
		// The right edge itself too: there stands the ACK of a peer that has
		// filled the window with segments that are late or lost. And an ACK
		// that data has overtaken, or whose sender has not seen ours yet, still
		// tells what it tells.
		ok = uint32(seg.Seq-c.rcvNxt) <= uint32(wnd) || !rst && seg.Seq.InRange(c.lastAck, c.rcvNxt)
	case seg.Seq == c.rcvNxt:
		// With no window either: valid ACKs and RSTs count, and FIN takes no
		// room. text trims the data.
		ok = true
	default:
		ok = seg.Seq.LessThan(c.rcvEdge) && c.rcvNxt.LessThan(seg.Seq.Add(n))
	}
	if !ok {
		if rst {
			return false
		}
		if seg.Seq.LessThan(c.rcvNxt) && len(seg.Payload) > 0 {
			c.noteDuplicate(seg.Seq, minSeq(seg.Seq.Add(len(seg.Payload)), c.rcvNxt))
		}
		if c.state == StateSynReceived && seg.Flags&(flagSYN|flagACK) == flagSYN && seg.Seq == c.irs {
			// The SYN again: so the SYN-ACK was lost.
			if c.tsOK {
				c.tsRecent, c.tsAt = seg.Options.TSVal, now
			}
			c.synDue = true
			r.Events |= AckNow
			return false
		}
		c.answer(seg, now, r)
		return false
	}
	c.lastRcv = now
	c.keepProbes = 0
	return true
}

// simultaneousSYNACK reports whether seg is the SYN-ACK of a simultaneous
// open, whose SYN came before (RFC 9293 section 3.5, figure 7).
func (c *Conn) simultaneousSYNACK(seg *Segment) bool {
	return c.state == StateSynReceived && c.active && seg.Seq == c.irs &&
		seg.Flags&(flagSYN|flagACK|flagRST|flagFIN) == flagSYN|flagACK &&
		seg.Ack == c.nxt && len(seg.Payload) == 0
}

// checkControl is the second and fourth check: RST and SYN.
func (c *Conn) checkControl(seg *Segment, now time.Duration, r *Result) bool {
	if seg.Flags&flagRST != 0 {
		// RFC 5961 section 3.2: a reset counts only at the very next sequence
		// number; elsewhere in the window the peer must confirm it.
		if seg.Seq != c.rcvNxt {
			c.challenge(now, r)
			return false
		}
		errno := syscall.ECONNRESET
		switch {
		case c.state == StateSynReceived && c.active:
			errno = syscall.ECONNREFUSED
		case c.state == StateCloseWait:
			errno = syscall.EPIPE
		}
		r.Events |= c.fail(errno, Reset)
		return false
	}
	if seg.Flags&flagSYN != 0 && !c.simultaneousSYNACK(seg) {
		// RFC 5961 section 4.2
		c.challenge(now, r)
		return false
	}
	return true
}

// checkAck is the fifth check: the ACK field.
func (c *Conn) checkAck(seg *Segment, now time.Duration, r *Result) bool {
	if seg.Flags&flagACK == 0 {
		return false
	}
	if c.state == StateSynReceived {
		if seg.Ack.LessThanEq(c.una) || c.nxt.LessThan(seg.Ack) {
			c.rstDue, c.rstAck, c.rstSeq = true, false, seg.Ack
			r.Events |= AckNow
			return false
		}
		c.establish(seg.Ack, seg, now, r)
		if seg.Flags&flagSYN != 0 {
			// Simultaneous open: let the peer know, should its own be late.
			c.ackNow = true
			r.Events |= AckNow
			c.sndWnd = uint32(seg.Window)
			c.wl2 = seg.Ack
			return false
		}
		c.updateWindow(seg)
		return true
	}
	// RFC 5961 section 5.2: neither for what was never sent, nor older than any
	// window.
	if c.nxt.LessThan(seg.Ack) || seg.Ack.LessThan(c.una.Add(-int(c.maxSndWnd))) {
		c.challenge(now, r)
		return false
	}
	c.acknowledge(seg, now, r)
	return c.state != StateClosed
}

// updateWindow takes the window of an acceptable segment (RFC 9293 section
// 3.10.7.4, fifth check, ESTABLISHED).
func (c *Conn) updateWindow(seg *Segment) {
	c.sndWnd = uint32(seg.Window) << c.sndShift
	if c.sndWnd > c.maxSndWnd {
		c.maxSndWnd = c.sndWnd
	}
	c.wl1, c.wl2 = seg.Seq, seg.Ack
}

// closeStates moves on as our FIN is acknowledged (una is beyond it).
func (c *Conn) closeStates(now time.Duration, r *Result) {
	switch c.state {
	case StateFinWait1:
		c.state = StateFinWait2
		if c.orphan {
			c.lifeAt = now + c.cfg.FinWait2
		}
	case StateClosing:
		c.enterTimeWait(now, r)
	case StateLastAck:
		r.Events |= c.fail(0, 0)
	}
}

// answer sends an ACK for an unacceptable segment: at once for one with data
// or FIN, which the peer repeats because an ACK was lost; else within the limit
// of challenge ACKs, so that two ends that disagree do not echo ACKs for ever.
func (c *Conn) answer(seg *Segment, now time.Duration, r *Result) {
	if len(seg.Payload) == 0 && seg.Flags&flagFIN == 0 {
		c.challenge(now, r)
		return
	}
	c.ackNow = true
	r.Events |= AckNow
}

// A connection sends at most challengeLimit ACKs of this kind in challengeSpan
// (RFC 5961 section 7; a limit for the whole host would tell an attacker about
// other connections, CVE-2016-5696).
const (
	challengeLimit = 10
	challengeSpan  = 5 * time.Second
)

// challenge sends a challenge ACK, within the limit.
func (c *Conn) challenge(now time.Duration, r *Result) {
	if c.challenges == 0 || now-c.challengeAt >= challengeSpan {
		c.challengeAt, c.challenges = now, 0
	}
	if c.challenges >= challengeLimit {
		return
	}
	c.challenges++
	c.ackNow = true
	r.Events |= AckNow
}
