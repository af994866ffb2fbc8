package nictest

import (
	"bytes"
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
)

// AnswersARPAndEcho: the first frames there and back, and they are counted.
func (h *Host) AnswersARPAndEcho() {
	t := h.T
	h.Meet()
	before := nic.DeviceStats(h.Device)
	require.NotZero(t, before.TxPackets)
	require.Equal(t, 42*before.TxPackets, before.TxBytes)
	require.NotZero(t, before.RxPackets)
	echo := append([]byte{8, 0, 0, 0, 0, 7, 0, 1}, "are you there?"...)
	binary.BigEndian.PutUint16(echo[2:], ^Sum(echo))
	h.Send(0, nic.Meta{}, h.IPv4(unix.IPPROTO_ICMP, echo))
	p := h.Await("an echo reply", func(p *nic.Packet) bool { return IsIPv4(p, unix.IPPROTO_ICMP) && p.Bytes()[34] == 0 })
	require.Equal(t, "are you there?", string(p.Bytes()[42:]))
	p.Release()
	s := nic.DeviceStats(h.Device)
	require.EqualValues(t, 1, s.TxPackets-before.TxPackets)
	require.EqualValues(t, 56, s.TxBytes-before.TxBytes)
	require.Greater(t, s.RxPackets, before.RxPackets)
}

// WakesASleeperForEachFrame: a lost wake-up makes Await give up.
func (h *Host) WakesASleeperForEachFrame() {
	t := h.T
	fd := h.Socket(unix.SOCK_DGRAM, 7777)
	h.Meet()
	var sending sync.WaitGroup
	next := make(chan struct{})
	sending.Go(func() {
		for range next {
			if err := unix.Sendto(fd, []byte("hello"), 0, &unix.SockaddrInet4{Addr: OurIP.As4(), Port: 5000}); err != nil {
				t.Error(err)
			}
		}
	})
	for range 300 {
		next <- struct{}{} // it runs while we fall asleep
		h.Await("a datagram", IsUDP).Release()
	}
	close(next)
	sending.Wait()

	// And one that surely sleeps.
	q := h.Queue(0)
	before := q.Stats().Wakes
	Sleep(q)
	ToUs(t, fd, 5000, "wake up")
	require.Eventually(t, func() bool { return q.Stats().Wakes > before }, Patience, time.Millisecond)
	Drain(q)
}

// CompletesPartialChecksums: those of what we send, in one part or several.
func (h *Host) CompletesPartialChecksums() {
	t := h.T
	fd := h.Socket(unix.SOCK_DGRAM, 7777)
	h.Meet()
	h.Send(0, nic.Meta{}, h.UDP(5000, 7777, "not complete, and not said to be"))
	h.Send(0, UDPPartial, h.UDP(5000, 7777, "partial"))
	// In parts, with the headers in the first, as Alloc may give them.
	frame := h.UDP(5000, 7777, "in parts")
	q := h.Queue(0)
	p := h.Packet(q, UDPPartial, frame[:42])
	p.Append(h.Packet(q, nic.Meta{}, frame[42:]))
	require.Equal(t, 1, q.Send([]*nic.Packet{p}))
	q.Kick()
	for _, want := range []string{"partial", "in parts"} {
		got, _ := Received(t, fd)
		require.Equal(t, want, got)
	}
}

// SaysWhatTheChecksumIs: a datagram of the kernel's, of whose checksum one of
// these is known.
func (h *Host) SaysWhatTheChecksumIs(want ...nic.Checksum) {
	t := h.T
	fd := h.Socket(unix.SOCK_DGRAM, 7777)
	h.Meet()
	ToUs(t, fd, 5000, "hello")
	p := h.Await("a datagram", IsUDP)
	defer p.Release()
	require.Contains(t, want, p.Checksum)
	if p.Checksum == nic.ChecksumPartial {
		require.EqualValues(t, 34, p.ChecksumStart)
		require.EqualValues(t, 6, p.ChecksumOffset)
	}
	RequireSum(t, p, unix.IPPROTO_UDP)
}

// EchoOn sends a datagram on queue i to fd, a socket of the kernel's, which sends
// it back, and returns the frame in which it comes. The caller releases it.
func (h *Host) EchoOn(i int, port uint16, data string, fd int) *nic.Packet {
	t := h.T
	t.Helper()
	h.Send(i, UDPPartial, h.UDP(port, 7777, data))
	got, from := Received(t, fd)
	require.Equal(t, data, got)
	require.NoError(t, unix.Sendto(fd, []byte(got), 0, from))
	p := h.Await("its echo", IsUDP)
	require.Equal(t, data, Text(p))
	return p
}

