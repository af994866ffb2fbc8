package tcp

import (
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestActiveOpen(t *testing.T) {
	h := newHost(t, func(c *Config) { c.RcvBuf = 1 << 20 })
	h.c.Connect(&h.cfg, h.init(), h.now)
	s, ok := h.next()
	require.True(t, ok)
	require.Equal(t, uint16(0xffff), s.Window, "never scaled")
	require.Equal(t, uint16(1000), s.Options.MSS)
	require.Equal(t, int8(5), s.Options.WScale, "1 MiB needs a shift of 5")
	require.True(t, s.Options.SACKPermitted && s.Options.Timestamps)
	require.Zero(t, s.Ack)
	h.sends()

	ev := h.in(S|A, 0, 0, 1, h.synOptions)
	require.Equal(t, Established|Writable|AckNow, ev)
	s, _ = h.next()
	require.Equal(t, ". 1:1(0) ack 1", h.describe(&s))
	require.Equal(t, uint16(1<<20>>5), s.Window, "scaled from now on")
	require.Equal(t, uint32(5000), s.Options.TSEcr)
	require.Equal(t, Never, h.c.Deadline())
}

func TestOptionsThePeerDoesNotSendAreNotUsed(t *testing.T) {
	h := newHost(t)
	h.c.Connect(&h.cfg, h.init(), h.now)
	h.out()
	h.in(S|A, 0, 0, 1, win(500))
	i := h.c.Info()
	require.False(t, i.Timestamps || i.SACK)
	require.Zero(t, i.SndScale+i.RcvScale)
	require.Equal(t, 536, i.SndMSS, "RFC 9293 section 3.7.1")
	require.Equal(t, 500, i.SndWnd)
	s, _ := h.next()
	require.Zero(t, s.Options.Len())

	p := newHost(t)
	p.c.Accept(&p.cfg, p.init(), p.segment(S, 0, 0, 0), p.now)
	s, _ = p.next()
	require.Equal(t, 4, s.Options.Len(), "only the MSS in a SYN-ACK to a bare SYN")
}

func TestMSSIsClamped(t *testing.T) {
	for _, tc := range []struct {
		peer, path, assume uint16
		want               int
	}{
		{1460, 1460, 0, 1460},
		{9000, 1460, 0, 1460},
		{1200, 1460, 0, 1200},
		{0, 1460, 0, 536},
		{0, 1440, 1220, 1220},
		{1, 1460, 0, MinMSS},
		{1400, 0, 0, 1400},
	} {
		h := newHost(t, plain)
		h.c.Accept(&h.cfg, Init{SndMSS: tc.path, RcvMSS: 1460, AssumeMSS: tc.assume},
			h.segment(S, 0, 0, 0, func(s *Segment) { s.Options.MSS = tc.peer }), h.now)
		require.Equal(t, tc.want, h.c.Info().SndMSS)
	}
}

func TestWindowScaleOfThePeer(t *testing.T) {
	h := newHost(t)
	h.c.Connect(&h.cfg, h.init(), h.now)
	h.out()
	h.in(S|A, 0, 0, 1, h.synOptions, func(s *Segment) { s.Options.WScale, s.Window = 7, 100 })
	require.Equal(t, 100, h.c.Info().SndWnd, "the window of a SYN is not scaled")
	h.out()
	h.in(A, 1, 0, 1, win(100))
	require.Equal(t, 12800, h.c.Info().SndWnd)
}

func TestSimultaneousOpen(t *testing.T) {
	h := newHost(t, plain)
	h.c.Connect(&h.cfg, h.init(), h.now)
	h.sends("S 0:0(0)")
	h.in(S, 0, 0, 0)
	require.Equal(t, StateSynReceived, h.c.State())
	h.sends("S. 0:0(0) ack 1")
	ev := h.in(S|A, 0, 0, 1)
	require.True(t, ev.Has(Established))
	h.sends(". 1:1(0) ack 1")
	h.write(10)
	h.sends("P. 1:11(10) ack 1")
}

// RFC 9293 section 3.10.7.3
func TestSynSent(t *testing.T) {
	for _, tc := range []struct {
		name  string
		in    func(h *host) Events
		state State
		out   []string
		err   syscall.Errno
	}{
		{"ACK too old", func(h *host) Events { return h.in(A, 0, 0, 0) }, StateSynSent, []string{"R 0:0(0)"}, 0},
		{"ACK too new", func(h *host) Events { return h.in(S|A, 0, 0, 2) }, StateSynSent, []string{"R 2:2(0)"}, 0},
		{"RST with a bad ACK", func(h *host) Events { return h.in(R|A, 0, 0, 2) }, StateSynSent, nil, 0},
		{"RST without ACK", func(h *host) Events { return h.in(R, 0, 0, 0) }, StateSynSent, nil, 0},
		{"RST with ACK", func(h *host) Events { return h.in(R|A, 0, 0, 1) }, StateClosed, nil, syscall.ECONNREFUSED},
		{"ACK without SYN", func(h *host) Events { return h.in(A, 0, 0, 1) }, StateSynSent, nil, 0},
		{"FIN", func(h *host) Events { return h.in(F, 0, 0, 0) }, StateSynSent, nil, 0},
		{"SYN", func(h *host) Events { return h.in(S, 0, 0, 0) }, StateSynReceived, []string{"S. 0:0(0) ack 1"}, 0},
		{"SYN-ACK with data", func(h *host) Events { return h.in(S|A, 0, 100, 1) }, StateEstablished, []string{". 1:1(0) ack 101"}, 0},
		{"SYN-ACK with FIN", func(h *host) Events { return h.in(S|A|F, 0, 0, 1) }, StateCloseWait, []string{". 1:1(0) ack 2"}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := reach(t, StateSynSent, plain)
			if tc.name == "SYN-ACK with data" {
				s := h.segment(S|A, 0, 100, 1)
				r := h.c.Input(s, h.now)
				require.Equal(t, 100, r.Len)
			} else {
				ev := tc.in(h)
				require.Equal(t, tc.state == StateClosed, ev.Has(Closed))
			}
			require.Equal(t, tc.state, h.c.State())
			require.Equal(t, tc.err, h.c.Err())
			h.sends(tc.out...)
		})
	}
}

