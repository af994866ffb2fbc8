package tcp

import "time"

// Sent tells that the segment of the latest Next is on its way.
func (c *Conn) Sent(seg *Segment, now time.Duration) {
	// Of a probe, whose sequence number is old, the peer takes neither the ACK nor
	// the window.
	probe := seg.kind == segProbe || seg.kind == segKeep
	if seg.Flags&flagACK != 0 && seg.kind != segRST && !probe {
		c.lastAck, c.rcvShown = seg.Ack, seg.edge
		if c.rcvEdge.LessThan(seg.edge) {
			c.rcvEdge = seg.edge
		}
		c.ackRode = c.ackRode || c.ackWait && seg.Len > 0
		c.ackNow, c.ackWait, c.ackAt = false, false, Never
		if seg.dsack {
			c.dsackOK = false
		}
	}
	c.stats.segmentsOut += seg.packets()
	switch seg.kind {
	case segACK:
		if c.acksOwed > 0 {
			c.acksOwed--
		}
	case segNew:
		c.sentNew(seg, now)
	case segRtx, segRescue:
		c.sentAgain(seg, now)
	case segTail:
		c.sentTail(seg, now)
	case segSYN:
		c.sentSYN(seg, now)
	case segProbe:
		c.probeDue = false
	case segKeep:
		c.keepDue = false
	case segRST:
		c.rstDue = false
	}
}

// sentNew moves nxt.
func (c *Conn) sentNew(seg *Segment, now time.Duration) {
	n := seg.Len
	if seg.Flags&flagFIN != 0 {
		c.finSent = true
		n++
	}
	c.nxt = seg.Seq.Add(n)
	c.sq.cur = seg.ch
	c.pipe += uint32(n)
	c.lastSend = now
	if c.persist {
		c.endPersist()
	}
	if !c.timing {
		c.timing, c.rttSeq, c.rttStart = true, c.nxt, now
		if seg.Len > seg.SegSize { // the first packet: its ACK comes first
			c.rttSeq = seg.Seq.Add(seg.SegSize)
		}
	}
	if c.rtxAt == Never {
		c.arm(now) // RFC 6298 section 5.1
	}
}

// sentAgain moves highRxt, but for the rescue retransmission.
func (c *Conn) sentAgain(seg *Segment, now time.Duration) {
	c.stats.retransmits += seg.packets()
	n := length(seg.Flags, seg.Len)
	c.sq.rtx = seg.ch
	c.pipe += uint32(n)
	c.timing = false // Karn's algorithm
	end := seg.Seq.Add(n)
	switch {
	case seg.kind == segRescue:
		c.rescue = c.recover // once a recovery
	case c.fastRtx:
		c.rescue = end // not before this has arrived (RFC 6675 section 5, step 4.3)
		fallthrough
	default:
		c.highRxt = maxSeq(c.highRxt, end)
	}
	c.fastRtx = false
	if seg.Seq == c.una && c.phase == phaseRecovery || c.rtxAt == Never {
		c.arm(now)
	}
}

// sentSYN moves nxt over the SYN, the first time.
func (c *Conn) sentSYN(seg *Segment, now time.Duration) {
	c.synDue = false
	c.rcvEdge = maxSeq(c.rcvEdge, seg.edge)
	if c.nxt == c.iss {
		c.nxt = c.iss + 1
		c.timing, c.rttSeq, c.rttStart = true, c.nxt, now
	} else {
		c.timing = false
	}
	if c.rtxAt == Never {
		c.arm(now)
	}
}

// Write copies what fits of p to the send buffer and returns how much that was:
// 0 when it is full, and in states that cannot send. Call Next afterwards.
func (c *Conn) Write(p []byte) int {
	if !c.CanWrite() {
		return 0
	}
	n := c.sq.write(c.cfg.Pool, p, c.room())
	if n < len(p) {
		c.starved = true
	}
	return n
}

// Writable is how many bytes Write would take. When it is 0 for want of room,
// Writable is reported later.
func (c *Conn) Writable() int {
	if !c.CanWrite() {
		return 0
	}
	room := max(c.room(), 0)
	if room == 0 {
		c.starved = true
	}
	return room
}

// leastSndBuf is what a connection may send at a time however short memory is.
const leastSndBuf = 16 << 10

// room is how much the send buffer takes. While memory is tight that is no more than
// the connection's share of it; when it is full nothing more is written before what
// was is acknowledged.
func (c *Conn) room() int {
	size := int(c.sndBuf)
	if c.cfg.Pool.tight() {
		size = min(size, max(c.cfg.Pool.Memory.Share(), leastSndBuf))
		if c.sq.head != nil && c.cfg.Pool.full() {
			return 0
		}
	}
	return size - c.queued()
}

// CanWrite reports whether the state takes data: before CloseWrite, in a
// connection that is being opened or open.
func (c *Conn) CanWrite() bool {
	if c.finQueue {
		return false
	}
	switch c.state {
	case StateSynSent, StateSynReceived, StateEstablished, StateCloseWait:
		return true
	}
	return false
}

// queued is how many octets sq holds.
func (c *Conn) queued() int {
	una := c.una
	if una == c.iss && c.state < StateEstablished {
		una++ // the SYN
	}
	return c.sq.end.Sub(una)
}

// writeRoom reports whether enough is free for a starved writer to go on: a
// third, so that it is not woken for each ACK.
func (c *Conn) writeRoom() bool {
	return c.queued() <= int(c.sndBuf-c.sndBuf/3)
}