// CarriesSuperSegments shakes hands with a TCP socket of the kernel's by hand,
// sends it size bytes in one frame, and receives what it sends back. It returns
// the length of the largest frame that came.
func (h *Host) CarriesSuperSegments(size int) (largest int) {
	t := h.T
	listener := h.Socket(unix.SOCK_STREAM, 7777)
	require.NoError(t, unix.Listen(listener, 1))
	h.Meet()
	isTCP := func(p *nic.Packet) bool { return IsIPv4(p, unix.IPPROTO_TCP) }

	h.Send(0, TCPPartial, h.tcp(syn, 1000, 0, []byte{2, 4, 1460 >> 8, 1460 & 0xff}, nil))
	p := h.Await("a SYN-ACK", isTCP)
	require.EqualValues(t, syn|ack, p.Bytes()[47])
	theirs := binary.BigEndian.Uint32(p.Bytes()[38:]) + 1
	p.Release()
	h.Send(0, TCPPartial, h.tcp(ack, 1001, theirs, nil, nil))
	fd, _, err := unix.Accept(listener)
	require.NoError(t, err)
	defer unix.Close(fd)

	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i * 7)
	}
	super := TCPPartial
	super.Segment, super.SegmentSize, super.HeaderLen = nic.SegmentTCPv4, 1460, 54
	h.Send(0, super, h.tcp(ack|psh, 1001, theirs, nil, data))
	var got []byte
	for len(got) < len(data) {
		b, _ := Received(t, fd)
		require.NotEmpty(t, b)
		got = append(got, b...)
	}
	require.True(t, bytes.Equal(data, got))

	var sending sync.WaitGroup
	sending.Go(func() {
		for rest := data; len(rest) > 0; {
			n, err := unix.Write(fd, rest)
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				t.Error(err)
				return
			}
			rest = rest[n:]
		}
	})
	back := make([]byte, len(data))
	for have := 0; have < len(data); {
		p := h.Await("data", func(p *nic.Packet) bool { return isTCP(p) && p.FrameLen() > 60 })
		size := p.FrameLen()
		frame := make([]byte, size)
		p.CopyTo(frame, 0)
		if size > 1514 {
			require.Equal(t, nic.SegmentTCPv4, p.Segment)
			require.EqualValues(t, 1460, p.SegmentSize)
			require.EqualValues(t, 54, p.HeaderLen)
			require.Equal(t, nic.ChecksumPartial, p.Checksum)
		}
		largest = max(largest, size)
		RequireSum(t, p, unix.IPPROTO_TCP)
		p.Release()
		off := int(binary.BigEndian.Uint32(frame[38:]) - theirs)
		copy(back[off:], frame[54:])
		if off <= have {
			have = max(have, off+size-54)
		}
		h.Send(0, TCPPartial, h.tcp(ack, 1001+uint32(len(data)), theirs+uint32(have), nil, nil))
	}
	sending.Wait()
	require.True(t, bytes.Equal(data, back))
	require.LessOrEqual(t, largest, h.Device.Info().MaxSend)
	return largest
}

// AllocatesNothing in the steady state.
func (h *Host) AllocatesNothing() {
	h.Meet()
	q := h.Queue(0)
	question := h.ARP()
	pkts := make([]*nic.Packet, 8)
	round := func() {
		p := q.Alloc(len(question))
		copy(p.Extend(len(question)), question)
		pkts[0] = p
		if q.Send(pkts[:1]) == 0 { // its ring may be full
			p.Release()
		}
		q.Kick()
		for _, p := range pkts[:q.Recv(pkts)] {
			p.Release()
		}
		q.Arm()
	}
	for range 100 {
		round()
	}
	require.Zero(h.T, testing.AllocsPerRun(200, round))
}

// IsQuietOnceClosed: after Close nothing is received, nothing is awaited, and
// what is sent is dropped and counted.
func (h *Host) IsQuietOnceClosed() {
	t := h.T
	require.NoError(t, h.Device.Close())
	require.ErrorIs(t, h.Device.Close(), nic.ErrClosed)
	require.ErrorIs(t, h.Device.Link().Err, nic.ErrClosed)
	q := h.Queue(0)
	var one [1]*nic.Packet
	require.Zero(t, q.Recv(one[:]))
	require.True(t, q.Arm())
	dropped := q.Stats().TxDropped
	h.Send(0, nic.Meta{}, make([]byte, 60))
	require.Equal(t, dropped+1, q.Stats().TxDropped)
}

// ClosesDuringTraffic, with two senders and a poller at it.
func (h *Host) ClosesDuringTraffic() {
	h.Meet()
	frame := h.UDP(5000, 7777, "x")
	q := h.Queue(0)
	stop := make(chan struct{})
	var all sync.WaitGroup
	until := func(f func()) {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					f()
				}
			}
		})
	}
	for range 2 {
		until(func() {
			if p := q.Alloc(len(frame)); p != nil {
				p.Meta = UDPPartial
				copy(p.Extend(len(frame)), frame)
				if q.Send([]*nic.Packet{p}) == 0 {
					p.Release()
				}
				q.Kick()
			}
		})
	}
	until(func() {
		Drain(q)
		q.Arm()
	})
	time.Sleep(5 * time.Millisecond)
	require.NoError(h.T, h.Device.Close())
	close(stop)
	all.Wait()
}
