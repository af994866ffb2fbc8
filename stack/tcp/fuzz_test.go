package tcp

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/stack/header"
)

// octetAt is the octet that the fuzzed peer has at a sequence number.
func octetAt(s Seq) byte { return byte(s) ^ byte(s>>8) }

// fuzzed is a connection to which anything is done.
type fuzzed struct {
	*host
	first bool // the first octet has come
	at    Seq  // of the next octet to be delivered
}

// near picks a sequence number about one that matters.
func near(b byte, of ...Seq) Seq {
	s := of[int(b>>5)%len(of)]
	return s + Seq([...]int{0, 1, -1, 10, -10, 1000, -1000, 2500, 65535, 65536, -65535, 1 << 30, -1 << 30, -1 << 31, 7, 100, 333, 1460, 2, 3, 4, 5, -2, -3, 500, 501, 999, 1001, 3000, 4000, 5000, 60000}[b&31])
}

func (f *fuzzed) segment(op []byte) *Segment {
	c := &f.c
	s := &Segment{
		Seq:    near(op[0], c.rcvNxt, c.rcvNxt, c.rcvEdge, c.irs, c.rcvFinSeq, c.rcvNxt, c.lastAck, 0),
		Ack:    near(op[1], c.una, c.nxt, c.sq.end, c.iss, c.recover, c.nxt, c.nxt, 0),
		Flags:  header.TCPFlags(op[2]),
		Window: uint16(op[3])<<8 | uint16(op[3]),
	}
	if op[2]&0xc0 != 0 {
		s.Flags = A // mostly
	}
	s.Payload = make([]byte, [...]int{0, 0, 1, 10, 100, 1000, 2500, 40000}[op[4]&7])
	first := s.Seq
	if s.Flags&S != 0 {
		first++
	}
	for i := range s.Payload {
		s.Payload[i] = octetAt(first.Add(i))
	}
	s.Options.Reset()
	s.Options.Timestamps = c.tsOK != (op[4]&0xf8 == 0x80)
	s.Options.TSVal = c.tsRecent + uint32([...]int{0, 1, -1, -1 << 31, 1000, -1000, 5, 0}[op[5]&7])
	s.Options.TSEcr = uint32(op[5])
	if op[5]&8 != 0 {
		for i := range int8(1 + op[5]>>6) {
			start := near(op[6]+byte(i)*7, c.una, c.nxt, c.recover, c.highRxt)
			s.Options.SACK[i] = header.SACKBlock{Start: uint32(start), End: uint32(near(op[7], start, c.nxt, c.una))}
			s.Options.NumSACK++
		}
	}
	if op[5]&16 != 0 {
		s.Options.MSS, s.Options.WScale, s.Options.SACKPermitted = uint16(op[6]), int8(op[7]), op[7]&1 == 0
	}
	return s
}

func (f *fuzzed) take(b []byte) {
	if len(b) == 0 {
		return
	}
	if !f.first {
		f.first, f.at = true, f.c.irs+1
	}
	for _, v := range b {
		if v != octetAt(f.at) {
			f.t.Fatalf("octet %d is wrong", f.at-f.c.irs)
		}
		f.at++
	}
}

