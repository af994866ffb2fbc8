package tcp

import "time"

// dupThresh is DupThresh of RFC 5681 and RFC 6675.
const dupThresh = 3

// Loss recovery, with and without SACK, is one scheme. It knows an edge,
// lossEdge, below which what is not SACKed is deemed lost, and highRxt, up to
// which that was sent again; it estimates what is in the network, pipe, and
// sends while that is less than the congestion window (RFC 6675). Without SACK
// the edge is one segment after una (RFC 6582), and a duplicate ACK counts as
// one segment that has left the network. After a timeout all in flight is
// deemed lost.

// detectLoss acts on what the latest ACK has told: it may enter or leave fast
// recovery.
func (c *Conn) detectLoss(now time.Duration) {
	if c.sb != nil {
		c.sb.prune(c.una)
		if len(c.sb.ranges) > 0 && c.sb.ranges[0].start == c.una && c.una != c.nxt {
			// The peer has SACKed what its cumulative ACK excludes: it has
			// reneged (RFC 2018 section 8).
			c.dropScoreboard()
		} else if len(c.sb.ranges) == 0 {
			c.dropScoreboard()
		}
	}
	if c.phase >= phaseRecovery {
		if c.recover.LessThanEq(c.una) {
			c.leaveRecovery()
		} else {
			c.updateEdge()
		}
	}
	if c.phase <= phaseDisorder {
		c.lossEdge, c.highRxt = c.una, c.una
		c.phase = phaseOpen
		if c.dupAcks > 0 || c.sb != nil {
			c.phase = phaseDisorder
		}
		if c.phase == phaseDisorder && c.shouldRecover() {
			c.enterRecovery(now)
		}
	}
	c.setPipe()
}

// shouldRecover reports whether una is deemed lost.
func (c *Conn) shouldRecover() bool {
	if c.una == c.nxt {
		return false
	}
	if c.sackOK {
		// RFC 6675 section 5: steps 1 and 2 of a duplicate ACK
		return c.dupAcks >= dupThresh || c.sb != nil && c.una.LessThan(c.sb.lostBelow(c.una, c.cw.MSS)) || c.probeArrived()
	}
	// RFC 6582 section 3.2 step 2: not for duplicate ACKs that come of
	// retransmissions in vain
	return c.dupAcks >= dupThresh && c.recover.LessThan(c.una)
}

// enterRecovery begins fast retransmit and fast recovery (RFC 6675 section 5
// step 4, RFC 6582 section 3.2 step 2).
func (c *Conn) enterRecovery(now time.Duration) {
	c.stats.recoveries++
	c.phase = phaseRecovery
	c.recover = c.nxt
	c.highRxt = c.una
	c.lossEdge = c.una
	c.rescue = c.nxt // until the first retransmission is made
	c.fastRtx = true
	flight := uint32(c.nxt - c.una)
	if c.cong == nil {
		NewReno{}.Loss(&c.cw, flight, now)
	} else {
		c.cong.Loss(&c.cw, flight, now)
	}
	c.updateEdge()
	c.endProbe()
}

// enterLoss begins recovery by a retransmission timeout (RFC 5681 section 3.1,
// RFC 6582 section 4).
func (c *Conn) enterLoss(now time.Duration) {
	if c.sndWnd > 0 {
		if c.retries == 1 {
			// Held constant when the same data times out again.
			flight := min(uint32(c.nxt-c.una), c.cw.Cwnd)
			if c.cong == nil {
				NewReno{}.Timeout(&c.cw, flight, now)
			} else {
				c.cong.Timeout(&c.cw, flight, now)
			}
		}
		c.cw.Cwnd = c.cw.MSS
	}
	if c.retries > 1 {
		// RFC 2018 section 8: perhaps the peer has reneged. The first time it
		// gets the benefit of the doubt (RFC 6675 section 5.1).
		c.dropScoreboard()
	}
	c.phase = phaseLoss
	c.dupAcks = 0
	c.recover = c.nxt
	c.lossEdge = c.nxt
	c.highRxt = c.una
	c.timing = false
	c.fastRtx = true
	c.endProbe()
	c.setPipe()
}

