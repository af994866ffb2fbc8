package wire

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic"
)

func TestCloseReleasesWhatIsUnderWay(t *testing.T) {
	w := newWire(t, Config{})
	a, b := queue0(w, 0), queue0(w, 1)
	for i := range 10 {
		a.Send([]*nic.Packet{frame(t, a, w.Port(1).mac, i, 60)})
	}
	require.Equal(t, 10, w.InUse())
	require.NoError(t, w.Port(1).Close())
	require.Zero(t, w.InUse())
	require.Empty(t, received(b))
	require.Equal(t, 1, a.Send([]*nic.Packet{frame(t, a, w.Port(1).mac, 1, 60)}), "lost on the way")
	require.Equal(t, 1, b.Send([]*nic.Packet{frame(t, b, w.Port(0).mac, 1, 60)}), "dropped by the closed device")
	require.Zero(t, w.InUse())
	require.EqualValues(t, 11, b.Stats().RxDropped)
	require.EqualValues(t, 1, b.Stats().TxDropped)
	require.ErrorIs(t, w.Port(1).Close(), nic.ErrClosed)
	require.Equal(t, nic.Link{MTU: 1500, Err: nic.ErrClosed}, w.Port(1).Link())
}

func TestCloseDuringTraffic(t *testing.T) {
	for range 20 {
		w := newWire(t, Config{Ring: 64})
		var all sync.WaitGroup
		var stop atomic.Bool
		for i := range 2 {
			q := queue0(w, i)
			all.Go(func() {
				for !stop.Load() {
					p := q.Alloc(60)
					p.Extend(60)
					if q.Send([]*nic.Packet{p}) == 0 {
						p.Release()
					}
				}
			})
			all.Go(func() {
				for !stop.Load() {
					received(q)
				}
			})
		}
		time.Sleep(100 * time.Microsecond)
		require.NoError(t, w.Port(0).Close())
		require.NoError(t, w.Port(1).Close())
		stop.Store(true)
		all.Wait()
		require.Zero(t, w.InUse())
	}
}

func TestLinkDownDropsFramesBothWays(t *testing.T) {
	w := newWire(t, Config{})
	a, b := queue0(w, 0), queue0(w, 1)
	var seen []nic.Link
	w.Port(0).Notify(func(l nic.Link) { seen = append(seen, l) })
	require.Equal(t, nic.Link{Up: true, MTU: 1500}, w.Port(0).Link())
	w.Port(0).SetUp(false)
	require.Equal(t, 1, a.Send([]*nic.Packet{frame(t, a, w.Port(1).mac, 1, 60)}))
	require.Equal(t, 1, b.Send([]*nic.Packet{frame(t, b, w.Port(0).mac, 2, 60)}))
	require.Empty(t, received(a))
	require.Empty(t, received(b))
	require.EqualValues(t, 1, a.Stats().TxDropped)
	require.EqualValues(t, 1, a.Stats().RxDropped)
	w.Port(0).SetUp(true)
	b.Send([]*nic.Packet{frame(t, b, w.Port(0).mac, 3, 60)})
	require.Equal(t, []int{3}, received(a))
	w.Port(0).Notify(nil)
	w.Port(0).SetUp(false)
	require.Equal(t, []nic.Link{{Up: false, MTU: 1500}, {Up: true, MTU: 1500}}, seen)
}

func TestFailIsForGood(t *testing.T) {
	w := newWire(t, Config{})
	var seen []nic.Link
	w.Port(0).Notify(func(l nic.Link) { seen = append(seen, l) })
	gone := errors.New("unplugged")
	w.Port(0).Fail(gone)
	w.Port(0).SetUp(true)
	want := nic.Link{MTU: 1500, Err: gone}
	require.Equal(t, want, w.Port(0).Link())
	require.Equal(t, []nic.Link{want}, seen)
}

