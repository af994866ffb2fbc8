package tcp

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// What an ACK costs is bounded, however its blocks cut what is in flight
// (CVE-2019-11477, CVE-2019-11478): the send queue is not cut with it.
func TestSACKWorkIsBounded(t *testing.T) {
	// Two sums of the scoreboard, IsLost, a hole, and four blocks entered.
	const most = 8 * (maxSackRanges + 8)
	for name, place := range map[string]func(i, flight int) int{
		"every second octet": func(i, flight int) int { return 2 + 2*i%(flight-4)&^1 },
		"from the end":       func(i, flight int) int { return flight - 2 - 2*i%(flight-4)&^1 },
		"all over":           func(i, flight int) int { return 2 + i*7919%(flight-4)&^1 },
		"the ends, by turns": func(i, flight int) int { return 2 + i%2*(flight-8) + i/2%1000*2%(flight/2) },
		"the same ones":      func(i, flight int) int { return 2 + 2*(i%300) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, sackOnly, func(c *Config) { c.WindowScale = true }).connect()
			h.c.cw.Cwnd = 1 << 20
			h.c.SetMSS(1) // the least that it sends
			const flight = 200_000
			require.Equal(t, flight, h.write(flight))
			packets := 0
			send := func() {
				var s Segment
				for h.c.Next(&s, h.max, h.now) {
					require.LessOrEqual(t, s.SegSize, MinMSS)
					packets++
					h.c.Sent(&s, h.now)
				}
			}
			send()
			chunks := h.pool.InUse()
			before, worst := uint64(0), uint64(0)
			for i := range 3000 {
				var edges []int
				for j := range 4 {
					at := 1 + min(max(place(4*i+j, flight), 2), flight-2)
					edges = append(edges, at, at+1)
				}
				ack := h.segment(A, 1, 0, 1, sack(edges...))
				h.c.Input(ack, h.now)
				if h.c.sb != nil {
					worst = max(worst, h.c.sb.steps-before)
					before = h.c.sb.steps
					require.LessOrEqual(t, len(h.c.sb.ranges), maxSackRanges)
				}
				packets = 0
				var s Segment
				for h.c.Next(&s, h.max, h.now) {
					h.c.Sent(&s, h.now)
					packets++
					worst = max(worst, h.c.sb.steps-before)
					before = h.c.sb.steps
				}
				require.NoError(t, h.c.checkInvariants())
			}
			require.Greater(t, worst, uint64(8), "or the test does nothing")
			require.LessOrEqual(t, worst, uint64(most))
			require.LessOrEqual(t, h.pool.InUse(), chunks+1, "the scoreboard, and nothing of the send queue")
		})
	}
}

// A peer that states a tiny MSS does not make tiny segments of what is written
// (CVE-2019-11479), even with as many options as there can be.
func TestTinyMSS(t *testing.T) {
	for _, mss := range []uint16{1, 8, 47} {
		h := newHost(t)
		h.c.Connect(&h.cfg, h.init(), h.now)
		h.sends("S 0:0(0)")
		h.in(S|A, 0, 0, 1, h.synOptions, func(s *Segment) { s.Options.MSS = mss })
		h.sends(". 1:1(0) ack 1")
		require.Equal(t, MinMSS, h.c.Info().SndMSS)
		h.in(A, 1, 0, 1)
		for i := range 4 {
			h.in(A, 1001+2000*i, 1000, 1) // so that there are blocks
		}
		h.out()
		h.c.SetMSS(1)
		h.write(1000)
		s, ok := h.next()
		require.True(t, ok)
		require.Equal(t, MinMSS, s.Options.Len()+s.SegSize)
		require.GreaterOrEqual(t, s.SegSize, 8)
	}
}

// What a segment costs that comes out of order is bounded, however small it is and
// wherever it goes (CVE-2018-5390), and so is the memory that they take, counted
// by what is allocated and not by the octets in it.
func TestReassemblyWorkIsBounded(t *testing.T) {
	const window = 65535
	for name, place := range map[string]func(i int) (seq, n int){
		"every second octet":     func(i int) (int, int) { return 2 + 2*i%60_000, 1 },
		"from the end":           func(i int) (int, int) { return 60_000 - 2*i%59_000, 1 },
		"all over":               func(i int) (int, int) { return 2 + i*7919%60_000&^1, 1 },
		"gaps filled in one":     func(i int) (int, int) { return 2 + i%200*300%60_000, 1 + i%200/199*5000 },
		"each a little longer":   func(i int) (int, int) { return 2 + i%100*600, 1 + i/100%500 },
		"whole segments, spread": func(i int) (int, int) { return 2 + i*1000*17%64_000, 999 },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, sackOnly).connect()
			before, worst, held := 0, 0, 0
			for i := range 5000 {
				seq, n := place(i)
				h.in(A, seq, n, 1)
				rx := h.c.rx
				require.NotNil(t, rx)
				worst = max(worst, rx.steps-before)
				before = rx.steps
				held = max(held, rx.held)
				require.LessOrEqual(t, len(rx.ranges), maxHeldRanges)
				h.out()
			}
			// One that closes gaps takes a turn for each; the ranges behind move.
			require.LessOrEqual(t, worst, (maxHeldRanges+2)*(maxHeldRanges+2)/2)
			if name != "gaps filled in one" {
				require.LessOrEqual(t, worst, 4*maxHeldRanges)
			}
			require.LessOrEqual(t, held, h.c.heldLimit()+largeChunk+smallChunk)
			require.LessOrEqual(t, held, 2*window+128<<10+largeChunk+smallChunk)
			// The hole is filled: all that was held comes at once.
			before = h.c.rx.steps
			if h.in(A, 1, 1, 1).Has(Reassembled) && h.c.rx != nil {
				require.LessOrEqual(t, h.c.rx.steps-before, held/smallChunk+2)
			}
		})
	}
}

