package counters

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/wire"
)

func frame(t *testing.T, q nic.Queue, size int) *nic.Packet {
	p := q.Alloc(size)
	require.NotNil(t, p)
	p.Extend(size)
	return p
}

func TestCountsWhatPasses(t *testing.T) {
	w, err := wire.New(wire.Config{TSO: true, Ring: 4})
	require.NoError(t, err)
	a, b := Wrap(w.Port(0)), Wrap(w.Port(1))
	q := a.Queues()[0]

	small, large := frame(t, q, 60), frame(t, q, 1514)
	super := frame(t, q, 20000)
	super.Segment, super.Checksum = nic.SegmentTCPv4, nic.ChecksumPartial
	super.SegmentSize, super.HeaderLen = 1448, 66
	require.Equal(t, 3, q.Send([]*nic.Packet{small, large, super}))
	_, tx := a.Counters()
	want := Direction{Frames: 3, Bytes: 60 + 1514 + 20000, Bursts: 1, Super: 1, Partial: 1}
	want.Sizes[0], want.Sizes[5], want.Sizes[9] = 1, 1, 1
	require.Equal(t, want, tx)

	// What the device does not take is not counted.
	more := []*nic.Packet{frame(t, q, 64), frame(t, q, 64), frame(t, q, 64)}
	require.Equal(t, 1, q.Send(more))
	require.Zero(t, q.Send(more[1:]))
	_, tx = a.Counters()
	require.EqualValues(t, 4, tx.Frames)
	require.EqualValues(t, 2, tx.Bursts)
	require.EqualValues(t, 1, tx.Sizes[1])
	more[1].Release()
	more[2].Release()

	var pkts [8]*nic.Packet
	n := b.Queues()[0].Recv(pkts[:])
	require.Equal(t, 4, n)
	require.Zero(t, b.Queues()[0].Recv(pkts[n:]))
	rx, _ := b.Counters()
	require.EqualValues(t, 4, rx.Frames)
	require.EqualValues(t, 1, rx.Bursts)
	require.EqualValues(t, tx.Bytes, rx.Bytes)
	for _, p := range pkts[:n] {
		p.Release()
	}
	require.Zero(t, w.InUse())
}

func TestCountingAllocatesNothing(t *testing.T) {
	w, err := wire.New(wire.Config{})
	require.NoError(t, err)
	a, b := Wrap(w.Port(0)), Wrap(w.Port(1))
	tx, rx := a.Queues()[0], b.Queues()[0]
	pkts := make([]*nic.Packet, 1)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		pkts[0] = tx.Alloc(100)
		pkts[0].Extend(100)
		tx.Send(pkts)
		rx.Recv(pkts)
		pkts[0].Release()
	}))
}
