package stack

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/wire"
	"github.com/fastnet-go/fastnet/stack/header"
)

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7 >> 3)
	}
	return b
}

// fragments4 cuts a transport's bytes into IPv4 fragments of size bytes.
func (l *lab) fragments4(proto uint8, id uint16, whole []byte, size int) (frames [][]byte) {
	for off := 0; off < len(whole); off += size {
		end := min(off+size, len(whole))
		frames = append(frames, l.ip4(header.IPv4Fields{Protocol: proto, ID: id, MF: end < len(whole), FragOffset: off}, whole[off:end]))
	}
	return frames
}

func (l *lab) fragments6(proto uint8, id uint32, whole []byte, size int) (frames [][]byte) {
	for off := 0; off < len(whole); off += size {
		end := min(off+size, len(whole))
		b := make([]byte, header.IPv6FragmentLen, header.IPv6FragmentLen+size)
		header.PutIPv6Fragment(b, proto, off, end < len(whole), id)
		frames = append(frames, l.ip6(header.IPv6Fields{NextHeader: header.ProtoFragment}, append(b, whole[off:end]...)))
	}
	return frames
}

// A datagram larger than the MTU goes in fragments, and comes together again in
// any order.
func TestLargeDatagrams(t *testing.T) {
	for _, c := range []struct {
		peer netip.Addr
		max  int
	}{{ip4Peer, 65507}, {ip6Peer, 65527}} {
		d := newDuo(t, wire.Config{}, Config{})
		a, err := d.a.ListenUDP(addrPort("[::]:53"), UDPOptions{RcvBuf: 1 << 20})
		require.NoError(t, err)
		b, err := d.b.ListenUDP(netip.AddrPort{}, UDPOptions{})
		require.NoError(t, err)
		to := netip.AddrPortFrom(ip4Host, 53)
		if c.peer.Is6() {
			to = netip.AddrPortFrom(ip6Host, 53)
		}
		for _, n := range []int{1452, 1453, 1472, 1473, 3000, 65000, c.max} {
			data := pattern(n)
			_, err = b.WriteTo(data, to)
			require.NoError(t, err, "%d", n)
			d.run()
			buf := make([]byte, 66000)
			got, full, from, err := a.TryReadFrom(buf)
			require.NoError(t, err, "%d", n)
			require.Equal(t, n, full)
			require.True(t, bytes.Equal(data, buf[:got]))
			require.Equal(t, c.peer, from.Addr())
		}
		require.Empty(t, d.a.Stats().Drops)
	}
}

func TestReassembly(t *testing.T) {
	l := newLab(t, wire.Config{})
	u, err := l.host.ListenUDP(addrPort("[::]:53"), UDPOptions{})
	require.NoError(t, err)
	data := pattern(4000)
	udp4 := udpBytes(addrPort("10.0.0.2:5000"), addrPort("10.0.0.1:53"), data)
	udp6 := udpBytes(addrPort("[fd00::2]:5000"), addrPort("[fd00::1]:53"), data)
	buf := make([]byte, 5000)
	for name, frames := range map[string][][]byte{
		"v4": l.fragments4(header.ProtoUDP, 1, udp4, 1000), "v6": l.fragments6(header.ProtoUDP, 1, udp6, 1000),
	} {
		for i := range frames { // the last first, and one twice
			if i == 2 {
				l.inject(frames[len(frames)-i])
			}
			l.inject(frames[len(frames)-1-i])
		}
		l.quiet()
		n, _, _, err := u.TryReadFrom(buf)
		require.NoError(t, err, name)
		require.True(t, bytes.Equal(data, buf[:n]), name)
		require.EqualValues(t, 1, l.drops(DropFragment), name) // the copy
		l.host.count.drops[DropFragment].Store(0)

		// Fragments that contradict each other are of no use.
		overlap := append([]byte(nil), frames[1]...)
		overlap[len(overlap)-1] ^= 1
		for _, f := range [][]byte{frames[0], frames[1], overlap, frames[2]} {
			l.inject(f)
		}
		l.quiet()
		_, _, _, err = u.TryReadFrom(buf)
		require.Equal(t, ErrWouldBlock, err, name)
		require.NotZero(t, l.drops(DropFragment), name)
		l.host.count.drops[DropFragment].Store(0)
		l.sleep(2 * time.Minute)
		l.take()
	}
	require.Zero(t, l.host.Timers())
}

