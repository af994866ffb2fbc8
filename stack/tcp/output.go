package tcp

import "time"

// maxSegment bounds a super-segment, so that it spans few chunks (see sendQueue).
const maxSegment = 64 << 10

// Next fills seg with the segment to send now, at most max octets of data, and
// reports whether there is one. With max up to MSS it fits one packet; beyond,
// it may be a super-segment of several times seg.SegSize. Nothing changes until
// Sent: when the device is full, do not call Sent, and call Next again later.
func (c *Conn) Next(seg *Segment, max int, now time.Duration) bool {
	if c.state < StateEstablished || c.rstDue || c.state == StateTimeWait {
		return c.nextControl(seg, now)
	}
	if c.acksOwed > 0 {
		c.bare(seg, segACK, now)
		return true
	}
	if c.nxt == c.sq.end && (!c.finQueue || c.finSent) && c.phase < phaseRecovery && !c.tlp.due {
		return c.nextIdle(seg, now) // nothing to send
	}
	c.header(seg, now)
	mss := int(c.sndMSS) - seg.Options.Len()
	max = min(max, maxSegment)
	if max <= c.payloadMSS() || seg.dsack {
		// No segmentation, whatever room SACK blocks take. And a duplicate is
		// reported once, so in one packet (RFC 2883 section 4).
		max = min(max, mss)
	}
	mss = min(mss, max)
	if mss <= 0 {
		return false
	}
	if c.tlp.due && c.nextTail(seg, mss) ||
		c.phase >= phaseRecovery && c.nextLost(seg, max, mss) ||
		c.nextNew(seg, max, mss, now) ||
		c.phase == phaseRecovery && c.sackOK && c.nextGuess(seg, mss) ||
		c.probeDue && c.nextProbe(seg, mss, now) {
		return true
	}
	return c.nextIdle(seg, now)
}

// header fills what every segment of a synchronized connection has.
func (c *Conn) header(seg *Segment, now time.Duration) {
	seg.Seq, seg.Ack = c.nxt, c.rcvNxt
	seg.Flags, seg.Urgent = flagACK, 0
	seg.Window, seg.edge = c.window()
	seg.Len, seg.SegSize = 0, 0
	seg.ch, seg.off, seg.dsack = nil, 0, false
	o := &seg.Options
	o.Reset()
	if c.tsOK {
		o.Timestamps, o.TSVal, o.TSEcr = true, c.tsNow(now), c.tsRecent
	}
	if c.sackOK && (c.dsackOK || c.rx != nil) {
		c.sackOption(seg)
	}
}

// sackOption tells what is held out of order: first a duplicate, if one came
// (RFC 2883 section 4), then what changed last (RFC 2018 section 4).
func (c *Conn) sackOption(seg *Segment) {
	o := &seg.Options
	limit := int8(len(o.SACK))
	if o.Timestamps {
		limit = 3 // 12 + 4 + 3*8 = 40
	}
	if c.dsackOK {
		o.SACK[0].Start, o.SACK[0].End = uint32(c.dsack.start), uint32(c.dsack.end)
		o.NumSACK = 1
		seg.dsack = true
	}
	if c.rx != nil {
		c.rx.blocks(o, limit)
	}
}

// bare makes seg a segment without data, of the kind given.
func (c *Conn) bare(seg *Segment, kind segKind, now time.Duration) {
	c.header(seg, now)
	seg.kind = kind
	// A peer that has shrunk its window takes nothing beyond it, an ACK neither.
	// A scaled window retreats by less than its unit all the time (RFC 7323
	// section 2.4), and that the peer does not hold against us.
	if edge := c.una + Seq(c.sndWnd); c.nxt.Sub(edge) >= 1<<c.sndShift {
		seg.Seq = edge
	}
}

// nextControl is Next for what has no data: resets, the handshake, TIME-WAIT.
func (c *Conn) nextControl(seg *Segment, now time.Duration) bool {
	switch {
	case c.rstDue:
		seg.Seq, seg.Ack, seg.Flags = c.rstSeq, 0, flagRST
		if c.rstAck {
			seg.Ack, seg.Flags = c.rcvNxt, flagRST|flagACK
		}
		seg.Window, seg.Urgent, seg.Len, seg.SegSize = 0, 0, 0, 0
		seg.ch, seg.kind = nil, segRST
		seg.Options.Reset()
		return true
	case c.synDue:
		c.nextSYN(seg, now)
		return true
	case c.ackNow && c.state > StateSynSent:
		c.bare(seg, segACK, now)
		return true
	}
	return false
}

