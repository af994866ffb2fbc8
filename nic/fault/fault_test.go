package fault

import (
	"encoding/binary"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/wire"
)

// clock is a clock that tests turn.
type clock struct{ t atomic.Int64 }

func (c *clock) now() time.Duration      { return time.Duration(c.t.Load()) }
func (c *clock) advance(d time.Duration) { c.t.Add(int64(d)) }

// link is a wire whose first port is behind faults.
type link struct {
	clock clock
	wire  *wire.Wire
	dev   *Device
	bad   nic.Queue // behind the faults
	good  nic.Queue // the other end
}

func newLink(t *testing.T, cfg Config, wcfg wire.Config) *link {
	t.Helper()
	w, err := wire.New(wcfg)
	require.NoError(t, err)
	l := &link{wire: w}
	l.dev, err = Wrap(w.Port(0), cfg, l.clock.now)
	require.NoError(t, err)
	l.bad = l.dev.Queues()[0]
	l.good = w.Port(1).Queues()[0]
	return l
}

// send sends frames numbered from first on.
func send(t *testing.T, q nic.Queue, first, n int) {
	t.Helper()
	for i := range n {
		p := q.Alloc(100)
		require.NotNil(t, p)
		binary.BigEndian.PutUint64(p.Extend(100), uint64(first+i))
		require.Equal(t, 1, q.Send([]*nic.Packet{p}))
	}
	q.Kick()
}

// recv returns the numbers of all frames that have arrived.
func recv(q nic.Queue) []int {
	var got []int
	var pkts [16]*nic.Packet
	for {
		n := q.Recv(pkts[:])
		if n == 0 {
			return got
		}
		for _, p := range pkts[:n] {
			got = append(got, int(binary.BigEndian.Uint64(p.Bytes())))
			p.Release()
		}
	}
}

func upTo(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = i
	}
	return s
}

// both runs a test for the receiving and for the sending direction.
func both(t *testing.T, f Faults, test func(t *testing.T, l *link, from, to nic.Queue, count func() Counters)) {
	t.Run("rx", func(t *testing.T) {
		l := newLink(t, Config{Seed: 1, Rx: f}, wire.Config{})
		test(t, l, l.good, l.bad, func() Counters { rx, _ := l.dev.Counters(); return rx })
		require.Zero(t, l.wire.InUse())
	})
	t.Run("tx", func(t *testing.T) {
		l := newLink(t, Config{Seed: 1, Tx: f}, wire.Config{})
		test(t, l, l.bad, l.good, func() Counters { _, tx := l.dev.Counters(); return tx })
		require.Zero(t, l.wire.InUse())
	})
}

func TestNoFaultsPassEverythingUnchanged(t *testing.T) {
	both(t, Faults{}, func(t *testing.T, l *link, from, to nic.Queue, count func() Counters) {
		send(t, from, 0, 500)
		require.Equal(t, upTo(500), recv(to))
		require.Equal(t, nic.Never, l.bad.NextEvent())
		require.Zero(t, count())
	})
}

func TestLossTakesItsShare(t *testing.T) {
	both(t, Faults{Loss: 0.25}, func(t *testing.T, l *link, from, to nic.Queue, count func() Counters) {
		arrived := 0
		for range 10 {
			send(t, from, 0, 1000)
			arrived += len(recv(to))
		}
		c := count()
		require.EqualValues(t, 10000, c.Frames)
		require.EqualValues(t, 10000-arrived, c.Lost)
		require.InDelta(t, 2500, c.Lost, 200)
	})
}

func TestLossOfOneLosesAll(t *testing.T) {
	both(t, Faults{Loss: 1}, func(t *testing.T, l *link, from, to nic.Queue, count func() Counters) {
		send(t, from, 0, 100)
		require.Empty(t, recv(to))
	})
}

func TestLoseIfChoosesFrames(t *testing.T) {
	n := 0
	f := Faults{LoseIf: func(p *nic.Packet) bool { n++; return n%3 == 0 }}
	both(t, f, func(t *testing.T, l *link, from, to nic.Queue, count func() Counters) {
		n = 0
		send(t, from, 0, 6)
		require.Equal(t, []int{0, 1, 3, 4}, recv(to))
		require.EqualValues(t, 2, count().Lost)
	})
}

func TestDuplicatesFollowTheirOriginals(t *testing.T) {
	both(t, Faults{Duplicate: 1}, func(t *testing.T, l *link, from, to nic.Queue, count func() Counters) {
		send(t, from, 0, 3)
		require.Equal(t, []int{0, 0, 1, 1, 2, 2}, recv(to))
		require.EqualValues(t, 3, count().Duplicated)
	})
}

