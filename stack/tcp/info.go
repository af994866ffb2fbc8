package tcp

import (
	"syscall"
	"time"
)

// counters are what Info tells of the past.
type counters struct {
	bytesIn, bytesOut uint64
	segmentsOut       uint32
	retransmits       uint32
	probes            uint32
	timeouts          uint32
	recoveries        uint32
	outOfOrder        uint32
	duplicates        uint32
	paws              uint32
}

// State is the connection's state.
func (c *Conn) State() State { return c.state }

// Err is why the connection ended, or 0.
func (c *Conn) Err() syscall.Errno { return c.err }

// Info is a snapshot of a connection.
type Info struct {
	State              State
	RTT, RTTVar, RTO   time.Duration // RTT is 0 before the first measurement
	Cwnd, Ssthresh     int           // octets
	SndWnd, RcvWnd     int           // octets
	SndMSS, RcvMSS     int           // options included
	InFlight, Unsent   int           // octets
	BytesIn, BytesOut  uint64        // octets received in order; octets acknowledged
	Retransmits        uint32        // segments sent again
	LossProbes         uint32        // tail loss probes, of which those that carry no new data count as Retransmits too
	Timeouts           uint32        // of the retransmission timer
	Recoveries         uint32        // fast recoveries
	OutOfOrder         uint32        // segments received out of order
	Duplicates         uint32        // segments received again, in part or whole
	PAWS               uint32        // segments dropped for an old timestamp
	Timestamps, SACK   bool
	SndScale, RcvScale int
}

// Info returns a snapshot.
func (c *Conn) Info() Info {
	return Info{
		State: c.state,
		RTT:   c.srtt, RTTVar: c.rttvar, RTO: c.rto,
		Cwnd: int(c.cw.Cwnd), Ssthresh: int(c.cw.Ssthresh),
		SndWnd: int(c.sndWnd), RcvWnd: int(uint32(c.rcvEdge - c.rcvNxt)),
		SndMSS: int(c.sndMSS), RcvMSS: int(c.rcvMSS),
		InFlight: c.nxt.Sub(c.una), Unsent: max(c.sq.end.Sub(c.nxt), 0),
		BytesIn: c.stats.bytesIn, BytesOut: c.stats.bytesOut,
		Retransmits: c.stats.retransmits, LossProbes: c.stats.probes, Timeouts: c.stats.timeouts,
		Recoveries: c.stats.recoveries, OutOfOrder: c.stats.outOfOrder,
		Duplicates: c.stats.duplicates, PAWS: c.stats.paws,
		Timestamps: c.tsOK, SACK: c.sackOK,
		SndScale: int(c.sndShift), RcvScale: int(c.rcvShift),
	}
}

// InFlight is how many octets of sequence space have been sent and are not
// acknowledged, SYN and FIN included.
func (c *Conn) InFlight() int { return c.nxt.Sub(c.una) }

// String names the state as RFC 9293 does.
func (s State) String() string {
	names := [...]string{"CLOSED", "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED", "CLOSE-WAIT",
		"FIN-WAIT-1", "FIN-WAIT-2", "CLOSING", "LAST-ACK", "TIME-WAIT"}
	if int(s) < len(names) {
		return names[s]
	}
	return "?"
}

// SetNoDelay turns the Nagle algorithm off (true) or on. Call Next afterwards.
func (c *Conn) SetNoDelay(on bool) { c.noDelay = on }

// SetKeepAlive changes the keep-alive parameters. The idle time counts from
// the latest segment of the peer.
func (c *Conn) SetKeepAlive(k KeepAlive) {
	c.keep = k
	c.keepProbes = 0
	c.keepDue = false
}

// KeepAlive returns the keep-alive parameters.
func (c *Conn) KeepAlive() KeepAlive { return c.keep }

// SetMSS lowers the MSS to what the path carries (options included); what is
// in flight is sent again in smaller segments, which is no sign of congestion.
// Call Next afterwards.
func (c *Conn) SetMSS(mss int) {
	mss = max(mss, MinMSS)
	if mss >= int(c.sndMSS) && c.sndMSS != 0 {
		return
	}
	c.sndMSS = uint16(mss)
	if c.state <= StateSynSent {
		return // negotiate does the rest
	}
	c.cw.MSS = uint32(c.payloadMSS())
	if c.una == c.nxt || c.state == StateSynReceived {
		return
	}
	c.phase = phaseLoss
	c.dupAcks = 0
	c.endProbe()
	c.recover, c.lossEdge, c.highRxt = c.nxt, c.nxt, c.una
	c.timing = false
	c.fastRtx = true
	c.setPipe()
}

// Quoted reports whether seq, which an ICMP message quotes, is in flight: else
// the message is to be ignored (RFC 5927 section 4.1).
func (c *Conn) Quoted(seq Seq) bool { return seq.InRange(c.una, c.nxt) }

// SoftError takes an error from ICMP: it ends a connection attempt, and is
// only remembered, as the reason of a later timeout, on a connection that is
// established (RFC 5927 section 5.2, RFC 9293 section 3.9.2.2).
func (c *Conn) SoftError(errno syscall.Errno) Events {
	switch c.state {
	case StateClosed:
		return 0
	case StateSynSent:
		return c.fail(errno, Failed)
	}
	c.softErr = errno
	return 0
}
