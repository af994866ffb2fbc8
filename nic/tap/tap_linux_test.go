package tap

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
)

func TestKernelAnswersARPAndEcho(t *testing.T) {
	h := openHost(t, Config{Name: "fast0"})
	require.Equal(t, "fast0", h.dev.Info().Name)
	require.Equal(t, nic.Link{Up: true, MTU: 1500}, h.dev.Link())
	h.meet()
	echo := append([]byte{8, 0, 0, 0, 0, 7, 0, 1}, "are you there?"...)
	binary.BigEndian.PutUint16(echo[2:], ^sum(echo))
	h.send(0, nic.Meta{}, h.ipv4(unix.IPPROTO_ICMP, echo))
	p := h.await("an echo reply", func(p *nic.Packet) bool { return isIPv4(p, unix.IPPROTO_ICMP) && p.Bytes()[34] == 0 })
	require.Equal(t, "are you there?", string(p.Bytes()[42:]))
	p.Release()
	s := nic.DeviceStats(h.dev)
	require.EqualValues(t, 2, s.TxPackets)
	require.EqualValues(t, 42+56, s.TxBytes)
	require.GreaterOrEqual(t, s.RxPackets, uint64(2))
}

// TestSleepingPollerIsWokenForEachFrame: a lost wake-up makes await give up.
func TestSleepingPollerIsWokenForEachFrame(t *testing.T) {
	h := openHost(t, Config{})
	fd := h.socket(unix.SOCK_DGRAM, 7777)
	h.meet()
	var sending sync.WaitGroup
	next := make(chan struct{})
	sending.Go(func() {
		for range next {
			if err := unix.Sendto(fd, []byte("hello"), 0, &unix.SockaddrInet4{Addr: ourIP.As4(), Port: 5000}); err != nil {
				t.Error(err)
			}
		}
	})
	for range 300 {
		next <- struct{}{} // it runs while we fall asleep
		h.await("a datagram", func(p *nic.Packet) bool { return isIPv4(p, unix.IPPROTO_UDP) }).Release()
	}
	close(next)
	sending.Wait()

	// And one that surely sleeps.
	q := h.dev.queues[0]
	before := q.Stats().Wakes
	for drain(q); !q.Arm(); drain(q) {
	}
	for len(h.woken) > 0 {
		<-h.woken
	}
	h.send(0, nic.Meta{}, arp(1, h.hostMAC, nic.MAC{}))
	require.Eventually(t, func() bool { return q.Stats().Wakes > before }, patience, time.Millisecond)
	drain(q)
}

func TestIPv6AddressOfTheKernelsEndIsUsableAtOnce(t *testing.T) {
	h := openHost(t, Config{HostAddrs: []netip.Prefix{netip.MustParsePrefix("fd77::1/64")}, MTU: 9000})
	require.Equal(t, nic.Link{Up: true, MTU: 9000}, h.dev.Link())
	inside(t, h.ns, func() error {
		fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Bind(fd, &unix.SockaddrInet6{Addr: netip.MustParseAddr("fd77::1").As16()})
	})
}

func TestKernelCompletesPartialChecksums(t *testing.T) {
	h := openHost(t, Config{})
	require.True(t, h.dev.Info().Offloads.Has(nic.TxChecksum|nic.RxChecksum))
	fd := h.socket(unix.SOCK_DGRAM, 7777)
	h.meet()
	h.send(0, nic.Meta{}, h.udp(5000, 7777, "not complete, and not said to be"))
	h.send(0, udpPartial, h.udp(5000, 7777, "partial"))

	// In parts, with the headers in the first, as Alloc may give them.
	frame := h.udp(5000, 7777, "in parts")
	q := h.dev.queues[0]
	p, rest := q.Alloc(42), q.Alloc(100)
	p.Meta = udpPartial
	copy(p.Extend(42), frame)
	copy(rest.Extend(len(frame)-42), frame[42:])
	p.Append(rest)
	require.Equal(t, 1, q.Send([]*nic.Packet{p}))
	q.Kick()

	buf := make([]byte, 100)
	for _, want := range []string{"partial", "in parts"} {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		require.NoError(t, err)
		require.Equal(t, want, string(buf[:n]))
	}
}

