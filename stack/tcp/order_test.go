package tcp

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Data may overtake the ACK before it: what that tells is good all the same, and
// no reason for an answer.
func TestOvertakenACK(t *testing.T) {
	h := newHost(t, plain).connect()
	h.write(10)
	h.out()
	require.Equal(t, Readable|AckLater, h.in(A, 1, 100, 1))
	require.Zero(t, h.in(A, 1, 0, 11))
	require.Equal(t, Never, h.c.rtxAt)
	require.Zero(t, h.in(R, 1, 0, 0), "not for RST")
	require.Zero(t, h.in(R|A, 1, 0, 11))
	h.c.FlushAck()
	h.sends(". 11:11(0) ack 101")
	h.write(10)
	h.out()
	require.Equal(t, AckNow, h.in(A, 1, 0, 21), "older than our ACK: not acceptable")
	require.NotEqual(t, Never, h.c.rtxAt)
}

// RFC 9293 section 3.10.7.4: a segment that is older than what the window was
// taken from does not set it.
func TestOvertakenWindow(t *testing.T) {
	h := newHost(t, plain).connect()
	h.in(A, 11, 0, 1, win(5000))
	require.True(t, h.in(A, 1, 10, 1, win(0)).Has(Readable))
	require.Equal(t, 5000, h.c.Info().SndWnd)
	require.True(t, h.in(A, 11, 10, 1, win(100)).Has(Readable))
	require.Equal(t, 100, h.c.Info().SndWnd)

	h.in(A, 31, 0, 1, win(5000)) // and out of order
	h.in(A, 25, 3, 1, win(0))
	require.Equal(t, 5000, h.c.Info().SndWnd)
}

// Duplicate ACKs that were not sent yet are not sent for a hole that is filled:
// the peer would take them for a new loss.
func TestFilledHoleNeedsNoDuplicateACKs(t *testing.T) {
	h := newHost(t, plain).connect()
	for i := range 5 {
		h.in(A, 101+100*i, 100, 1)
	}
	h.in(A, 1, 100, 1)
	h.sends(". 1:1(0) ack 601")
}

// FIN can not be before what has come already: such a one is forged.
func TestFINBeforeHeldData(t *testing.T) {
	h := newHost(t, plain).connect()
	h.in(A, 101, 100, 1)
	require.False(t, h.in(F|A, 11, 10, 1).Has(EOF))
	require.False(t, h.in(A, 1, 20, 1).Has(EOF))
	h.in(A, 21, 80, 1)
	require.Len(t, h.rcvd, 200)
	require.Equal(t, StateEstablished, h.c.State())
}

func TestOrphanHoldsNothingOutOfOrder(t *testing.T) {
	h := newHost(t, plain).connect()
	h.in(A, 101, 100, 1)
	h.c.Orphan(h.now)
	require.Zero(t, h.pool.InUse())
}

// A SYN-ACK that answers the SYN again echoes that one's timestamp.
func TestEchoOfTheSYNSentAgain(t *testing.T) {
	h := reach(t, StateSynReceived)
	h.in(S, 0, 0, 0, ts(6000, 0))
	s, ok := h.next()
	require.True(t, ok)
	require.Equal(t, "S. 0:0(0) ack 1", h.describe(&s))
	require.Equal(t, uint32(6000), s.Options.TSEcr)
	require.Equal(t, AckNow, h.in(S, 0, 0, 0, ts(5999, 0)), "PAWS")
	h.sends(". 1:1(0) ack 1")
}

// PAWS holds while segments come, for however many days.
func TestPAWSAfterWeeksOfTraffic(t *testing.T) {
	h := newHost(t).connect()
	for i := range 60 {
		h.now += 12 * time.Hour
		h.tsVal += uint32(12 * time.Hour / time.Millisecond)
		require.True(t, h.in(A, 1+10*i, 10, 1).Has(Readable))
		h.c.FlushAck()
		h.out()
	}
	require.Equal(t, AckNow, h.in(A, 601, 10, 1, ts(h.tsVal-1, 0)))
	require.Equal(t, uint32(1), h.c.Info().PAWS)
}

// RFC 6298 section 5.3: the timer runs from the latest new ACK.
func TestTimerIsRestartedByNewACKs(t *testing.T) {
	h := newHost(t, plain).connect()
	h.flight(3)
	h.c.timing = false
	for i := range 2 {
		h.now += 150 * time.Millisecond
		h.in(A, 1, 0, 1001+1000*i)
		require.Equal(t, h.now+h.c.rto, h.c.Deadline())
	}
	h.now += 150 * time.Millisecond
	h.in(A, 1, 0, 2001)
	require.Equal(t, h.now-150*time.Millisecond+h.c.rto, h.c.Deadline(), "not a new one")
}

// Karn's algorithm: what was sent again is not timed.
func TestFastRetransmitIsNotTimed(t *testing.T) {
	h := newHost(t, plain).connect()
	h.flight(10)
	for range 3 {
		h.in(A, 1, 0, 1)
	}
	h.sends(". 1:1001(1000) ack 1")
	before := h.c.Info()
	h.now += 150 * time.Millisecond
	h.in(A, 1, 0, 10_001)
	require.Equal(t, before.RTT, h.c.Info().RTT)
	require.Equal(t, before.RTO, h.c.Info().RTO)
}

