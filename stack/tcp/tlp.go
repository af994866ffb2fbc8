package tcp

import "time"

// The tail loss probe of RFC 8985 section 7: when the last segments of a flight are
// lost no ACK tells of it, and the retransmission timer is long. So after about two
// round trips without an answer one segment is sent, new data or the last segment
// again, whose ACK shows what is missing.
//
// It costs nothing on the way of a segment: when the probe is due follows from what
// is there anyway, and is only worked out as the caller arms its timer.

const (
	// probeAckDelay is how long a peer may wait with the ACK of less than two full
	// segments, in addition to two round trips (TLP.max_ack_delay): Linux waits 40 ms
	// or a round trip, if that is longer. Where probes come twice it is longer.
	probeAckDelay = 50 * time.Millisecond
	// leastProbe is the least wait, as a part of MinRTO: who shares a processor with
	// others does not answer at once.
	leastProbe = 10
)

// tailProbe is what is known of the latest probe.
type tailProbe struct {
	due   bool // Next owes it
	out   bool // it was sent, and not enough is known of it yet (TLP.end_seq is not None)
	again bool // what it carries had been sent before (TLP.is_retrans)

	start, end Seq

	vain uint8 // probes whose original had arrived
}

// ProbeDeadline is when Tick is to be called beside Deadline, Never for not at all:
// for the tail loss probe. It moves with nearly each segment, mostly to later; a
// caller whose timer expires early asks again.
func (c *Conn) ProbeDeadline() time.Duration {
	if c.una == c.nxt || !c.sackOK || c.tlp.due || c.phase > phaseDisorder || c.rtxAt == Never || c.persist ||
		c.srtt == 0 || c.state < StateEstablished || c.phase == phaseOpen && c.tlp.out {
		return Never
	}
	// Not before the retransmission timer would if it had no least allowance either:
	// round trips may differ more than twofold.
	wait := max(2*c.srtt, c.srtt+4*c.rttvar, c.cfg.MinRTO/leastProbe)
	if uint32(c.nxt-c.una) < 2*max(c.cw.MSS, minRcvSeg) {
		wait += probeAckDelay
	}
	wait += time.Duration(c.tlp.vain) * probeAckDelay
	if when := max(c.armedAt, c.lastSend) + wait; when < c.rtxAt {
		return when
	}
	return Never
}

// probeTail is the timer's expiry (RFC 8985 section 7.3).
func (c *Conn) probeTail(now time.Duration) Events {
	if c.phase == phaseDisorder && c.sb != nil && len(c.sb.ranges) > 0 {
		// What was sent after it has arrived, and two round trips have passed: it is
		// lost, however few the segments behind it are. This is what is left of RACK's
		// reordering timer where nothing knows when each segment was sent.
		c.enterRecovery(now)
		c.lossEdge = maxSeq(c.lossEdge, c.sb.ranges[len(c.sb.ranges)-1].start)
		c.setPipe()
	} else {
		c.tlp.due = true
	}
	if c.stallAt == 0 {
		c.stallAt = c.armedAt
	}
	c.arm(now) // section 7.3: the retransmission timer begins anew
	return SendReady
}

// nextTail fills seg with the probe: new data if the peer's window takes it, the
// congestion window or not, else the last segment again.
func (c *Conn) nextTail(seg *Segment, mss int) bool {
	seg.kind = segTail
	if n, fin, ok := c.sendable(mss, mss); ok {
		c.fill(seg, c.nxt, n, fin, mss, c.sq.cur)
		return true
	}
	end := c.nxt
	if c.finSent {
		end = c.sq.end // FIN is behind it
	}
	n := min(mss, end.Sub(c.una))
	if n < 0 || n == 0 && !c.finSent || (c.una + Seq(c.sndWnd)).LessThan(c.nxt) {
		return false // the window has shrunk: the retransmission timer sees to it
	}
	c.fill(seg, end.Add(-n), n, c.finSent, mss, c.sq.rtx)
	return true
}

// sentTail notes the probe.
func (c *Conn) sentTail(seg *Segment, now time.Duration) {
	c.stats.probes++
	end := seg.Seq.Add(length(seg.Flags, seg.Len))
	c.tlp = tailProbe{out: true, again: seg.Seq != c.nxt, start: seg.Seq, end: end, vain: c.tlp.vain}
	if !c.tlp.again {
		c.sentNew(seg, now)
		return
	}
	c.stats.retransmits++
	c.timing = false // Karn's algorithm
}

// probeArrived reports whether the probe was SACKed while something below it was not:
// that was sent two round trips before it, and is lost.
func (c *Conn) probeArrived() bool {
	return c.tlp.out && c.sb != nil && c.una.LessThan(c.tlp.start) && c.sb.unsacked(c.tlp.start, c.tlp.start+1) == 0
}

// probeAnswered takes an acceptable ACK while a probe is due or out (section 7.4.2),
// before una moves.
func (c *Conn) probeAnswered(seg *Segment, now time.Duration) {
	c.tlp.due = false
	switch {
	case !c.tlp.out || seg.Ack.LessThan(c.tlp.end):
	case !c.tlp.again:
		c.tlp.out = false
	case c.sackedTwice(seg):
		c.tlp.out = false // the original had arrived too
		c.tlp.vain = min(c.tlp.vain+1, 100)
	case c.tlp.end.LessThan(seg.Ack):
		// The probe has repaired a loss, of which nothing else tells congestion
		// control.
		c.tlp.out = false
		if flight := uint32(c.nxt - c.una); c.phase <= phaseDisorder {
			if c.cong == nil {
				NewReno{}.Loss(&c.cw, flight, now)
			} else {
				c.cong.Loss(&c.cw, flight, now)
			}
		}
	case seg.Ack == c.una && seg.Options.NumSACK == 0 && len(seg.Payload) == 0:
		c.tlp.out = false // a duplicate ACK: the same, of a peer without D-SACK
	}
}

// endProbe gives up the probe.
func (c *Conn) endProbe() { c.tlp = tailProbe{vain: c.tlp.vain} }

// sackedTwice reports whether seg tells by a D-SACK that octets of the probe came
// twice (RFC 2883).
func (c *Conn) sackedTwice(seg *Segment) bool {
	if seg.Options.NumSACK == 0 {
		return false
	}
	b := seg.Options.SACK[0]
	start, end := Seq(b.Start), Seq(b.End)
	return end.LessThanEq(seg.Ack) && start.LessThan(c.tlp.end) && c.tlp.start.LessThan(end)
}