func TestFramesOfTheKernelSayWhatTheirChecksumIs(t *testing.T) {
	for _, off := range []bool{false, true} {
		t.Run(fmt.Sprintf("NoOffload=%v", off), func(t *testing.T) {
			h := openHost(t, Config{NoOffload: off})
			if off {
				require.Zero(t, h.dev.Info().Offloads)
			}
			fd := h.socket(unix.SOCK_DGRAM, 7777)
			h.meet()
			require.NoError(t, unix.Sendto(fd, []byte("hello"), 0, &unix.SockaddrInet4{Addr: ourIP.As4(), Port: 5000}))
			p := h.await("a datagram", func(p *nic.Packet) bool { return isIPv4(p, unix.IPPROTO_UDP) })
			defer p.Release()
			udp := p.Bytes()[34:47]
			if !off {
				require.Equal(t, nic.ChecksumPartial, p.Checksum)
				require.EqualValues(t, 34, p.ChecksumStart)
				require.EqualValues(t, 6, p.ChecksumOffset)
				full, at, ok := p.CompleteChecksum()
				require.True(t, ok)
				binary.BigEndian.PutUint16(p.Bytes()[at:], full)
			} else {
				require.Equal(t, nic.ChecksumNone, p.Checksum)
			}
			require.EqualValues(t, 0xffff, sum(pseudo(unix.IPPROTO_UDP, 13), udp), "it is right when complete")
		})
	}
}

// tcp builds a segment from us whose checksum is partial.
func (h *host) tcp(flags byte, seq, ack uint32, options, data []byte) []byte {
	b := make([]byte, 20, 20+len(options)+len(data))
	binary.BigEndian.PutUint16(b, 5000)
	binary.BigEndian.PutUint16(b[2:], 7777)
	binary.BigEndian.PutUint32(b[4:], seq)
	binary.BigEndian.PutUint32(b[8:], ack)
	b[12], b[13] = byte((20+len(options))/4)<<4, flags
	binary.BigEndian.PutUint16(b[14:], 65535)
	b = append(append(b, options...), data...)
	binary.BigEndian.PutUint16(b[16:], sum(pseudo(unix.IPPROTO_TCP, len(b))))
	return h.ipv4(unix.IPPROTO_TCP, b)
}

var tcpPartial = nic.Meta{Checksum: nic.ChecksumPartial, ChecksumStart: 34, ChecksumOffset: 16}

const (
	syn, psh, ack = 0x02, 0x08, 0x10
)

// TestSuperSegmentsCrossBothWays shakes hands with a TCP socket of the kernel's
// by hand, then sends it 30 KB in one frame and receives what it sends back.
func TestSuperSegmentsCrossBothWays(t *testing.T) {
	h := openHost(t, Config{})
	info := h.dev.Info()
	if !info.Offloads.Has(nic.TSO4 | nic.TSO6 | nic.LRO) {
		t.Skip("this kernel has no segmentation offload on TAP")
	}
	listener := h.socket(unix.SOCK_STREAM, 7777)
	require.NoError(t, unix.Listen(listener, 1))
	h.meet()
	isTCP := func(p *nic.Packet) bool { return isIPv4(p, unix.IPPROTO_TCP) }

	h.send(0, tcpPartial, h.tcp(syn, 1000, 0, []byte{2, 4, 1460 >> 8, 1460 & 0xff}, nil))
	p := h.await("a SYN-ACK", isTCP)
	require.EqualValues(t, syn|ack, p.Bytes()[47])
	theirs := binary.BigEndian.Uint32(p.Bytes()[38:]) + 1
	p.Release()
	h.send(0, tcpPartial, h.tcp(ack, 1001, theirs, nil, nil))
	fd, _, err := unix.Accept(listener)
	require.NoError(t, err)
	defer unix.Close(fd)

	data := make([]byte, 30000)
	for i := range data {
		data[i] = byte(i * 7)
	}
	super := tcpPartial
	super.Segment, super.SegmentSize, super.HeaderLen = nic.SegmentTCPv4, 1460, 54
	h.send(0, super, h.tcp(ack|psh, 1001, theirs, nil, data))
	got := make([]byte, 0, len(data))
	for len(got) < len(data) {
		n, _, err := unix.Recvfrom(fd, got[len(got):cap(got)], 0)
		require.NoError(t, err)
		require.NotZero(t, n)
		got = got[:len(got)+n]
	}
	require.True(t, bytes.Equal(data, got))

	var sending sync.WaitGroup
	sending.Go(func() {
		for rest := data; len(rest) > 0; {
			n, err := unix.Write(fd, rest)
			if err != nil {
				t.Error(err)
				return
			}
			rest = rest[n:]
		}
	})
	back := make([]byte, len(data))
	largest := 0
	for have := 0; have < len(data); {
		p := h.await("data", func(p *nic.Packet) bool { return isTCP(p) && p.FrameLen() > 54 })
		size := p.FrameLen()
		frame := make([]byte, size)
		p.CopyTo(frame, 0)
		require.Equal(t, nic.ChecksumPartial, p.Checksum)
		if size > 1514 {
			require.Equal(t, nic.SegmentTCPv4, p.Segment)
			require.EqualValues(t, 1460, p.SegmentSize)
			require.EqualValues(t, 54, p.HeaderLen)
			largest = max(largest, size)
		}
		full, at, ok := p.CompleteChecksum()
		require.True(t, ok)
		p.Release()
		binary.BigEndian.PutUint16(frame[at:], full)
		require.EqualValues(t, 0xffff, sum(pseudo(unix.IPPROTO_TCP, size-34), frame[34:]))
		off := int(binary.BigEndian.Uint32(frame[38:]) - theirs)
		copy(back[off:], frame[54:])
		have = max(have, off+size-54)
		h.send(0, tcpPartial, h.tcp(ack, 1001+uint32(len(data)), theirs+uint32(have), nil, nil))
	}
	sending.Wait()
	require.True(t, bytes.Equal(data, back))
	require.Greater(t, largest, 1514, "the kernel left the cutting to us")
	require.LessOrEqual(t, largest, info.MaxSend)
}

