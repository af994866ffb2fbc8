package tcp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const probeRTT = 100 * time.Millisecond

// measured is a connection whose round trip is probeRTT, without variance.
func measured(t *testing.T, change ...func(*Config)) *host {
	h := newHost(t, append([]func(*Config){sackOnly}, change...)...).connect()
	h.max = 1000
	h.c.srtt, h.c.rttvar, h.c.rto = probeRTT, 0, probeRTT+h.cfg.MinRTO
	return h
}

// probe lets the time pass until the probe is due.
func (h *host) probe() {
	h.t.Helper()
	d := h.c.ProbeDeadline()
	require.NotEqual(h.t, Never, d, "no probe")
	require.Less(h.t, d, h.c.Deadline())
	h.now = d
	require.True(h.t, h.c.Tick(h.now).Has(SendReady))
	require.Equal(h.t, Never, h.c.ProbeDeadline(), "one at a time")
	require.Equal(h.t, h.now+h.c.rto, h.c.Deadline(), "the retransmission timer begins anew")
}

// dsack is the D-SACK that octets have come twice.
func dsack(start, end int) option { return sack(start, end) }

// The last segment of a flight is lost: it is sent again after two round trips, and
// its loss reaches congestion control once more than it is acknowledged.
func TestTailLossProbe(t *testing.T) {
	h := measured(t)
	h.flight(10)
	sent := h.now
	h.now += probeRTT
	h.in(A, 1, 0, 9001)
	h.probe()
	require.InDelta(t, float64(sent+probeRTT+2*probeRTT+probeAckDelay), float64(h.now), float64(5*time.Millisecond))
	h.sends("P. 9001:10001(1000) ack 1")
	h.now += probeRTT
	cwnd := h.c.Info().Cwnd
	h.in(A, 1, 0, 10001)
	require.GreaterOrEqual(t, h.c.Info().Cwnd, cwnd)
	require.Zero(t, h.c.Info().Timeouts)
	require.EqualValues(t, 1, h.c.Info().LossProbes)
	require.Equal(t, Never, h.c.ProbeDeadline())

	h.write(2000)
	h.out()
	h.now += probeRTT
	h.in(A, 1, 0, 12001)
	require.Less(t, h.c.Info().Cwnd, cwnd, "a loss that the probe had repaired")
	require.Zero(t, h.c.Info().Recoveries)
	require.Zero(t, h.c.Info().Timeouts)
}

// The peer has only waited with its ACK: the window stays, and later probes wait
// longer.
func TestProbeInVain(t *testing.T) {
	h := measured(t)
	h.c.cw.Cwnd = 10_000
	at := 1
	var waits []time.Duration
	for range 3 {
		h.write(1000)
		h.out()
		sent := h.now
		h.probe()
		waits = append(waits, h.now-sent)
		require.Len(t, h.out(), 1)
		h.in(A, 1, 0, at+1000)
		h.in(A, 1, 0, at+1000, dsack(at, at+1000))
		at += 1000
		h.write(2000)
		h.out()
		h.now += probeRTT
		h.in(A, 1, 0, at+2000)
		at += 2000
		if h.c.ProbeDeadline() != Never {
			t.Fatal("nothing is in flight")
		}
		h.c.srtt, h.c.rttvar, h.c.rto = probeRTT, 0, probeRTT+400*time.Millisecond
	}
	require.GreaterOrEqual(t, h.c.Info().Cwnd, 10_000)
	require.Greater(t, waits[1], waits[0]+probeAckDelay/2)
	require.Greater(t, waits[2], waits[1]+probeAckDelay/2)
}

// A peer without D-SACK answers the probe by a duplicate ACK.
func TestProbeInVainWithoutDSACK(t *testing.T) {
	h := measured(t)
	h.flight(2)
	cwnd := h.c.Info().Cwnd
	h.probe()
	h.sends("P. 1001:2001(1000) ack 1")
	h.in(A, 1, 0, 2001)
	h.in(A, 1, 0, 2001)
	h.write(1000)
	h.out()
	h.now += probeRTT
	h.in(A, 1, 0, 3001)
	require.GreaterOrEqual(t, h.c.Info().Cwnd, cwnd)
}