func TestDelayHoldsFramesUntilTheirTime(t *testing.T) {
	both(t, Faults{Delay: 10 * time.Millisecond}, func(t *testing.T, l *link, from, to nic.Queue, count func() Counters) {
		send(t, from, 0, 5)
		step := func() []int { l.bad.Recv(nil); return recv(to) }
		require.Empty(t, step())
		require.Equal(t, 10*time.Millisecond, l.bad.NextEvent())
		require.Equal(t, 5, l.dev.Held())
		l.clock.advance(10*time.Millisecond - 1)
		require.Empty(t, step())
		l.clock.advance(1)
		require.Equal(t, upTo(5), step())
		require.Equal(t, nic.Never, l.bad.NextEvent())
		require.EqualValues(t, 5, count().Delayed)
	})
}

func TestJitterAloneKeepsTheOrder(t *testing.T) {
	both(t, Faults{Delay: time.Millisecond, Jitter: 5 * time.Millisecond}, func(t *testing.T, l *link, from, to nic.Queue, count func() Counters) {
		var got []int
		delays := map[time.Duration]bool{}
		for i := range 50 {
			sent := l.clock.now()
			send(t, from, i, 1)
			require.Empty(t, recv(to))
			next := l.bad.NextEvent()
			if l.dev.Held() == 1 {
				delays[next-sent] = true
				require.GreaterOrEqual(t, next, sent+time.Millisecond)
				require.LessOrEqual(t, next, sent+6*time.Millisecond)
			}
			if i%2 == 0 { // so that now and then two are under way
				l.clock.advance(6 * time.Millisecond)
				l.bad.Recv(nil)
				got = append(got, recv(to)...)
			}
		}
		l.clock.advance(6 * time.Millisecond)
		l.bad.Recv(nil)
		require.Equal(t, upTo(50), append(got, recv(to)...))
		require.Greater(t, len(delays), 10)
	})
}

func TestReorderLetsLaterFramesOvertake(t *testing.T) {
	both(t, Faults{Reorder: 0.3, ReorderDelay: time.Millisecond}, func(t *testing.T, l *link, from, to nic.Queue, count func() Counters) {
		send(t, from, 0, 50)
		got := recv(to)
		held := 50 - len(got)
		require.EqualValues(t, held, count().Reordered)
		require.NotZero(t, held)
		l.clock.advance(time.Millisecond)
		l.bad.Recv(nil)
		late := recv(to)
		require.Len(t, late, held)
		require.ElementsMatch(t, upTo(50), append(got, late...))
	})
}

func TestRateSpacesFramesAndItsQueueIsBounded(t *testing.T) {
	// 100 bytes at 800 kbit/s take a millisecond.
	f := Faults{Rate: 800_000, Queue: 500}
	both(t, f, func(t *testing.T, l *link, from, to nic.Queue, count func() Counters) {
		send(t, from, 0, 8)
		l.bad.Recv(nil)
		var got []int
		got = append(got, recv(to)...)
		require.Empty(t, got)
		for i := range 5 {
			require.Equal(t, time.Duration(i+1)*time.Millisecond, l.bad.NextEvent())
			l.clock.advance(time.Millisecond)
			l.bad.Recv(nil)
			require.Equal(t, []int{i}, recv(to))
		}
		require.Equal(t, nic.Never, l.bad.NextEvent())
		require.EqualValues(t, 3, count().Overflow)
	})
}

func TestLimitBoundsWhatIsHeld(t *testing.T) {
	both(t, Faults{Delay: time.Second, Limit: 10}, func(t *testing.T, l *link, from, to nic.Queue, count func() Counters) {
		send(t, from, 0, 25)
		recv(to)
		require.Equal(t, 10, l.dev.Held())
		require.EqualValues(t, 15, count().Overflow)
		l.clock.advance(time.Second)
		l.bad.Recv(nil)
		require.Equal(t, upTo(10), recv(to))
	})
}

func TestMaxSizeIsAPathMTUBlackHole(t *testing.T) {
	both(t, Faults{MaxSize: 99}, func(t *testing.T, l *link, from, to nic.Queue, count func() Counters) {
		send(t, from, 0, 2)
		require.Empty(t, recv(to))
		require.EqualValues(t, 2, count().TooLarge)
	})
}

func TestSizesOfSuperSegmentsAreThoseOfTheirSegments(t *testing.T) {
	l := newLink(t, Config{Tx: Faults{MaxSize: 1514, Rate: 8_000_000_000}}, wire.Config{TSO: true})
	p := l.bad.Alloc(54 + 3*1460)
	p.Extend(54 + 3*1460)
	p.Segment, p.SegmentSize, p.HeaderLen = nic.SegmentTCPv4, 1460, 54
	require.Equal(t, 1514, largest(p))
	require.Equal(t, 3*1514, onWire(p))
	l.bad.Send([]*nic.Packet{p})
	require.Equal(t, 3*1514*time.Nanosecond, l.bad.NextEvent())
	require.NoError(t, l.dev.Close())
	require.Zero(t, l.wire.InUse())
}

