package tcp

import "time"

// A Run is consecutive segments with data, of one burst, that are taken as one.
// They are alike but for what follows from their places, for PSH, and for
// timestamps, each of which is the one before or newer. None is longer than the
// first.
type Run struct {
	Segment        // the first, whose Payload may be left out
	Octets  uint32 // of data, all segments together
	Size    uint32 // octets of data of the first
	Last    Seq    // the sequence number of the last
}

// InputRun is Input for each segment of a run, in order, at the cost of one. It
// reports false, with nothing done, for what only Input can judge: then the
// segments are to be handed in one by one. The caller takes as new and in order
// all that the run carries.
func (c *Conn) InputRun(run *Run, now time.Duration) (r Result, ok bool) {
	if !c.predicts(&run.Segment, run.Octets) {
		return r, false
	}
	return c.take(&run.Segment, run.Last, run.Octets, run.Size, now), true
}

// predicts is header prediction for seg and what follows it, n octets of data
// in all: the next data in order, or an ACK of data in flight, in ESTABLISHED
// with nothing unusual going on.
func (c *Conn) predicts(seg *Segment, n uint32) bool {
	return c.state == StateEstablished && c.phase == phaseOpen &&
		seg.Flags&^flagPSH == flagACK && seg.Seq == c.rcvNxt &&
		c.rx == nil && !c.rcvFin && !c.persist &&
		seg.Options.NumSACK == 0 && seg.Options.Timestamps == c.tsOK &&
		n <= uint32(c.rcvEdge-c.rcvNxt) &&
		uint32(seg.Ack-c.una) <= uint32(c.nxt-c.una) &&
		(n != 0 || seg.Ack != c.una) &&
		(!c.tsOK || int32(seg.Options.TSVal-c.tsRecent) >= 0)
}

// take does what the steps of RFC 9293 section 3.10.7.4 come to for segments
// that predicts holds for: n octets in segments of up to size, the last of them at
// the sequence number last. Of the timestamps only the first can be the one to
// echo: the others' segments are beyond the last ACK (RFC 7323 section 4.3).
func (c *Conn) take(seg *Segment, last Seq, n, size uint32, now time.Duration) (r Result) {
	if c.tsOK && seg.Seq.LessThanEq(c.lastAck) {
		c.tsRecent, c.tsAt = seg.Options.TSVal, now
	}
	c.lastRcv = now
	c.keepProbes = 0
	if seg.Ack != c.una {
		r.Events = c.advance(seg.Ack, seg, now)
	}
	if c.wl1.LessThanEq(last) { // wl2 <= una <= seg.Ack
		c.updateWindow(seg)
		c.wl1 = last
	}
	if n > 0 {
		c.sampleRcvRTT(seg, now)
		r.Len = int(n)
		c.deliver(n, size, now, &r)
	}
	if c.nxt.LessThan(c.sq.end) {
		r.Events |= SendReady
	}
	return r
}
