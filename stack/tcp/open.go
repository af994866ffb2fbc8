package tcp

import (
	"syscall"
	"time"
)

const (
	// defaultMSS is assumed of an IPv4 peer that states no MSS (RFC 9293
	// section 3.7.1).
	defaultMSS = 536
	// minRcvSeg is the least that counts as a full-sized segment when ACKs are
	// spaced: below it an exchange of small messages would be acknowledged
	// at once instead of with the reply.
	minRcvSeg = 536
	// tsOptionLen is what timestamps take of each segment (RFC 7323 appendix A).
	tsOptionLen = 12
	// maxSndBuf keeps sequence numbers in the send queue comparable.
	maxSndBuf = 1 << 30
	// infinite is a threshold that nothing reaches.
	infinite = 1 << 30
)

// begin sets up what active and passive opens have in common. The send queue
// begins after the SYN.
func (c *Conn) begin(cfg *Config, init Init, now time.Duration) {
	*c = Conn{
		cfg:       cfg,
		noDelay:   cfg.NoDelay,
		keep:      cfg.KeepAlive,
		iss:       init.ISS,
		una:       init.ISS,
		nxt:       init.ISS,
		recover:   init.ISS,
		limited:   init.ISS,
		tsOffset:  init.TSOffset,
		rcvMSS:    init.RcvMSS,
		sndMSS:    init.SndMSS,
		rcvSeg:    min(minRcvSeg, init.RcvMSS),
		rcvShift:  windowShift(cfg),
		rcvSpace:  uint32(clampSpace(cfg.RcvBuf)),
		rto:       cfg.InitialRTO,
		rtxAt:     Never,
		ackAt:     Never,
		lifeAt:    Never,
		lastRcv:   now,
		lastSend:  now,
		assumeMSS: init.AssumeMSS,
	}
	c.sq.end = init.ISS + 1
	c.SetSndBuf(cfg.SndBuf)
	c.sndFixed = false
	c.SetRcvBuf(cfg.RcvBuf)
	c.sq.shard = uint8(init.ISS >> 12)
	if cfg.Congestion != nil {
		c.cong = cfg.Congestion()
	}
	c.synDue = true
}

// windowShift is the least scale with which the window field can state the
// largest receive buffer (RFC 7323 section 2.3).
func windowShift(cfg *Config) uint8 {
	if !cfg.WindowScale {
		return 0
	}
	var shift uint8
	for largest := max(cfg.RcvBuf, cfg.RcvBufMax); shift < 14 && 0xffff<<shift < largest; {
		shift++
	}
	return shift
}

// Connect opens the connection actively; Next then gives the SYN.
func (c *Conn) Connect(cfg *Config, init Init, now time.Duration) {
	c.begin(cfg, init, now)
	c.active = true
	c.state = StateSynSent
}

// Accept opens it passively with a SYN that CheckListen let pass; Next then
// gives the SYN-ACK. Data in the SYN is not acknowledged: the peer sends it
// again.
func (c *Conn) Accept(cfg *Config, init Init, syn *Segment, now time.Duration) {
	c.begin(cfg, init, now)
	c.state = StateSynReceived
	c.negotiate(syn, now)
}