func TestAllQueuesCarryFrames(t *testing.T) {
	h := openHost(t, Config{Queues: 2})
	require.Len(t, h.dev.Queues(), 2)
	fd := h.socket(unix.SOCK_DGRAM, 7777)
	h.meet()
	buf := make([]byte, 100)
	for i := range 20 {
		data := fmt.Sprint("datagram ", i)
		h.send(i%2, udpPartial, h.udp(uint16(5000+i), 7777, data))
		n, from, err := unix.Recvfrom(fd, buf, 0)
		require.NoError(t, err)
		require.Equal(t, data, string(buf[:n]))
		require.NoError(t, unix.Sendto(fd, buf[:n], 0, from))
		p := h.await("its echo", func(p *nic.Packet) bool { return isIPv4(p, unix.IPPROTO_UDP) })
		require.Equal(t, data, string(p.Bytes()[42:]))
		require.Less(t, p.Queue, uint16(2))
		p.Release()
	}
	require.EqualValues(t, 11, h.dev.queues[0].Stats().TxPackets)
	require.EqualValues(t, 10, h.dev.queues[1].Stats().TxPackets)
}

func drain(q nic.Queue) {
	var pkts [16]*nic.Packet
	for n := q.Recv(pkts[:]); n > 0; n = q.Recv(pkts[:]) {
		for _, p := range pkts[:n] {
			p.Release()
		}
	}
}

func TestFramesTooLargeForTheLinkAreDropped(t *testing.T) {
	h := openHost(t, Config{})
	h.send(0, nic.Meta{}, make([]byte, 18+1500+1))
	h.send(0, nic.Meta{Checksum: nic.ChecksumPartial, ChecksumStart: 60}, make([]byte, 60))
	require.EqualValues(t, 2, h.dev.queues[0].Stats().TxDropped)
	require.Nil(t, h.dev.queues[0].Alloc(70000))
	require.EqualValues(t, 1, h.dev.queues[0].Stats().NoBuffer)
}

func TestExhaustedPoolDropsFramesAndRecovers(t *testing.T) {
	h := openHost(t, Config{Pool: 8})
	fd := h.socket(unix.SOCK_DGRAM, 7777)
	h.meet()
	q := h.dev.queues[0]
	for range 50 {
		require.NoError(t, unix.Sendto(fd, []byte("hello"), 0, &unix.SockaddrInet4{Addr: ourIP.As4(), Port: 5000}))
	}
	var pkts [64]*nic.Packet
	n := q.Recv(pkts[:])
	if !viaVhost { // with it the kernel keeps what there is no room for
		require.Equal(t, 8, n)
		require.NotZero(t, q.Stats().RxDropped)
	}
	for _, p := range pkts[:n] {
		p.Release()
	}
	drain(q)
	h.meet()
}

