package afxdp

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
)

// segment fills p with a TCP segment of n bytes from the stack's place to the peer.
func (l *lab) segment(p *nic.Packet, n int) {
	const headers = 14 + 20 + 20
	b := make([]byte, headers+n)
	copy(b, l.peer[:])
	copy(b[6:], l.ourMAC[:])
	be := binary.BigEndian
	be.PutUint16(b[12:], unix.ETH_P_IP)
	ip := b[14:]
	ip[0], ip[8], ip[9] = 0x45, 64, unix.IPPROTO_TCP
	be.PutUint16(ip[2:], uint16(len(ip)))
	copy(ip[12:], ourIP.AsSlice())
	copy(ip[16:], hostIP.AsSlice())
	be.PutUint16(ip[10:], ^sum(ip[:20]))
	ip[20+12] = 5 << 4 // no options
	for i := range ip[40:] {
		ip[40+i] = byte(i)
	}
	p.Checksum, p.ChecksumStart, p.ChecksumOffset = nic.ChecksumPartial, 14+20, 16
	if n > 1460 {
		p.Segment, p.SegmentSize, p.HeaderLen = nic.SegmentTCPv4, 1460, headers
	}
	for part := p; part != nil; part = part.Next() {
		b = b[copy(part.Extend(min(len(b), part.Tailroom())), b):]
	}
}

// pass sends segments of these sizes, and sees them arrive in this order.
func (h *host) pass(fd int, sizes ...int) {
	h.t.Helper()
	q := h.dev.queues[0]
	var pkts []*nic.Packet
	for _, n := range sizes {
		p := q.Alloc(54 + n)
		require.NotNil(h.t, p)
		h.segment(p, n)
		pkts = append(pkts, p)
	}
	require.Equal(h.t, len(pkts), q.Send(pkts))
	q.Kick()
	got := make([]byte, 1<<16)
	for _, want := range sizes {
		for {
			n, err := read(fd, got)
			require.NoError(h.t, err)
			if n > 54 && got[14] == 0x45 && got[23] == unix.IPPROTO_TCP && [6]byte(got[6:]) == h.ourMAC {
				require.Equal(h.t, 54+want, n)
				require.Equal(h.t, byte(want-1), got[n-1])
				break
			}
		}
	}
}

// openSuper opens a device that takes super-segments, if there are any here.
func (l *lab) openSuper() *host {
	l.t.Helper()
	h := l.open(Config{})
	if !h.dev.Info().Offloads.Has(nic.TSO4 | nic.TSO6) {
		require.NotEmpty(l.t, h.dev.Report().Segments.Reason)
		l.t.Skip("segmentation: ", h.dev.Report().Segments)
	}
	require.Equal(l.t, byKernel, h.dev.Report().Segments.Value)
	return h
}

// What is larger than the MTU reaches a veth's other end uncut, and frames stay in
// order however they are sent.
func TestSuperSegmentsAreSentInTheirPlace(t *testing.T) {
	l := newLab(t, 1)
	h := l.openSuper()
	fd := l.raw()
	for range 50 {
		h.pass(fd, 10, 3000, 20, 1460, 60_000, 30, 5000)
		h.pass(fd, 40)
	}
	require.Eventually(t, func() bool { return h.dev.InUse() == 0 }, patience, tick)
	require.Zero(t, h.dev.queues[0].Stats().TxDropped)
}

func TestSuperSegmentsGoOnAfterTheLinkWasDown(t *testing.T) {
	l := newLab(t, 1)
	h := l.openSuper()
	fd := l.raw()
	h.pass(fd, 3000)
	q := h.dev.queues[0]
	early := q.Alloc(3000)
	l.segment(early, 2900)
	require.Equal(t, 1, q.Send([]*nic.Packet{early})) // not kicked
	l.ip("-n", l.near, "link", "set", ours, "down")
	require.Eventually(t, func() bool { return !h.dev.Link().Up }, patience, tick)
	q.Kick()
	late := q.Alloc(3000)
	l.segment(late, 2900)
	require.Equal(t, 1, q.Send([]*nic.Packet{late}))
	require.EqualValues(t, 2, q.Stats().TxDropped)
	l.ip("-n", l.near, "link", "set", ours, "up")
	require.Eventually(t, func() bool { return h.dev.Link().Up }, patience, tick)
	l.settle()
	h.pass(fd, 3000, 50)
	require.Eventually(t, func() bool { return h.dev.InUse() == 0 }, patience, tick)
}

func TestSuperSegmentsThatCannotBeSentAreDropped(t *testing.T) {
	l := newLab(t, 1)
	for _, cfg := range []Config{{}, {NoOffload: true}} {
		h := l.open(cfg)
		q := h.dev.queues[0]
		require.Equal(t, !cfg.NoOffload, h.dev.Info().MaxSend > 0)
		bad := q.Alloc(2000)
		l.segment(bad, 1500)
		bad.SegmentSize = 0
		require.Equal(t, 1, q.Send([]*nic.Packet{bad}))
		require.EqualValues(t, 1, q.Stats().TxDropped)

		// What has not been kicked when the device is closed comes back.
		last := q.Alloc(3000)
		l.segment(last, 2900)
		require.Equal(t, 1, q.Send([]*nic.Packet{last}))
		require.NoError(t, h.dev.Close())
		require.Zero(t, h.dev.InUse())
		require.EqualValues(t, 2, q.Stats().TxDropped)
		q.Kick()
	}
}
