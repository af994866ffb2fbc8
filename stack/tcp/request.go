package tcp

import "time"

// Request is a connection in SYN-RECEIVED of which a listener keeps no more than
// this: what the peer's SYN said and what the SYN-ACK answers. It holds no
// buffer. Once the peer has acknowledged the SYN-ACK, Conn.AcceptRequest makes a
// connection of it. No method is safe for concurrent use.
type Request struct {
	iss, irs   Seq
	tsOffset   uint32
	tsRecent   uint32
	tsVal      uint32 // of a cookie's SYN-ACK
	sentAt     time.Duration
	challenged time.Duration // when acks were counted from
	window     uint16        // of the peer's SYN
	mss        uint16        // the peer's; 0: it stated none
	rcvMSS     uint16
	rcvWindow  uint16 // of the SYN-ACK
	rcvShift   uint8  // of the windows after it
	wscale     int8   // the peer's, -1: no window scaling
	tsOK       bool
	sackOK     bool
	cookie     bool  // nothing of it is kept
	again      bool  // the peer has sent its SYN again
	timeouts   uint8 // SYN-ACKs sent again by the timer
	acks       uint8 // see limit
}

// RequestVerdict is what to do with a segment that came for a Request.
type RequestVerdict uint8

// The verdicts of Request.Input.
const (
	RequestDrop   RequestVerdict = iota // nothing
	RequestSYNACK                       // send the segment of SYNACK again
	RequestACK                          // send the segment of ACK
	RequestReset                        // answer with ResetFor
	RequestEnd                          // the peer has reset it: remove it
	RequestAccept                       // the handshake is complete: AcceptRequest, then Input of the segment
)

// Open begins with a SYN that CheckListen let pass. Data in the SYN is not
// acknowledged: the peer sends it again.
func (r *Request) Open(cfg *Config, init *Init, syn *Segment, now time.Duration) {
	o := &syn.Options
	*r = Request{
		iss: init.ISS, irs: syn.Seq, tsOffset: init.TSOffset, sentAt: now,
		window: syn.Window, mss: o.MSS, rcvMSS: init.RcvMSS, wscale: -1,
		rcvWindow: uint16(min(clampSpace(cfg.RcvBuf), 0xffff)),
		sackOK:    cfg.SACK && o.SACKPermitted,
	}
	if cfg.Timestamps && o.Timestamps {
		r.tsOK, r.tsRecent = true, o.TSVal
	}
	if r.mss == 0 {
		r.mss = init.AssumeMSS
	}
	if cfg.WindowScale && o.WScale >= 0 {
		r.wscale, r.rcvShift = min(o.WScale, 14), windowShift(cfg)
	}
}

// Offer limits the first window to n bytes: what the listener has room for now.
func (r *Request) Offer(n int) { r.rcvWindow = min(r.rcvWindow, uint16(min(max(n, 0), 0xffff))) }

// SYNACK fills seg with the SYN-ACK.
func (r *Request) SYNACK(seg *Segment, now time.Duration) {
	*seg = Segment{Seq: r.iss, Ack: r.irs + 1, Flags: flagSYN | flagACK, Window: r.rcvWindow, kind: segSYN}
	o := &seg.Options
	o.Reset()
	o.MSS = r.rcvMSS
	o.SACKPermitted = r.sackOK
	r.timestamps(seg, now)
	if r.wscale >= 0 {
		o.WScale = int8(r.rcvShift)
	}
}

// ACK fills seg with the ACK that answers what is not acceptable.
func (r *Request) ACK(seg *Segment, now time.Duration) {
	*seg = Segment{Seq: r.iss + 1, Ack: r.irs + 1, Flags: flagACK, Window: r.rcvWindow >> r.rcvShift}
	seg.Options.Reset()
	r.timestamps(seg, now)
}

// Reset fills seg with the RST that tells the peer of the end, as of a listener
// that is closed (RFC 9293 section 3.10.4).
func (r *Request) Reset(seg *Segment) {
	*seg = Segment{Seq: r.iss + 1, Ack: r.irs + 1, Flags: flagRST | flagACK, kind: segRST}
	seg.Options.Reset()
}