func (f *fuzzed) do(op []byte) {
	c := &f.c
	switch op[7] % 32 {
	case 0:
		c.Write(make([]byte, int(op[0])*20))
	case 1:
		c.Write(make([]byte, int(op[0])*400))
	case 2:
		c.CloseWrite(f.now)
	case 3:
		if op[0] > 200 {
			c.Orphan(f.now)
		}
	case 4:
		if op[0] > 230 {
			c.Abort(f.now)
		}
	case 5, 6:
		c.SetRcvSpace(int(op[0]) * 300)
		if c.WindowUpdateDue() {
			c.FlushAck()
		}
	case 7:
		f.now += time.Duration(op[0]) * time.Duration(op[1]) * time.Millisecond
		c.Tick(f.now)
	case 8, 9:
		if d := min(c.Deadline(), c.ProbeDeadline()); d != Never {
			f.now = max(f.now, d)
			c.Tick(f.now)
			require.Greater(f.t, min(c.Deadline(), c.ProbeDeadline()), f.now)
		}
	case 10:
		c.SetMSS(int(op[0]) * 6)
	case 11:
		c.SetNoDelay(op[0]&1 == 0)
	case 12:
		c.SetKeepAlive(KeepAlive{Enable: op[0]&1 == 0, Idle: time.Second, Interval: time.Second, Count: 3})
	case 13, 14, 15, 16, 17, 18:
		var s Segment
		for range op[0] & 15 {
			if !c.Next(&s, 1+int(op[1])*50, f.now) {
				break
			}
			c.CopyTo(make([]byte, s.Len), &s)
			c.Sent(&s, f.now)
			require.NoError(f.t, c.checkInvariants())
		}
	default:
		s := f.segment(op)
		r := c.Input(s, f.now)
		f.take(s.Payload[r.Off : r.Off+r.Len])
		if op[3]&1 == 0 { // else it stays
			for b := c.Reassembled(); b != nil; b = c.Reassembled() {
				f.take(b)
				c.Consume(len(b))
			}
		}
	}
	require.NoError(f.t, c.checkInvariants())
	limit := c.cfg.SndBuf/smallChunk + 3 + maxHeldRanges*4 + 100
	require.Less(f.t, f.pool.InUse(), limit)
}

// play does the operations of data, eight octets each, on a connection in the
// state that the first octet names.
func play(t *testing.T, data []byte) {
	if len(data) < 2 {
		return
	}
	states := []State{StateSynSent, StateSynReceived, StateEstablished, StateCloseWait, StateFinWait1, StateFinWait2, StateClosing, StateLastAck, StateTimeWait}
	flags := data[1]
	h := reach(t, states[int(data[0])%len(states)], func(cfg *Config) {
		cfg.SndBuf, cfg.RcvBuf = 100_000, 50_000
		cfg.Timestamps = flags&1 == 0
		cfg.SACK = flags&2 == 0
		cfg.WindowScale = flags&4 == 0
	})
	f := &fuzzed{host: h}
	data = data[2:min(len(data), 2+8*300)]
	for ; len(data) >= 8; data = data[8:] {
		f.do(data)
	}
	h.c.Release()
	require.Zero(t, h.pool.InUse())
	require.Equal(t, Never, h.c.Deadline())
}

// FuzzConn does anything to a connection: no panic, no broken invariant, no
// octet out of place, no memory left.
func FuzzConn(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 40 {
		b := make([]byte, 2+8*100)
		for j := range b {
			b[j] = byte(r.Uint32())
		}
		b[0] = byte(i)
		f.Add(b)
	}
	f.Fuzz(play)
}

// Random operations, many of them: what the seeds of FuzzConn begin.
func TestRandomOperations(t *testing.T) {
	n := 3000
	if testing.Short() {
		n = 300
	}
	r := rand.New(rand.NewPCG(3, 4))
	b := make([]byte, 2+8*200)
	for range n {
		for j := range b {
			b[j] = byte(r.Uint32())
		}
		play(t, b)
	}
}

func TestISSInSequence(t *testing.T) {
	for _, tc := range []struct{ a, b Seq }{{0, 1}, {0xffffffff, 0}, {0x7fffffff, 0x80000000}, {0xfffffff0, 5}} {
		require.True(t, tc.a.LessThan(tc.b))
		require.True(t, tc.a.LessThanEq(tc.b))
		require.False(t, tc.b.LessThanEq(tc.a))
		require.Equal(t, int(tc.b-tc.a), tc.b.Sub(tc.a))
		require.Equal(t, -int(tc.b-tc.a), tc.a.Sub(tc.b))
		require.True(t, tc.a.InRange(tc.a, tc.b))
		require.False(t, tc.b.InRange(tc.a, tc.b))
		require.Equal(t, tc.a, minSeq(tc.a, tc.b))
		require.Equal(t, tc.b, maxSeq(tc.a, tc.b))
	}
}
