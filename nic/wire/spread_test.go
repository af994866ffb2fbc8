package wire

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic"
)

// A port with a hash spreads what it receives by it, over the table of 128
// entries, and tells its key.
func TestSpreadByHash(t *testing.T) {
	cfg := Config{Queues: 3, HashKey: []byte("key"), Hash: func(b []byte) uint32 { return uint32(b[20])<<8 | uint32(b[21]) }}
	w := newWire(t, cfg)
	require.Equal(t, []byte("key"), w.Port(0).Info().HashKey)
	require.Nil(t, newWire(t, Config{HashKey: []byte("key")}).Port(0).Info().HashKey, "there is no hash")
	from := w.Port(0).queues[1]
	var pkts []*nic.Packet
	hashes := []uint32{0, 1, 1, 5, 127, 128, 130, 0x1234}
	for _, h := range hashes {
		p := frame(t, from, w.Port(1).mac, 7, 60)
		p.Bytes()[20], p.Bytes()[21] = byte(h>>8), byte(h)
		pkts = append(pkts, p)
	}
	require.Equal(t, len(hashes), from.Send(pkts))
	var got [8]*nic.Packet
	total := 0
	for i, q := range w.Port(1).queues {
		n := q.Recv(got[:])
		total += n
		for _, p := range got[:n] {
			require.True(t, p.HashValid)
			require.EqualValues(t, i, p.Hash%128%3)
			require.EqualValues(t, i, p.Queue)
			p.Release()
		}
	}
	require.Equal(t, len(hashes), total)
}

// A sender that finds one of several rings full is woken as there is room on it.
func TestSpreadSenderWaitsForTheFullRing(t *testing.T) {
	w := newWire(t, Config{Queues: 2, Ring: 2, Hash: func(b []byte) uint32 { return 1 }})
	from, to := w.Port(0).queues[0], w.Port(1).queues[1]
	wakes, woken := 0, 0
	from.SetWake(func() { wakes++ })
	to.SetWake(func() { woken++ })
	require.True(t, to.Arm())
	pkts := []*nic.Packet{
		frame(t, from, w.Port(1).mac, 1, 60), frame(t, from, w.Port(1).mac, 2, 60), frame(t, from, w.Port(1).mac, 3, 60),
	}
	require.Equal(t, 2, from.Send(pkts))
	from.Kick()
	require.Equal(t, 1, woken)
	require.True(t, from.Arm())
	require.Equal(t, []int{1, 2}, received(to))
	require.Equal(t, 1, wakes)
	require.Equal(t, 1, from.Send(pkts[2:]))
	require.Equal(t, []int{3}, received(to))
}

func TestAllocBatch(t *testing.T) {
	w := newWire(t, Config{Pool: 4})
	q := queue0(w, 0).(nic.BatchAllocator)
	pkts := make([]*nic.Packet, 6)
	require.Equal(t, 4, q.AllocBatch(pkts, 1514))
	require.EqualValues(t, 1, queue0(w, 0).Stats().NoBuffer)
	require.Zero(t, q.AllocBatch(pkts[4:], 100_000), "larger than any buffer")
	for _, p := range pkts[:4] {
		require.GreaterOrEqual(t, p.Tailroom(), 1514)
		p.Release()
	}
	require.Zero(t, w.InUse())
}