func TestSYNIsRetransmittedAndGivenUp(t *testing.T) {
	h := newHost(t, func(c *Config) { c.SYNRetries = 3 })
	h.c.Connect(&h.cfg, h.init(), h.now)
	start := h.now
	h.sends("S 0:0(0)")
	for _, at := range []time.Duration{1, 3, 7} {
		h.fire()
		require.Equal(t, at*time.Second, h.now-start)
		h.sends("S 0:0(0)")
	}
	ev := h.fire()
	require.Equal(t, 15*time.Second, h.now-start)
	require.Equal(t, Failed|Closed, ev)
	require.Equal(t, syscall.ETIMEDOUT, h.c.Err())
	h.sends()
}

func TestLostSYNMeansWindowOfOneSegment(t *testing.T) {
	h := newHost(t, plain)
	h.c.Connect(&h.cfg, h.init(), h.now)
	h.out()
	h.fire()
	h.sends("S 0:0(0)")
	h.in(S|A, 0, 0, 1, h.synOptions)
	require.Equal(t, 1000, h.c.Info().Cwnd, "RFC 5681 section 3.1")
	require.Equal(t, 3*time.Second, h.c.Info().RTO, "RFC 6298 section 5.7")
	require.Zero(t, h.c.Info().RTT, "Karn's algorithm")
}

func TestSynReceived(t *testing.T) {
	t.Run("the SYN again", func(t *testing.T) {
		h := reach(t, StateSynReceived)
		h.in(S, 0, 0, 0)
		h.sends("S. 0:0(0) ack 1")
	})
	t.Run("SYN-ACK timeout", func(t *testing.T) {
		h := reach(t, StateSynReceived, func(c *Config) { c.SYNRetries = 1 })
		h.fire()
		h.sends("S. 0:0(0) ack 1")
		require.Equal(t, Failed|Closed, h.fire())
	})
	t.Run("unacceptable ACK", func(t *testing.T) {
		h := reach(t, StateSynReceived)
		h.in(A, 1, 0, 2)
		h.sends("R 2:2(0)")
		require.Equal(t, StateSynReceived, h.c.State())
	})
	t.Run("RST", func(t *testing.T) {
		h := reach(t, StateSynReceived)
		require.Equal(t, Reset|Closed, h.in(R, 1, 0, 0))
	})
	t.Run("data with the ACK", func(t *testing.T) {
		h := reach(t, StateSynReceived)
		require.Equal(t, Established|Writable|Readable|AckLater, h.in(A, 1, 5, 1))
		require.Len(t, h.rcvd, 5)
	})
	t.Run("data in the SYN is not lost", func(t *testing.T) {
		h := newHost(t, plain)
		h.c.Accept(&h.cfg, h.init(), h.segment(S, 0, 20, 0), h.now)
		h.sends("S. 0:0(0) ack 1")
		h.in(A, 1, 20, 1)
		require.Len(t, h.rcvd, 20)
	})
	t.Run("closed before it is open", func(t *testing.T) {
		h := reach(t, StateSynReceived, plain)
		h.c.CloseWrite(h.now)
		h.sends()
		h.in(A, 1, 0, 1)
		require.Equal(t, StateFinWait1, h.c.State())
		h.sends("F. 1:1(0) ack 1")
	})
	t.Run("written before it is open", func(t *testing.T) {
		h := reach(t, StateSynReceived, plain)
		require.Equal(t, 30, h.write(30))
		h.sends()
		require.True(t, h.in(A, 1, 0, 1).Has(SendReady))
		h.sends("P. 1:31(30) ack 1")
	})
}

func TestISS(t *testing.T) {
	// SipHash-2-4 of 00 01 ... 27 with the key 00 01 ... 0f, as in the vectors
	// of its authors.
	var key [16]byte
	var msg [40]byte
	for i := range msg {
		msg[i] = byte(i)
	}
	copy(key[:], msg[:])
	require.Equal(t, uint64(0x0e3ea96b5304a7d0), sipHash(&key, msg[:]))

	a, b := netip.MustParseAddrPort("10.0.0.1:80"), netip.MustParseAddrPort("10.0.0.2:4000")
	k := [16]byte{1}
	first := ISS(&k, a, b, 0)
	require.Equal(t, Seq(250), ISS(&k, a, b, time.Millisecond)-first, "one step each 4 us")
	require.NotEqual(t, first, ISS(&k, b, a, 0))
	require.NotEqual(t, first, ISS(&[16]byte{2}, a, b, 0))
	require.NotEqual(t, TSOffset(&k, a, b), TSOffset(&k, b, a))
}
