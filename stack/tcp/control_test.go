package tcp

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/stack/header"
)

// peerNext is the next sequence number of the peer in a state that reach gave.
func peerNext(s State) int {
	switch s {
	case StateCloseWait, StateClosing, StateLastAck, StateTimeWait:
		return 2
	}
	return 1
}

// RFC 5961 section 3.2
func TestResetMustBeExact(t *testing.T) {
	errs := map[State]syscall.Errno{
		StateEstablished: syscall.ECONNRESET, StateFinWait1: syscall.ECONNRESET, StateFinWait2: syscall.ECONNRESET,
		StateCloseWait: syscall.EPIPE, StateClosing: syscall.ECONNRESET, StateLastAck: syscall.ECONNRESET,
	}
	for _, s := range synchronized {
		t.Run(s.String(), func(t *testing.T) {
			next := peerNext(s)
			h := reach(t, s, plain)
			for _, seq := range []int{next - 1, next + 65536, next + 1<<30} {
				require.Zero(t, h.in(R, seq, 0, 0), "outside of the window")
				require.Zero(t, h.in(R|A, seq, 0, 1), "outside of the window")
				h.sends()
			}
			require.Equal(t, AckNow, h.in(R, next+1, 0, 0), "in the window: a challenge")
			require.Len(t, h.out(), 1)
			require.Equal(t, s, h.c.State())
			require.Equal(t, Reset|Closed, h.in(R, next, 0, 0))
			require.Equal(t, StateClosed, h.c.State())
			require.Equal(t, errs[s], h.c.Err())
			h.sends()
		})
	}
}

// RFC 5961 section 4.2
func TestSYNIsChallenged(t *testing.T) {
	for _, s := range synchronized {
		t.Run(s.String(), func(t *testing.T) {
			next := peerNext(s)
			h := reach(t, s)
			for _, seq := range []int{next, next + 100, next - 1000, next + 1<<30} {
				require.Equal(t, AckNow, h.in(S, seq, 0, 0))
				out := h.out()
				require.Len(t, out, 1)
				require.Contains(t, out[0], fmt.Sprintf("ack %d", next))
			}
			require.Equal(t, s, h.c.State())
		})
	}
}

// RFC 5961 section 7
func TestChallengesAreLimited(t *testing.T) {
	h := newHost(t, plain).connect()
	count := func() (n int) {
		for range 30 {
			h.in(S, 1, 0, 0)
			n += len(h.out())
		}
		return n
	}
	require.Equal(t, challengeLimit, count())
	require.Zero(t, count())
	h.now += challengeSpan
	require.Equal(t, challengeLimit, count())
}

// RFC 5961 section 5.2
func TestBlindDataIsDropped(t *testing.T) {
	h := newHost(t, plain).connect()
	h.write(100)
	h.out()
	require.Equal(t, AckNow, h.in(A, 1, 10, 102), "beyond nxt")
	h.sends(". 101:101(0) ack 1")
	require.Equal(t, AckNow, h.in(A, 1, 10, 1-60001), "older than any window")
	h.sends(". 101:101(0) ack 1")
	require.Empty(t, h.rcvd)
	require.True(t, h.in(A, 1, 10, 1-60000).Has(Readable), "old, but possible")
	require.Zero(t, h.in(0, 11, 10, 0), "no ACK bit")
	require.Len(t, h.rcvd, 10)
}

func TestUnacceptableSegmentsAreAnswered(t *testing.T) {
	h := newHost(t, plain).connect()
	h.in(A, 1, 100, 1)
	h.c.FlushAck()
	h.sends(". 1:1(0) ack 101")
	for _, tc := range []struct{ seq, n int }{{1, 100}, {0, 1}, {101 + 65535, 10}, {100, 0}, {-1000, 500}} {
		require.Equal(t, AckNow, h.in(A, tc.seq, tc.n, 1))
		h.sends(". 1:1(0) ack 101")
	}
	require.Len(t, h.rcvd, 100)
}

func TestOverlapIsTrimmed(t *testing.T) {
	h := newHost(t, plain).connect()
	h.in(A, 1, 100, 1)
	require.True(t, h.in(A, 51, 100, 1).Has(Readable))
	require.Equal(t, 50, h.r.Off)
	require.Equal(t, 50, h.r.Len)
	h.c.SetRcvSpace(100)
	h.out()
	edge := h.c.rcvEdge.Sub(h.irs)
	require.True(t, h.in(A, 151, edge-151+500, 1).Has(AckNow))
	require.Len(t, h.rcvd, edge-1, "what is beyond the window is cut off")
}

