package tcp

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// flight writes n segments of 1000 octets, sends as many as the window of
// congestion allows, and checks that this is all of them.
func (h *host) flight(n int) {
	h.t.Helper()
	h.c.cw.Cwnd = uint32(n) * 1000
	h.write(n * 1000)
	h.max = 1000
	require.Len(h.t, h.out(), n)
}

// RFC 5681 section 3.2, RFC 6582, RFC 3042
func TestFastRetransmitWithoutSACK(t *testing.T) {
	h := newHost(t, plain).connect()
	h.flight(10)
	h.write(20_000)
	h.sends()
	h.in(A, 1, 0, 1)
	h.sends(". 10001:11001(1000) ack 1")
	h.in(A, 1, 0, 1)
	h.sends(". 11001:12001(1000) ack 1")
	h.in(A, 1, 0, 1)
	h.sends(". 1:1001(1000) ack 1")
	i := h.c.Info()
	require.Equal(t, 6000, i.Ssthresh, "half of the flight")
	require.Equal(t, uint32(1), i.Recoveries)
	// When eleven have arrived after the hole, only the retransmission is in the
	// network, and the window of six segments takes five more.
	sent := 0
	for range 8 {
		h.in(A, 1, 0, 1)
		sent += len(h.out())
	}
	require.Equal(t, 5, sent)
	// A partial ACK: the next hole at once.
	h.in(A, 1, 0, 5001)
	require.Equal(t, ". 5001:6001(1000) ack 1", h.out()[0])
	// A full ACK: the window is the threshold.
	h.in(A, 1, 0, 16001)
	require.Equal(t, phaseOpen, h.c.phase)
	require.LessOrEqual(t, h.c.Info().Cwnd, 6000)
}

func TestDuplicateAckIsOne(t *testing.T) {
	for name, send := range map[string]func(h *host){
		"window changed": func(h *host) { h.in(A, 1, 0, 1, win(uint16(50000+len(h.rcvd)+int(h.now%1000)))); h.now++ },
		"data":           func(h *host) { h.in(A, 1+len(h.rcvd), 10, 1) },
		"old":            func(h *host) { h.in(A, 1, 0, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, plain).connect()
			h.flight(10)
			for range 10 {
				send(h)
			}
			require.Zero(t, h.c.Info().Retransmits+h.c.Info().Recoveries)
			require.Zero(t, h.c.dupAcks)
		})
	}
}

// RFC 6675
func TestSACKRecovery(t *testing.T) {
	h := newHost(t, sackOnly).connect()
	h.flight(10) // 1 to 10001; lost: 1, 4001, 6001
	h.in(A, 1, 0, 1, sack(1001, 2001))
	h.in(A, 1, 0, 1, sack(1001, 3001))
	h.sends()
	h.in(A, 1, 0, 1, sack(1001, 4001)) // the third duplicate
	h.sends(". 1:1001(1000) ack 1")
	require.Equal(t, 5000, h.c.Info().Cwnd)
	// in the network: 4001 to 10001 and 1 to 1001: 7000
	h.in(A, 1, 0, 1, sack(5001, 6001, 1001, 4001))
	h.sends() // pipe 6000
	h.in(A, 1, 0, 1, sack(7001, 8001, 5001, 6001, 1001, 4001))
	// 4001 is below three ranges? Two, and 2000 octets: not lost yet. Pipe 5000.
	h.sends()
	h.in(A, 1, 0, 1, sack(7001, 9001, 5001, 6001, 1001, 4001))
	// 3000 octets SACKed above 4001: lost. Pipe 1000 + 1000 + 1000, and so rule
	// 3 lets 6001 go as well, as there is no new data.
	h.sends(". 4001:5001(1000) ack 1", ". 6001:7001(1000) ack 1")
	h.in(A, 1, 0, 1, sack(7001, 10001, 5001, 6001, 1001, 4001))
	h.sends()
	h.in(A, 1, 0, 4001, sack(7001, 10001, 5001, 6001))
	h.sends(". 6001:7001(1000) ack 1") // rule 4: the rescue retransmission
	h.in(A, 1, 0, 6001, sack(7001, 10001))
	require.Equal(t, phaseRecovery, h.c.phase)
	h.in(A, 1, 0, 10001)
	require.Equal(t, phaseOpen, h.c.phase)
	require.Equal(t, 5000, h.c.Info().Cwnd)
	require.Equal(t, uint32(4), h.c.Info().Retransmits)
	require.Zero(t, h.pool.InUse())
}

