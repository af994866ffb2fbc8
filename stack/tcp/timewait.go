package tcp

import "time"

// TimeWaitVerdict is what to do with a segment that came to a TimeWait.
type TimeWaitVerdict uint8

// The verdicts of TimeWait.Input.
const (
	TimeWaitDrop    TimeWaitVerdict = iota // nothing
	TimeWaitAck                            // send the segment of TimeWait.Ack
	TimeWaitRestart                        // the same; the Deadline has moved
	TimeWaitReopen                         // remove it; the SYN opens a new connection, with NextISS
	TimeWaitClosed                         // its time is over: remove it, and treat the segment as if it had not been
)

// TimeWait is what is left of a connection in TIME-WAIT.
type TimeWait struct {
	nxt, rcvNxt Seq
	window      uint16
	tsOK        bool
	tsOffset    uint32
	tsRecent    uint32
	tsAt        time.Duration
	deadline    time.Duration
	span        time.Duration
	acks        uint8 // since ackAt, for segments without data
	ackAt       time.Duration
}

// TimeWait returns the record of a connection in TIME-WAIT.
func (c *Conn) TimeWait() TimeWait {
	w, _ := c.window()
	return TimeWait{
		nxt: c.nxt, rcvNxt: c.rcvNxt, window: w,
		tsOK: c.tsOK, tsOffset: c.tsOffset, tsRecent: c.tsRecent, tsAt: c.tsAt,
		deadline: c.lifeAt, span: c.cfg.TimeWait,
	}
}

// Deadline is when the record is to be removed.
func (t *TimeWait) Deadline() time.Duration { return t.deadline }

// Input judges a segment (RFC 9293 section 3.10.7.4, TIME-WAIT).
func (t *TimeWait) Input(seg *Segment, now time.Duration) TimeWaitVerdict {
	if now >= t.deadline {
		return TimeWaitClosed
	}
	if seg.Flags&flagRST != 0 {
		return TimeWaitDrop // RFC 1337: no assassination
	}
	ts := t.tsOK && seg.Options.Timestamps
	age := int32(seg.Options.TSVal - t.tsRecent)
	if seg.Flags&(flagSYN|flagACK) == flagSYN {
		// RFC 6191 section 2: a SYN that cannot be an old one opens a new
		// connection.
		if ts && age > 0 || (!ts || age == 0) && t.rcvNxt.LessThan(seg.Seq) {
			return TimeWaitReopen
		}
		return t.limit(now)
	}
	if ts && age < 0 && now-t.tsAt <= 24*24*time.Hour {
		return t.limit(now) // PAWS
	}
	end := seg.Seq.Add(length(seg.Flags, len(seg.Payload)))
	if seg.Flags&flagFIN != 0 && end == t.rcvNxt {
		// The FIN again: the last ACK was lost.
		t.deadline = now + t.span
		return TimeWaitRestart
	}
	if seg.Flags&flagSYN == 0 && end == seg.Seq && seg.Seq == t.rcvNxt {
		return TimeWaitDrop // an ACK in order tells nothing
	}
	return t.limit(now)
}

// limit answers with an ACK unless there were many: two ends must not echo
// ACKs for ever.
func (t *TimeWait) limit(now time.Duration) TimeWaitVerdict {
	if t.acks == 0 || now-t.ackAt >= challengeSpan {
		t.ackAt, t.acks = now, 0
	}
	if t.acks >= challengeLimit {
		return TimeWaitDrop
	}
	t.acks++
	return TimeWaitAck
}

// Ack fills seg with the ACK that answers.
func (t *TimeWait) Ack(seg *Segment, now time.Duration) {
	*seg = Segment{Seq: t.nxt, Ack: t.rcvNxt, Flags: flagACK, Window: t.window}
	seg.Options.Reset()
	if t.tsOK {
		seg.Options.Timestamps = true
		seg.Options.TSVal = uint32(now/time.Millisecond) + t.tsOffset
		seg.Options.TSEcr = t.tsRecent
	}
}

// NextISS returns iss, or a later sequence number if a connection that begins
// with iss could be taken for the old one (RFC 9293 section 3.6.1): the new one
// must begin after what the old one sent.
func (t *TimeWait) NextISS(iss Seq) Seq {
	if least := t.nxt + 0x10000; iss.LessThan(least) {
		return least
	}
	return iss
}

// inputTimeWait is input for a Conn that was not replaced by its TimeWait.
func (c *Conn) inputTimeWait(seg *Segment, now time.Duration) (r Result) {
	t := c.TimeWait()
	switch t.Input(seg, now) {
	case TimeWaitRestart:
		c.lifeAt = t.deadline
		c.ackNow = true
		r.Events |= AckNow
	case TimeWaitAck:
		c.challenge(now, &r)
	case TimeWaitReopen:
		r.Events |= Reopen
	case TimeWaitClosed:
		r.Events |= c.fail(0, 0)
	}
	return r
}
