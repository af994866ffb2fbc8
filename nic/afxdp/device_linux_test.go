package afxdp

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
)

// udp is a UDP datagram from the far end's address to ours, or another, without
// a checksum.
func (l *lab) udp(dst [4]byte, port uint16, payload []byte) []byte {
	b := append(append([]byte{}, l.ourMAC[:]...), l.peer[:]...)
	b = append(b, 8, 0)
	ip := make([]byte, 28, 28+len(payload))
	ip[0], ip[8], ip[9] = 0x45, 64, unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(ip[2:], uint16(28+len(payload)))
	copy(ip[12:], hostIP.AsSlice())
	copy(ip[16:], dst[:])
	binary.BigEndian.PutUint16(ip[20:], 4000)
	binary.BigEndian.PutUint16(ip[22:], port)
	binary.BigEndian.PutUint16(ip[24:], uint16(8+len(payload)))
	return append(b, append(ip, payload...)...)
}

func TestFramesCrossBothWays(t *testing.T) {
	for _, attach := range []Attach{AttachNative, AttachGeneric} {
		l := newLab(t, 1)
		h := l.open(Config{Attach: attach})
		h.exclusive()
		raw := l.raw()
		for _, size := range []int{1, 18, 1000, 1472} {
			payload := make([]byte, size)
			for i := range payload {
				payload[i] = byte(i * size)
			}
			want := l.udp(ourIP.As4(), 7, payload)
			_, err := write(raw, want)
			require.NoError(t, err)
			p := h.await("a datagram", func(p *nic.Packet) bool { return p.Len() > 34 && p.Bytes()[23] == unix.IPPROTO_UDP })
			require.Nil(t, p.Next())
			require.Equal(t, want, p.Bytes())
			p.Release()

			want = l.frame(l.peer, l.ourMAC, string(payload))
			h.send(0, want)
			got := make([]byte, 2048)
			for {
				n, err := read(raw, got)
				require.NoError(t, err)
				if n > 14 && binary.BigEndian.Uint16(got[12:]) == experimental {
					require.Equal(t, want, got[:n])
					break
				}
			}
		}
		t.Log(h.dev.Report())
	}
}

// datagramTo is a UDP datagram from ourIP to the far end's, whose checksum field
// holds the pseudo-header's sum.
func (h *host) datagramTo(port uint16, payload []byte) []byte {
	b := append(append([]byte{}, h.peer[:]...), h.ourMAC[:]...)
	b = append(b, 8, 0)
	ip := make([]byte, 28, 28+len(payload))
	ip[0], ip[8], ip[9] = 0x45, 64, unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(ip[2:], uint16(28+len(payload)))
	copy(ip[12:], ourIP.AsSlice())
	copy(ip[16:], hostIP.AsSlice())
	binary.BigEndian.PutUint16(ip[10:], ^sum(ip[:20]))
	binary.BigEndian.PutUint16(ip[20:], 7)
	binary.BigEndian.PutUint16(ip[22:], port)
	binary.BigEndian.PutUint16(ip[24:], uint16(8+len(payload)))
	pseudo := append(append([]byte{}, ip[12:20]...), 0, unix.IPPROTO_UDP, ip[24], ip[25])
	binary.BigEndian.PutUint16(ip[26:], sum(pseudo))
	return append(b, append(ip, payload...)...)
}