func (r *Request) timestamps(seg *Segment, now time.Duration) {
	if !r.tsOK {
		return
	}
	o := &seg.Options
	o.Timestamps, o.TSVal, o.TSEcr = true, r.tsVal, r.tsRecent
	if !r.cookie {
		o.TSVal = uint32(now/time.Millisecond) + r.tsOffset
	}
}

// TimedOut counts a SYN-ACK that got no answer in time.
func (r *Request) TimedOut() { r.timeouts++ }

// Timeouts is how often TimedOut was called.
func (r *Request) Timeouts() int { return int(r.timeouts) }

// Input judges a segment (RFC 9293 section 3.10.7.4, SYN-RECEIVED). Whatever it
// is not sure of is answered by an ACK within a limit of its own (RFC 5961).
func (r *Request) Input(seg *Segment, now time.Duration) RequestVerdict {
	rst := seg.Flags&flagRST != 0
	if r.tsOK && !rst {
		if !seg.Options.Timestamps {
			if seg.Flags&flagSYN == 0 {
				return RequestDrop // RFC 7323 section 3.2
			}
		} else if int32(seg.Options.TSVal-r.tsRecent) < 0 {
			return r.limit(RequestACK, now) // PAWS
		}
	}
	next := r.irs + 1
	n := length(seg.Flags, len(seg.Payload))
	edge := next + Seq(r.rcvWindow)
	ok := seg.Seq == next
	if n == 0 {
		ok = uint32(seg.Seq-next) <= uint32(r.rcvWindow)
	} else if !ok {
		ok = seg.Seq.LessThan(edge) && next.LessThan(seg.Seq.Add(n))
	}
	switch {
	case !ok && rst:
		return RequestDrop
	case !ok && seg.Flags&(flagSYN|flagACK) == flagSYN && seg.Seq == r.irs:
		// The SYN again: so the SYN-ACK was lost.
		if r.tsOK && seg.Options.Timestamps {
			r.tsRecent = seg.Options.TSVal
		}
		r.again = true
		return r.limit(RequestSYNACK, now)
	case !ok:
		return r.limit(RequestACK, now)
	case rst && seg.Seq == next:
		return RequestEnd // RFC 5961 section 3.2
	case rst, seg.Flags&flagSYN != 0:
		return r.limit(RequestACK, now) // sections 3.2 and 4.2
	case seg.Flags&flagACK == 0:
		return RequestDrop
	case seg.Ack != r.iss+1:
		return RequestReset
	}
	return RequestAccept
}

// limit returns v unless there were many answers: see challengeLimit.
func (r *Request) limit(v RequestVerdict, now time.Duration) RequestVerdict {
	if r.acks == 0 || now-r.challenged >= challengeSpan {
		r.challenged, r.acks = now, 0
	}
	if r.acks >= challengeLimit {
		return RequestDrop
	}
	r.acks++
	return v
}

// AcceptRequest makes c the connection that r began, in SYN-RECEIVED with its
// SYN-ACK sent; cfg is that of Open, init says what the path carries. Hand in the
// segment for which Input said RequestAccept next.
func (c *Conn) AcceptRequest(cfg *Config, init Init, r *Request, now time.Duration) {
	init.ISS, init.TSOffset, init.RcvMSS = r.iss, r.tsOffset, r.rcvMSS
	c.begin(cfg, init, now)
	c.state = StateSynReceived
	syn := Segment{Seq: r.irs, Flags: flagSYN, Window: r.window}
	syn.Options.Reset()
	o := &syn.Options
	o.MSS, o.SACKPermitted, o.WScale = r.mss, r.sackOK, r.wscale
	o.Timestamps, o.TSVal = r.tsOK, r.tsRecent
	c.negotiate(&syn, now)
	c.synDue = false
	c.nxt = c.iss + 1
	c.rcvEdge = c.rcvNxt + Seq(r.rcvWindow)
	c.rcvShown = c.rcvEdge
	c.stats.timeouts = uint32(r.timeouts)
	if r.timeouts == 0 && !r.again && !r.cookie { // Karn's algorithm
		c.timing, c.rttSeq, c.rttStart = true, c.nxt, r.sentAt
	}
}
