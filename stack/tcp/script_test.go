package tcp

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/stack/header"
)

// host is one connection whose peer is the test. Sequence numbers of the tests
// are relative: the peer's SYN and ours are 0, the first octets of data 1.
type host struct {
	t    *testing.T
	c    Conn
	cfg  Config
	pool ChunkPool
	now  time.Duration
	max  int // for Next

	iss, irs Seq
	tsVal    uint32 // of the peer
	rcvd     []byte
	r        Result // of the latest in
}

const (
	F = flagFIN
	S = flagSYN
	R = flagRST
	P = flagPSH
	A = flagACK
)

// plain turns the options off that a test does not need.
func plain(cfg *Config) { cfg.Timestamps, cfg.SACK, cfg.WindowScale = false, false, false }

// sackOnly leaves SACK.
func sackOnly(cfg *Config) { plain(cfg); cfg.SACK = true }

func newHost(t *testing.T, change ...func(*Config)) *host {
	h := &host{t: t, now: 100 * time.Hour, iss: 0xfffffff0, irs: 0xffffffe0, max: 1 << 20, tsVal: 5000}
	h.cfg = DefaultConfig()
	h.cfg.Pool = &h.pool
	h.cfg.RcvBuf = 65535
	for _, f := range change {
		f(&h.cfg)
	}
	t.Cleanup(func() {
		h.c.Release()
		require.Zero(t, h.pool.InUse(), "chunks in use after Release")
		require.Equal(t, Never, h.c.Deadline())
	})
	return h
}

func (h *host) init() Init { return Init{ISS: h.iss, RcvMSS: 1000, SndMSS: 1000, TSOffset: 77} }

// option changes the options of a segment of the peer.
type option func(*Segment)

func sack(edges ...int) option {
	return func(s *Segment) {
		for i := 0; i < len(edges); i += 2 {
			s.Options.SACK[i/2] = header.SACKBlock{Start: uint32(edges[i]), End: uint32(edges[i+1])}
			s.Options.NumSACK++
		}
	}
}

func win(w uint16) option { return func(s *Segment) { s.Window = w } }

func ts(val, ecr uint32) option {
	return func(s *Segment) {
		s.Options.Timestamps, s.Options.TSVal, s.Options.TSEcr = true, val, ecr
	}
}

// segment makes a segment of the peer.
func (h *host) segment(flags header.TCPFlags, seq, n, ack int, opts ...option) *Segment {
	s := &Segment{Seq: h.irs.Add(seq), Flags: flags, Window: 60000, Payload: make([]byte, n)}
	for i := range s.Payload {
		s.Payload[i] = pattern(9, seq+i)
	}
	if flags&A != 0 {
		s.Ack = h.iss.Add(ack)
	}
	s.Options.Reset()
	if h.c.tsOK {
		s.Options.Timestamps, s.Options.TSVal = true, h.tsVal
	}
	for _, o := range opts {
		o(s)
	}
	for i := range s.Options.SACK[:s.Options.NumSACK] {
		b := &s.Options.SACK[i]
		b.Start, b.End = b.Start+uint32(h.iss), b.End+uint32(h.iss)
	}
	return s
}

// in hands in a segment of the peer and checks the data that comes of it.
func (h *host) in(flags header.TCPFlags, seq, n, ack int, opts ...option) Events {
	h.t.Helper()
	s := h.segment(flags, seq, n, ack, opts...)
	h.r = h.c.Input(s, h.now)
	h.take(s.Payload[h.r.Off : h.r.Off+h.r.Len])
	for b := h.c.Reassembled(); b != nil; b = h.c.Reassembled() {
		h.take(b)
		h.c.Consume(len(b))
	}
	require.NoError(h.t, h.c.checkInvariants())
	return h.r.Events
}

func (h *host) take(b []byte) {
	h.t.Helper()
	for i, v := range b {
		if want := pattern(9, 1+len(h.rcvd)+i); v != want {
			h.t.Fatalf("octet %d is wrong", 1+len(h.rcvd)+i)
		}
	}
	h.rcvd = append(h.rcvd, b...)
}

// describe writes a segment of ours as in "P. 1:1001(1000) ack 1 <sack 5-7>".
func (h *host) describe(s *Segment) string {
	var b strings.Builder
	flags := s.Flags.String()
	if flags == "" {
		flags = "-"
	}
	seq := s.Seq.Sub(h.iss)
	fmt.Fprintf(&b, "%s %d:%d(%d)", flags, seq, seq+s.Len, s.Len)
	if s.Flags&A != 0 {
		fmt.Fprintf(&b, " ack %d", s.Ack.Sub(h.irs))
	}
	if n := s.Options.NumSACK; n > 0 {
		b.WriteString(" sack")
		for _, k := range s.Options.SACK[:n] {
			fmt.Fprintf(&b, " %d-%d", Seq(k.Start).Sub(h.irs), Seq(k.End).Sub(h.irs))
		}
	}
	return b.String()
}