// Closing gaps is paid for by the segments that made them: all together cost a
// bounded number of steps each.
func TestReassemblyWorkIsAmortized(t *testing.T) {
	h := newHost(t, sackOnly).connect()
	rng := rand.New(rand.NewPCG(1, 1))
	steps, segments := 0, 0
	for range 200 {
		for i := range maxHeldRanges {
			h.in(A, 2+400*i, 1, 1)
			segments++
		}
		// One that covers them all, and then the next round elsewhere.
		before := h.c.rx.steps
		h.in(A, 2+rng.IntN(100), 52_000, 1)
		segments++
		steps += h.c.rx.steps - before
		h.c.dropHeld()
		h.out()
	}
	require.LessOrEqual(t, steps/segments, 2*maxHeldRanges)
}

// When memory is short out-of-order data goes first, and when there is none
// nothing is written on top of what is not acknowledged.
func TestMemoryPressure(t *testing.T) {
	const limit = 1 << 20
	h := newHost(t, sackOnly)
	var m Memory
	m.SetLimit(limit, nil)
	h.pool.Memory = &m
	h.connect()
	for i := range 20 {
		h.in(A, 2000+2000*i, 1000, 1)
	}
	require.Equal(t, 20, len(h.c.rx.ranges))
	m.Add(limit * 8 / 10)
	require.True(t, m.Tight())
	require.False(t, m.Full())
	for i := range 10 {
		h.in(A, 42_000+2000*i, 1000, 1)
	}
	require.LessOrEqual(t, h.c.rx.held, tightHeld+largeChunk)
	m.Add(limit / 2)
	require.True(t, m.Full())
	h.in(A, 62_000, 1000, 1)
	require.Nil(t, h.c.rx)
	h.out()
	require.Equal(t, 10, h.write(10), "one that has nothing in its queue may write")
	require.Zero(t, h.write(10))
	require.Zero(t, h.c.Writable())
	h.out()
	m.Add(-limit*8/10 - limit/2)
	require.True(t, h.in(A, 1, 0, 11).Has(Writable))
	require.Equal(t, 10, h.write(10))
	h.c.Release()
	require.LessOrEqual(t, m.Used(), int64(poolShards*64<<10))
}

// Each connection has its own challenge ACKs: what an attacker makes one send
// tells nothing about another (CVE-2016-5696).
func TestChallengesAreOfTheConnection(t *testing.T) {
	victim, spy := newHost(t, plain).connect(), newHost(t, plain).connect()
	count := func(h *host, n int, flags, at int) (acks int) {
		for i := range n {
			seg := h.segment(R, at+i, 0, 0)
			if flags != 0 {
				seg = h.segment(S, at+i, 0, 0)
			}
			if h.c.Input(seg, h.now).Events.Has(AckNow) {
				acks++
			}
		}
		h.out()
		require.Equal(t, StateEstablished, h.c.State())
		return acks
	}
	require.Equal(t, challengeLimit, count(victim, 500, 0, 2), "RST in the window")
	require.Zero(t, count(victim, 500, 1, 1), "the same limit for SYNs")
	require.Equal(t, challengeLimit, count(spy, 500, 1, 1), "another connection's is untouched")
	victim.now += challengeSpan
	require.Equal(t, challengeLimit, count(victim, 500, 1, -10_000), "SYN anywhere")
	require.Zero(t, count(spy, 500, 0, -10_000), "RST outside the window is nothing")
	// An ACK of what was never sent, and one older than any window.
	victim.now += challengeSpan
	require.True(t, victim.in(A, 1, 0, 5000).Has(AckNow))
	require.True(t, victim.in(A, 1, 0, -1_000_000).Has(AckNow))
	victim.out()
	require.True(t, victim.in(R, 1, 0, 0).Has(Reset), "RST at the very next octet")
}