// nextSYN fills seg with our SYN, or SYN-ACK once the peer's SYN is here.
func (c *Conn) nextSYN(seg *Segment, now time.Duration) {
	c.header(seg, now)
	seg.kind = segSYN
	seg.Seq = c.iss
	seg.Window, seg.edge = c.synWindow()
	seg.dsack = false
	first := c.state == StateSynSent
	o := &seg.Options
	o.Reset()
	o.MSS = c.rcvMSS
	o.SACKPermitted = first && c.cfg.SACK || c.sackOK
	if first && c.cfg.Timestamps || c.tsOK {
		o.Timestamps, o.TSVal, o.TSEcr = true, c.tsNow(now), c.tsRecent
	}
	if first && c.cfg.WindowScale || !first && c.scaled {
		o.WScale = int8(c.rcvShift)
	}
	seg.Flags = flagSYN | flagACK
	if first {
		seg.Flags, seg.Ack = flagSYN, 0
	}
}

// nextIdle is Next when no data goes: an ACK that is due, or a keep-alive probe.
func (c *Conn) nextIdle(seg *Segment, now time.Duration) bool {
	switch {
	case c.ackNow:
		c.bare(seg, segACK, now)
		return true
	case c.keepDue:
		// RFC 9293 section 3.8.4: an old sequence number, which the peer answers.
		c.bare(seg, segKeep, now)
		seg.Seq = c.una - 1
		return true
	}
	return false
}

// sendable tells how much new data, and whether FIN, the peer's window and the
// Nagle algorithm let go (RFC 9293 sections 3.8.6.2.1 and 3.7.4).
//
//	 una        nxt            una+sndWnd    sq.end
//	--|----------|------------------|-----------|
//	             |----- usable -----|
//	             |----------- unsent -----------|
func (c *Conn) sendable(max, mss int) (n int, fin, ok bool) {
	if c.finSent {
		return 0, false, false
	}
	unsent := c.sq.end.Sub(c.nxt)
	usable := (c.una + Seq(c.sndWnd)).Sub(c.nxt)
	n = min(unsent, usable)
	fin = c.finQueue && usable > unsent
	switch {
	case usable <= 0 || unsent == 0 && !fin:
		return 0, false, false
	case n < mss && n < unsent:
		// Silly window: wait for a full segment, or half the largest window.
		// A scaled window may be wider than it reads, by less than a unit.
		if n+1<<c.sndShift <= int(c.maxSndWnd/2) {
			return 0, false, false
		}
	case n < mss && !fin && !c.noDelay && c.nxt != c.una:
		return 0, false, false // Nagle
	case n > mss && (n < unsent || !c.noDelay && !fin):
		n -= n % mss
	}
	if n > max {
		n = max - max%mss
	}
	return n, fin && n == unsent, true
}

// nextNew fills seg with new data or FIN, as the windows allow.
func (c *Conn) nextNew(seg *Segment, max, mss int, now time.Duration) bool {
	n, fin, ok := c.sendable(max, mss)
	if !ok {
		c.maybePersist(now)
		return false
	}
	pipe := uint32(c.nxt - c.una)
	if c.phase != phaseOpen {
		pipe = c.pipe
	} else if pipe == 0 {
		c.restartIdle(now)
	}
	if room := int(c.cw.Cwnd) - int(pipe); n > room {
		c.limited = c.nxt + 1
		fin = false
		if n = room - room%mss; n <= 0 {
			return false
		}
	}
	seg.kind = segNew
	c.fill(seg, c.nxt, n, fin, mss, c.sq.cur)
	return true
}

