package tcp

import (
	"syscall"
	"time"
)

// State is a state of RFC 9293 section 3.3.2. LISTEN is the caller's.
type State uint8

// The states. The zero value of a Conn is StateClosed.
const (
	StateClosed State = iota
	StateSynSent
	StateSynReceived
	StateEstablished
	StateCloseWait
	StateFinWait1
	StateFinWait2
	StateClosing
	StateLastAck
	StateTimeWait
)

// phase is the state of loss recovery.
type phase uint8

const (
	phaseOpen     phase = iota // nothing hints at a loss
	phaseDisorder              // duplicate ACKs or SACKed ranges, too few to act on
	phaseRecovery              // fast recovery, until recover is acknowledged
	phaseLoss                  // after a retransmission timeout, until recover is acknowledged
)

// Conn is one connection. The zero value is CLOSED; Connect or Accept begin
// one, Release ends it. It may be embedded by value and must not be copied
// while it lives. No method is safe for concurrent use.
//
// The two sequence spaces (RFC 9293 section 3.3.1), sending:
//
//	 acknowledged |    in flight    | may be sent |  beyond the window
//	--------------|-----------------|-------------|--------------------
//	             una               nxt       una+sndWnd
//	              |----- sq: written data ----...-----| sq.end (FIN is here)
//
// While a loss is repaired, of what is in flight
//
//	una        highRxt        lossEdge                 nxt
//	 |............|..............|......................|
//	  sent again    lost, to be     not deemed lost
//	                sent again
//
// where ranges of the scoreboard sb have arrived. Sequence numbers that are kept
// for longer (recover, limited) move along as una passes them: 2^31 octets later
// they would compare the other way round. Receiving:
//
//	 delivered    |   in the window (some held in rx)   |  beyond
//	--------------|-------------------------------------|-----------
//	 lastAck   rcvNxt                                rcvEdge
type Conn struct {
	state State
	phase phase

	// Negotiated.
	tsOK     bool
	sackOK   bool
	scaled   bool  // both sides sent the window scale option
	sndShift uint8 // of the windows the peer sends
	rcvShift uint8 // of the windows it is sent

	active   bool // the connection began with Connect
	noDelay  bool
	orphan   bool // the application has let go: nobody reads
	finQueue bool // FIN follows the data of sq
	finSent  bool // nxt is beyond FIN
	rcvFin   bool // the peer's FIN is at rcvFinSeq

	synDue   bool // Next owes a SYN or SYN-ACK
	rstDue   bool // Next owes a RST with rstSeq
	rstAck   bool // ... and with an ACK
	probeDue bool // Next owes a probe of the window
	keepDue  bool // Next owes a keep-alive probe
	ackNow   bool // Next owes an ACK
	ackWait  bool // an ACK is owed and may wait until ackAt
	ackRode  bool // one that might have waited has gone with data: for AckRode

	persist  bool // rtxAt is the persist timer
	timing   bool // rttSeq and rttStart time a flight
	starved  bool // a Write did not fit: report Writable
	dsackOK  bool // dsack is to be reported
	sndFixed bool // SetSndBuf was called: the send buffer does not grow
	fastRtx  bool // the next retransmission goes whatever the window says
	refusing bool // the segment at hand came by InputRefused

	acksOwed   uint8 // duplicate ACKs to send one by one to a peer without SACK
	backoff    uint8 // doublings of rto
	retries    uint8 // timeouts without an answer
	keepProbes uint8 // keep-alive probes without an answer
	dupAcks    uint8
	challenges uint8 // challenge ACKs since challengeAt

	rcvMSS    uint16 // advertised
	sndMSS    uint16 // options included
	rcvSeg    uint16 // largest segment received, at least minRcvSeg
	assumeMSS uint16 // of a peer that states none

	// Send sequence space.
	iss, una, nxt     Seq
	wl1, wl2          Seq
	sndWnd, maxSndWnd uint32
	sq                sendQueue
	sndBuf            int32 // limit of octets in sq
	rcvBuf            int32 // size of the caller's receive queue

	// Loss recovery.
	recover  Seq // RFC 6582 recover, RFC 6675 RecoveryPoint
	highRxt  Seq
	lossEdge Seq
	rescue   Seq    // RFC 6675 RescueRxt
	pipe     uint32 // RFC 6675 Pipe, unless phaseOpen
	sb       *scoreboard
	tlp      tailProbe

	// Congestion control. While what is acknowledged was sent before limited,
	// the congestion window was what held the sender back.
	cw      CongestionWindow
	limited Seq
	cong    Congestion

	// Receive sequence space.
	irs, rcvNxt, rcvEdge Seq
	rcvShown             Seq // right edge as the peer last read it: rcvEdge, or less than a unit before
	lastAck              Seq
	rcvFinSeq            Seq
	rcvSpace             uint32
	rx                   *reassembly
	rcvEcho              uint32 // the latest timestamp of ours that data echoed
	rcvSizedAt           uint32 // microseconds: when Rightsize last looked
	rcvTaken             uint32 // the most that the application took in a round trip
	dsack                sackRange

	rstSeq Seq

	// Timestamps (RFC 7323).
	tsOffset uint32
	tsRecent uint32
	tsAt     time.Duration // when tsRecent was taken

	// Round-trip time (RFC 6298).
	srtt, rttvar, rto time.Duration
	minRTT            uint32 // microseconds, the shortest: noteRTT
	minRTTAt          uint32 // milliseconds
	rttStart          time.Duration
	rttSeq            Seq

	// Timers: when they fire, Never for off.
	rtxAt  time.Duration // retransmission or persist
	ackAt  time.Duration
	lifeAt time.Duration // FIN-WAIT-2 or TIME-WAIT
	keepAt time.Duration // of the latest keep-alive probe

	armedAt time.Duration // when rtxAt was set

	lastRcv     time.Duration // latest segment from the peer
	lastSend    time.Duration // latest new data
	stallAt     time.Duration // what went unanswered was sent then; 0: nothing
	challengeAt time.Duration

	cfg     *Config
	keep    KeepAlive
	stats   counters
	err     syscall.Errno
	softErr syscall.Errno
}
