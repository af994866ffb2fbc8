package tcp

import "time"

// clampSpace limits a receive buffer to what the largest window scale states.
func clampSpace(n int) int { return min(max(n, 0), 0xffff<<14) }

// SetRcvSpace tells how many bytes the caller's receive queue can still take,
// as Input has left it. What was advertised is never taken back (RFC 9293
// section 3.8.6).
// What Reassembled still has counts against it.
func (c *Conn) SetRcvSpace(free int) {
	if c.rx != nil {
		free -= c.rx.waiting
	}
	c.rcvSpace = uint32(clampSpace(free))
}

// window returns the window to advertise and its right edge.
//
//	 rcvNxt               rcvEdge              rcvNxt+rcvSpace
//	---|---------------------|-----------------------|------
//	   |-- held out before --|-- opened if it is --->|
//	                             worth a segment
func (c *Conn) window() (field uint16, edge Seq) {
	held := uint32(c.rcvEdge - c.rcvNxt)
	wnd := held
	unit := uint32(1) << c.rcvShift
	if c.worthOpening() {
		// A buffer of less than a unit must not read as closed for ever.
		wnd = max(c.rcvSpace&^(unit-1), held, unit)
	}
	if rest := wnd & (unit - 1); rest != 0 {
		// A window that the scale cannot state is rounded up while there is
		// room for some of it, so that the last octets of the room are not
		// hidden. Else it retreats by less than a unit, and segments up to
		// rcvEdge are still taken (RFC 7323 section 2.4). It must: always rounded
		// up, it would creep on with each tiny segment.
		if wnd -= rest; wnd < c.rcvSpace {
			wnd += unit
		}
	}
	wnd = min(wnd, 0xffff<<c.rcvShift)
	return uint16(wnd >> c.rcvShift), c.rcvNxt + Seq(wnd)
}

// worthOpening is the receiver's silly window avoidance (RFC 9293 section
// 3.8.6.2.2): the edge moves by a full segment or half of the buffer, or not at
// all. While memory is short there may be room for less than a large segment.
func (c *Conn) worthOpening() bool {
	most := min(int(c.rcvMSS), int(c.rcvBuf)/2)
	if c.cfg.Pool.tight() {
		most = min(most, tightOpening)
	}
	return int(c.rcvSpace)-c.shown() >= max(most, 1)
}

// tightOpening is by how much a window opens at least while memory is short.
const tightOpening = 2 << 10

// shown is how many octets the peer may send as far as it knows.
func (c *Conn) shown() int { return max(c.rcvShown.Sub(c.rcvNxt), 0) }

// synWindow is window for a segment with SYN: never scaled (RFC 7323 section
// 2.2).
func (c *Conn) synWindow() (field uint16, edge Seq) {
	wnd := min(c.rcvSpace, 0xffff)
	return uint16(wnd), maxSeq(c.rcvEdge, c.rcvNxt+Seq(wnd))
}

// Offered is how many octets the peer may still send by the window it was told.
func (c *Conn) Offered() int { return c.rcvEdge.Sub(c.rcvNxt) }

// WindowUpdateDue reports whether the reader has drained enough for a window
// update to be worth a segment now: then call FlushAck and Next.
func (c *Conn) WindowUpdateDue() bool {
	switch c.state {
	case StateEstablished, StateFinWait1, StateFinWait2:
	default:
		return false
	}
	_, edge := c.window()
	opens := edge.Sub(c.rcvShown)
	if opens <= 0 || !c.worthOpening() {
		return false
	}
	if c.shown() < int(c.rcvMSS) {
		return true // the peer may be waiting
	}
	return opens >= 2*int(c.rcvMSS) && opens >= int(c.rcvBuf)/4
}

// AckWaiting reports whether an ACK is pending that may wait for data to ride on,
// and since when.
func (c *Conn) AckWaiting() (since time.Duration, waits bool) {
	return c.ackAt - c.cfg.DelAck, c.ackWait
}

// AckRode reports whether an ACK that might have waited has gone with data since
// it was asked the last time.
func (c *Conn) AckRode() bool {
	rode := c.ackRode
	c.ackRode = false
	return rode
}

// FlushAck makes Next send a pending ACK now, if nothing else carries it, or a
// window update.
func (c *Conn) FlushAck() {
	if c.ackWait || c.WindowUpdateDue() {
		c.ackNow, c.ackWait, c.ackAt = true, false, Never
	}
}