// negotiate takes the parameters of the peer's SYN or SYN-ACK.
func (c *Conn) negotiate(syn *Segment, now time.Duration) {
	o := &syn.Options
	c.irs = syn.Seq
	wnd := c.rcvEdge - c.rcvNxt // of a SYN of ours, before there was an irs
	c.rcvNxt = syn.Seq + 1
	c.rcvEdge = c.rcvNxt + wnd
	c.rcvShown = c.rcvEdge
	c.lastAck = c.rcvNxt
	c.lastRcv = now

	if c.cfg.Timestamps && o.Timestamps {
		c.tsOK, c.tsRecent, c.tsAt = true, o.TSVal, now
	}
	c.sackOK = c.cfg.SACK && o.SACKPermitted
	if c.cfg.WindowScale && o.WScale >= 0 {
		c.scaled, c.sndShift = true, uint8(min(o.WScale, 14))
	} else {
		// RFC 7323 section 2.2: both sides must send the option
		c.rcvShift = 0
	}
	// The window of a segment with SYN is never scaled (RFC 7323 section 2.2).
	c.sndWnd = uint32(syn.Window)
	c.maxSndWnd = c.sndWnd
	c.wl1, c.wl2 = syn.Seq, c.iss

	// RFC 9293 section 3.7.1, RFC 6691
	mss := o.MSS
	if mss == 0 {
		if mss = c.assumeMSS; mss == 0 {
			mss = defaultMSS
		}
	}
	if c.sndMSS == 0 || mss < c.sndMSS {
		c.sndMSS = mss
	}
	c.sndMSS = max(c.sndMSS, MinMSS)
	c.cw.MSS = uint32(c.payloadMSS())
	c.cw.Cwnd = initialWindow(c.cw.MSS)
	c.cw.Ssthresh = infinite
}

// payloadMSS is the octets of data in a full segment without SACK blocks.
func (c *Conn) payloadMSS() int {
	if c.tsOK {
		return int(c.sndMSS) - tsOptionLen
	}
	return int(c.sndMSS)
}

// inputSynSent is RFC 9293 section 3.10.7.3.
func (c *Conn) inputSynSent(seg *Segment, now time.Duration) (r Result) {
	// First, check the ACK bit.
	ack := seg.Flags&flagACK != 0
	if ack && (seg.Ack.LessThanEq(c.iss) || c.nxt.LessThan(seg.Ack)) {
		if seg.Flags&flagRST == 0 {
			c.rstDue, c.rstAck, c.rstSeq = true, false, seg.Ack
			r.Events |= AckNow
		}
		return r
	}
	// Second, check the RST bit. Without an acceptable ACK it is ignored.
	if seg.Flags&flagRST != 0 {
		if ack {
			r.Events |= c.fail(syscall.ECONNREFUSED, Reset)
		}
		return r
	}
	// Fourth, check the SYN bit.
	if seg.Flags&flagSYN == 0 {
		return r
	}
	c.negotiate(seg, now)
	if !ack {
		// Simultaneous open: SYN-ACK, with the sequence number of the SYN.
		c.state = StateSynReceived
		c.synDue = true
		r.Events |= AckNow
		return r
	}
	c.wl2 = seg.Ack
	c.establish(seg.Ack, seg, now, &r)
	c.ackNow = true
	r.Events |= AckNow
	if len(seg.Payload) > 0 || seg.Flags&flagFIN != 0 {
		c.text(seg, seg.Seq+1, now, &r)
	}
	return r
}

// establish enters ESTABLISHED (or FIN-WAIT-1 when the application has closed
// already) as our SYN is acknowledged by ack.
func (c *Conn) establish(ack Seq, seg *Segment, now time.Duration, r *Result) {
	c.state = StateEstablished
	c.synDue = false
	if c.finQueue {
		c.state = StateFinWait1
	}
	r.Events |= Established | Writable
	if c.stats.timeouts > 0 {
		// RFC 5681 section 3.1: one segment when the SYN was lost. And RFC 6298
		// section 5.7: a conservative RTO.
		c.cw.Cwnd = c.cw.MSS
		c.rto = max(c.rto, 3*c.cfg.InitialRTO)
		c.backoff = 0
	}
	c.una = c.iss + 1 // SYN
	if c.timing && c.rttSeq.LessThanEq(ack) {
		c.timing = false
		c.sampleRTT(now - c.rttStart)
	}
	c.recover = c.iss
	c.limited = c.una
	c.lastSend = now
	c.retries, c.stallAt = 0, 0
	c.rtxAt = Never
	if ack != c.una {
		r.Events |= c.advance(ack, seg, now)
	}
	c.rearm(now)
	if c.sq.end != c.nxt || c.finQueue {
		r.Events |= SendReady
	}
}
