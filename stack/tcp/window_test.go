package tcp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/stack/header"
)

// RFC 9293 section 3.8.6.1
func TestWindowProbes(t *testing.T) {
	h := newHost(t, plain).connect()
	h.write(3000)
	h.max = 1000
	require.Len(t, h.out(), 3)
	h.in(A, 1, 0, 3001, win(0))
	h.write(2000)
	h.sends()
	for i := range 40 {
		h.fire()
		h.sends(". 3000:3000(0) ack 1") // an old sequence number, and no octet that might be taken
		h.in(A, 1, 0, 3001, win(0))     // answered: it never gives up
		h.sends()
		if i > 10 {
			require.LessOrEqual(t, h.c.Deadline()-h.now, h.cfg.MaxRTO)
		}
	}
	require.Equal(t, StateEstablished, h.c.State())
	require.Equal(t, 10_000, h.c.Info().Cwnd, "no sign of congestion")
	require.True(t, h.in(A, 1, 0, 3001, win(5000)).Has(SendReady))
	h.sends(". 3001:4001(1000) ack 1", "P. 4001:5001(1000) ack 1")
	h.in(A, 1, 0, 5001)
	require.Equal(t, Never, h.c.Deadline())
}

func TestFINBehindAClosedWindow(t *testing.T) {
	h := newHost(t, plain).connect()
	h.in(A, 1, 0, 1, win(0))
	h.write(2)
	h.c.CloseWrite(h.now)
	h.sends()
	h.fire()
	h.sends(". 0:0(0) ack 1")
	h.in(A, 1, 10, 1, win(0))
	h.c.FlushAck()
	h.sends(". 1:1(0) ack 11") // what the peer sends is acknowledged meanwhile
	h.in(A, 11, 0, 1, win(2))
	h.sends("P. 1:3(2) ack 11")
	h.in(A, 11, 0, 3, win(0))
	h.sends()
	h.fire()
	h.sends(". 2:2(0) ack 11")
	h.in(A, 11, 0, 3, win(1))
	h.sends("F. 3:3(0) ack 11")
	h.in(A, 11, 0, 4, win(0))
	require.Equal(t, StateFinWait2, h.c.State())
	require.Equal(t, Never, h.c.Deadline())
}

func TestWindowProbesWithoutAnswerEnd(t *testing.T) {
	h := newHost(t, plain, func(c *Config) { c.DataRetries = 4 }).connect()
	h.in(A, 1, 0, 1, win(0))
	h.write(1)
	h.sends()
	for range 4 {
		h.fire()
		require.Len(t, h.out(), 1)
	}
	require.Equal(t, Failed|Closed, h.fire())
}

func TestWindowClosesOnDataInFlight(t *testing.T) {
	h := newHost(t, plain, func(c *Config) { c.DataRetries = 3 }).connect()
	h.flight(5)
	h.in(A, 1, 0, 1001, win(0))
	for range 30 {
		h.fire()
		h.sends(". 1001:2001(1000) ack 1")
		h.now += time.Millisecond
		h.in(A, 1, 0, 1001, win(0))
	}
	require.Equal(t, StateEstablished, h.c.State(), "the peer lives")
	h.in(A, 1, 0, 1001)
	h.fire()
	require.NotEmpty(t, h.out())
	h.in(A, 1, 0, 5001)
	require.Equal(t, phaseOpen, h.c.phase)
}

// A peer that shrinks its window gets nothing beyond it, not even an ACK.
func TestShrunkWindow(t *testing.T) {
	h := newHost(t, plain).connect()
	h.flight(5)
	h.in(A, 1, 0, 1001, win(1500))
	h.fire()
	h.sends(". 1001:2001(1000) ack 1")
	h.in(A, 1, 10, 1001, win(1500))
	h.c.FlushAck()
	h.sends(". 2501:2501(0) ack 11")
	h.in(A, 11, 0, 2001, win(500))
	h.sends(". 2001:2501(500) ack 11")
}

