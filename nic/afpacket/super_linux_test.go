package afpacket

import (
	"bytes"
	"encoding/binary"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
)

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
// by hand, then sends it 60 KB in one frame and receives what it sends back.
func TestSuperSegmentsCrossBothWays(t *testing.T) {
	for _, features := range []string{"on", "off"} {
		t.Run("tso-"+features, func(t *testing.T) { superSegments(t, features) })
	}
}

func superSegments(t *testing.T, features string) {
	h := cable(t)
	sh(t, h.ours, "ethtool -K fnb tx "+features+" sg "+features+" tso "+features)
	sh(t, h.theirs, "ethtool -K fna tx "+features+" sg "+features+" tso "+features+" gso "+features)
	h.open(Config{})
	info := h.dev.Info()
	require.True(t, info.Offloads.Has(nic.TSO4|nic.TSO6|nic.LRO|nic.TxChecksum|nic.RxChecksum))
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

	data := make([]byte, 60000)
	for i := range data {
		data[i] = byte(i * 7)
	}
	super := tcpPartial
	super.Segment, super.SegmentSize, super.HeaderLen = nic.SegmentTCPv4, 1460, 54
	h.send(0, super, h.tcp(ack|psh, 1001, theirs, nil, data))
	got := make([]byte, 0, len(data))
	for len(got) < len(data) {
		n, _, err := recvfrom(fd, got[len(got):cap(got)], 0)
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
		p := h.await("data", func(p *nic.Packet) bool { return isTCP(p) && p.FrameLen() > 60 })
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
		full, at, partial := p.CompleteChecksum()
		p.Release()
		if partial {
			binary.BigEndian.PutUint16(frame[at:], full)
		}
		require.EqualValues(t, 0xffff, sum(pseudo(unix.IPPROTO_TCP, size-34), frame[34:]))
		off := int(binary.BigEndian.Uint32(frame[38:]) - theirs)
		copy(back[off:], frame[54:])
		if off <= have {
			have = max(have, off+size-54)
		}
		h.send(0, tcpPartial, h.tcp(ack, 1001+uint32(len(data)), theirs+uint32(have), nil, nil))
	}
	sending.Wait()
	require.True(t, bytes.Equal(data, back))
	require.LessOrEqual(t, largest, info.MaxSend)
	if features == "on" {
		require.Greater(t, largest, 4000, "the kernel left the cutting to us")
	} else {
		require.LessOrEqual(t, largest, 1514)
	}
}

// TestDatagramsThatTheKernelLeftTogetherAreCut: UDP_SEGMENT on veth, which nobody
// asked whether the receiver takes it.
func TestDatagramsThatTheKernelLeftTogetherAreCut(t *testing.T) {
	h := openHost(t, Config{})
	fd := h.socket(unix.SOCK_DGRAM, 7777)
	if err := unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT, 1000); err != nil {
		t.Skipf("this kernel has no UDP_SEGMENT: %v", err)
	}
	h.meet()
	data := make([]byte, 40500)
	for i := range data {
		data[i] = byte(i * 7 >> 2)
	}
	for range 3 {
		toUs(t, fd, 5000, string(data))
	}
	for i := range 3 * 41 {
		p := h.await("a datagram", isUDP)
		n := min(1000, len(data)-i%41*1000)
		require.Equal(t, 42+n, p.FrameLen(), "datagram %d", i)
		require.Equal(t, data[i%41*1000:][:n], p.Bytes()[42:])
		full, at, ok := p.CompleteChecksum()
		require.True(t, ok)
		binary.BigEndian.PutUint16(p.Bytes()[at:], full)
		require.EqualValues(t, 0xffff, sum(pseudo(unix.IPPROTO_UDP, 8+n), p.Bytes()[34:]))
		p.Release()
	}
	require.Zero(t, h.dev.queues[0].Stats().RxDropped)
}