// recoveryAdvance is called as acked octets were acknowledged in recovery.
func (c *Conn) recoveryAdvance(acked uint32, now time.Duration) {
	c.highRxt = maxSeq(c.highRxt, c.una)
	c.lossEdge = maxSeq(c.lossEdge, c.una)
	if c.phase == phaseLoss {
		// Slow start, by at most one segment an ACK (RFC 3465 section 2.3): an
		// ACK that fills a hole covers what had left the network before.
		c.grow(min(acked, c.cw.MSS), now)
		return
	}
	if c.sackOK {
		return
	}
	// RFC 6582 section 3.2 step 3, partial acknowledgment: the next segment is
	// lost as well and goes at once. Of the duplicate ACKs, those that told of
	// what is acknowledged now do not count any more.
	c.highRxt = c.una
	c.lossEdge = c.una
	c.fastRtx = true
	c.dupAcks -= uint8(min(uint32(c.dupAcks), (acked-1)/c.cw.MSS))
}

// updateEdge moves lossEdge by what is known now.
func (c *Conn) updateEdge() {
	if c.phase == phaseLoss {
		return
	}
	edge := c.una
	if !c.sackOK || c.fastRtx {
		// The segment at una is lost in any case. With SACK, only the first.
		edge = minSeq(c.una.Add(int(c.cw.MSS)), c.nxt)
	}
	if c.sb != nil {
		edge = maxSeq(edge, c.sb.lostBelow(c.una, c.cw.MSS))
	}
	if c.probeArrived() {
		edge = maxSeq(edge, c.tlp.start)
	}
	c.lossEdge = maxSeq(c.lossEdge, edge)
}

// leaveRecovery ends recovery: all that was in flight as it began is
// acknowledged.
func (c *Conn) leaveRecovery() {
	if c.phase == phaseRecovery {
		// RFC 6582 section 3.2 step 3, full acknowledgment, option 1: no burst.
		flight := uint32(c.nxt - c.una)
		c.cw.Cwnd = c.cw.Ssthresh
		if !c.sackOK {
			c.cw.Cwnd = min(c.cw.Ssthresh, max(flight, c.cw.MSS)+c.cw.MSS)
		}
	}
	c.phase = phaseOpen
	c.dupAcks = 0
	c.fastRtx = false
}

// setPipe estimates how many octets are in the network (RFC 6675 section 4,
// SetPipe).
//
//	  not lost: lossEdge to nxt, but for what is SACKed
//	+ sent again: una to highRxt, but for what is SACKed
//	- without SACK, a segment for each duplicate ACK
func (c *Conn) setPipe() {
	if c.sb != nil {
		c.pipe = c.sb.unsacked(c.lossEdge, c.nxt) + c.sb.unsacked(c.una, c.highRxt)
		return
	}
	p := uint32(c.nxt - c.lossEdge)
	if !c.sackOK {
		p -= min(p, uint32(c.dupAcks)*c.cw.MSS)
	}
	c.pipe = p + uint32(c.highRxt-c.una)
}

// nextHole returns what is to be sent again next, below limit: start <= x < end,
// not SACKed.
func (c *Conn) nextHole(limit Seq) (start, end Seq) {
	from := maxSeq(c.una, c.highRxt)
	if c.sb != nil {
		return c.sb.hole(from, limit)
	}
	return from, maxSeq(from, limit)
}

// lastHole returns the last run in flight that is not SACKed, for the rescue
// retransmission (RFC 6675 section 4, NextSeg rule 4).
func (c *Conn) lastHole() (start, end Seq) {
	if c.sb == nil || c.sb.highest() != c.nxt {
		start, end = c.una, c.nxt
		if c.sb != nil {
			start = c.sb.highest()
		}
	} else {
		n := len(c.sb.ranges)
		start, end = c.una, c.sb.ranges[n-1].start
		if n > 1 {
			start = c.sb.ranges[n-2].end
		}
	}
	return maxSeq(start, end.Add(-int(c.cw.MSS))), end
}
