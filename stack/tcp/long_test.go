package tcp

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// longPair is two connections in virtual time, a millisecond apart, whose data
// nobody copies or looks at: it moves some GiB a second.
type longPair struct {
	t    *testing.T
	pool ChunkPool
	cfg  [2]Config
	ends [2]Conn
	now  time.Duration
	max  int // for Next

	wire    [2][]Segment // on the way from an end
	unread  [2]int
	stopped [2]bool                           // the reader
	drop    func(from int, seg *Segment) bool // nil: no loss

	tracing bool
	trace   []string
	start   [2]Seq // una, as the trace began
	at      time.Duration
}

func newLongPair(t *testing.T, change func(*Config)) *longPair {
	p := &longPair{t: t, now: time.Hour, max: 1448}
	for i := range p.cfg {
		p.cfg[i] = DefaultConfig()
		p.cfg[i].Pool = &p.pool
		p.cfg[i].SndBuf, p.cfg[i].RcvBuf = 1<<20, 1<<20
		if change != nil {
			change(&p.cfg[i])
		}
	}
	p.ends[0].Connect(&p.cfg[0], Init{ISS: 0xfff00000, RcvMSS: 1460, SndMSS: 1460, TSOffset: 7}, p.now)
	var syn Segment
	require.True(t, p.ends[0].Next(&syn, 1448, p.now))
	p.ends[0].Sent(&syn, p.now)
	p.ends[1].Accept(&p.cfg[1], Init{ISS: 0x12345678, RcvMSS: 1460, SndMSS: 1460, TSOffset: 1 << 31}, &syn, p.now)
	p.settle()
	require.Equal(t, StateEstablished, p.ends[0].State())
	require.Equal(t, StateEstablished, p.ends[1].State())
	return p
}

// write is Write of n octets, whatever the chunks hold.
func (p *longPair) write(from, n int) int {
	c := &p.ends[from]
	n = min(n, c.Writable())
	for left := n; left > 0; {
		if t := c.sq.tail; t != nil && t.room() > 0 {
			k := min(left, t.room())
			t.w += int32(k)
			c.sq.end += Seq(k)
			left -= k
			continue
		}
		c.sq.write(&p.pool, []byte{0}, 1)
		left--
	}
	i := c.Info()
	require.LessOrEqual(p.t, i.InFlight+i.Unsent, p.cfg[from].SndBuf)
	return n
}

// output puts on the wire what an end sends.
func (p *longPair) output(from int) {
	c := &p.ends[from]
	var seg Segment
	var bufs [8][]byte
	for c.Next(&seg, p.max, p.now) {
		n := c.Slices(&seg, &bufs)
		c.Sent(&seg, p.now)
		lost := p.drop != nil && p.drop(from, &seg)
		if p.tracing {
			p.trace = append(p.trace, fmt.Sprintf("%v %d: %v %d:+%d ack %d win %d lost %v", p.now-p.at, from, seg.Flags,
				seg.Seq.Sub(p.start[from]), seg.Len, seg.Ack.Sub(p.start[1-from]), seg.Window, lost))
		}
		if lost {
			continue
		}
		part := seg
		for i := range max(n, 1) {
			part.Payload = nil
			if n > 0 {
				part.Payload = bufs[i]
			}
			p.wire[from] = append(p.wire[from], part)
			part.Seq = part.Seq.Add(len(part.Payload))
		}
	}
}

// input takes what is on the wire to an end; its reader reads at once.
func (p *longPair) input(to int) {
	c := &p.ends[to]
	for i := range p.wire[1-to] {
		r := c.Input(&p.wire[1-to][i], p.now)
		p.unread[to] += r.Len
		for b := c.Reassembled(); b != nil; b = c.Reassembled() {
			p.unread[to] += len(b)
			c.Consume(len(b))
		}
	}
	p.wire[1-to] = p.wire[1-to][:0]
	if !p.stopped[to] {
		p.unread[to] = 0
	}
	c.SetRcvSpace(p.cfg[to].RcvBuf - p.unread[to])
	if c.WindowUpdateDue() {
		c.FlushAck()
	}
}