// RFC 9293 section 3.8.6.2.1
func TestSenderAvoidsSillyWindows(t *testing.T) {
	h := newHost(t, plain).connect()
	h.in(A, 1, 0, 1, win(100))
	h.c.maxSndWnd = 10_000
	h.write(5000)
	h.sends()
	h.in(A, 1, 0, 1, win(999))
	h.sends()
	h.in(A, 1, 0, 1, win(1000))
	h.sends(". 1:1001(1000) ack 1")
	h.in(A, 1, 0, 1001, win(1100))
	h.sends(". 1001:2001(1000) ack 1")
	h.in(A, 1, 0, 2001, win(100))
	h.sends()
	h.fire()
	h.sends(". 2001:2101(100) ack 1") // the override timer

	h = newHost(t, plain).connect()
	h.c.sndWnd, h.c.maxSndWnd = 100, 100 // a peer with a tiny buffer
	h.write(250)
	h.sends(". 1:101(100) ack 1")
	h.in(A, 1, 0, 101, win(60))
	h.sends(". 101:161(60) ack 1")
}

// RFC 9293 section 3.8.6.2.2
func TestReceiverAvoidsSillyWindows(t *testing.T) {
	h := newHost(t, plain, func(c *Config) { c.RcvBuf = 5000 }).connect()
	next := 1
	for range 5 {
		h.in(A, next, 1000, 1)
		next += 1000
	}
	h.c.SetRcvSpace(0)
	h.c.FlushAck()
	s, _ := h.next()
	require.Zero(t, s.Window)
	h.c.SetRcvSpace(999)
	require.False(t, h.c.WindowUpdateDue())
	h.in(A, next, 1, 1) // a probe
	s, _ = h.next()
	require.Zero(t, s.Window)
	h.c.SetRcvSpace(1000)
	require.True(t, h.c.WindowUpdateDue())
	h.c.FlushAck()
	s, ok := h.next()
	require.True(t, ok)
	require.Equal(t, uint16(1000), s.Window)
	h.sends()
}

// Where segments are large, as on a loopback, what a connection is offered while memory
// is short is less than a segment or half of its buffer: it must do, or connections that
// wait for each other's memory stand still for ever.
func TestAWindowOpensWhileMemoryIsShort(t *testing.T) {
	var memory Memory
	memory.SetLimit(1000, nil)
	h := newHost(t, plain).connect()
	h.pool.Memory = &memory
	h.c.rcvMSS = 60_000
	h.in(A, 1, 65535, 1)
	h.c.SetRcvSpace(0)
	h.c.FlushAck()
	s, _ := h.next()
	require.Zero(t, s.Window)
	h.c.SetRcvSpace(4096)
	require.False(t, h.c.WindowUpdateDue())
	memory.Add(1000)
	require.True(t, h.c.WindowUpdateDue())
	h.c.SetRcvSpace(100)
	require.False(t, h.c.WindowUpdateDue(), "that would be silly")
	h.c.SetRcvSpace(4096)
	h.c.FlushAck()
	s, _ = h.next()
	require.Equal(t, uint16(4096), s.Window)
	h.sends()
}

// RFC 9293 section 3.8.6: the right edge never moves left.
func TestWindowIsNeverTakenBack(t *testing.T) {
	for _, scale := range []bool{false, true} {
		h := newHost(t, plain, func(c *Config) { c.RcvBuf, c.WindowScale = 1<<20, scale }).connect()
		edge := h.c.rcvEdge
		next := 1
		for i := range 300 {
			h.in(A, next, 7, 1)
			next += 7
			h.c.SetRcvSpace(max(1<<20-i*5000, 0))
			h.c.FlushAck()
			s, ok := h.next()
			require.True(t, ok)
			got := s.Ack + Seq(uint32(s.Window)<<h.c.rcvShift)
			if scale {
				// Within a unit of the scale, RFC 7323 section 2.4.
				require.GreaterOrEqual(t, got.Sub(edge), -(1 << h.c.rcvShift))
			} else {
				require.GreaterOrEqual(t, got.Sub(edge), 0)
			}
			edge = maxSeq(edge, got)
			require.Equal(t, edge, h.c.rcvEdge)
		}
		// And what was promised is taken.
		h.in(A, next, edge.Sub(h.irs)-next, 1)
		require.Len(t, h.rcvd, edge.Sub(h.irs)-1)
	}
}

