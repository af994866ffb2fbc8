package tcp

import "fmt"

// checkInvariants returns what is wrong with the inner state of c, or nil.
func (c *Conn) checkInvariants() error {
	if c.cfg == nil || c.state == StateClosed {
		if c.sq.head != nil || c.sb != nil {
			return fmt.Errorf("CLOSED, but memory is held")
		}
		if c.Deadline() != Never {
			return fmt.Errorf("CLOSED, but a deadline %v", c.Deadline())
		}
		return nil
	}
	if c.nxt.LessThan(c.una) {
		return fmt.Errorf("nxt %d before una %d", c.nxt, c.una)
	}
	limit := c.sq.end
	if c.finSent {
		limit++
	}
	if limit.LessThan(c.nxt) {
		return fmt.Errorf("nxt %d after the end %d", c.nxt, limit)
	}
	if c.rcvEdge.LessThan(c.rcvNxt) {
		return fmt.Errorf("rcvEdge %d before rcvNxt %d", c.rcvEdge, c.rcvNxt)
	}
	if c.state >= StateEstablished {
		if c.cw.Cwnd < c.cw.MSS || c.cw.Cwnd > maxCwnd {
			return fmt.Errorf("cwnd %d", c.cw.Cwnd)
		}
		if c.una != c.nxt && c.rtxAt == Never {
			return fmt.Errorf("%v: in flight %d, but no timer", c.state, c.nxt.Sub(c.una))
		}
	}
	if c.ackWait && c.ackAt == Never && !c.ackNow {
		return fmt.Errorf("an ACK waits without a timer")
	}
	for _, check := range []func() error{c.checkSendQueue, c.checkScoreboard, c.checkReassembly} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (c *Conn) checkSendQueue() error {
	q := &c.sq
	first := maxSeq(c.una, c.iss+1)
	if q.head == nil {
		if q.tail != nil || q.cur != nil || q.rtx != nil {
			return fmt.Errorf("send queue: empty, with a cursor")
		}
		if first.LessThan(q.end) {
			return fmt.Errorf("send queue: empty, should hold %d", q.end.Sub(first))
		}
		return nil
	}
	if first == q.end {
		return fmt.Errorf("send queue: a chunk for nothing")
	}
	if got := q.head.seq.Add(int(q.head.r)); got != first {
		return fmt.Errorf("send queue: begins at %d, not %d", got, first)
	}
	seenCur, seenRtx := q.cur == nil, q.rtx == nil
	for ch := q.head; ch != nil; ch = ch.next {
		seenCur = seenCur || ch == q.cur
		seenRtx = seenRtx || ch == q.rtx
		if ch.next == nil {
			if ch != q.tail || ch.end() != q.end {
				return fmt.Errorf("send queue: ends at %d, not %d", ch.end(), q.end)
			}
		} else if ch.next.seq != ch.end() {
			return fmt.Errorf("send queue: gap after %d", ch.end())
		} else if ch.room() != 0 && ch.next.w < largeChunk/2 {
			return fmt.Errorf("send queue: room after %d", ch.end())
		}
	}
	if !seenCur || !seenRtx {
		return fmt.Errorf("send queue: a cursor that is not in it")
	}
	return nil
}

func (c *Conn) checkScoreboard() error {
	if c.sb == nil {
		return nil
	}
	var sum uint32
	last := c.una
	for i, r := range c.sb.ranges {
		if !r.start.LessThan(r.end) || !last.LessThan(r.start) {
			return fmt.Errorf("scoreboard: range %d is %v after %d", i, r, last)
		}
		sum += uint32(r.end - r.start)
		last = r.end
	}
	if c.nxt.LessThan(last) {
		return fmt.Errorf("scoreboard: beyond nxt")
	}
	if sum != c.sb.sacked {
		return fmt.Errorf("scoreboard: %d octets, counted %d", sum, c.sb.sacked)
	}
	if len(c.sb.ranges) > maxSackRanges {
		return fmt.Errorf("scoreboard: %d ranges", len(c.sb.ranges))
	}
	return nil
}

func (c *Conn) checkReassembly() error {
	if c.rx == nil {
		return nil
	}
	if c.rx.empty() {
		return fmt.Errorf("reassembly: kept while empty")
	}
	if len(c.rx.ranges) > maxHeldRanges {
		return fmt.Errorf("reassembly: %d ranges", len(c.rx.ranges))
	}
	waiting := 0
	for ch := c.rx.ready; ch != nil; ch = ch.next {
		waiting += int(ch.w - ch.r)
		if ch.next == nil && (ch != c.rx.readyTail || ch.end().Sub(c.rcvNxt) > 0) {
			return fmt.Errorf("reassembly: what waits ends at %d, rcvNxt is %d", ch.end(), c.rcvNxt)
		}
	}
	if waiting != c.rx.waiting {
		return fmt.Errorf("reassembly: %d octets wait, counted %d", waiting, c.rx.waiting)
	}
	held := 0
	last := c.rcvNxt
	for i := range c.rx.ranges {
		r := &c.rx.ranges[i]
		if !r.start.LessThan(r.end) || !last.LessThan(r.start) {
			return fmt.Errorf("reassembly: range %d is %d-%d after %d", i, r.start, r.end, last)
		}
		n := 0
		var tail *chunk
		for ch := r.head; ch != nil; ch = ch.next {
			n += int(ch.w - ch.r)
			held += len(ch.buf)
			tail = ch
		}
		if n != r.end.Sub(r.start) || tail != r.tail {
			return fmt.Errorf("reassembly: range %d is %d-%d and holds %d", i, r.start, r.end, n)
		}
		last = r.end
	}
	if held != c.rx.held {
		return fmt.Errorf("reassembly: %d bytes held, counted %d", held, c.rx.held)
	}
	if c.rcvEdge.LessThan(last) {
		return fmt.Errorf("reassembly: beyond the window")
	}
	return nil
}