// step sends, waits for half a round trip or for the next timer, and receives.
func (p *longPair) step() (moved bool) {
	p.output(0)
	p.output(1)
	if len(p.wire[0])+len(p.wire[1]) > 0 {
		p.now += time.Millisecond
		moved = true
	} else if d := min(p.ends[0].Deadline(), p.ends[1].Deadline()); d != Never {
		p.now = max(p.now, d)
		moved = true
	}
	for i := range p.ends {
		if p.now >= p.ends[i].Deadline() {
			p.ends[i].Tick(p.now)
		}
	}
	p.input(0)
	p.input(1)
	return moved
}

// settle goes on until nothing moves.
func (p *longPair) settle() {
	for p.step() {
	}
}

// move transfers n octets, at most burst of them at a time.
func (p *longPair) move(from, n, burst int) {
	c := &p.ends[from]
	for n > 0 {
		if left := burst - c.queued(); left > 0 {
			n -= p.write(from, min(n, left))
		}
		p.step()
	}
	p.settle()
	require.Zero(p.t, c.queued())
}

// loses makes a drop of the n-th segments with data of one end.
func loses(end int, lost ...int) func(int, *Segment) bool {
	n := -1
	return func(from int, seg *Segment) bool {
		if from != end || seg.Len == 0 {
			return false
		}
		n++
		return slices.Contains(lost, n)
	}
}

// exercise goes through all that loss recovery and flow control do, one way,
// and returns each segment of it.
func (p *longPair) exercise(from int) []string {
	const mss = 1448
	c, peer := &p.ends[from], &p.ends[1-from]
	p.settle()
	for i := range p.ends {
		e := &p.ends[i]
		e.cw = CongestionWindow{Cwnd: 20 * mss, Ssthresh: 15 * mss, MSS: e.cw.MSS}
		e.srtt, e.rttvar, e.rto = 2*time.Millisecond, time.Millisecond, 206*time.Millisecond
		e.rcvSeg, e.lastSend = mss, p.now
		p.start[i] = e.una
	}
	p.tracing, p.trace, p.at = true, p.trace[:0], p.now
	before := c.Info()
	recoveries, timeouts := before.Recoveries, before.Timeouts

	for range 2 {
		p.drop = loses(from, 0) // the first of a flight
		p.move(from, 20*mss, 20*mss)
		p.drop = loses(from, 3, 5, 21) // with a retransmission
		p.move(from, 40*mss, 20*mss)
	}
	p.drop = loses(from, 9) // the tail
	p.move(from, 10*mss, 10*mss)
	p.drop = loses(from, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9) // a flight
	p.move(from, 10*mss, 10*mss)
	p.drop = nil
	require.Greater(p.t, c.Info().Recoveries, recoveries)
	require.Greater(p.t, c.Info().Timeouts, timeouts)

	// The window closes, is probed, and opens.
	p.stopped[1-from] = true
	written := 0
	for n := p.write(from, 4<<20); n > 0 || c.nxt != c.sq.end && c.sndWnd > 0; n = p.write(from, 4<<20) {
		written += n
		p.step()
	}
	require.Equal(p.t, p.cfg[from].SndBuf, c.queued(), "no more than the send buffer")
	for range 8 {
		p.step()
	}
	require.True(p.t, c.persist)
	p.stopped[1-from] = false
	p.settle()
	require.Zero(p.t, c.queued())

	// Sequence numbers are judged as ever (RFC 9293, RFC 5961).
	paws := p.ends[1-from].Info().PAWS
	judge := func(what string, change func(*Segment), want Events) {
		var seg Segment
		seg.Seq, seg.Ack, seg.Flags, seg.Window = c.nxt, c.rcvNxt, flagACK, 1000
		seg.Options.Reset()
		seg.Options.Timestamps, seg.Options.TSVal = c.tsOK, c.tsNow(p.now)
		change(&seg)
		r := peer.Input(&seg, p.now)
		require.Equal(p.t, want, r.Events, what)
		p.settle()
	}
	p.now += 2 * challengeSpan
	judge("an old ACK", func(s *Segment) { s.Ack -= 1000 }, 0)
	judge("an ACK of nothing", func(s *Segment) { s.Ack++ }, AckNow)
	judge("an old segment", func(s *Segment) { s.Seq -= 1000 }, AckNow)
	judge("RST beyond the window", func(s *Segment) { s.Seq, s.Flags = s.Seq-1, flagRST }, 0)
	judge("RST in the window", func(s *Segment) { s.Seq, s.Flags = s.Seq+1000, flagRST }, AckNow)
	require.Equal(p.t, paws, p.ends[1-from].Info().PAWS)
	p.tracing = false
	return slices.Clone(p.trace)
}