// Several segments of the tail are lost: the probe's SACK shows it, and all are sent
// again in fast recovery, without a timeout.
func TestProbeShowsALongerHole(t *testing.T) {
	for _, lost := range []int{2, 3, 5, 9} {
		h := measured(t)
		h.flight(10)
		h.now += probeRTT
		h.in(A, 1, 0, 1+1000*(10-lost))
		h.probe()
		h.sends("P. 9001:10001(1000) ack 1")
		h.now += probeRTT
		first := 1 + 1000*(10-lost)
		h.in(A, 1, 0, first, sack(9001, 10001))
		require.EqualValues(t, 1, h.c.Info().Recoveries)
		for range 20 { // round trips
			list := h.out()
			if len(list) == 0 {
				break
			}
			h.now += probeRTT
			first += 1000 * len(list)
			if first >= 9001 {
				h.in(A, 1, 0, 10001)
				break
			}
			h.in(A, 1, 0, first, sack(9001, 10001))
		}
		require.Zero(t, h.c.InFlight(), "%d lost", lost)
		require.Zero(t, h.c.Info().Timeouts, "%d lost", lost)
		require.EqualValues(t, lost, h.c.Info().Retransmits, "%d lost", lost)
	}
}

// While the congestion window holds new data back, the probe is new data.
func TestProbeWithNewData(t *testing.T) {
	h := measured(t)
	h.flight(4)
	h.write(5000)
	h.sends()
	h.probe()
	h.sends(". 4001:5001(1000) ack 1")
	require.Zero(t, h.c.Info().Retransmits)
	h.now += probeRTT
	h.in(A, 1, 0, 1, sack(4001, 5001))
	require.EqualValues(t, 1, h.c.Info().Recoveries, "what it overtook by two round trips is lost")
	require.Equal(t, ". 1:1001(1000) ack 1", h.out()[0])
}

// A hole with too little behind it for duplicate ACKs is not left to the
// retransmission timer either.
func TestHoleBeforeTheLastSegment(t *testing.T) {
	h := measured(t)
	h.flight(10)
	h.now += probeRTT
	h.in(A, 1, 0, 8001, sack(9001, 10001))
	require.Zero(t, h.c.Info().Recoveries)
	h.probe()
	h.sends(". 8001:9001(1000) ack 1")
	require.EqualValues(t, 1, h.c.Info().Recoveries)
	h.in(A, 1, 0, 10001)
	require.Zero(t, h.c.Info().Timeouts)
}

// FIN alone is probed for too, also behind data.
func TestProbeForFIN(t *testing.T) {
	h := measured(t)
	h.c.CloseWrite(h.now)
	h.sends("F. 1:1(0) ack 1")
	h.probe()
	h.sends("F. 1:1(0) ack 1")
	h = measured(t)
	h.write(500)
	h.c.CloseWrite(h.now)
	h.sends("FP. 1:501(500) ack 1")
	h.probe()
	h.sends("FP. 1:501(500) ack 1")
	h.in(A, 1, 0, 502)
	require.Equal(t, StateFinWait2, h.c.State())
}

// The probe is one, and after it comes the retransmission timer; the user's timeout
// counts from the first transmission.
func TestTimeoutAfterAProbe(t *testing.T) {
	h := measured(t, func(c *Config) { c.UserTimeout = 2 * time.Second })
	start := h.now
	h.flight(3)
	h.probe()
	h.sends("P. 2001:3001(1000) ack 1")
	h.fire()
	require.EqualValues(t, 1, h.c.Info().Timeouts)
	require.Equal(t, ". 1:1001(1000) ack 1", h.out()[0])
	require.Equal(t, Never, h.c.ProbeDeadline())
	for h.c.State() != StateClosed {
		h.fire()
		h.out()
	}
	require.InDelta(t, float64(start+2*time.Second), float64(h.now), float64(20*time.Millisecond))
}

// Nothing is probed where nothing would tell what arrived, in recovery, before a round
// trip was measured, or into a window that has closed.
func TestNoProbe(t *testing.T) {
	h := newHost(t, plain).connect()
	h.flight(4)
	require.Equal(t, Never, h.c.ProbeDeadline(), "no SACK")

	h = measured(t)
	require.Equal(t, Never, h.c.ProbeDeadline(), "nothing in flight")
	h.flight(10)
	require.NotEqual(t, Never, h.c.ProbeDeadline())
	h.in(A, 1, 0, 1, sack(5001, 10001))
	require.Equal(t, Never, h.c.ProbeDeadline(), "in recovery")

	h = measured(t)
	h.flight(3)
	h.in(A, 1, 0, 1, win(0))
	if d := h.c.ProbeDeadline(); d != Never {
		h.now = d
		h.c.Tick(h.now)
		h.sends()
	}
	h.fire()
	require.EqualValues(t, 1, h.c.Info().Timeouts)
}

// A device that has no room sends the probe later, and an ACK makes it needless.
func TestProbeThatFindsNoRoom(t *testing.T) {
	h := measured(t)
	h.flight(3)
	h.probe()
	var seg Segment
	require.True(t, h.c.Next(&seg, 1000, h.now)) // but Sent does not come
	h.in(A, 1, 0, 3001)
	h.sends()
	require.Zero(t, h.c.Info().LossProbes)
	require.False(t, h.c.tlp.due || h.c.tlp.out)
}
