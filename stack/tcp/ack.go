package tcp

import "time"

// maxCwnd bounds the congestion window, so that sums with it stay in 32 bits.
const maxCwnd = 1 << 30

// acknowledge takes the ACK field, the window and the SACK blocks of an
// acceptable segment; una-maxSndWnd <= seg.Ack <= nxt.
func (c *Conn) acknowledge(seg *Segment, now time.Duration, r *Result) {
	var fresh uint32 // octets newly SACKed
	if seg.Options.NumSACK > 0 && c.sackOK {
		fresh = c.takeSACK(seg)
	}
	acked := seg.Ack.Sub(c.una)
	if acked == 0 && c.tlp.out {
		c.probeAnswered(seg, now)
	}
	if acked > 0 {
		r.Events |= c.advance(seg.Ack, seg, now)
		if c.finSent && c.una == c.nxt {
			c.closeStates(now, r)
		}
	} else if acked == 0 && c.una != c.nxt && c.isDuplicate(seg, fresh) {
		if c.dupAcks < 255 {
			c.dupAcks++
		}
	} else if fresh == 0 && !c.lossy() {
		// Nothing about losses.
		c.afterWindow(seg, now, r)
		return
	}
	c.afterWindow(seg, now, r)
	if c.state != StateClosed {
		c.detectLoss(now)
	}
	if c.phase != phaseOpen {
		r.Events |= SendReady // a retransmission, or limited transmit
	}
}

// lossy reports whether loss recovery has something to look after.
func (c *Conn) lossy() bool { return c.phase != phaseOpen || c.dupAcks != 0 || c.sb != nil }

// isDuplicate reports whether seg, whose ACK is una, is a duplicate ACK: with
// SACK when it tells of new arrivals (RFC 6675 section 2), else by the rule of
// RFC 5681 section 2.
func (c *Conn) isDuplicate(seg *Segment, fresh uint32) bool {
	if c.sackOK {
		return fresh > 0
	}
	return len(seg.Payload) == 0 && seg.Flags&(flagSYN|flagFIN) == 0 &&
		uint32(seg.Window)<<c.sndShift == c.sndWnd
}

// afterWindow takes the window of seg unless seg is older than what the window
// was last taken from, and ends the probing of a window that has opened.
func (c *Conn) afterWindow(seg *Segment, now time.Duration, r *Result) {
	if seg.Ack.LessThan(c.una) {
		return
	}
	if c.wl1.LessThan(seg.Seq) || c.wl1 == seg.Seq && c.wl2.LessThanEq(seg.Ack) {
		c.updateWindow(seg)
	}
	if c.persist {
		// The peer answers, so it lives (RFC 9293 section 3.8.6.1).
		c.retries, c.stallAt = 0, 0
		if _, _, ok := c.sendable(maxSegment, c.payloadMSS()); ok {
			c.endPersist()
			r.Events |= SendReady
		}
	}
}

// advance moves una to ack, una < ack <= nxt.
func (c *Conn) advance(ack Seq, seg *Segment, now time.Duration) (ev Events) {
	acked := uint32(ack - c.una)
	before := c.una
	if c.tlp.out || c.tlp.due {
		c.probeAnswered(seg, now)
	}
	c.una = ack
	c.sq.free(c.cfg.Pool, ack)
	c.stats.bytesOut += uint64(acked)

	if c.timing {
		if c.rttSeq.LessThanEq(ack) {
			c.timing = false
			c.sampleRTT(now - c.rttStart)
		}
	} else if c.tsOK && (c.backoff != 0 || c.phase >= phaseRecovery) {
		c.sampleEcho(seg, now)
	}
	c.retries, c.stallAt = 0, 0

	if c.phase <= phaseDisorder {
		c.dupAcks = 0
		if before.LessThan(c.limited) {
			// RFC 7661: a window that was not used is not grown.
			c.grow(acked, now)
		} else {
			c.limited = before
		}
		c.recover = maxSeq(c.recover, ack-1)
	} else {
		c.recoveryAdvance(acked, now)
	}
	c.rearm(now)
	if c.starved && c.writeRoom() {
		c.starved = false
		ev |= Writable
	}
	return ev
}

// grow lets congestion control see acked octets.
func (c *Conn) grow(acked uint32, now time.Duration) {
	if c.cong == nil {
		NewReno{}.Ack(&c.cw, acked, c.srtt, now)
	} else {
		c.cong.Ack(&c.cw, acked, c.srtt, now)
	}
	if c.cw.Cwnd > maxCwnd {
		c.cw.Cwnd = maxCwnd
	}
	if int(c.cw.Cwnd) > int(c.sndBuf)/2 {
		c.growSndBuf()
	}
}

// sampleRTT takes a measurement (RFC 6298 section 2). It ends the backoff.
func (c *Conn) sampleRTT(r time.Duration) {
	r = max(r, time.Microsecond)
	c.noteRTT(r, c.lastRcv)
	if c.srtt == 0 {
		c.srtt = r
		c.rttvar = r / 2
	} else {
		d := c.srtt - r
		if d < 0 {
			d = -d
		}
		c.rttvar += (d - c.rttvar) / 4
		c.srtt += (r - c.srtt) / 8
	}
	// The floor is on the allowance, not on the sum: the peer may delay its
	// ACK on a path whose round trip hardly varies.
	c.rto = min(c.srtt+max(4*c.rttvar, c.cfg.MinRTO), c.cfg.MaxRTO)
	c.backoff = 0
}

// sampleEcho measures by the timestamp that seg echoes (RFC 7323 section 4.1):
// after retransmissions, when a timed segment would be ambiguous.
func (c *Conn) sampleEcho(seg *Segment, now time.Duration) {
	if !seg.Options.Timestamps || seg.Options.TSEcr == 0 {
		return
	}
	ms := int32(c.tsNow(now) - seg.Options.TSEcr)
	if d := time.Duration(ms) * time.Millisecond; ms >= 0 && d <= now {
		c.sampleRTT(max(d, time.Millisecond))
	}
}

// tsNow is the timestamp clock: milliseconds, offset (RFC 7323 section 5.4).
func (c *Conn) tsNow(now time.Duration) uint32 {
	return uint32(now/time.Millisecond) + c.tsOffset
}

// tsExpired reports whether tsRecent is too old to compare with (RFC 7323
// section 5.5).
func (c *Conn) tsExpired(now time.Duration) bool {
	return now-c.tsAt > 24*24*time.Hour
}
