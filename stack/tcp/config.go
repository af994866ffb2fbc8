package tcp

import (
	"math"
	"time"
)

// Never is the deadline of what will not happen.
const Never = time.Duration(math.MaxInt64)

// MinMSS is the smallest segment that a connection sends, whatever a peer's
// option or an ICMP message asks for: smaller ones only serve attacks
// (CVE-2019-11479).
const MinMSS = 48

// Config is what connections have in common. It is kept by reference by each
// connection and must not change while one lives.
type Config struct {
	Pool *ChunkPool // where unacknowledged and out-of-order bytes live

	SndBuf    int // limit of bytes written and not acknowledged, at first
	SndBufMax int // what it may grow to as the congestion window does; up to SndBuf: it does not
	RcvBuf    int // room for received bytes at first: the first window
	RcvBufMax int // what SetRcvSpace may rise to; sets the window scale. 0: RcvBuf
	// RcvBufAuto is what the caller lets the receive buffer grow to by itself: see
	// Rightsize.
	RcvBufAuto int

	Timestamps  bool // offer and accept RFC 7323 timestamps
	SACK        bool // offer and accept RFC 2018 selective acknowledgments
	WindowScale bool // offer and accept RFC 7323 window scaling

	NoDelay bool // no Nagle algorithm (RFC 9293 section 3.7.4)

	InitialRTO time.Duration // before the first measurement (RFC 6298 section 2.1)
	MinRTO     time.Duration // least allowance above SRTT, as in Linux
	MaxRTO     time.Duration
	DelAck     time.Duration // how long an ACK may wait (RFC 9293 section 3.8.6.3)

	SYNRetries    int           // of SYN, and of SYN-ACK
	DataRetries   int           // of data and FIN without an answer
	OrphanRetries int           // the same after Orphan; window probes that are answered end it only once they are MaxRTO apart
	UserTimeout   time.Duration // limit of data without an answer (RFC 5482); 0: none

	TimeWait time.Duration // 2 MSL
	FinWait2 time.Duration // limit of FIN-WAIT-2 after Orphan

	KeepAlive KeepAlive

	// Congestion makes the congestion control of a connection; nil is
	// NewReno, which costs no allocation.
	Congestion func() Congestion
}

// KeepAlive says when an idle connection is probed (RFC 9293 section 3.8.4).
type KeepAlive struct {
	Enable   bool
	Idle     time.Duration // without a segment from the peer, until the first probe
	Interval time.Duration // between probes
	Count    int           // probes without an answer until ETIMEDOUT
}

// DefaultConfig returns the defaults, near to those of Linux. Pool is nil and
// must be set.
func DefaultConfig() Config {
	return Config{
		SndBuf:        4 << 20,
		RcvBuf:        1 << 20,
		Timestamps:    true,
		SACK:          true,
		WindowScale:   true,
		NoDelay:       true,
		InitialRTO:    time.Second,
		MinRTO:        200 * time.Millisecond,
		MaxRTO:        120 * time.Second,
		DelAck:        40 * time.Millisecond,
		SYNRetries:    6,
		DataRetries:   15,
		OrphanRetries: 8,
		TimeWait:      60 * time.Second,
		FinWait2:      60 * time.Second,
		KeepAlive:     KeepAlive{Idle: 2 * time.Hour, Interval: 75 * time.Second, Count: 9},
	}
}

// Init is what a connection begins with and shares with no other.
type Init struct {
	ISS      Seq    // initial send sequence number: function ISS
	TSOffset uint32 // added to the timestamps it sends (RFC 7323 section 5.4): function TSOffset
	RcvMSS   uint16 // the MSS to advertise: the interface's MTU less 40 (IPv4) or 60 (IPv6)
	SndMSS   uint16 // the most that the path carries to the peer: the same of the path's MTU; 0: no limit

	// AssumeMSS is for a peer that states no MSS: 1220 over IPv6, 0 means the
	// 536 of IPv4 (RFC 9293 section 3.7.1).
	AssumeMSS uint16
}