func TestWindowUpdates(t *testing.T) {
	h := newHost(t, plain).connect()
	for i := range 60 {
		h.in(A, 1+1000*i, 1000, 1)
		h.c.SetRcvSpace(65535 - 1000*(i+1))
		h.out()
	}
	h.c.SetRcvSpace(7535)
	require.False(t, h.c.WindowUpdateDue(), "a quarter of the buffer, or not worth a segment")
	h.c.SetRcvSpace(5535 + 16384)
	require.True(t, h.c.WindowUpdateDue())
	h.c.FlushAck()
	h.sends(". 1:1(0) ack 60001")
	require.False(t, h.c.WindowUpdateDue())
}

// RFC 9293 section 3.7.4
func TestNagle(t *testing.T) {
	h := newHost(t, plain, func(c *Config) { c.NoDelay = false }).connect()
	h.write(10)
	h.sends("P. 1:11(10) ack 1")
	h.write(10)
	h.write(10)
	h.sends()
	h.write(1500)
	h.sends(". 11:1011(1000) ack 1")
	h.in(A, 1, 0, 1011)
	h.sends("P. 1011:1531(520) ack 1")
	h.write(5)
	h.sends()
	h.c.SetNoDelay(true)
	h.sends("P. 1531:1536(5) ack 1")
	h.c.SetNoDelay(false)
	h.write(5)
	h.sends()
	h.c.CloseWrite(h.now)
	h.sends("FP. 1536:1541(5) ack 1")
}

func TestSegmentationOffload(t *testing.T) {
	h := newHost(t, plain).connect()
	h.c.cw.Cwnd = 100_000
	h.write(7500)
	s, _ := h.next()
	require.Equal(t, "P. 1:7501(7500) ack 1", h.describe(&s))
	require.Equal(t, 1000, s.SegSize)
	h.write(200_000)
	h.max = 20_500
	s, _ = h.next()
	require.Equal(t, ". 7501:27501(20000) ack 1", h.describe(&s), "whole segments")
	h.max = 1 << 20
	s, _ = h.next()
	require.Equal(t, 32_000, s.Len, "the peer's window")
	h.in(A, 1, 0, 59_501)
	require.Equal(t, []string{". 59501:119501(60000) ack 1"}, h.out())
	h.c.cw.Cwnd = 3500
	h.in(A, 1, 0, 119_501)
	require.Equal(t, []string{". 119501:122501(3000) ack 1"}, h.out(), "the congestion window")
	h.max = 100
	h.in(A, 1, 0, 122_501)
	s, _ = h.next()
	require.Equal(t, 100, s.SegSize)
}

// RFC 9293 section 3.8.6.3
func TestDelayedACK(t *testing.T) {
	h := newHost(t, plain).connect()
	require.Equal(t, Readable|AckLater, h.in(A, 1, 400, 1))
	h.sends()
	at := h.now + h.cfg.DelAck
	h.now += time.Millisecond
	require.Equal(t, Readable|AckLater, h.in(A, 401, 100, 1))
	require.Equal(t, at, h.c.Deadline(), "the first one starts the timer")
	require.Equal(t, AckNow, h.fire())
	h.sends(". 1:1(0) ack 501")
	require.Equal(t, Never, h.c.Deadline())

	h.in(A, 501, 10, 1)
	h.write(5)
	h.sends("P. 1:6(5) ack 511") // it rides on data
	h.in(A, 511, 0, 6)
	require.Equal(t, Never, h.c.Deadline())

	require.Equal(t, Readable|AckLater, h.in(A, 511, 1000, 6))
	require.Equal(t, Readable|AckNow, h.in(A, 1511, 1000, 6), "every second full segment")
	h.in(A, 2511, 1000, 6)
	h.in(A, 3511, 1000, 6)
	h.sends(". 6:6(0) ack 4511") // one for a burst
}

