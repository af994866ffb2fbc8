package tcp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// scaled has windows in units of 2^shift octets.
func scaled(buf int, shift uint8) func(*Config) {
	return func(cfg *Config) {
		cfg.SACK, cfg.Timestamps = false, false
		cfg.RcvBuf, cfg.RcvBufMax = buf, 0xffff<<shift
	}
}

// advertised has the host send an ACK, and returns the window in it, in octets.
func (h *host) advertised() int {
	h.t.Helper()
	h.c.ackNow = true
	s, ok := h.next()
	require.True(h.t, ok)
	return int(s.Window) << h.c.rcvShift
}

// A buffer of less than a unit of the scale opens as well, else nothing ever
// came again.
func TestBufferOfLessThanAUnit(t *testing.T) {
	h := newHost(t, scaled(100, 9)).connect()
	h.in(A, 1, 100, 1)
	h.c.SetRcvSpace(0)
	require.Zero(t, h.advertised())
	h.c.SetRcvSpace(49)
	require.False(t, h.c.WindowUpdateDue())
	h.c.SetRcvSpace(50)
	require.True(t, h.c.WindowUpdateDue())
	h.c.FlushAck()
	require.Equal(t, 512, h.advertised())
	h.in(A, 101, 512, 1) // all of it
	h.c.SetRcvSpace(100)
	require.True(t, h.c.WindowUpdateDue())
	require.Equal(t, 512, h.advertised())
}

// The last octets of the room are not hidden by the scale; but what is filled
// stays closed, however small the segments.
func TestScaledWindowIsRounded(t *testing.T) {
	h := newHost(t, scaled(1<<20, 5)).connect()
	h.c.rcvEdge = h.c.rcvNxt + 69
	h.c.SetRcvSpace(69)
	require.Equal(t, 96, h.advertised())
	next := 1
	for range 100 {
		room := max(69-len(h.rcvd), 0)
		h.c.SetRcvSpace(room)
		if h.advertised() == 0 && room == 0 {
			break
		}
		h.in(A, next, 1, 1)
		next++
	}
	require.Len(t, h.rcvd, 69)
	require.LessOrEqual(t, h.c.rcvEdge.Sub(h.irs), 1+69+31)
}

// The peer may wait for a full segment although we think it has one: it reads
// up to a unit less.
func TestWindowUpdateMindsTheUnit(t *testing.T) {
	for held, want := range map[int]bool{1040: false, 1023: true, 1020: true, 500: true} {
		h := newHost(t, scaled(1<<20, 5)).connect()
		h.c.rcvEdge = h.c.rcvNxt.Add(held)
		h.c.SetRcvSpace(0)
		require.Equal(t, held&^31, h.advertised(), "it retreats")
		h.c.SetRcvSpace(held + 900)
		require.False(t, h.c.WindowUpdateDue(), "%d", held)
		h.c.SetRcvSpace(held + 1500)
		require.Equal(t, want, h.c.WindowUpdateDue(), "%d", held)
		h.advertised()
		require.False(t, h.c.WindowUpdateDue(), "once")
	}
}

// A scaled window that has retreated by less than a unit is no shrunk one: our
// ACKs stay acceptable.
func TestACKBeyondAScaledWindow(t *testing.T) {
	h := newHost(t, scaled(1<<20, 5)).connect() // the peer's unit is 4
	h.in(A, 1, 0, 1, win(250))
	h.write(1000)
	h.out()
	h.in(A, 1, 10, 3, win(249)) // up to 999
	h.c.FlushAck()
	h.sends(". 1001:1001(0) ack 11")
	h.in(A, 11, 10, 3, win(248)) // up to 995
	h.c.FlushAck()
	h.sends(". 995:995(0) ack 21")
}

// A peer that sends smaller segments than it did, as its path has narrowed, has
// its ACKs for every second one again, after one that was late.
func TestSmallerSegmentsAreLearned(t *testing.T) {
	h := newHost(t, plain).connect()
	h.in(A, 1, 1000, 1)
	h.in(A, 1001, 1000, 1)
	h.out()
	h.in(A, 2001, 600, 1)
	require.Equal(t, Readable|AckLater, h.in(A, 2601, 600, 1))
	h.fire()
	h.out()
	h.in(A, 3201, 600, 1)
	require.Equal(t, Readable|AckNow, h.in(A, 3801, 600, 1))
}

// The user timeout counts from the latest progress (RFC 5482).
func TestUserTimeoutCountsFromProgress(t *testing.T) {
	h := newHost(t, plain, func(c *Config) { c.UserTimeout = 3 * time.Second }).connect()
	h.flight(40)
	h.fire()
	h.out()
	for i := range 30 {
		h.now += 150 * time.Millisecond
		h.in(A, 1, 0, 501+1000*i)
		h.out()
	}
	require.Equal(t, SendReady, h.fire(), "4.5 s after the first timeout")
}

// What a flood out of order costs in memory, whatever the window is.
func TestHeldDataIsBoundedInMemory(t *testing.T) {
	h := newHost(t, scaled(1<<20, 5)).connect()
	for i := range 4000 {
		h.in(A, 1<<20-5000-i, 1, 1)
	}
	require.Less(t, h.c.rx.held, 3<<20)
	require.Less(t, h.pool.InUse(), 1500)
}