func TestConfigIsChecked(t *testing.T) {
	for _, cfg := range []Config{
		{Ports: -1}, {Ports: 256}, {MTU: 67}, {MTU: -1}, {MTU: 65536}, {Queues: -1}, {Ring: -1}, {Pool: -1},
	} {
		_, err := New(cfg)
		require.ErrorContains(t, err, "wire:", "%+v", cfg)
	}
	for _, mtu := range []int{68, 1500, 9000, 65535} {
		w := newWire(t, Config{MTU: mtu})
		q := queue0(w, 0)
		require.Equal(t, mtu, w.Port(0).Info().MTU)
		require.Equal(t, 1, q.Send([]*nic.Packet{frame(t, q, w.Port(1).mac, 1, 14+mtu)}))
		require.Equal(t, []int{1}, received(queue0(w, 1)))
		p := q.Alloc(18 + mtu)
		require.NotNil(t, p)
		p.Extend(18 + mtu)
		more := q.Alloc(1)
		more.Extend(1)
		p.Append(more)
		require.Equal(t, 1, q.Send([]*nic.Packet{p}), "too large, even in parts")
		require.Empty(t, received(queue0(w, 1)))
		require.EqualValues(t, 1, q.Stats().TxDropped)
	}
}

func TestOffloadsAreThoseOfTheConfig(t *testing.T) {
	for _, c := range []struct {
		cfg     Config
		want    nic.Offloads
		maxSend int
	}{
		{Config{}, 0, 0},
		{Config{Checksum: true}, nic.TxChecksum | nic.RxChecksum, 0},
		{Config{TSO: true}, nic.TxChecksum | nic.RxChecksum | nic.TSO4 | nic.TSO6 | nic.LRO, maxSuper},
	} {
		info := newWire(t, c.cfg).Port(0).Info()
		require.Equal(t, c.want, info.Offloads)
		require.Equal(t, c.maxSend, info.MaxSend)
	}
}

func TestSuperSegmentsCrossWhole(t *testing.T) {
	w := newWire(t, Config{TSO: true})
	a, b := queue0(w, 0), queue0(w, 1)
	p := frame(t, a, w.Port(1).mac, 9, maxSuper)
	p.Segment, p.SegmentSize, p.HeaderLen, p.Checksum = nic.SegmentTCPv4, 1460, 54, nic.ChecksumPartial
	meta := p.Meta
	require.Equal(t, 1, a.Send([]*nic.Packet{p}))
	var one [1]*nic.Packet
	require.Equal(t, 1, b.Recv(one[:]))
	require.Equal(t, meta, one[0].Meta)
	require.Equal(t, maxSuper, one[0].Len())
	one[0].Release()
	require.Nil(t, a.Alloc(maxSuper+100))
	require.EqualValues(t, 1, a.Stats().NoBuffer)
}

func TestPacketsThatNeedAMissingOffloadAreDropped(t *testing.T) {
	w := newWire(t, Config{})
	q := queue0(w, 0)
	pkts := []*nic.Packet{
		frame(t, q, w.Port(1).mac, 0, 60), frame(t, q, w.Port(1).mac, 1, 60),
		frame(t, q, w.Port(1).mac, 2, 60), frame(t, q, w.Port(1).mac, 3, 60),
	}
	pkts[1].Checksum = nic.ChecksumPartial
	pkts[3].Segment = nic.SegmentTCPv4
	require.Equal(t, 4, q.Send(pkts))
	require.Equal(t, []int{0, 2}, received(queue0(w, 1)))
	require.EqualValues(t, 2, q.Stats().TxDropped)
}

func TestExhaustedPoolIsCounted(t *testing.T) {
	w := newWire(t, Config{Pool: 3})
	q := queue0(w, 0)
	var held []*nic.Packet
	for range 3 {
		held = append(held, q.Alloc(60))
	}
	require.Nil(t, q.Alloc(60))
	require.EqualValues(t, 1, q.Stats().NoBuffer)
	require.Equal(t, 3, w.Port(0).InUse())
	for _, p := range held {
		p.Release()
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	w := newWire(t, Config{})
	a, b := queue0(w, 0), queue0(w, 1)
	pkts := make([]*nic.Packet, 1)
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		pkts[0] = a.Alloc(60)
		pkts[0].Extend(60)
		a.Send(pkts)
		a.Kick()
		b.Recv(pkts)
		pkts[0].Release()
	}))
}
