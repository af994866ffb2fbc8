package tcp

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/stack/header"
)

var cookieLocal, cookieRemote = netip.MustParseAddrPort("10.0.0.1:80"), netip.MustParseAddrPort("10.0.0.2:4000")

// request begins a half-open connection.
func (h *host) request() *Request {
	init := h.init()
	r := new(Request)
	r.Open(&h.cfg, &init, h.segment(S, 0, 0, 0, h.synOptions), h.now)
	return r
}

// judge hands a segment of the peer to r.
func (h *host) judge(r *Request, s *Segment) RequestVerdict { return r.Input(s, h.now) }

// What a Request answers is what a connection in SYN-RECEIVED does.
func TestRequestAnswersAsAConnection(t *testing.T) {
	for name, change := range map[string]func(*Config){"all": func(*Config) {}, "plain": plain, "SACK": sackOnly} {
		h := newHost(t, change)
		var got, want Segment
		r := h.request()
		r.SYNACK(&got, h.now)
		h.c.Accept(&h.cfg, h.init(), h.segment(S, 0, 0, 0, h.synOptions), h.now)
		require.True(t, h.c.Next(&want, 1000, h.now))
		require.Equal(t, h.describe(&want), h.describe(&got), name)
		require.Equal(t, want.Options, got.Options, name)
		require.Equal(t, want.Window, got.Window, name)
		h.c.Sent(&want, h.now)

		r.ACK(&got, h.now)
		h.in(A, 70_000, 0, 1) // beyond the window
		require.True(t, h.c.Next(&want, 1000, h.now))
		require.Equal(t, h.describe(&want), h.describe(&got), name)
		require.Equal(t, want.Options, got.Options, name)
		require.Equal(t, want.Window, got.Window, name)

		conn := h.c.Info()
		h.c.Release()
		h.c.AcceptRequest(&h.cfg, h.init(), r, h.now)
		require.Equal(t, conn, h.c.Info(), name)
		h.now += 30 * time.Millisecond
		require.True(t, h.in(A, 1, 10, 1).Has(Established|Readable))
		require.Len(t, h.rcvd, 10)
		require.Equal(t, 30*time.Millisecond, h.c.Info().RTT)
	}
}

func TestRequestJudgesSegments(t *testing.T) {
	for _, c := range []struct {
		name        string
		flags       header.TCPFlags
		seq, n, ack int
		opts        []option
		want        RequestVerdict
	}{
		{name: "the ACK", flags: A, seq: 1, ack: 1, want: RequestAccept},
		{name: "data", flags: A, seq: 1, n: 100, ack: 1, want: RequestAccept},
		{name: "FIN", flags: F | A, seq: 1, ack: 1, want: RequestAccept},
		{name: "data that overtook the ACK", flags: A, seq: 1001, n: 100, ack: 1, want: RequestAccept},
		{name: "an ACK of what was not sent", flags: A, seq: 1, ack: 2, want: RequestReset},
		{name: "an old ACK", flags: A, seq: 1, ack: 0, want: RequestReset},
		{name: "no ACK", flags: 0, seq: 1, n: 5, want: RequestDrop},
		{name: "the SYN again", flags: S, seq: 0, want: RequestSYNACK},
		{name: "another SYN in the window", flags: S, seq: 100, want: RequestACK},
		{name: "another SYN elsewhere", flags: S, seq: -100, want: RequestACK},
		{name: "RST at the edge", flags: R, seq: 1, want: RequestEnd},
		{name: "RST in the window", flags: R, seq: 2, want: RequestACK},
		{name: "RST elsewhere", flags: R, seq: -2, want: RequestDrop},
		{name: "beyond the window", flags: A, seq: 70_000, n: 5, ack: 1, want: RequestACK},
		{name: "an old timestamp", flags: A, seq: 1, ack: 1, opts: []option{ts(4000, 0)}, want: RequestACK},
	} {
		h := newHost(t)
		h.c.tsOK = true // so that segment has timestamps
		r := h.request()
		require.Equal(t, c.want, h.judge(r, h.segment(c.flags, c.seq, c.n, c.ack, c.opts...)), c.name)
	}
}

// The ACKs that strangers can make it send are few, and its own: RFC 5961 section
// 7, CVE-2016-5696.
func TestRequestLimitsItsAnswers(t *testing.T) {
	h := newHost(t)
	h.c.tsOK = true
	r, other := h.request(), h.request()
	answers := 0
	for i := range 1000 {
		if h.judge(r, h.segment(R, 2+i, 0, 0)) == RequestACK {
			answers++
		}
	}
	require.Equal(t, challengeLimit, answers)
	require.Equal(t, RequestACK, h.judge(other, h.segment(R, 2, 0, 0)))
	require.Equal(t, RequestAccept, h.judge(r, h.segment(A, 1, 0, 1)))
	h.now += challengeSpan
	require.Equal(t, RequestACK, h.judge(r, h.segment(R, 2, 0, 0)))
}