func TestLossIsSeenByOctetsToo(t *testing.T) {
	h := newHost(t, sackOnly).connect()
	h.flight(10)
	h.in(A, 1, 0, 1, sack(1001, 3001))
	h.sends()
	h.in(A, 1, 0, 1, sack(1001, 3002)) // more than two segments
	h.sends(". 1:1001(1000) ack 1")
}

// RFC 6675 section 4, NextSeg rules 3 and 4
func TestRescueRetransmission(t *testing.T) {
	h := newHost(t, sackOnly).connect()
	h.flight(10) // lost: 1, and the tail 8001 to 10001
	h.in(A, 1, 0, 1, sack(1001, 4001))
	h.sends(". 1:1001(1000) ack 1")
	h.in(A, 1, 0, 1, sack(1001, 8001))
	h.sends()
	h.in(A, 1, 0, 8001)
	h.sends("P. 9001:10001(1000) ack 1") // once
	h.in(A, 1, 0, 8001, sack(9001, 10001))
	h.sends(". 8001:9001(1000) ack 1")
	h.in(A, 1, 0, 10001)
	require.Zero(t, h.c.Info().Timeouts)
}

// RFC 2018 section 8
func TestReneging(t *testing.T) {
	h := newHost(t, sackOnly).connect()
	h.flight(5)
	h.in(A, 1, 0, 1, sack(1001, 2001))
	require.NotNil(t, h.c.sb)
	h.in(A, 1, 0, 1001) // without what it had SACKed
	require.Nil(t, h.c.sb)
	h.fire()
	require.Equal(t, []string{". 1001:2001(1000) ack 1"}, h.out())

	// The second timeout forgets what was SACKed.
	h = newHost(t, sackOnly).connect()
	h.flight(5)
	h.in(A, 1, 0, 1, sack(1001, 4001))
	h.out()
	h.fire()
	require.NotNil(t, h.c.sb)
	h.out()
	h.fire()
	require.Nil(t, h.c.sb)
}

func TestNonsenseSACKIsIgnored(t *testing.T) {
	h := newHost(t, sackOnly).connect()
	h.flight(5)
	h.in(A, 1, 0, 1001)
	for _, edges := range [][]int{{1, 1001}, {500, 700}, {2000, 2000}, {3000, 2000}, {4001, 5002}, {1001, 2001}, {500, 2001}, {-1 << 30, 1 << 30}} {
		h.in(A, 1, 0, 1001, sack(edges...))
		require.Nil(t, h.c.sb, "%v", edges)
	}
}

func TestScoreboardIsBounded(t *testing.T) {
	h := newHost(t, sackOnly, func(c *Config) { c.SndBuf = 1 << 20 }).connect()
	h.c.sndWnd = 1 << 20
	h.flight(500)
	for i := range 2000 {
		at := 500_001 - 10 - 7*i
		h.in(A, 1, 0, 1, sack(at, at+3))
		h.out()
	}
	require.Len(t, h.c.sb.ranges, maxSackRanges)
}

// RFC 6298, RFC 5681
func TestRetransmissionTimeout(t *testing.T) {
	h := newHost(t, plain).connect()
	h.flight(10)
	sent := h.now
	h.fire()
	require.Equal(t, sent+h.c.rto, h.now)
	require.Equal(t, 1000, h.c.Info().Cwnd)
	require.Equal(t, 5000, h.c.Info().Ssthresh)
	h.sends(". 1:1001(1000) ack 1")
	at := h.now
	h.fire()
	require.Equal(t, at+2*h.c.rto, h.now, "backed off")
	require.Equal(t, 5000, h.c.Info().Ssthresh, "held constant")
	h.sends(". 1:1001(1000) ack 1")
	// Slow start over all that was in flight.
	h.in(A, 1, 0, 1001)
	h.sends(". 1001:2001(1000) ack 1", ". 2001:3001(1000) ack 1")
	require.Equal(t, h.now+4*h.c.rto, h.c.Deadline(), "Karn's algorithm: still backed off")
	h.in(A, 1, 0, 10001)
	require.Equal(t, Never, h.c.Deadline())
	require.Equal(t, phaseOpen, h.c.phase)
	h.write(1)
	h.out()
	require.Equal(t, h.now+4*h.c.rto, h.c.Deadline())
	h.now += 30 * time.Millisecond
	h.in(A, 1, 0, 10002)
	require.Equal(t, uint8(0), h.c.backoff, "a measurement ends it")
}

func TestNoFastRetransmitOfWhatTheTimeoutSent(t *testing.T) {
	h := newHost(t, plain).connect()
	h.flight(10)
	h.fire()
	h.out()
	for range 9 {
		h.in(A, 1, 0, 1)
		h.sends()
	}
	h.in(A, 1, 0, 10001)
	for range 5 {
		h.in(A, 1, 0, 10001)
		h.sends()
	}
	require.Zero(t, h.c.Info().Recoveries)
}