// RFC 9293 section 3.8.4
func TestKeepAlive(t *testing.T) {
	h := newHost(t, plain).connect()
	h.c.SetKeepAlive(KeepAlive{Enable: true, Idle: 10 * time.Second, Interval: time.Second, Count: 3})
	start := h.now
	h.fire()
	require.Equal(t, 10*time.Second, h.now-start)
	h.sends(". 0:0(0) ack 1")
	h.in(A, 1, 0, 1)
	require.Equal(t, h.now+10*time.Second, h.c.Deadline(), "answered")
	h.now += 5 * time.Second
	h.in(A, 1, 10, 1)
	h.c.FlushAck()
	h.out()
	require.Equal(t, h.now+10*time.Second, h.c.Deadline())
	start = h.now
	for range 3 {
		h.fire()
		h.sends(". 0:0(0) ack 11")
	}
	require.Equal(t, Failed|Closed|AckNow, h.fire())
	require.Equal(t, 13*time.Second, h.now-start)
	h.sends("R. 1:1(0) ack 11")

	h = newHost(t, plain).connect()
	h.c.SetKeepAlive(KeepAlive{Enable: true, Idle: time.Millisecond, Interval: time.Second, Count: 3})
	h.write(1)
	h.out()
	require.Equal(t, h.c.rtxAt, h.c.Deadline(), "data in flight makes it needless")
}

func TestKeepAliveIsAnswered(t *testing.T) {
	h := newHost(t, plain).connect()
	require.Equal(t, AckNow, h.in(A, 0, 0, 1))
	h.sends(". 1:1(0) ack 1")
	require.Equal(t, AckNow, h.in(A, 0, 1, 1))
	h.sends(". 1:1(0) ack 1")
}

func TestWrite(t *testing.T) {
	h := newHost(t, plain, func(c *Config) { c.SndBuf = 9000 }).connect()
	require.Equal(t, 9000, h.c.Writable())
	require.Equal(t, 9000, h.write(10_000))
	require.Zero(t, h.c.Writable())
	require.Zero(t, h.write(1))
	h.max = 1000
	require.Len(t, h.out(), 9)
	require.False(t, h.in(A, 1, 0, 2001).Has(Writable), "woken for a third, not for each ACK")
	require.True(t, h.in(A, 1, 0, 3001).Has(Writable))
	require.False(t, h.in(A, 1, 0, 9001).Has(Writable), "once")
	require.Zero(t, h.pool.InUse(), "nothing unacknowledged, no chunk")
	h.write(1)
	h.write(1)
	require.Equal(t, 1, h.pool.InUse(), "small writes share a chunk")
}

// RFC 2018 section 4: the latest first.
func TestSACKBlocks(t *testing.T) {
	h := newHost(t, sackOnly).connect()
	h.in(A, 1, 99, 1)
	h.in(A, 200, 100, 1)
	h.sends(". 1:1(0) ack 100 sack 200-300")
	h.in(A, 400, 100, 1)
	h.sends(". 1:1(0) ack 100 sack 400-500 200-300")
	h.in(A, 600, 100, 1)
	h.sends(". 1:1(0) ack 100 sack 600-700 400-500 200-300")
	h.in(A, 250, 250, 1) // RFC 2883: what came again goes first
	h.sends(". 1:1(0) ack 100 sack 250-300 200-500 600-700")
	h.in(A, 800, 100, 1)
	h.in(A, 1000, 100, 1)
	h.in(A, 1200, 100, 1)
	h.sends(". 1:1(0) ack 100 sack 1200-1300 1000-1100 800-900 200-500")
	h.write(10)
	h.sends("P. 1:11(10) ack 100 sack 1200-1300 1000-1100 800-900 200-500")
	h.in(A, 1, 1099, 11)
	h.sends(". 11:11(0) ack 1100 sack 1-100 1200-1300")
	h.in(A, 1100, 100, 11)
	h.sends(". 11:11(0) ack 1300")
	require.Len(t, h.rcvd, 1299)
	require.Zero(t, h.pool.InUse())
}