// next sends one segment.
func (h *host) next() (Segment, bool) {
	h.t.Helper()
	var s Segment
	if !h.c.Next(&s, h.max, h.now) {
		return s, false
	}
	var again Segment
	require.True(h.t, h.c.Next(&again, h.max, h.now))
	require.Equal(h.t, h.describe(&s), h.describe(&again), "Next changes nothing")
	buf := make([]byte, s.Len)
	h.c.CopyTo(buf, &s)
	for i, v := range buf {
		if off := s.Seq.Sub(h.iss) + i; v != pattern(8, off) {
			h.t.Fatalf("octet %d sent is wrong", off)
		}
	}
	h.c.Sent(&s, h.now)
	require.NoError(h.t, h.c.checkInvariants())
	return s, true
}

// out sends all that is to be sent and describes it.
func (h *host) out() []string {
	h.t.Helper()
	list := []string{}
	for {
		s, ok := h.next()
		if !ok {
			return list
		}
		list = append(list, h.describe(&s))
		require.Less(h.t, len(list), 1000)
	}
}

// sends requires that exactly want is sent.
func (h *host) sends(want ...string) {
	h.t.Helper()
	if len(want) == 0 {
		want = []string{}
	}
	require.Equal(h.t, want, h.out())
}

// write writes n octets of the pattern.
func (h *host) write(n int) int {
	h.t.Helper()
	b := make([]byte, n)
	off := h.c.sq.end.Sub(h.iss)
	for i := range b {
		b[i] = pattern(8, off+i)
	}
	return h.c.Write(b)
}

// fire advances the time to the deadline and calls Tick.
func (h *host) fire() Events {
	h.t.Helper()
	d := h.c.Deadline()
	require.NotEqual(h.t, Never, d, "no timer")
	h.now = max(h.now, d)
	ev := h.c.Tick(h.now)
	require.NoError(h.t, h.c.checkInvariants())
	return ev
}

// syn is the peer's SYN with the options on that the host has.
func (h *host) synOptions(s *Segment) {
	s.Options.MSS = 1000
	s.Options.SACKPermitted = h.cfg.SACK
	if h.cfg.WindowScale {
		s.Options.WScale = 2
	}
	if h.cfg.Timestamps {
		s.Options.Timestamps, s.Options.TSVal = true, h.tsVal
	}
}

// connect brings the connection to ESTABLISHED actively.
func (h *host) connect() *host {
	h.t.Helper()
	h.c.Connect(&h.cfg, h.init(), h.now)
	h.sends("S 0:0(0)")
	ev := h.in(S|A, 0, 0, 1, h.synOptions)
	require.True(h.t, ev.Has(Established))
	h.sends(". 1:1(0) ack 1")
	if h.cfg.WindowScale {
		h.in(A, 1, 0, 1)
		h.out()
	}
	return h
}

// listen brings it there passively.
func (h *host) listen() *host {
	h.t.Helper()
	h.c.Accept(&h.cfg, h.init(), h.segment(S, 0, 0, 0, h.synOptions), h.now)
	h.sends("S. 0:0(0) ack 1")
	require.True(h.t, h.in(A, 1, 0, 1).Has(Established))
	h.sends()
	return h
}

// reach brings a new connection to a state, with nothing in flight but the
// FINs that the state has unacknowledged.
func reach(t *testing.T, s State, change ...func(*Config)) *host {
	t.Helper()
	h := newHost(t, change...)
	switch s {
	case StateClosed:
		return h
	case StateSynSent:
		h.c.Connect(&h.cfg, h.init(), h.now)
		h.sends("S 0:0(0)")
	case StateSynReceived:
		h.c.Accept(&h.cfg, h.init(), h.segment(S, 0, 0, 0, h.synOptions), h.now)
		h.sends("S. 0:0(0) ack 1")
	default:
		h.connect()
	}
	switch s {
	case StateCloseWait, StateLastAck:
		h.in(F|A, 1, 0, 1)
		h.sends(". 1:1(0) ack 2")
	}
	switch s {
	case StateFinWait1, StateFinWait2, StateClosing, StateTimeWait:
		h.c.CloseWrite(h.now)
		h.sends("F. 1:1(0) ack 1")
	case StateLastAck:
		h.c.CloseWrite(h.now)
		h.sends("F. 1:1(0) ack 2")
	}
	switch s {
	case StateFinWait2, StateTimeWait:
		h.in(A, 1, 0, 2)
		h.sends()
	case StateClosing:
		h.in(F|A, 1, 0, 1)
		h.sends(". 2:2(0) ack 2")
	}
	if s == StateTimeWait {
		h.in(F|A, 1, 0, 2)
		h.sends(". 2:2(0) ack 2")
	}
	require.Equal(t, s, h.c.State())
	return h
}

// synchronized are the states with a connection on both sides.
var synchronized = []State{StateEstablished, StateCloseWait, StateFinWait1, StateFinWait2, StateClosing, StateLastAck}