func TestTimeoutKeepsTheScoreboard(t *testing.T) {
	h := newHost(t, sackOnly).connect()
	h.flight(5)
	h.in(A, 1, 0, 1, sack(2001, 4001))
	h.fire()
	h.sends(". 1:1001(1000) ack 1")
	h.in(A, 1, 0, 1001, sack(2001, 4001))
	h.sends(". 1001:2001(1000) ack 1", "P. 4001:5001(1000) ack 1")
}

func TestSmallSegmentsAreMergedOnRetransmission(t *testing.T) {
	h := newHost(t, plain).connect()
	for range 15 {
		h.write(100)
		require.Len(t, h.out(), 1)
	}
	h.c.CloseWrite(h.now)
	h.sends("F. 1501:1501(0) ack 1")
	h.fire()
	h.sends(". 1:1001(1000) ack 1")
	h.in(A, 1, 0, 1001)
	h.sends("FP. 1001:1501(500) ack 1")
}

// RFC 6298 section 2, RFC 7323 section 4
func TestRoundTripTime(t *testing.T) {
	h := newHost(t, plain).connect()
	h.c.srtt = 0
	h.write(1)
	h.out()
	h.now += 100 * time.Millisecond
	h.in(A, 1, 0, 2)
	i := h.c.Info()
	require.Equal(t, 100*time.Millisecond, i.RTT)
	require.Equal(t, 50*time.Millisecond, i.RTTVar)
	require.Equal(t, 300*time.Millisecond, i.RTO)
	h.write(1)
	h.out()
	h.now += 180 * time.Millisecond
	h.in(A, 1, 0, 3)
	i = h.c.Info()
	require.Equal(t, 110*time.Millisecond, i.RTT)
	require.Equal(t, 57500*time.Microsecond, i.RTTVar)

	h = newHost(t).connect()
	h.c.srtt = 0
	h.write(1)
	h.out()
	h.fire()
	s, _ := h.next()
	h.now += 70 * time.Millisecond
	h.in(A, 1, 0, 2, ts(5001, s.Options.TSVal))
	require.Equal(t, 70*time.Millisecond, h.c.Info().RTT, "by the echo, after a retransmission")
	require.Zero(t, h.c.backoff)
}

func TestGivingUp(t *testing.T) {
	h := newHost(t, plain, func(c *Config) { c.DataRetries = 3 }).connect()
	h.write(1)
	h.out()
	for range 3 {
		h.fire()
		h.sends("P. 1:2(1) ack 1")
	}
	require.Equal(t, Failed|Closed, h.fire())

	h = newHost(t, plain, func(c *Config) { c.UserTimeout = 5 * time.Second }).connect()
	h.write(1)
	h.out()
	start := h.now
	for h.c.State() != StateClosed {
		h.fire()
		h.out()
	}
	require.Equal(t, 5*time.Second, h.now-start)
}

// RFC 5681 section 3.1, RFC 6928, RFC 3465
func TestCongestionWindow(t *testing.T) {
	h := newHost(t, plain).connect()
	require.Equal(t, 10_000, h.c.Info().Cwnd)
	h.write(30_000)
	h.max = 1000
	require.Len(t, h.out(), 10)
	h.in(A, 1, 0, 2001)
	require.Equal(t, 12_000, h.c.Info().Cwnd, "slow start counts octets")
	require.Len(t, h.out(), 4)
	h.c.cw.Ssthresh = 12_000
	h.in(A, 1, 0, 14_001)
	require.Equal(t, 13_000, h.c.Info().Cwnd, "congestion avoidance: one segment a window")
	require.Len(t, h.out(), 13)
	h.in(A, 1, 0, 27_001)
	require.Equal(t, 14_000, h.c.Info().Cwnd)

	h.out()
	h.in(A, 1, 0, 30_001)
	before := h.c.Info().Cwnd
	for i := range 100 {
		h.write(1000)
		h.out()
		h.in(A, 1, 0, 31_001+1000*i)
	}
	require.Equal(t, before, h.c.Info().Cwnd, "RFC 7661: not used, not grown")
}

func TestIdleRestart(t *testing.T) {
	h := newHost(t, plain).connect()
	h.c.cw.Cwnd = 80_000
	h.now += h.c.rto + 1
	h.write(1)
	h.out()
	require.Equal(t, 40_000, h.c.Info().Cwnd)
	h.in(A, 1, 0, 2)
	h.now += time.Hour
	h.write(1)
	h.out()
	require.Equal(t, 10_000, h.c.Info().Cwnd, "RFC 5681 section 4.1: the restart window")
}