// RFC 6582 section 4: duplicate ACKs of what the timeout sent in vain are no sign
// of a loss; those beyond it are.
func TestFastRetransmitAfterATimeout(t *testing.T) {
	h := newHost(t, plain).connect()
	h.flight(5)
	h.fire()
	h.out()
	h.in(A, 1, 0, 5001)
	h.flight(5)
	for range 5 {
		h.in(A, 1, 0, 5001)
	}
	h.sends()
	require.Zero(t, h.c.Info().Recoveries)
	h.in(A, 1, 0, 6001)
	for range 3 {
		h.in(A, 1, 0, 6001)
	}
	h.sends(". 6001:7001(1000) ack 1")
	require.Equal(t, uint32(1), h.c.Info().Recoveries)
}

// RFC 3465 section 2.3: after a timeout the window opens by a segment an ACK,
// whatever that covers.
func TestSlowStartAfterATimeout(t *testing.T) {
	h := newHost(t, plain).connect()
	h.flight(10)
	h.fire()
	h.out()
	h.in(A, 1, 0, 9001)
	require.Equal(t, 2000, h.c.Info().Cwnd)
}

// A super-segment sent again ends where the peer has what follows.
func TestRetransmissionInOneSegmentSkipsWhatArrived(t *testing.T) {
	h := newHost(t, sackOnly).connect()
	h.flight(20)
	h.max = 1 << 16
	h.in(A, 1, 0, 1, sack(10_001, 20_001, 3001, 6001)) // two holes
	h.sends(". 1:3001(3000) ack 1", ". 6001:10001(4000) ack 1")
	h.in(A, 1, 0, 2001, sack(10_001, 20_001, 3001, 6001)) // a part of the first
	h.in(A, 1, 0, 2001, sack(10_001, 20_001, 3001, 7001)) // and of the second
	h.sends()
	h.fire()
	h.sends(". 2001:3001(1000) ack 1")
	h.in(A, 1, 0, 7001, sack(10_001, 20_001))
	h.sends(". 7001:9001(2000) ack 1")
	h.in(A, 1, 0, 20_001)
	require.Equal(t, phaseOpen, h.c.phase)
}

// RFC 6582 section 3.2: of the duplicate ACKs, those for what a partial ACK
// covers do not count any more.
func TestPartialACKDeflates(t *testing.T) {
	h := newHost(t, plain).connect()
	h.flight(10)
	for range 9 {
		h.in(A, 1, 0, 1)
	}
	h.out()
	h.in(A, 1, 0, 5001)
	require.Equal(t, uint8(5), h.c.dupAcks)
	require.Equal(t, ". 5001:6001(1000) ack 1", h.out()[0])
	require.Equal(t, uint32(0), h.c.pipe-1000, "of five segments, five have arrived; and one was sent again")
}

// A partial ACK has the next segment sent at once, whatever is in the network.
func TestPartialACKRetransmitsAtOnce(t *testing.T) {
	h := newHost(t, plain).connect()
	h.flight(10)
	for range 3 {
		h.in(A, 1, 0, 1)
	}
	h.sends(". 1:1001(1000) ack 1")
	h.in(A, 1, 0, 1001)
	h.sends(". 1001:2001(1000) ack 1")
}

// An application that has let go waits for a peer that is alive, but not for
// ever; for one that is silent less.
func TestOrphanBehindAClosedWindow(t *testing.T) {
	stuck := func() *host {
		h := newHost(t, plain, func(c *Config) { c.OrphanRetries, c.MaxRTO = 3, 30*time.Second }).connect()
		h.in(A, 1, 0, 1, win(0))
		h.write(10)
		h.c.Orphan(h.now)
		h.sends()
		return h
	}
	h := stuck()
	start := h.now
	for h.fire() == SendReady {
		require.Len(t, h.out(), 1)
		h.in(A, 1, 0, 1, win(0))
		require.Less(t, h.now-start, time.Hour)
	}
	require.Equal(t, StateClosed, h.c.State())
	require.Equal(t, syscall.ETIMEDOUT, h.c.Err())
	require.Greater(t, h.now-start, 50*time.Second)
	require.Less(t, h.now-start, 2*time.Minute)

	h = stuck()
	for range 3 {
		require.Equal(t, SendReady, h.fire())
		require.Len(t, h.out(), 1)
	}
	require.Equal(t, Failed|Closed, h.fire())

	h = stuck()
	for range 5 {
		h.fire()
		h.out()
		h.in(A, 1, 0, 1, win(0))
	}
	h.in(A, 1, 0, 1, win(100))
	h.sends("FP. 1:11(10) ack 1")
}

// Keep-alive: a segment with data is an answer as good as any.
func TestKeepAliveIsAnsweredByData(t *testing.T) {
	h := newHost(t, plain).connect()
	h.c.SetKeepAlive(KeepAlive{Enable: true, Idle: 10 * time.Second, Interval: time.Second, Count: 3})
	h.fire()
	h.out()
	h.in(A, 1, 10, 1)
	h.c.FlushAck()
	h.out()
	require.Equal(t, h.now+10*time.Second, h.c.Deadline())
}
