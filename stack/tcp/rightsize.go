package tcp

import "time"

const (
	// leastRightsizeRTT is the least round trip that the receive buffer is sized
	// by: the clock of timestamps has milliseconds.
	leastRightsizeRTT = time.Millisecond
	// freeBuf is the size to which buffers may grow on any path. Beyond, they are
	// no more than fastest, bytes in a nanosecond (40 Gbit/s), fills in the path's
	// round trip: on a short one all that they add is a queue, which does not fit
	// the processor's cache.
	freeBuf = 512 << 10
	fastest = 5
	// The shortest round trip is forgotten after minRTTLife if it is now longer by
	// moreRTT: the path is another one.
	minRTTLife = 10 * time.Second
	moreRTT    = 5 * time.Millisecond
)

// noteRTT takes a sample of the round trip for the shortest.
func (c *Conn) noteRTT(rtt, now time.Duration) {
	us, ms := uint32(rtt/time.Microsecond)+1, uint32(now/time.Millisecond)
	if c.minRTT == 0 || us <= c.minRTT ||
		time.Duration(ms-c.minRTTAt)*time.Millisecond > minRTTLife && rtt > c.shortest()+moreRTT {
		c.minRTT, c.minRTTAt = us, ms
	}
}

// shortest is the shortest round trip, 0 if none was measured.
func (c *Conn) shortest() time.Duration { return time.Duration(c.minRTT) * time.Microsecond }

// sampleRcvRTT estimates the round trip at a receiver that sends no data: the
// time from an ACK to the data that echoes its timestamp (RFC 7323 section 4.1).
// Without timestamps there is what the handshake took.
func (c *Conn) sampleRcvRTT(seg *Segment, now time.Duration) {
	if echo := seg.Options.TSEcr; c.tsOK && echo != c.rcvEcho {
		c.rcvEcho = echo
		if ms := int32(c.tsNow(now) - echo); ms >= 0 {
			c.noteRTT(time.Duration(ms+1)*time.Millisecond, now)
		}
	}
}

// worthwhile limits the size of a buffer to what can be of use.
func (c *Conn) worthwhile(size int) int {
	if rtt := c.shortest(); rtt != 0 {
		size = min(size, max(freeBuf, int(min(int64(rtt)*fastest, maxSndBuf))))
	}
	return size
}

// growSndBuf lets the send buffer hold what is in flight and as much again, so
// that the writer is not what holds the sender back.
func (c *Conn) growSndBuf() {
	want := c.worthwhile(min(2*int(c.cw.Cwnd), c.cfg.SndBufMax))
	if want > int(c.sndBuf) && !c.sndFixed && !c.cfg.Pool.tight() {
		c.sndBuf = int32(want)
	}
}

// Rightsize is dynamic right-sizing of the receive buffer (Fisk and Feng, 2001;
// Linux's tcp_rcv_space_adjust): what the application took in a round trip says
// how much the peer must be let send in the next. taken is how many bytes it has
// taken since Rightsize last returned true; want is then the buffer that the next
// round trip may need, 0 for no more than before.
func (c *Conn) Rightsize(taken int, now time.Duration) (want int, due bool) {
	us := uint32(now / time.Microsecond) // it wraps after more than an hour, which does little harm
	since, rtt := time.Duration(us-c.rcvSizedAt)*time.Microsecond, max(c.shortest(), leastRightsizeRTT)
	if since < rtt {
		return 0, false
	}
	c.rcvSizedAt = us
	taken = int(int64(taken) * int64(rtt/time.Microsecond) / int64(since/time.Microsecond)) // in one
	before := int(c.rcvTaken)
	if before == 0 {
		before = 10 * int(c.rcvMSS) // a sender's initial window
	}
	if taken <= before {
		return 0, true
	}
	c.rcvTaken = uint32(taken)
	// Twice what came, as slow start doubles; and if it came faster than before
	// as much more, to stay ahead of it.
	next := 2*int64(taken) + 16*int64(c.rcvMSS)
	next += 2 * min(next, next*int64(taken-before)/int64(before))
	return c.worthwhile(int(min(next, maxSndBuf))), true
}