func TestSetMSS(t *testing.T) {
	h := newHost(t, plain).connect()
	h.flight(3)
	h.c.SetMSS(2000)
	h.sends()
	h.c.cw.Cwnd = 10_000
	h.c.SetMSS(600)
	h.max = 600
	h.sends(". 1:601(600) ack 1", ". 601:1201(600) ack 1", ". 1201:1801(600) ack 1",
		". 1801:2401(600) ack 1", "P. 2401:3001(600) ack 1")
	require.Equal(t, 10_000, h.c.Info().Cwnd, "no sign of congestion")
	h.c.SetMSS(500) // before the first is repaired: a path narrows more than once
	h.max = 500
	require.Equal(t, ". 1:501(500) ack 1", h.out()[0])
	h.c.SetMSS(1)
	require.Equal(t, MinMSS, h.c.Info().SndMSS)
}

// A loss anywhere in a flight is repaired without a timeout when enough comes
// after it.
func TestOneLossNeedsNoTimeout(t *testing.T) {
	for _, withSACK := range []bool{true, false} {
		for lost := range 7 {
			t.Run(fmt.Sprintf("sack=%v/%d", withSACK, lost), func(t *testing.T) {
				h := newHost(t, plain, func(c *Config) { c.SACK = withSACK }).connect()
				h.flight(10)
				if lost > 0 {
					h.in(A, 1, 0, 1+1000*lost)
				}
				h.c.sq.end += 0
				una := 1 + 1000*lost
				for i := lost + 1; i < 10; i++ {
					if withSACK {
						h.in(A, 1, 0, una, sack(una+1000, 1001+1000*i))
					} else {
						h.in(A, 1, 0, una)
					}
				}
				out := h.out()
				require.Len(t, out, 1)
				require.Contains(t, out[0], fmt.Sprintf(" %d:%d(", una, una+1000))
			})
		}
	}
}

// observer is a congestion control that only remembers.
type observer struct{ acked, losses, timeouts int }

func (o *observer) Ack(w *CongestionWindow, acked uint32, _, _ time.Duration) {
	o.acked += int(acked)
	w.Cwnd = 1<<32 - 1
}
func (o *observer) Loss(w *CongestionWindow, _ uint32, _ time.Duration) {
	o.losses++
	w.Ssthresh = 7000
}
func (o *observer) Timeout(w *CongestionWindow, _ uint32, _ time.Duration) { o.timeouts++ }

func TestCongestionIsPluggable(t *testing.T) {
	o := &observer{}
	h := newHost(t, sackOnly, func(c *Config) { c.Congestion = func() Congestion { return o } }).connect()
	h.write(30_000)
	h.max = 1000
	require.Len(t, h.out(), 10)
	h.in(A, 1, 0, 2001)
	require.Equal(t, 2000, o.acked)
	require.Equal(t, maxCwnd, h.c.Info().Cwnd, "bounded")
	require.Len(t, h.out(), 20)
	h.in(A, 1, 0, 2001, sack(3001, 8001))
	require.Equal(t, 1, o.losses)
	h.fire()
	require.Equal(t, 1, o.timeouts)
	require.Equal(t, 1000, h.c.Info().Cwnd)
}

// On a path that loses one packet of a hundred, the rate comes near to that of
// theory: 1.22 MSS / (RTT sqrt(p)) (Mathis and others, 1997).
func TestRateUnderLoss(t *testing.T) {
	const rtt, total = 20 * time.Millisecond, 4 << 20
	for _, tc := range []struct {
		sack bool
		min  float64
	}{{true, 0.7}, {false, 0.6}} {
		s := &sim{rng: rand.New(rand.NewPCG(1, 1)), now: time.Hour}
		s.link = link{loss: 0.01, delay: rtt / 2, rate: 10_000_000, until: Never}
		for i := range s.ends {
			p := &peer{s: s, id: i, mtu: 1460, tso: 65535, maxWrite: 1 << 20, maxRead: 1 << 20, halfClose: true}
			p.cfg = DefaultConfig()
			p.cfg.Pool = &s.pool
			p.cfg.SACK = tc.sack
			p.cfg.SndBuf = 256 << 10
			p.rcvLimit = p.cfg.RcvBuf
			s.ends[i] = p
		}
		s.ends[0].toWrite = total
		require.NoError(t, s.run())
		took := s.now - s.ends[0].cfg.TimeWait - time.Hour
		theory := 1.22 * 1448 / rtt.Seconds() / 0.1
		rate := total / took.Seconds()
		t.Logf("SACK %v: %.0f kB/s, theory %.0f", tc.sack, rate/1000, theory/1000)
		require.Greater(t, rate, tc.min*theory)
	}
}
