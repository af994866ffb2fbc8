package afxdp

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic"
)

// The parts at the end of a frame, retained and sent alone while the whole frame is
// in the ring: all buffers come back, once.
func TestSharedPartsComeBackOnce(t *testing.T) {
	l := newLab(t, 1)
	l.ip("-n", l.near, "link", "set", ours, "mtu", "9000")
	l.ip("-n", l.far, "link", "set", theirs, "mtu", "9000")
	h := l.open(Config{Ring: 64, Frames: 256})
	q := h.dev.queues[0]
	if h.dev.parts < 4 {
		t.Skip("the kernel takes frames in one part only (Linux 6.6)")
	}
	size := min(2*h.dev.umem.tx.Room()+500, 9000)
	for range 20 {
		whole := q.Alloc(size)
		require.NotNil(t, whole)
		left := size
		for p := whole; p != nil; p = p.Next() {
			b := p.Extend(min(left, p.Tailroom()))
			copy(b, append(l.peer[:], l.ourMAC[:]...))
			binary.BigEndian.PutUint16(b[12:], experimental)
			left -= len(b)
		}
		rest := whole.Next()
		require.NotNil(t, rest.Next(), "three parts at least")
		rest.Retain()
		var pkts []*nic.Packet
		pkts = append(pkts, whole, rest)
		require.Equal(t, 2, q.Send(pkts))
		q.Kick()
	}
	require.Eventually(t, func() bool { return h.dev.InUse() == 0 }, patience, tick)
	var all []*nic.Packet
	seen := map[*nic.Packet]bool{}
	for p := q.Alloc(60); p != nil; p = q.Alloc(60) {
		require.False(t, seen[p], "a buffer with two owners")
		seen[p] = true
		all = append(all, p)
	}
	for _, p := range all {
		p.Release()
	}
	require.EqualValues(t, 40, q.Stats().TxPackets)
}
