package afxdp

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
)

func TestFullTransmitRingLeavesPacketsWithTheCaller(t *testing.T) {
	l := newLab(t, 1)
	h := l.open(Config{Ring: 64, Frames: 512})
	q := h.dev.queues[0]
	var pkts []*nic.Packet
	for range 100 {
		p := q.Alloc(60)
		require.NotNil(t, p)
		copy(p.Extend(60), l.frame(l.peer, l.ourMAC, "full"))
		pkts = append(pkts, p)
	}
	require.Equal(t, 64, q.Send(pkts))
	require.EqualValues(t, 36, q.Stats().TxFull)
	require.True(t, q.Arm())
	q.Kick()
	select { // the wake-up that is owed
	case <-h.woken:
	case <-timeout():
		t.Fatal("no wake-up after the ring was full")
	}
	require.Equal(t, 36, q.Send(pkts[64:]))
	q.Kick()
	require.EqualValues(t, 100, q.Stats().TxPackets)
	require.Eventually(t, func() bool { return h.dev.InUse() == 0 }, patience, tick)
}

func TestExhaustedPoolsRecover(t *testing.T) {
	l := newLab(t, 1)
	h := l.open(Config{Ring: 64, Frames: 192})
	h.exclusive()
	q := h.dev.queues[0]

	// Sending.
	var held []*nic.Packet
	for p := q.Alloc(60); p != nil; p = q.Alloc(60) {
		held = append(held, p)
	}
	require.Len(t, held, 64)
	require.EqualValues(t, 1, q.Stats().NoBuffer)
	require.Zero(t, q.AllocBatch(make([]*nic.Packet, 3), 60))
	require.True(t, q.Arm())
	for _, p := range held {
		copy(p.Extend(60), l.frame(l.peer, l.ourMAC, "held"))
	}
	require.Equal(t, 64, q.Send(held))
	q.Kick()
	select {
	case <-h.woken:
	case <-timeout():
		t.Fatal("no wake-up after the pool was empty")
	}
	require.Eventually(t, func() bool {
		p := q.Alloc(60)
		p.Release()
		return p != nil
	}, patience, tick)

	batch := make([]*nic.Packet, 70)
	require.Eventually(t, func() bool {
		n := q.AllocBatch(batch, 60)
		for _, p := range batch[:n] {
			p.Release()
		}
		return n == 64
	}, patience, tick)

	// Receiving: whoever holds all packets gets no more, and then does again.
	raw := l.raw()
	arrive := func(n int) {
		for range n {
			_, err := write(raw, l.udp(ourIP.As4(), 7, []byte("x")))
			require.NoError(t, err)
		}
	}
	is := func(p *nic.Packet) bool { return p.Len() > 34 && p.Bytes()[23] == unix.IPPROTO_UDP }
	held = held[:0]
	for len(held) < 64 {
		arrive(1)
		held = append(held, h.await("a datagram", is))
	}
	require.Eventually(t, func() bool { // until the last buffer
		arrive(1)
		var one [1]*nic.Packet
		if q.Recv(one[:]) == 1 {
			held = append(held, one[0])
		}
		return q.Stats().RxDropped > 0
	}, patience, tick)
	require.LessOrEqual(t, len(held), 128)
	for _, p := range held {
		p.Release()
	}
	// The stack sleeps: nothing but the queue itself notices the buffers.
	for {
		arrive(1)
		var one [1]*nic.Packet
		if q.Recv(one[:]) == 1 {
			one[0].Release()
			break
		}
	}
}

func timeout() <-chan time.Time { return time.After(patience) }

func TestPacketsOutliveTheDevice(t *testing.T) {
	l := newLab(t, 1)
	h := l.open(Config{})
	h.exclusive()
	raw := l.raw()
	want := l.udp(ourIP.As4(), 7, []byte("kept"))
	_, err := write(raw, want)
	require.NoError(t, err)
	p := h.await("a datagram", func(p *nic.Packet) bool { return p.Len() > 34 && p.Bytes()[23] == unix.IPPROTO_UDP })
	q := h.dev.queues[0]
	waiting := q.Alloc(60)
	copy(waiting.Extend(60), l.frame(l.peer, l.ourMAC, "never kicked"))
	require.Equal(t, 1, q.Send([]*nic.Packet{waiting}))
	unsent := q.Alloc(60)
	stats := q.Stats()
	require.NoError(t, h.dev.Close())
	require.ErrorIs(t, h.dev.Close(), nic.ErrClosed)
	require.Equal(t, nic.Link{MTU: 1500, Err: nic.ErrClosed}, h.dev.Link())

	runtime.GC()
	runtime.GC()
	require.Equal(t, want, p.Bytes())
	require.Equal(t, 2, h.dev.InUse())
	require.Equal(t, 1, q.Send([]*nic.Packet{unsent}), "dropped")
	q.Kick()
	require.Nil(t, q.Alloc(60))
	var one [1]*nic.Packet
	require.Zero(t, q.Recv(one[:]))
	require.True(t, q.Arm())
	q.Pending()
	p.Release()
	require.Zero(t, h.dev.InUse())
	require.Equal(t, stats.RxPackets, q.Stats().RxPackets)
	require.EqualValues(t, 1, h.dev.Filter().Counters().Exclusive)
	require.ErrorIs(t, h.dev.Filter().AddPort(Port{6, ourIP, 1}), nic.ErrClosed)
	require.ErrorIs(t, h.dev.Filter().AddFlow(Flow{6, netip.AddrPortFrom(ourIP, 1), netip.AddrPortFrom(hostIP, 1)}), nic.ErrClosed)
}

func TestMemoryIsUnmappedWhenNobodyHoldsIt(t *testing.T) {
	l := newLab(t, 1)
	size := func() int {
		text, err := os.ReadFile("/proc/self/statm")
		require.NoError(t, err)
		var pages int
		_, err = fmt.Sscan(string(text), &pages)
		require.NoError(t, err)
		return pages * os.Getpagesize()
	}
	before := func() int {
		dev, err := Open(Config{Interface: ours, NetNS: l.nearNS, Frames: 65536, FrameSize: 4096}) // 256 MiB
		require.NoError(t, err)
		require.NoError(t, dev.Close())
		defer runtime.KeepAlive(dev) // else it may be gone when that is measured
		return size()
	}()
	require.Eventually(t, func() bool {
		runtime.GC()
		return before-size() >= 128<<20 // new threads take some
	}, patience, 10*tick)
}