func TestThreeSACKBlocksWithTimestamps(t *testing.T) {
	h := newHost(t).connect()
	for i := range 6 {
		h.in(A, 100+200*i, 100, 1)
	}
	s, _ := h.next()
	require.Equal(t, int8(3), s.Options.NumSACK)
	require.Equal(t, 40, s.Options.Len())
	h.write(5000)
	s, _ = h.next()
	require.Equal(t, 960, s.SegSize, "the options count")

	// Without segmentation too.
	h.max = h.c.MSS()
	require.Equal(t, 988, h.max)
	h.in(A, 1, 0, 5001)
	h.write(980)
	s, _ = h.next()
	require.Equal(t, 960, s.Len)
}

// RFC 5681 section 4.2
func TestDuplicateACKForEachSegmentOutOfOrder(t *testing.T) {
	h := newHost(t, plain).connect()
	h.in(A, 101, 100, 1)
	h.in(A, 201, 100, 1)
	h.in(A, 301, 100, 1)
	h.write(10)
	h.sends(". 1:1(0) ack 1", ". 1:1(0) ack 1", ". 1:1(0) ack 1", "P. 1:11(10) ack 1")
	require.Equal(t, Readable|Reassembled|AckNow, h.in(A, 1, 100, 11), "all of the gap")
}

// What the caller does not drain stays in order, and in the window.
func TestReassembledCanWait(t *testing.T) {
	h := newHost(t, sackOnly).connect()
	input := func(flags header.TCPFlags, seq, n int) Result {
		r := h.c.Input(h.segment(flags, seq, n, 1), h.now)
		require.NoError(t, h.c.checkInvariants())
		return r
	}
	input(A, 101, 100)
	r := input(A, 1, 100)
	h.take(h.segment(A, 1, 100, 1).Payload)
	require.Equal(t, Readable|Reassembled|AckNow, r.Events)
	r = input(A, 201, 5000) // behind what waits
	require.Equal(t, Reassembled|AckNow, r.Events)
	require.Zero(t, r.Len)
	r = input(F|A, 5201, 10)
	require.Equal(t, Reassembled|AckNow|EOF, r.Events)
	h.c.SetRcvSpace(10_000)
	require.Equal(t, uint32(10_000-5110), h.c.rcvSpace)
	for b := h.c.Reassembled(); b != nil; b = h.c.Reassembled() {
		n := min(len(b), 333)
		h.take(b[:n])
		h.c.Consume(n)
		require.NoError(t, h.c.checkInvariants())
	}
	require.Len(t, h.rcvd, 5210)
	require.Zero(t, h.pool.InUse())
}

func TestHeldDataIsBounded(t *testing.T) {
	h := newHost(t, func(c *Config) { c.RcvBuf = 1 << 20 }).connect()
	for i := range 5000 {
		h.in(A, 1<<20-1000-3*i, 1, 1)
	}
	require.Len(t, h.c.rx.ranges, maxHeldRanges)
	h.out()

	h = newHost(t, func(c *Config) { c.RcvBuf = 30_000 }).connect()
	for i := range 20_000 {
		h.in(A, 25_000-i, 1, 1) // each in front of what is held
		h.out()
	}
	require.LessOrEqual(t, h.c.rx.held, h.c.heldLimit()+largeChunk)
	h.in(A, 1, 30_000, 1)
	require.Len(t, h.rcvd, 30_000)
}