func TestSleeperIsWokenWhenABufferIsFree(t *testing.T) {
	h := openHost(t, Config{Pool: 8})
	h.meet()
	q := h.dev.queues[0]
	var all [10]*nic.Packet
	require.Equal(t, 8, q.AllocBatch(all[:], 60))
	require.Nil(t, q.Alloc(60))
	large := q.Alloc(60000)
	require.NotNil(t, large, "it has buffers of its own")
	for drain(q); !q.Arm(); drain(q) {
	}
	before := q.Stats().Wakes
	large.Release()
	require.Equal(t, before, q.Stats().Wakes, "not the one that is wanted")
	all[0].Release()
	require.Equal(t, before+1, q.Stats().Wakes)
	require.False(t, q.Arm(), "what is there is known only now")
	require.Equal(t, 0, q.AllocBatch(all[:0], 60))
	for _, p := range all[1:8] {
		p.Release()
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	h := openHost(t, Config{})
	h.meet()
	q := h.dev.queues[0]
	question := arp(1, h.hostMAC, nic.MAC{})
	pkts := make([]*nic.Packet, 8)
	round := func() {
		p := q.Alloc(len(question))
		copy(p.Extend(len(question)), question)
		pkts[0] = p
		if q.Send(pkts[:1]) == 0 { // by vhost-net there is a ring that may be full
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
	require.Zero(t, testing.AllocsPerRun(200, round))
}

// TestFullRingMakesSendWait: by vhost-net. Nothing is lost before the kernel's
// thread has it, the order is kept, and the sender sleeps until it is woken.
func TestFullRingMakesSendWait(t *testing.T) {
	if !viaVhost {
		t.Skip("a descriptor has no ring: compat_test/vm/run.sh runs this by vhost-net")
	}
	h := openHost(t, Config{})
	fd := h.socket(unix.SOCK_DGRAM, 7777)
	require.NoError(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20))
	h.meet()
	q := h.dev.queues[0]
	const n = 3000
	timeout := time.After(6 * patience)
	slept := 0
	for i := 0; i < n; {
		p := q.Alloc(100)
		if p == nil {
			t.Fatal("no buffer")
		}
		p.Meta = udpPartial
		frame := h.udp(5000, 7777, fmt.Sprint(i))
		copy(p.Extend(len(frame)), frame)
		for q.Send([]*nic.Packet{p}) == 0 {
			q.Kick()
			drain(q)
			if !q.Arm() {
				continue
			}
			slept++
			select {
			case <-h.woken:
			case <-timeout:
				t.Fatalf("asleep for good with %d of %d sent", i, n)
			}
		}
		i++
	}
	q.Kick()
	buf := make([]byte, 2000)
	for i := range n {
		size, _, err := unix.Recvfrom(fd, buf, 0)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(i), string(buf[:size]))
	}
	s := q.Stats()
	require.EqualValues(t, n+1, s.TxPackets)
	require.NotZero(t, s.TxFull)
	t.Logf("%d packets, slept %d times, %d kicks", n, slept, s.Kicks)
}

// TestForeignMemoryIsCopied: a part that is not in the device's memory, which is
// all that the kernel's thread can reach.
func TestForeignMemoryIsCopied(t *testing.T) {
	h := openHost(t, Config{})
	fd := h.socket(unix.SOCK_DGRAM, 7777)
	h.meet()
	pool, err := nic.NewPool(nic.PoolConfig{})
	require.NoError(t, err)
	frame := h.udp(5000, 7777, "from elsewhere")
	p := h.dev.queues[0].Alloc(42)
	p.Meta = udpPartial
	copy(p.Extend(42), frame)
	rest := pool.Get()
	copy(rest.Extend(len(frame)-42), frame[42:])
	p.Append(rest)
	require.Equal(t, 1, h.dev.queues[0].Send([]*nic.Packet{p}))
	h.dev.queues[0].Kick()
	buf := make([]byte, 100)
	n, _, err := unix.Recvfrom(fd, buf, 0)
	require.NoError(t, err)
	require.Equal(t, "from elsewhere", string(buf[:n]))
	require.Zero(t, pool.InUse())
}
