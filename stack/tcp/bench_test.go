package tcp

import (
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// pipePair is a pair of established connections on a perfect link without
// delay.
type pipePair struct {
	pool ChunkPool
	cfg  Config
	a, b Conn
	now  time.Duration

	count int
}

func newPair(t testing.TB, change func(cfg *Config)) *pipePair {
	p := &pipePair{now: time.Hour}
	p.cfg = DefaultConfig()
	p.cfg.Pool = &p.pool
	if change != nil {
		change(&p.cfg)
	}
	p.a.Connect(&p.cfg, Init{ISS: 0xfffff000, RcvMSS: 1460, SndMSS: 1460, TSOffset: 7}, p.now)
	var seg Segment
	require.True(t, p.a.Next(&seg, 1<<16, p.now))
	p.a.Sent(&seg, p.now)
	p.b.Accept(&p.cfg, Init{ISS: 0x7ffff000, RcvMSS: 1460, SndMSS: 1460}, &seg, p.now)
	for p.carry(&p.b, &p.a) || p.carry(&p.a, &p.b) {
	}
	require.Equal(t, StateEstablished, p.a.State())
	require.Equal(t, StateEstablished, p.b.State())
	return p
}

// carry moves one segment.
func (p *pipePair) carry(from, to *Conn) bool {
	var seg Segment
	if !from.Next(&seg, 1460, p.now) {
		return false
	}
	from.Sent(&seg, p.now)
	var bufs [8][]byte
	n := from.Slices(&seg, &bufs)
	seg.Payload = nil
	if n > 0 {
		seg.Payload = bufs[0]
	}
	to.Input(&seg, p.now)
	to.SetRcvSpace(1 << 20)
	return true
}

// exchange moves a message each way, ACKs riding on the data.
func (p *pipePair) exchange(msg []byte) {
	p.now += 10 * time.Microsecond
	p.a.Write(msg)
	p.carry(&p.a, &p.b)
	p.b.Write(msg)
	p.carry(&p.b, &p.a)
}

func TestIdleConnectionIsSmall(t *testing.T) {
	require.LessOrEqual(t, int(unsafe.Sizeof(Conn{})), 600)
	require.LessOrEqual(t, int(unsafe.Sizeof(TimeWait{})), 64)
}

func TestExchangeAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops under the race detector")
	}
	p := newPair(t, nil)
	msg := make([]byte, 100)
	p.exchange(msg)
	require.Zero(t, testing.AllocsPerRun(1000, func() { p.exchange(msg) }))
}

// lossy moves data from a to b, of which each tenth segment is lost.
func (p *pipePair) lossy(data []byte) {
	for left := data; len(left) > 0 || p.a.una != p.a.sq.end; {
		left = left[p.a.Write(left):]
		p.now += time.Millisecond
		if p.now >= p.a.Deadline() {
			p.a.Tick(p.now)
		}
		var seg Segment
		var bufs [8][]byte
		for p.a.Next(&seg, 1448, p.now) {
			p.a.Sent(&seg, p.now)
			if p.count++; p.count%10 == 0 {
				continue
			}
			p.a.Slices(&seg, &bufs)
			seg.Payload = bufs[0]
			p.b.Input(&seg, p.now)
			for b := p.b.Reassembled(); b != nil; b = p.b.Reassembled() {
				p.b.Consume(len(b))
			}
		}
		p.b.SetRcvSpace(1 << 20)
		p.b.FlushAck()
		for p.carry(&p.b, &p.a) {
		}
	}
}

func TestRecoveryAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops under the race detector")
	}
	p := newPair(t, nil)
	data := make([]byte, 1448*100)
	for range 10 {
		p.lossy(data)
	}
	require.Zero(t, testing.AllocsPerRun(50, func() { p.lossy(data) }))
	require.NotZero(t, p.a.Info().Recoveries)
	require.NotZero(t, p.b.Info().OutOfOrder)
	require.Zero(t, p.pool.InUse())
}

// BenchmarkExchange is a request and a reply: two segments through Write, Next,
// Sent and Input.
func BenchmarkExchange(b *testing.B) {
	p := newPair(b, nil)
	msg := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		p.exchange(msg)
	}
}

// BenchmarkInputInOrder is Input of a full segment in order, and an ACK for
// every second one.
func BenchmarkInputInOrder(b *testing.B) {
	p := newPair(b, nil)
	data := make([]byte, 1448)
	seg := Segment{Seq: p.b.rcvNxt, Ack: p.b.una, Flags: flagACK, Window: 1000, Payload: data}
	seg.Options.Reset()
	seg.Options.Timestamps = true
	seg.Options.TSVal = p.b.tsRecent
	var out Segment
	b.ReportAllocs()
	for b.Loop() {
		p.now += time.Microsecond
		r := p.b.Input(&seg, p.now)
		seg.Seq += 1448
		if r.Events.Has(AckNow) {
			p.b.SetRcvSpace(1 << 20)
			if p.b.Next(&out, 1448, p.now) {
				p.b.Sent(&out, p.now)
			}
		}
	}
}

// BenchmarkOutput is Write, Next and Sent of a full segment, and Input of an
// ACK for every second one.
func BenchmarkOutput(b *testing.B) {
	p := newPair(b, nil)
	data := make([]byte, 1448)
	p.a.cw.Cwnd = 1 << 20
	ack := Segment{Seq: p.a.rcvNxt, Flags: flagACK, Window: 0xffff}
	ack.Options.Reset()
	ack.Options.Timestamps = true
	ack.Options.TSVal = p.a.tsRecent
	var out Segment
	var bufs [8][]byte
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		p.now += time.Microsecond
		p.a.Write(data)
		if !p.a.Next(&out, 1448, p.now) {
			b.Fatal("nothing to send")
		}
		p.a.Slices(&out, &bufs)
		p.a.Sent(&out, p.now)
		if i&1 == 1 {
			ack.Ack = out.Seq + 1448
			p.a.Input(&ack, p.now)
		}
	}
}
