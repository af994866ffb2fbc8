package tcp

import "time"

// MSS is how many octets of data a segment can carry now, without SACK blocks:
// what to pass to Next for a device that does not segment.
func (c *Conn) MSS() int { return c.payloadMSS() }

// SetSndBuf changes the limit of octets written and not acknowledged, which does
// not grow by itself from then on.
func (c *Conn) SetSndBuf(n int) {
	c.sndBuf = int32(min(max(n, 0), maxSndBuf))
	c.sndFixed = true
}

// SetRcvBuf changes the size of the receive buffer, which decides by how much
// the window moves at least.
func (c *Conn) SetRcvBuf(n int) { c.rcvBuf = int32(clampSpace(n)) }

// reuseAfter is the age at which a connection that this end opens may take the
// place of one in TIME-WAIT: the peer's timestamp clock must have moved on.
const reuseAfter = time.Second

// Reusable reports whether a connection that is opened actively may take the
// place of the record (RFC 6191 section 3): its timestamps tell its segments
// from old ones.
func (t *TimeWait) Reusable(now time.Duration) bool {
	return t.tsOK && now-t.tsAt >= reuseAfter
}