// sum is the one's complement sum of b, whose length is even.
func sum(b []byte) uint16 {
	var s uint32
	for i := 0; i < len(b); i += 2 {
		s += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

var udpPartial = nic.Meta{Checksum: nic.ChecksumPartial, ChecksumStart: 34, ChecksumOffset: 6}

// socket is a UDP socket of the kernel's at the far end.
func (l *lab) socket(port int) int {
	l.t.Helper()
	fd := -1
	l.inside(l.farNS, func() (err error) {
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		tv := unix.NsecToTimeval(int64(patience))
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrInet4{Addr: hostIP.As4(), Port: port})
	})
	l.t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func TestTransmitChecksumsAreCompleted(t *testing.T) {
	l := newLab(t, 1)
	h := l.open(Config{})
	if !h.dev.Info().Offloads.Has(nic.TxChecksum) {
		t.Skip("the kernel takes no metadata from AF_XDP (Linux 6.8)")
	}
	require.Equal(t, byKernel, h.dev.Report().TxChecksum.Value)
	// The peer hands the datagram on as it came, and packet sockets see it:
	// only the way through a device without the offload shows the sum.
	l.ip("netns", "exec", l.near, "ethtool", "-K", ours, "tx", "off")
	fd := l.socket(9)
	raw := l.raw()
	payload := []byte("odd payload")
	frame := h.datagramTo(9, payload)
	q := h.dev.queues[0]
	for _, parts := range []int{1, 2} {
		p := q.Alloc(len(frame))
		head := len(frame) - 4*(parts-1)
		copy(p.Extend(head), frame)
		if parts == 2 {
			more := q.Alloc(4)
			copy(more.Extend(4), frame[head:])
			p.Append(more)
		}
		p.Meta = udpPartial
		require.Equal(t, 1, q.Send([]*nic.Packet{p}))
		q.Kick()
		got := make([]byte, 2048)
		n, err := read(fd, got)
		require.NoError(t, err)
		require.Equal(t, payload, got[:n])
		for {
			n, err := read(raw, got)
			require.NoError(t, err)
			if n == len(frame) && got[23] == unix.IPPROTO_UDP {
				b := append(got[34:n], 0)
				pseudo := append(append([]byte{}, got[26:34]...), 0, unix.IPPROTO_UDP, got[38], got[39])
				require.EqualValues(t, 0xffff, sum(append(pseudo, b...)), "%d parts", parts)
				break
			}
		}
	}

	// Without the offload a partial checksum is a mistake, and is counted.
	require.NoError(t, h.dev.Close())
	h = l.open(Config{NoOffload: true})
	require.False(t, h.dev.Info().Offloads.Has(nic.TxChecksum))
	q = h.dev.queues[0]
	p := q.Alloc(len(frame))
	copy(p.Extend(len(frame)), frame)
	p.Meta = udpPartial
	require.Equal(t, 1, q.Send([]*nic.Packet{p}))
	require.EqualValues(t, 1, q.Stats().TxDropped)
}

func TestJumboFramesAreChains(t *testing.T) {
	l := newLab(t, 1)
	l.ip("-n", l.near, "link", "set", ours, "mtu", "9000")
	l.ip("-n", l.far, "link", "set", theirs, "mtu", "9000")
	for _, attach := range []Attach{AttachNative, AttachGeneric} {
		h := l.open(Config{Attach: attach})
		require.Equal(t, multiBuffer, h.dev.Report().Frames.Value)
		h.exclusive()
		raw := l.raw()
		for _, size := range []int{100, 4000, 8972} {
			payload := make([]byte, size)
			for i := range payload {
				payload[i] = byte(i >> 3)
			}
			want := l.udp(ourIP.As4(), 7, payload)
			_, err := write(raw, want)
			require.NoError(t, err)
			p := h.await("a datagram", func(p *nic.Packet) bool { return p.Bytes()[23] == unix.IPPROTO_UDP })
			require.Equal(t, len(want), p.FrameLen())
			require.Equal(t, size > 4000, p.Next() != nil && p.Next().Next() != nil)
			got := make([]byte, len(want))
			p.CopyTo(got, 0)
			require.Equal(t, want, got)
			p.Release()

			want = l.frame(l.peer, l.ourMAC, string(payload))
			h.send(0, want)
			got = make([]byte, 10000)
			for {
				n, err := read(raw, got)
				require.NoError(t, err)
				if n > 14 && binary.BigEndian.Uint16(got[12:]) == experimental {
					require.Equal(t, want, got[:n])
					break
				}
			}
		}
		require.Zero(t, nic.DeviceStats(h.dev).RxDropped)
		require.NoError(t, h.dev.Close())
	}
}

func TestEveryQueueReceivesAndSends(t *testing.T) {
	l := newLab(t, 4)
	h := l.open(Config{})
	require.Len(t, h.dev.Queues(), 4)
	h.exclusive()
	raw := l.raw()
	// The peer chooses the queue by the flow.
	seen := map[uint16]bool{}
	for port := uint16(1); port < 200 && len(seen) < 4; port++ {
		_, err := write(raw, l.udp(ourIP.As4(), port, []byte("x")))
		require.NoError(t, err)
		p := h.await("a datagram", func(p *nic.Packet) bool { return p.Len() > 34 && p.Bytes()[23] == unix.IPPROTO_UDP })
		seen[p.Queue] = true
		p.Release()
	}
	require.Greater(t, len(seen), 1, "all came on one queue")
	for i := range 4 {
		h.send(i, l.frame(l.peer, l.ourMAC, string(rune('a'+i))))
		got := make([]byte, 2048)
		for {
			n, err := read(raw, got)
			require.NoError(t, err)
			if n > 14 && binary.BigEndian.Uint16(got[12:]) == experimental {
				require.EqualValues(t, 'a'+i, got[14])
				break
			}
		}
		require.EqualValues(t, 1, h.dev.queues[i].Stats().TxPackets)
	}

	// Some queues only: what comes on others passes.
	require.NoError(t, h.dev.Close())
	h = l.open(Config{Queues: 1})
	h.exclusive()
	for port := uint16(1); port < 200 && h.dev.Filter().Counters().NoSocket == 0; port++ {
		_, err := write(raw, l.udp(ourIP.As4(), port, []byte("x")))
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return h.dev.Filter().Counters().NoSocket > 0 }, patience, tick)
}

func TestQueuesShareTheFewThatSend(t *testing.T) {
	l := newLab(t, 4, 2)
	h := l.open(Config{})
	r := h.dev.Report()
	require.Equal(t, []int{4, 4, 2}, []int{r.Queues, r.RxQueues, r.TxQueues})
	require.Contains(t, r.String(), "2 queues send for 4 that receive")
	raw := l.raw()
	for i := range 4 {
		h.send(i, l.frame(l.peer, l.ourMAC, string(rune('a'+i))))
		got := make([]byte, 2048)
		for {
			n, err := read(raw, got)
			require.NoError(t, err)
			if n > 14 && binary.BigEndian.Uint16(got[12:]) == experimental {
				require.EqualValues(t, 'a'+i, got[14])
				break
			}
		}
	}
	require.EqualValues(t, 2, h.dev.queues[0].Stats().TxPackets)
	require.EqualValues(t, 2, h.dev.queues[1].Stats().TxPackets)
}

func TestPacketPathAllocatesNothing(t *testing.T) {
	l := newLab(t, 1)
	h := l.open(Config{})
	h.exclusive()
	raw := l.raw()
	in, out := l.udp(ourIP.As4(), 7, []byte("in")), l.frame(l.peer, l.ourMAC, "out")
	q := h.dev.queues[0]
	var pkts [1]*nic.Packet
	require.Zero(t, testing.AllocsPerRun(200, func() {
		_, _ = write(raw, in)
		for limit := time.Now().Add(patience); q.Recv(pkts[:]) == 0; {
			if time.Now().After(limit) {
				t.Fatal("nothing came")
			}
		}
		pkts[0].Release()
		p := q.Alloc(len(out))
		copy(p.Extend(len(out)), out)
		pkts[0] = p
		q.Send(pkts[:])
		q.Kick()
	}))
}

func TestForeignPacketsAreCopied(t *testing.T) {
	l := newLab(t, 1)
	h := l.open(Config{})
	raw := l.raw()
	pool, err := nic.NewPool(nic.PoolConfig{})
	require.NoError(t, err)
	want := l.frame(l.peer, l.ourMAC, "from elsewhere, in two parts")
	p, more := pool.Get(), pool.Get()
	copy(p.Extend(20), want)
	copy(more.Extend(len(want)-20), want[20:])
	p.Append(more)
	q := h.dev.queues[0]
	require.Equal(t, 1, q.Send([]*nic.Packet{p}))
	q.Kick()
	require.Zero(t, pool.InUse(), "the original is not needed any more")
	got := make([]byte, 2048)
	for {
		n, err := read(raw, got)
		require.NoError(t, err)
		if n > 14 && binary.BigEndian.Uint16(got[12:]) == experimental {
			require.Equal(t, want, got[:n])
			break
		}
	}

	// A received packet is sent from where it lies; one that is retained may be
	// sent twice.
	h.exclusive()
	_, err = write(raw, l.udp(ourIP.As4(), 7, []byte("reflected")))
	require.NoError(t, err)
	p = h.await("a datagram", func(p *nic.Packet) bool { return p.Len() > 34 && p.Bytes()[23] == unix.IPPROTO_UDP })
	copy(p.Bytes(), append(l.peer[:], l.ourMAC[:]...))
	binary.BigEndian.PutUint16(p.Bytes()[12:], experimental)
	p.Retain()
	require.Equal(t, 2, q.Send([]*nic.Packet{p, p}))
	q.Kick()
	for seen := 0; seen < 2; {
		n, err := read(raw, got)
		require.NoError(t, err)
		if n > 14 && binary.BigEndian.Uint16(got[12:]) == experimental {
			seen++
		}
	}
	require.Eventually(t, func() bool { return h.dev.InUse() == 0 }, patience, tick)
}

func TestWhatCannotBeSentIsCounted(t *testing.T) {
	l := newLab(t, 1)
	h := l.open(Config{})
	q := h.dev.queues[0]
	alloc := func(size int) *nic.Packet {
		p := q.Alloc(size)
		require.NotNil(t, p)
		for part := p; part != nil; part = part.Next() {
			size -= len(part.Extend(min(size, part.Tailroom())))
		}
		return p
	}
	long, short, super := alloc(1600), alloc(13), alloc(60)
	super.Segment = nic.SegmentTCPv4
	require.Equal(t, 3, q.Send([]*nic.Packet{long, short, super}))
	require.EqualValues(t, 3, q.Stats().TxDropped)
	require.Nil(t, q.Alloc(1<<20), "larger than any frame")
	require.Zero(t, h.dev.InUse())
}

func TestOneKickSendsEverything(t *testing.T) {
	l := newLab(t, 1)
	h := l.open(Config{Ring: 1024, Frames: 3072})
	q := h.dev.queues[0]
	// As before Linux 6.17: 32 packets a call.
	_ = unix.SetsockoptInt(q.fd, unix.SOL_XDP, unix.XDP_MAX_TX_SKB_BUDGET, 32)
	pkts := make([]*nic.Packet, 1000)
	require.Equal(t, 1000, q.AllocBatch(pkts, 60))
	for _, p := range pkts {
		copy(p.Extend(60), l.frame(l.peer, l.ourMAC, "one of many"))
	}
	require.Equal(t, 1000, q.Send(pkts))
	q.Kick()
	require.Zero(t, q.tx.used())
	require.EqualValues(t, 1, q.Stats().Kicks)
	calls := q.calls.Load()
	require.Greater(t, calls, uint64(30))
	q.Kick()
	require.Equal(t, calls, q.calls.Load(), "there is nothing to send")
	require.Eventually(t, func() bool { return h.dev.InUse() == 0 }, patience, tick)
}