func TestUrgentDataIsInLine(t *testing.T) {
	h := newHost(t, plain).connect()
	h.in(A|P|0x20, 1, 10, 1, func(s *Segment) { s.Urgent = 5 })
	require.Len(t, h.rcvd, 10)
}

// RFC 7323 section 5.3
func TestPAWS(t *testing.T) {
	h := newHost(t).connect()
	h.tsVal = 6000
	h.in(A, 1, 10, 1)
	h.c.FlushAck()
	h.out()
	require.Equal(t, AckNow, h.in(A, 11, 10, 1, ts(5999, 0)), "old: dropped and answered")
	h.sends(". 1:1(0) ack 11")
	require.True(t, h.in(A, 11, 10, 1, ts(6000, 0)).Has(Readable), "equal: taken")
	h.c.FlushAck()
	h.out()
	require.Zero(t, h.in(A, 21, 10, 1, func(s *Segment) { s.Options.Timestamps = false }), "RFC 7323 section 3.2")
	h.now += 25 * 24 * time.Hour
	require.True(t, h.in(A, 21, 10, 1, ts(1, 0)).Has(Readable), "section 5.5: the clock may have wrapped")
	require.Equal(t, Reset|Closed, h.in(R, 31, 0, 0, ts(0, 0)), "not for RST")
}

// RFC 7323 section 4.3: of a burst that one ACK answers, the first timestamp.
func TestTimestampEchoed(t *testing.T) {
	h := newHost(t).connect()
	echo := func() uint32 {
		h.c.FlushAck()
		s, ok := h.next()
		require.True(t, ok)
		return s.Options.TSEcr
	}
	h.in(A, 1, 100, 1, ts(6000, 0))
	h.in(A, 101, 100, 1, ts(6050, 0))
	require.Equal(t, uint32(6000), echo())
	h.in(A, 301, 100, 1, ts(6070, 0)) // after a hole
	require.Equal(t, uint32(6000), echo())
	h.in(A, 201, 100, 1, ts(6090, 0))
	require.Equal(t, uint32(6090), echo())
	h.now += time.Second
	h.in(A, 1, 100, 1, ts(6100, 0)) // again, and outside of the window: R2 comes before R3
	sent, ok := h.next()
	require.True(t, ok)
	require.Equal(t, uint32(6090), sent.Options.TSEcr)
	require.Equal(t, uint32(h.now/time.Millisecond)+77, sent.Options.TSVal)
}

func TestResetFor(t *testing.T) {
	h := newHost(t)
	for _, tc := range []struct {
		in   *Segment
		want string
	}{
		{h.segment(A, 10, 5, 7), "R 7:7(0)"},
		{h.segment(S, 10, 0, 0), "R. " + "0:0(0) ack 11"},
		{h.segment(F, 10, 5, 0), "R. " + "0:0(0) ack 16"},
		{h.segment(R, 10, 0, 0), ""},
	} {
		rst, ok := ResetFor(tc.in)
		require.Equal(t, tc.want != "", ok)
		if ok {
			if rst.Flags&A != 0 {
				require.Zero(t, rst.Seq)
				rst.Seq = h.iss
			}
			require.Equal(t, tc.want, h.describe(&rst))
			require.Zero(t, rst.Options.Len())
		}
	}
}

// RFC 9293 section 3.10.7.2
func TestCheckListen(t *testing.T) {
	for flags, want := range map[header.TCPFlags]ListenVerdict{
		S: ListenSYN, S | F: ListenSYN, S | P: ListenSYN,
		S | A: ListenReset, A: ListenReset, F | A: ListenReset,
		R: ListenDrop, R | A: ListenDrop, S | R: ListenDrop, F: ListenDrop, 0: ListenDrop,
	} {
		require.Equal(t, want, CheckListen(&Segment{Flags: flags}), "flags %v", flags)
	}
}

// RFC 5927
func TestICMPErrors(t *testing.T) {
	h := reach(t, StateSynSent)
	require.True(t, h.c.Quoted(h.iss))
	require.False(t, h.c.Quoted(h.iss-1))
	require.False(t, h.c.Quoted(h.iss+1))
	require.Equal(t, Failed|Closed, h.c.SoftError(syscall.EHOSTUNREACH))
	require.Equal(t, syscall.EHOSTUNREACH, h.c.Err())

	h = newHost(t, func(c *Config) { c.DataRetries = 1 }).connect()
	require.Zero(t, h.c.SoftError(syscall.EHOSTUNREACH))
	require.Zero(t, h.c.Err())
	h.write(1)
	h.out()
	h.fire()
	h.out()
	require.Equal(t, Failed|Closed, h.fire())
	require.Equal(t, syscall.EHOSTUNREACH, h.c.Err(), "the reason of the timeout")
}