// The sender of a datagram that does not become whole is told, if its first
// fragment has come.
func TestReassemblyTimeout(t *testing.T) {
	for name, first := range map[string]int{"first": 0, "second": 1} {
		l := newLab(t, wire.Config{})
		udp4 := udpBytes(addrPort("10.0.0.2:5000"), addrPort("10.0.0.1:53"), pattern(2000))
		udp6 := udpBytes(addrPort("[fd00::2]:5000"), addrPort("[fd00::1]:53"), pattern(2000))
		f4, f6 := l.fragments4(header.ProtoUDP, 1, udp4, 1000)[first], l.fragments6(header.ProtoUDP, 1, udp6, 1000)[first]
		l.inject(f4)
		l.inject(f6)
		l.sleep(29 * time.Second)
		l.quiet()
		l.sleep(2 * time.Second)
		fs := l.take()
		l.sleep(30 * time.Second)
		fs = append(fs, l.take()...)
		if first != 0 {
			require.Empty(t, fs, name)
			continue
		}
		require.Len(t, fs, 2)
		require.Equal(t, []byte{header.ICMPv4TimeExceeded, header.ICMPv4ReassemblyExceeded}, fs[0].payload[:2])
		require.Equal(t, f4[header.EthernetLen:][:500], fs[0].payload[header.ICMPv4Len:][:500])
		require.Equal(t, []byte{header.ICMPv6TimeExceeded, header.ICMPv6ReassemblyExceeded}, fs[1].payload[:2])
		require.Equal(t, f6[header.EthernetLen:][:1000], fs[1].payload[header.ICMPv6Len:][:1000])
		require.Equal(t, ip6Peer, fs[1].dst)
	}
}

// Fragments that never become whole take a bounded amount of memory.
func TestReassemblyIsBounded(t *testing.T) {
	l := newLab(t, wire.Config{})
	for i := range 6000 {
		id := uint32(i)
		src := netip.AddrFrom4([4]byte{10, 0, byte(i % 7), 9})
		l.inject(l.ip4(header.IPv4Fields{Src: src.As4(), Protocol: header.ProtoUDP, ID: uint16(i), MF: true, FragOffset: 8}, pattern(1400)))
		b := make([]byte, header.IPv6FragmentLen, 1500)
		header.PutIPv6Fragment(b, header.ProtoUDP, 8, true, id)
		l.inject(l.ip6(header.IPv6Fields{NextHeader: header.ProtoFragment}, append(b, pattern(1400)...)))
		if i%100 == 0 {
			l.quiet()
		}
	}
	l.quiet()
	require.LessOrEqual(t, l.host.fragments.v4.Bytes(), 4<<20)
	require.LessOrEqual(t, l.host.fragments.v6.Bytes(), 4<<20)
	l.sleep(2 * time.Minute)
	require.Zero(t, l.host.fragments.v4.Len()+l.host.fragments.v6.Len())
	require.Zero(t, l.host.Timers())
}

// An IPv6 packet that asks for something the host does not know is answered by
// a parameter problem that points at it and quotes the packet.
func TestParameterProblems(t *testing.T) {
	l := newLab(t, wire.Config{})
	u6 := l.udp(addrPort("[fd00::2]:5000"), addrPort("[fd00::1]:53"), []byte("hello"))
	for _, c := range []struct {
		name    string
		frame   []byte
		code    byte
		pointer byte
	}{
		{"unknown header", edit(u6, header.EthernetLen+6, 200), header.ICMPv6UnknownHeader, 6},
		{"unknown header, extended", extended(edit(u6, header.EthernetLen+6, 200), header.ProtoDestOptions, 1, 4, 0, 0, 0, 0), header.ICMPv6UnknownHeader, 40},
		{"option type 10", extended(u6, header.ProtoDestOptions, 0x81, 4, 0, 0, 0, 0), header.ICMPv6UnknownOption, 42},
		{"routing header, segments left", extended(u6, header.ProtoRouting, 0, 1, 0, 0, 0, 0), header.ICMPv6BadField, 42},
		{"hop-by-hop in the second place", extended(extended(u6, header.ProtoHopByHop, 1, 4, 0, 0, 0, 0), header.ProtoDestOptions, 1, 4, 0, 0, 0, 0), header.ICMPv6UnknownHeader, 40},
		{"fragment not of eights", l.fragments6(header.ProtoUDP, 1, pattern(2000), 1001)[0], header.ICMPv6BadField, 4},
		{"first fragment without the whole TCP header", l.fragments6(header.ProtoTCP, 2, pattern(32), 16)[0], header.ICMPv6FirstIncomplete, 0},
	} {
		l.inject(c.frame)
		f := l.one()
		require.Equal(t, []byte{header.ICMPv6ParamProblem, c.code}, f.payload[:2], c.name)
		require.EqualValues(t, c.pointer, header.ICMPv6(f.payload).Pointer(), c.name)
		require.Equal(t, c.frame[header.EthernetLen:], f.payload[header.ICMPv6Len:], c.name)
	}
	for name, b := range map[string][]byte{
		"to a group":  l.ip6(header.IPv6Fields{Dst: allNodes.As16(), NextHeader: 200}, pattern(20)),
		"from nobody": unspecified6(l.ip6(header.IPv6Fields{NextHeader: 200}, pattern(20))),
		"to others":   l.ip6(header.IPv6Fields{Dst: ip6Peer.As16(), NextHeader: 200}, pattern(20)),
	} {
		l.inject(b)
		require.Empty(t, l.take(), name)
	}
	// Protocols of IPv4 that are unknown: destination unreachable.
	l.inject(l.ip4(header.IPv4Fields{Protocol: 200}, pattern(20)))
	require.Equal(t, []byte{header.ICMPv4Unreachable, header.ICMPv4ProtoUnreachable}, l.one().payload[:2])
}

func unspecified6(b []byte) []byte {
	header.IPv6(b[header.EthernetLen:]).SetSrc([16]byte{})
	return b
}