// A SYN-ACK that was lost costs what RFC 5681 section 3.1 and RFC 6298 section
// 5.7 say.
func TestRequestWhoseSYNACKWasLost(t *testing.T) {
	h := newHost(t, plain)
	r := h.request()
	r.TimedOut()
	h.c.AcceptRequest(&h.cfg, h.init(), r, h.now)
	h.in(A, 1, 0, 1)
	require.Equal(t, 1000, h.c.Info().Cwnd)
	require.Zero(t, h.c.Info().RTT)
	require.Equal(t, 3*time.Second, h.c.Info().RTO)
}

func newCookies() *Cookies {
	s := new(Cookies)
	s.Init(rand.New(rand.NewPCG(3, 4)).Uint64)
	return s
}

// A cookie brings back the MSS, and with timestamps the window scale and SACK.
func TestCookie(t *testing.T) {
	for name, c := range map[string]struct {
		change             func(*Config)
		mss, want          uint16
		timestamps, scaled bool
	}{
		"all":           {func(*Config) {}, 1460, 1460, true, true},
		"no timestamps": {func(c *Config) { c.Timestamps = false }, 1452, 1440, false, false},
		"no scale":      {func(c *Config) { c.WindowScale = false }, 65495, 8940, true, false},
		"plain":         {plain, 0, 536, false, false},
		"small":         {plain, 300, 216, false, false},
	} {
		h := newHost(t, c.change)
		s := newCookies()
		syn := h.segment(S, 0, 0, 0, h.synOptions)
		syn.Options.MSS = c.mss
		init := h.init()
		init.SndMSS = 9000
		var r Request
		r.Open(&h.cfg, &init, syn, h.now)
		require.True(t, s.Make(&r, cookieLocal, cookieRemote, h.now), name)
		var synack Segment
		r.SYNACK(&synack, h.now)
		require.Equal(t, c.timestamps, synack.Options.Timestamps, name)
		require.Equal(t, c.timestamps, synack.Options.SACKPermitted, name)
		require.Equal(t, c.scaled, synack.Options.WScale >= 0, name)
		if c.timestamps {
			late := uint32(h.now/time.Millisecond) + init.TSOffset - synack.Options.TSVal
			require.LessOrEqual(t, late, uint32(cookieTSMask+1), "not later than the clock, and hardly earlier")
		}

		h.now += 50 * time.Second
		h.iss = synack.Seq
		h.c.tsOK = c.timestamps
		ack := h.segment(A, 1, 10, 1)
		ack.Options.TSEcr = synack.Options.TSVal
		var back Request
		require.Equal(t, CookieValid, s.Check(&back, &h.cfg, &init, ack, cookieLocal, cookieRemote, h.now), name)
		require.Equal(t, RequestAccept, back.Input(ack, h.now))
		h.c.AcceptRequest(&h.cfg, init, &back, h.now)
		require.True(t, h.in(A, 1, 10, 1).Has(Established|Readable))
		require.Len(t, h.rcvd, 10, "its data is taken")
		i := h.c.Info()
		require.EqualValues(t, c.want, i.SndMSS, name)
		require.Equal(t, c.timestamps, i.SACK, name)
		require.Equal(t, c.timestamps, i.Timestamps, name)
		if c.scaled {
			require.Equal(t, 2, i.SndScale, name)
			require.Equal(t, int(synack.Options.WScale), i.RcvScale, name)
			require.Equal(t, 60_000<<2, i.SndWnd)
		}
		h.write(1)
		s2, ok := h.next()
		require.True(t, ok)
		require.GreaterOrEqual(t, int32(s2.Options.TSVal-synack.Options.TSVal), int32(0))
		h.c.Release()
	}
	h := newHost(t, plain)
	r := h.request()
	r.mss = 100
	require.False(t, newCookies().Make(r, cookieLocal, cookieRemote, h.now))
}