// fill makes seg carry n octets from seq on, and FIN.
func (c *Conn) fill(seg *Segment, seq Seq, n int, fin bool, mss int, hint *chunk) {
	seg.Seq = seq
	seg.Len, seg.SegSize = n, mss
	if n > 0 {
		seg.ch, seg.off = c.sq.locate(hint, seq)
		if seq.Add(n) == c.sq.end {
			seg.Flags |= flagPSH // RFC 9293 section 3.9.1.2
		}
	}
	if fin {
		seg.Flags |= flagFIN
	}
}

// maybePersist starts the persist timer when the peer's window holds back all
// there is to send.
func (c *Conn) maybePersist(now time.Duration) {
	if c.una == c.nxt && c.rtxAt == Never && (c.nxt.LessThan(c.sq.end) || c.finQueue && !c.finSent) {
		c.startPersist(now)
	}
}

// restartIdle shrinks a window that has not been used for longer than the
// timeout (RFC 5681 section 4.1), by half for each, as in RFC 7661.
func (c *Conn) restartIdle(now time.Duration) {
	idle := now - c.lastSend
	if idle <= c.rto {
		return
	}
	c.lastSend = now
	restart := min(initialWindow(c.cw.MSS), c.cw.Cwnd)
	c.cw.Ssthresh = max(c.cw.Ssthresh, c.cw.Cwnd/4*3)
	for ; idle > c.rto && c.cw.Cwnd > restart; idle -= c.rto {
		c.cw.Cwnd /= 2
	}
	c.cw.Cwnd = max(c.cw.Cwnd, restart)
	c.cw.Acked = 0
}

// nextLost fills seg with what is deemed lost and was not sent again (RFC 6675
// section 4, NextSeg rule 1).
func (c *Conn) nextLost(seg *Segment, max, mss int) bool {
	start, end := c.nextHole(c.lossEdge)
	return start != end && c.again(seg, segRtx, start, end, max, mss)
}

// nextGuess fills seg with what may be lost, when there is neither anything
// known to be lost nor new data (NextSeg rules 3 and 4).
func (c *Conn) nextGuess(seg *Segment, mss int) bool {
	if c.sb != nil {
		if start, end := c.nextHole(c.sb.highest()); start != end {
			return c.again(seg, segRtx, start, end, mss, mss)
		}
	}
	if c.una.LessThanEq(c.rescue) {
		return false
	}
	start, end := c.lastHole()
	return start.LessThan(end) && c.again(seg, segRescue, start, end, mss, mss)
}

// again fills seg with a retransmission of start <= x < end, as much of it as
// the windows allow. Small segments come out merged.
func (c *Conn) again(seg *Segment, kind segKind, start, end Seq, max, mss int) bool {
	n := min(end.Sub(start), max)
	if room := int(c.cw.Cwnd) - int(c.pipe); n > room {
		n = room - room%mss
		if c.fastRtx {
			n = mss
		}
	}
	// A window that has shrunk: only probe it with the first segment.
	if wnd := (c.una + Seq(c.sndWnd)).Sub(start); n > wnd {
		n = wnd
		if start == c.una && n < mss && c.fastRtx {
			n = mss
		}
	}
	if n <= 0 {
		return false
	}
	n = min(n, end.Sub(start))
	if n > mss {
		n -= n % mss
	}
	// FIN takes the last sequence number.
	fin := c.finSent && c.sq.end.LessThan(start.Add(n))
	if fin {
		n--
	}
	seg.kind = kind
	c.fill(seg, start, n, fin, mss, c.sq.rtx)
	return true
}

// nextProbe fills seg with what the window does not allow, when the persist
// timer has fired: what fits of a window that is silly, or an old sequence
// number, which the peer answers with its window. It is not an octet beyond the
// window as in RFC 9293 section 3.8.6.1: a peer may take that, and finds every
// ACK unacceptable then that left before the answer came.
func (c *Conn) nextProbe(seg *Segment, mss int, now time.Duration) bool {
	unsent := c.sq.end.Sub(c.nxt)
	if usable := (c.una + Seq(c.sndWnd)).Sub(c.nxt); usable > 0 && unsent > 0 {
		seg.kind = segNew
		c.fill(seg, c.nxt, min(unsent, usable, mss), false, mss, c.sq.cur)
		return true
	}
	c.bare(seg, segProbe, now)
	seg.Seq = c.una - 1
	return true
}
