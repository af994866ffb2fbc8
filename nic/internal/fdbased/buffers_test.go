package fdbased

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic"
)

func TestStockTakesAsManyAsAreWanted(t *testing.T) {
	pool, err := nic.NewPool(nic.PoolConfig{Max: 8, Slab: 8})
	require.NoError(t, err)
	s := Stock{Pool: pool}
	var got []*nic.Packet
	for want := 3; want > 0; want-- {
		got = append(got, s.Get(want))
		require.Equal(t, 3, pool.InUse())
	}
	require.Zero(t, s.Len())
	got = append(got, s.Get(100))
	require.Equal(t, 8, pool.InUse(), "there are not more")
	require.Equal(t, 4, s.Len())
	s.Release()
	require.Equal(t, 4, pool.InUse())
	for _, p := range got {
		p.Release()
	}
	require.Zero(t, pool.InUse())
	require.Nil(t, new(Stock).Get(1))
}

func TestBuffersTakeTheFramesTheyAreFor(t *testing.T) {
	var b Buffers
	require.NoError(t, b.MakeBuffers(BufferConfig{MTU: 9000, Small: 64, Large: 16, Super: true}))
	require.Greater(t, b.RxSmall.Room(), EthernetHeader+9000, "and tell that one was cut off")
	require.GreaterOrEqual(t, b.RxSmall.Room()+Spill*b.RxLarge.Room(), MaxFrame)
	require.Len(t, b.Tx, 2)
	require.GreaterOrEqual(t, b.Tx[1].Room(), MaxFrame)
	require.Zero(t, b.inUse())

	var pieces []int
	b = Buffers{}
	require.NoError(t, b.MakeBuffers(BufferConfig{MTU: 1500, Small: 64, Memory: func(size int) ([]byte, error) {
		pieces = append(pieces, size)
		return make([]byte, size), nil
	}}))
	require.Equal(t, []int{64 * 2048, 64 * 2048}, pieces)
	require.Nil(t, b.RxLarge)
	require.Len(t, b.Tx, 1)
	require.Zero(t, b.inUse())
	require.ErrorIs(t, new(Buffers).MakeBuffers(BufferConfig{MTU: 1500, Small: 64, Memory: func(int) ([]byte, error) {
		return nil, nic.ErrClosed
	}}), nic.ErrClosed)
}
