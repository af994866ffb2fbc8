package tcp

import "time"

// text processes the data and FIN of an acceptable segment; its first octet of
// data has sequence number seq (RFC 9293 section 3.10.7.4, seventh check).
//
//	      seq        rcvNxt                 limit
//	-------|-----------|----------------------|--------
//	       |-- again --|---- new: off, n -----|- beyond -|
func (c *Conn) text(seg *Segment, seq Seq, now time.Duration, r *Result) {
	switch c.state {
	case StateEstablished, StateFinWait1, StateFinWait2:
	default:
		return // after the peer's FIN nothing can come
	}
	off, n := 0, len(seg.Payload)
	fin := seg.Flags&flagFIN != 0
	if again := c.rcvNxt.Sub(seq); again > 0 {
		if again > n {
			return
		}
		if n > 0 {
			c.noteDuplicate(seq, c.rcvNxt)
		}
		off, n, seq = again, n-again, c.rcvNxt
	}
	limit := c.rcvEdge
	if c.rcvFin {
		limit = minSeq(limit, c.rcvFinSeq)
	}
	if beyond := seq.Add(n).Sub(limit); beyond > 0 {
		n, fin = max(n-beyond, 0), false
		c.ackNow = true
		r.Events |= AckNow
	}
	if n == 0 && !fin {
		c.ackNow = true
		r.Events |= AckNow
		return
	}
	if c.orphan && n > 0 {
		// RFC 9293 section 3.10.4: data that nobody will read.
		c.Abort(now)
		r.Events |= Closed | AckNow
		return
	}
	if c.refusing && n > 0 {
		c.dropHeld()
		if off > 0 { // the peer has not had the ACK of what it repeats
			c.ackNow = true
			r.Events |= AckNow
		}
		return
	}
	if fin && !c.rcvFin && (c.rx == nil || c.rx.end().LessThanEq(seq.Add(n))) {
		c.rcvFin, c.rcvFinSeq = true, seq.Add(n)
	}
	switch {
	case seq != c.rcvNxt:
		c.outOfOrder(seg.Payload[off:off+n], seq, r)
	case c.rx == nil:
		if n > 0 {
			c.sampleRcvRTT(seg, now)
			r.Off, r.Len = off, n
			c.deliver(uint32(n), uint32(n), now, r)
		}
	default:
		c.fillHole(seg.Payload, off, n, r)
	}
	if c.rcvFin && c.rcvNxt == c.rcvFinSeq {
		c.peerFIN(now, r)
	}
}

// deliver accounts for n octets that are in order and go to the caller from
// the segments themselves, of which the largest has size octets.
func (c *Conn) deliver(n, size uint32, now time.Duration, r *Result) {
	r.Events |= Readable
	c.accept(n)
	if size > uint32(c.rcvSeg) {
		c.rcvSeg = uint16(min(size, uint32(c.rcvMSS)))
	}
	// RFC 9293 section 3.8.6.3: an ACK at least for every second full segment.
	if uint32(c.rcvNxt-c.lastAck) >= 2*uint32(c.rcvSeg) {
		c.ackNow = true
		r.Events |= AckNow
		return
	}
	if !c.ackWait {
		c.ackWait = true
		c.ackAt = now + c.cfg.DelAck
	}
	r.Events |= AckLater
}

// accept moves rcvNxt over n octets that the caller will hold.
func (c *Conn) accept(n uint32) {
	c.rcvNxt += Seq(n)
	c.rcvSpace -= min(n, c.rcvSpace)
	c.stats.bytesIn += uint64(n)
}

// fillHole takes n in-order octets, or only a FIN, while data after them is
// held.
func (c *Conn) fillHole(p []byte, off, n int, r *Result) {
	if n > 0 {
		if dup, again := c.rx.overlap(c.rcvNxt, c.rcvNxt.Add(n)); again {
			c.noteDuplicate(dup.start, dup.end)
		}
		if c.rx.ready != nil {
			// The caller has not drained what came before.
			c.rx.appendReady(c.cfg.Pool, p[off:off+n], c.rcvNxt)
			r.Events |= Reassembled
		} else {
			r.Off, r.Len = off, n
			r.Events |= Readable
		}
		c.accept(uint32(n))
	}
	if next := c.rx.pull(c.cfg.Pool, c.rcvNxt); next != c.rcvNxt {
		c.accept(uint32(next - c.rcvNxt))
		r.Events |= Reassembled
	}
	if c.rx.empty() {
		c.dropReassembly()
	}
	// RFC 5681 section 4.2: an ACK at once when a gap fills, even in part. What
	// the duplicates before it would tell is no longer so.
	c.acksOwed = min(c.acksOwed, 1)
	c.ackNow = true
	r.Events |= AckNow
}

// outOfOrder holds octets that come after a hole. Each such segment is
// answered by a duplicate ACK at once (RFC 5681 section 4.2); a peer with SACK
// needs only one for a burst, as its blocks tell the same.
func (c *Conn) outOfOrder(p []byte, seq Seq, r *Result) {
	c.stats.outOfOrder++
	if c.cfg.Pool.full() {
		c.dropHeld() // which the peer has to keep until it is acknowledged (RFC 2018 section 8)
	} else if len(p) > 0 {
		if c.rx == nil {
			c.rx = c.cfg.Pool.getReassembly()
		}
		dup, again := c.rx.insert(c.cfg.Pool, seq, p, c.heldLimit())
		if again {
			c.noteDuplicate(dup.start, dup.end)
		}
		if c.rx.empty() {
			c.dropReassembly()
		}
	}
	if !c.sackOK && c.acksOwed < 64 {
		c.acksOwed++
	}
	c.ackNow = true
	r.Events |= AckNow
}

// tightHeld is how much out-of-order data may take when memory is short.
const tightHeld = 32 << 10

// heldLimit is how much memory out-of-order data may take: chunks that tiny
// segments fill badly count in full.
func (c *Conn) heldLimit() int {
	if c.cfg.Pool.tight() {
		return tightHeld
	}
	return 2*int(uint32(c.rcvEdge-c.rcvNxt)) + 128<<10
}

// noteDuplicate remembers octets that came again, for the next ACK to report
// (D-SACK, RFC 2883).
func (c *Conn) noteDuplicate(start, end Seq) {
	c.stats.duplicates++
	if c.sackOK && !c.dsackOK {
		c.dsack, c.dsackOK = sackRange{start, end}, true
	}
}

// Reassembled returns in-order bytes that had been held, nil when there are no
// more. They stay valid until Consume.
func (c *Conn) Reassembled() []byte {
	if c.rx == nil || c.rx.ready == nil {
		return nil
	}
	ch := c.rx.ready
	return ch.buf[ch.r:ch.w]
}

// Consume releases the first n bytes of Reassembled.
func (c *Conn) Consume(n int) {
	c.rx.consume(c.cfg.Pool, n)
	if c.rx.empty() {
		c.dropReassembly()
	}
}

// dropHeld gives up what is out of order.
func (c *Conn) dropHeld() {
	if c.rx == nil {
		return
	}
	c.rx.dropRanges(c.cfg.Pool)
	if c.rx.empty() {
		c.dropReassembly()
	}
}

// dropReassembly gives up all that is held.
func (c *Conn) dropReassembly() {
	if c.rx != nil {
		c.cfg.Pool.putReassembly(c.rx)
		c.rx = nil
	}
}