func TestCorruptionChangesOneByte(t *testing.T) {
	both(t, Faults{Corrupt: 1, CorruptFrom: 14}, func(t *testing.T, l *link, from, to nic.Queue, count func() Counters) {
		want := make([]byte, 100)
		for range 200 {
			p := from.Alloc(100)
			copy(p.Extend(100), want)
			p.Checksum = nic.ChecksumVerified
			p.Retain() // somebody else still reads it
			from.Send([]*nic.Packet{p})
			var pkts [1]*nic.Packet
			require.Equal(t, 1, to.Recv(pkts[:]))
			got := pkts[0].Bytes()
			require.Equal(t, want[:14], got[:14])
			changed := 0
			for i := range got {
				if got[i] != want[i] {
					changed++
				}
			}
			require.Equal(t, 1, changed)
			require.Equal(t, nic.ChecksumNone, pkts[0].Checksum, "the receiver must verify it")
			require.Equal(t, want, p.Bytes(), "the other owner's copy is untouched")
			pkts[0].Release()
			p.Release()
		}
		require.EqualValues(t, 200, count().Corrupted)
	})
}

// TestCorruptedPartialChecksumIsDetectable damages frames whose checksum is
// partial and expects the Internet checksum to find each of them.
func TestCorruptedPartialChecksumIsDetectable(t *testing.T) {
	const start, field, size = 34, 50, 133
	run := func(t *testing.T, corrupt float64) (wrong int) {
		l := newLink(t, Config{Seed: 7, Rx: Faults{Corrupt: corrupt, Duplicate: 1e-9, CorruptFrom: start}}, wire.Config{Checksum: true})
		for i := range 2000 {
			p := l.good.Alloc(size)
			b := p.Extend(size)
			for j := range b {
				b[j] = byte(i * j)
			}
			pseudo := uint16(i * 31)
			binary.BigEndian.PutUint16(b[field:], pseudo)
			p.Checksum, p.ChecksumStart, p.ChecksumOffset = nic.ChecksumPartial, start, field-start
			l.good.Send([]*nic.Packet{p})
			var pkts [1]*nic.Packet
			require.Equal(t, 1, l.bad.Recv(pkts[:]))
			p = pkts[0]
			if corrupt == 0 {
				require.Equal(t, nic.ChecksumPartial, p.Checksum)
			} else {
				require.Equal(t, nic.ChecksumNone, p.Checksum)
				if !valid(p.Bytes()[start:], pseudo) {
					wrong++
				}
			}
			p.Release()
		}
		require.Zero(t, l.wire.InUse())
		return wrong
	}
	run(t, 0)
	require.Equal(t, 2000, run(t, 1))
}

// valid verifies a checksum the way a receiver does, in the plainest form.
func valid(b []byte, pseudo uint16) bool {
	sum := uint32(pseudo)
	for i := 0; i < len(b); i += 2 {
		word := uint32(b[i]) << 8
		if i+1 < len(b) {
			word |= uint32(b[i+1])
		}
		sum += word
		sum = sum>>16 + sum&0xffff
	}
	return sum == 0xffff
}

func TestCorruptSuperSegmentIsLostBeforeADeviceSumsItAnew(t *testing.T) {
	l := newLink(t, Config{Tx: Faults{Corrupt: 1}}, wire.Config{TSO: true})
	p := l.bad.Alloc(5000)
	p.Extend(5000)
	p.Segment = nic.SegmentTCPv4
	require.Equal(t, 1, l.bad.Send([]*nic.Packet{p}))
	require.Empty(t, recv(l.good))
	_, tx := l.dev.Counters()
	require.Equal(t, Counters{Frames: 1, Lost: 1, Corrupted: 1}, tx)
	require.Zero(t, l.wire.InUse())
}

func TestExhaustedPoolCostsDuplicatesNotFrames(t *testing.T) {
	l := newLink(t, Config{Tx: Faults{Duplicate: 1}}, wire.Config{Pool: 4})
	send(t, l.bad, 0, 2)
	require.Equal(t, []int{0, 0, 1, 1}, recv(l.good))
	var all []*nic.Packet
	for range 4 {
		p := l.bad.Alloc(100)
		binary.BigEndian.PutUint64(p.Extend(100), uint64(len(all)))
		all = append(all, p)
	}
	require.Equal(t, 4, l.bad.Send(all))
	require.Equal(t, upTo(4), recv(l.good))
	_, tx := l.dev.Counters()
	require.EqualValues(t, 4, tx.NoBuffer)
	require.Zero(t, l.wire.InUse())
}

func TestWrapRefusesImpossibleFaults(t *testing.T) {
	for _, f := range []Faults{
		{Loss: -0.1}, {Loss: 1.1}, {Corrupt: math.NaN()}, {Duplicate: 2}, {Reorder: math.Inf(1)},
		{Delay: -1}, {Jitter: 2 * time.Hour}, {ReorderDelay: -1},
		{Rate: -1}, {Queue: -1}, {Queue: 2 << 30}, {Limit: -1}, {MaxSize: -1}, {CorruptFrom: -1},
	} {
		w, err := wire.New(wire.Config{})
		require.NoError(t, err)
		_, err = Wrap(w.Port(0), Config{Tx: f}, new(clock).now)
		require.ErrorContains(t, err, "fault: Tx", "%+v", f)
	}
}