// A connection does the same things wherever in the sequence space it is, and
// however long nothing of their kind has happened: sequence numbers that are
// kept do not grow stale.
func TestMoreThanTheSequenceSpace(t *testing.T) {
	const gib = 1 << 30
	apart := []int{gib / 10, gib / 2, gib, 2*gib + gib/10, 3*gib - gib/10, 4*gib + gib/3}
	if testing.Short() {
		apart = []int{gib / 10, 2*gib + gib/10}
	}
	for _, v := range []struct {
		name   string
		max    int // for Next
		change func(*Config)
	}{
		{"SACK and timestamps", 65160, nil},
		{"plain", 65160, func(c *Config) { c.SACK, c.Timestamps = false, false }},
		{"without segmentation", 1448, func(c *Config) { c.SACK = false }},
	} {
		t.Run(v.name, func(t *testing.T) {
			if v.max == 1448 && (testing.Short() || raceEnabled) {
				t.Skip("some seconds")
			}
			p := newLongPair(t, v.change)
			p.move(0, 10<<20, 1<<20)
			p.move(1, 10<<20, 1<<20)
			p.exercise(0) // now the largest window has been seen, and so on
			p.exercise(1)
			want := [2][]string{p.exercise(0), p.exercise(1)}
			for _, n := range apart {
				for from := range 2 {
					c := &p.ends[from]
					c.cw.Cwnd, c.cw.Ssthresh = 512<<10, 512<<10
					before := c.Info()
					p.max = v.max
					p.move(from, n, 256<<10)
					p.max = 1448
					after := c.Info()
					require.Equal(t, before.Cwnd, after.Cwnd, "RFC 7661: not used, not grown")
					require.Equal(t, before.Retransmits, after.Retransmits)
					require.Equal(t, before.BytesOut+uint64(n), after.BytesOut)
					for end := range 2 {
						got := p.exercise(end)
						for i := range max(len(got), len(want[end])) {
							require.True(t, i < len(got) && i < len(want[end]), "%d and %d segments", len(want[end]), len(got))
							require.Equal(t, want[end][i], got[i], "segment %d after %d octets from %d", i, n, from)
						}
					}
				}
			}
			for i := range p.ends {
				p.ends[i].CloseWrite(p.now)
			}
			p.settle()
			for i := range p.ends {
				require.Equal(t, StateClosed, p.ends[i].State())
				p.ends[i].Release()
			}
			require.Zero(t, p.pool.InUse())
		})
	}
}

// Nothing of what a long silence brings (RFC 7323 section 5.5: the timestamp
// clock wraps) costs a segment.
func TestIdleForWeeks(t *testing.T) {
	const day = 24 * time.Hour
	for _, idle := range []time.Duration{day, 20 * day, 24*day + time.Hour, 24*day + 20*time.Hour, 25 * day, 30 * day, 49 * day, 50 * day, 75 * day} {
		for keeper := range 3 {
			for first := range 2 {
				p := newLongPair(t, nil)
				p.move(0, 10_000, 10_000)
				p.move(1, 10_000, 10_000)
				if keeper < 2 {
					p.ends[keeper].SetKeepAlive(KeepAlive{Enable: true, Idle: 2 * time.Hour, Interval: time.Minute, Count: 3})
				}
				for end := p.now + idle; p.now < end; {
					d := min(p.ends[0].Deadline(), p.ends[1].Deadline())
					if d >= end {
						p.now = end
						break
					}
					p.now = d
					p.ends[keeper].Tick(p.now)
					for p.output(0); len(p.wire[0])+len(p.wire[1]) > 0; p.output(0) {
						p.input(1)
						p.output(1)
						p.input(0)
					}
					if keeper == 1 {
						p.output(1)
						p.input(0)
						p.output(0)
						p.input(1)
					}
				}
				if keeper < 2 {
					p.ends[keeper].SetKeepAlive(KeepAlive{})
				}
				p.drop = loses(first, 1)
				p.move(first, 20_000, 20_000)
				p.drop = nil
				p.move(1-first, 20_000, 20_000)
				for i := range p.ends {
					info := p.ends[i].Info()
					require.Equal(t, StateEstablished, info.State)
					require.Zero(t, info.PAWS+info.Timeouts, "%v, end %d", idle, i)
					require.Less(t, info.RTO, time.Second)
					require.Equal(t, uint64(30_000), info.BytesIn)
				}
			}
		}
	}
}