// A cookie is good for one connection, and for two minutes at the most.
func TestCookieIsNarrow(t *testing.T) {
	h := newHost(t, plain)
	s := newCookies()
	init := h.init()
	r := h.request()
	require.True(t, s.Make(r, cookieLocal, cookieRemote, h.now))
	h.iss = r.iss
	check := func(ack *Segment, local, remote netip.AddrPort) CookieVerdict {
		var back Request
		return s.Check(&back, &h.cfg, &init, ack, local, remote, h.now)
	}
	good := h.segment(A, 1, 0, 1)
	require.Equal(t, CookieValid, check(good, cookieLocal, cookieRemote))
	require.Equal(t, CookieInvalid, check(h.segment(A, 2, 0, 1), cookieLocal, cookieRemote))
	require.Equal(t, CookieInvalid, check(good, cookieRemote, cookieLocal))
	require.Equal(t, CookieInvalid, check(good, cookieLocal, netip.AddrPortFrom(cookieRemote.Addr(), 4001)))
	for bit := range 32 {
		forged := h.segment(A, 1, 0, 1)
		forged.Ack = Seq(uint32(good.Ack-1)^1<<bit) + 1
		require.NotEqual(t, CookieValid, check(forged, cookieLocal, cookieRemote), "bit %d", bit)
	}
	guesses := rand.New(rand.NewPCG(7, 7))
	for range 200_000 {
		forged := h.segment(A, 1, 0, 1)
		forged.Ack = Seq(guesses.Uint32())
		if forged.Ack != good.Ack {
			require.Equal(t, CookieInvalid, check(forged, cookieLocal, cookieRemote))
		}
	}
	begun := h.now
	var valid, expired time.Duration
	for ; h.now < begun+2*CookieLife; h.now += time.Second {
		switch check(good, cookieLocal, cookieRemote) {
		case CookieValid:
			require.Zero(t, expired)
			valid = h.now - begun
		case CookieExpired:
			expired = h.now - begun
		}
	}
	require.GreaterOrEqual(t, valid, cookieEpoch-time.Second)
	require.Less(t, valid, 2*cookieEpoch)
	require.Greater(t, expired, valid)
	require.LessOrEqual(t, expired, CookieLife)

	// Another host's secret, or this one's after a long time, knows nothing of it.
	other := newCookies()
	other.rand()
	var back Request
	require.Equal(t, CookieInvalid, other.Check(&back, &h.cfg, &init, good, cookieLocal, cookieRemote, begun))
}

// FuzzCookie: no segment makes a connection that was not asked for, and none
// makes the state machine fall over.
func FuzzCookie(f *testing.F) {
	f.Add(uint32(1), uint32(2), uint16(16), uint32(3), uint32(4), uint16(5), []byte("data"))
	f.Fuzz(func(t *testing.T, seq, ack uint32, control uint16, tsVal, tsEcr uint32, window uint16, data []byte) {
		h := newHost(t)
		s := newCookies()
		init := h.init()
		r := h.request()
		require.True(t, s.Make(r, cookieLocal, cookieRemote, h.now))
		seg := Segment{Seq: Seq(seq), Ack: Seq(ack), Flags: header.TCPFlags(control), Window: window, Payload: data}
		seg.Options.Reset()
		seg.Options.Timestamps, seg.Options.TSVal, seg.Options.TSEcr = seq&1 == 0, tsVal, tsEcr
		if seq&2 == 0 { // that of a peer that answers
			seg.Seq, seg.Ack = r.irs+1, r.iss+1
		}
		var back Request
		if s.Check(&back, &h.cfg, &init, &seg, cookieLocal, cookieRemote, h.now) != CookieValid {
			require.NotEqual(t, r.iss, seg.Ack-1)
			return
		}
		require.Equal(t, r.iss, seg.Ack-1)
		if back.Input(&seg, h.now) != RequestAccept {
			return
		}
		h.c.AcceptRequest(&h.cfg, init, &back, h.now)
		res := h.c.Input(&seg, h.now)
		require.True(t, res.Events.Has(Established))
		require.NoError(t, h.c.checkInvariants())
	})
}

// A SYN-ACK that was sent twice times nothing, whatever made it be sent again
// (Karn's algorithm, RFC 6298 section 3).
func TestRequestTimesOneSYNACK(t *testing.T) {
	h := newHost(t, plain)
	r := h.request()
	h.now += time.Second
	require.Equal(t, RequestSYNACK, h.judge(r, h.segment(S, 0, 0, 0, h.synOptions)))
	h.now += 30 * time.Millisecond
	require.Equal(t, RequestAccept, h.judge(r, h.segment(A, 1, 0, 1)))
	h.c.AcceptRequest(&h.cfg, h.init(), r, h.now)
	h.in(A, 1, 0, 1)
	require.Zero(t, h.c.Info().RTT)
}
