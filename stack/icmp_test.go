package stack

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/wire"
	"github.com/fastnet-go/fastnet/stack/header"
	"github.com/fastnet-go/fastnet/stack/tcp"
)

// Pings are answered with what they brought, also those that come in fragments.
func TestEchoReply(t *testing.T) {
	l := newLab(t, wire.Config{})
	for _, n := range []int{0, 1, 56, 1400, 1472} {
		data := pattern(n)
		l.inject(l.icmp(ip4Peer, ip4Host, header.ICMPv4Echo, 0, 0x12345678, data))
		m := header.ICMPv4(l.one().payload)
		require.EqualValues(t, header.ICMPv4EchoReply, m.Type())
		require.EqualValues(t, 0x12345678, m.Rest())
		require.True(t, bytes.Equal(data, m.Payload()))
		if n > 1452 {
			continue
		}
		l.inject(l.icmp(ip6Peer, ip6Host, header.ICMPv6Echo, 0, 0x12345678, data))
		m6 := header.ICMPv6(l.one().payload)
		require.EqualValues(t, header.ICMPv6EchoReply, m6.Type())
		require.EqualValues(t, 0x12345678, m6.Rest())
		require.True(t, bytes.Equal(data, m6.Payload()))
	}

	data := pattern(5000)
	m := make([]byte, header.ICMPv4Len+len(data))
	header.PutICMPv4Echo(m, header.ICMPv4Echo, 7, 8, data)
	for _, f := range l.fragments4(header.ProtoICMP, 9, m, 1480) {
		l.inject(f)
	}
	var whole []byte
	for _, f := range l.take() {
		ip := header.IPv4(f.ip)
		require.Equal(t, len(whole), ip.FragmentOffset())
		require.LessOrEqual(t, len(f.ip), 1500)
		whole = append(whole, f.payload...)
	}
	require.True(t, header.ICMPv4(whole).ChecksumOK())
	require.True(t, bytes.Equal(data, header.ICMPv4(whole).Payload()))

	m = make([]byte, header.ICMPv6Len+len(data))
	header.PutICMPv6Echo(m, ip6Peer.As16(), ip6Host.As16(), header.ICMPv6Echo, 7, 8, data)
	for _, f := range l.fragments6(header.ProtoICMPv6, 9, m, 1400) {
		l.inject(f)
	}
	whole = nil
	for _, f := range l.take() {
		require.EqualValues(t, header.ProtoFragment, f.proto)
		require.Equal(t, len(whole), header.IPv6Fragment(f.payload).Offset())
		whole = append(whole, f.payload[header.IPv6FragmentLen:]...)
	}
	require.True(t, header.ICMPv6(whole).ChecksumOK(ip6Host.As16(), ip6Peer.As16()))
	require.True(t, bytes.Equal(data, header.ICMPv6(whole).Payload()))

	// Not by broadcast, nor to a group.
	l.inject(l.icmp(ip4Peer, netip.MustParseAddr("10.0.0.255"), header.ICMPv4Echo, 0, 1, nil))
	l.inject(l.icmp(ip4Peer, netip.MustParseAddr("224.0.0.1"), header.ICMPv4Echo, 0, 1, nil))
	l.inject(edit(l.icmp(ip4Peer, ip4Host, header.ICMPv4Echo, 0, 1, nil), 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff))
	l.inject(l.icmp(ip6Peer, allNodes, header.ICMPv6Echo, 0, 1, nil))
	l.quiet()
}

// A datagram to a port that nobody has is answered by port unreachable, up to a
// rate; one to a group is not.
func TestPortUnreachable(t *testing.T) {
	l := newLab(t, wire.Config{})
	from4, from6 := addrPort("10.0.0.2:5000"), addrPort("[fd00::2]:5000")
	b := l.udp(from4, addrPort("10.0.0.1:9"), pattern(1000))
	l.inject(b)
	f := l.one()
	require.Equal(t, []byte{header.ICMPv4Unreachable, header.ICMPv4PortUnreachable}, f.payload[:2])
	require.Len(t, f.ip, header.ICMPv4MaxError)
	require.Equal(t, b[header.EthernetLen:][:548], f.payload[header.ICMPv4Len:])
	b = l.udp(from6, addrPort("[fd00::1]:9"), pattern(1400))
	l.inject(b)
	f = l.one()
	require.Equal(t, []byte{header.ICMPv6Unreachable, header.ICMPv6PortUnreachable}, f.payload[:2])
	require.Len(t, f.ip, header.IPv6MinMTU)

	for name, b := range map[string][]byte{
		"broadcast":  l.udp(from4, addrPort("10.0.0.255:9"), nil),
		"group":      l.udp(from4, addrPort("224.0.0.1:9"), nil),
		"v6 group":   l.udp(from6, addrPort("[ff02::1]:9"), nil),
		"in a group": edit(l.udp(from4, addrPort("10.0.0.1:9"), nil), 0, 1),
	} {
		l.inject(b)
		require.Empty(t, l.take(), name)
	}

	l.sleep(time.Minute)
	b = l.udp(from4, addrPort("10.0.0.1:9"), nil)
	for range 200 {
		l.inject(b)
	}
	n := len(l.take())
	require.InDelta(t, 50, n, 25, "a burst")
	require.EqualValues(t, 200-n, l.drops(DropRateLimit))
	n = 0
	for range 1000 {
		l.sleep(time.Millisecond)
		l.inject(b)
		l.inject(b)
		n += len(l.take())
	}
	require.InDelta(t, 1000, n, 150, "a thousand a second")
}

// How many errors or RSTs are left for others does not tell how many went to
// somebody: with the same number of probes answered and not answered, the rest of
// a burst is not the complement (CVE-2020-25705).
func TestRateLimitsDoNotCountExactly(t *testing.T) {
	for name, burst := range map[string]func(l *lab) []byte{
		"errors": func(l *lab) []byte { return l.udp(addrPort("10.0.0.2:53"), addrPort("10.0.0.1:9"), nil) },
		"resets": func(l *lab) []byte {
			return l.segment(addrPort("10.0.0.2:53"), addrPort("10.0.0.1:9"), tcp.Segment{Flags: syn})
		},
	} {
		l := newLab(t, wire.Config{})
		b := burst(l)
		counts := map[int]bool{}
		for range 10 {
			l.sleep(time.Minute)
			n := 0
			for range 12 {
				for range 100 {
					l.inject(b)
				}
				n += len(l.take())
			}
			counts[n] = true
		}
		require.Greater(t, len(counts), 3, name)
	}
}

// Segments of no connection are answered by RST, up to a rate.
func TestResetsClosedPort(t *testing.T) {
	l := newLab(t, wire.Config{})
	for _, a := range [][2]string{{"10.0.0.2:5000", "10.0.0.1:81"}, {"[fd00::2]:5000", "[fd00::1]:81"}} {
		from, to := addrPort(a[0]), addrPort(a[1])
		l.inject(l.segment(from, to, tcp.Segment{Flags: syn, Seq: 100}))
		f := l.one()
		require.Equal(t, rst|ack, f.Flags())
		require.EqualValues(t, 101, f.Ack())
		require.Zero(t, f.Seq())
		l.inject(l.segment(from, to, tcp.Segment{Flags: ack, Seq: 100, Ack: 777, Payload: []byte("x")}))
		f = l.one()
		require.Equal(t, rst, f.Flags())
		require.EqualValues(t, 777, f.Seq())
		l.inject(l.segment(from, to, tcp.Segment{Flags: rst, Seq: 100}))
		l.quiet()
	}
	b := l.segment(addrPort("10.0.0.2:5000"), addrPort("10.0.0.1:81"), tcp.Segment{Flags: syn, Seq: 100})
	sent := 0
	for range 15 {
		for range 100 {
			l.inject(b)
		}
		sent += len(l.take())
	}
	require.InDelta(t, 1000, sent, 150, "a thousand at once")
	require.EqualValues(t, 1500-sent, l.drops(DropRateLimit))
}

// icmpError makes an ICMP error of the peer's about a frame of the host's.
func (l *lab) icmpError(typ, code uint8, rest uint32, about []byte) []byte {
	src, dst := ip4Peer, ip4Host
	if about[0]>>4 == 6 {
		src, dst = ip6Peer, ip6Host
	}
	return l.icmp(src, dst, typ, code, rest, about[:min(len(about), 548)])
}

// Errors that quote a datagram of a connected socket are its next call's.
func TestErrorsOfDatagrams(t *testing.T) {
	for _, c := range []struct {
		peer      string
		typ, code uint8
		want      error
	}{
		{"10.0.0.2:9", header.ICMPv4Unreachable, header.ICMPv4PortUnreachable, syscall.ECONNREFUSED},
		{"10.0.0.2:9", header.ICMPv4Unreachable, header.ICMPv4ProtoUnreachable, syscall.ENOPROTOOPT},
		{"10.0.0.2:9", header.ICMPv4Unreachable, header.ICMPv4HostUnreachable, ErrWouldBlock},
		{"10.0.0.2:9", header.ICMPv4SourceQuench, 0, ErrWouldBlock},
		{"10.0.0.2:9", header.ICMPv4TimeExceeded, 0, ErrWouldBlock},
		{"[fd00::2]:9", header.ICMPv6Unreachable, header.ICMPv6PortUnreachable, syscall.ECONNREFUSED},
		{"[fd00::2]:9", header.ICMPv6Unreachable, header.ICMPv6AdminProhibited, syscall.EACCES},
		{"[fd00::2]:9", header.ICMPv6TimeExceeded, 0, ErrWouldBlock},
	} {
		l := newLab(t, wire.Config{})
		u, err := l.host.DialUDP(netip.AddrPort{}, addrPort(c.peer), UDPOptions{})
		require.NoError(t, err)
		_, err = u.Write([]byte("hello"))
		require.NoError(t, err)
		f := l.one()
		l.inject(l.icmpError(c.typ, c.code, 0, f.ip))
		l.quiet()
		_, _, _, err = u.TryReadFrom(make([]byte, 10))
		require.Equal(t, c.want, err)
		_, _, _, err = u.TryReadFrom(make([]byte, 10))
		require.Equal(t, ErrWouldBlock, err, "once")
		l.inject(l.icmpError(c.typ, c.code, 0, f.ip))
		l.quiet()
		_, err = u.Write([]byte("hello"))
		if c.want == ErrWouldBlock {
			require.NoError(t, err)
		} else {
			require.Equal(t, c.want, err)
		}
		_, err = u.Write([]byte("hello"))
		require.NoError(t, err)
		l.take()

		// What quotes another's datagram, or one of a socket that is not
		// connected, is nobody's.
		other := append([]byte(nil), f.ip...)
		binary.BigEndian.PutUint16(other[len(other)-5-6:], 10) // the destination port
		l.inject(l.icmpError(c.typ, c.code, 0, other))
		l.quiet()
		_, err = u.Write([]byte("hello"))
		require.NoError(t, err)
		l.take()
	}
}

// A connection attempt ends by an ICMP error that quotes its SYN.
func TestErrorsOfConnect(t *testing.T) {
	for _, c := range []struct {
		peer      string
		typ, code uint8
		want      error
	}{
		{"10.0.0.2:9", header.ICMPv4Unreachable, header.ICMPv4PortUnreachable, syscall.ECONNREFUSED},
		{"10.0.0.2:9", header.ICMPv4Unreachable, header.ICMPv4HostUnreachable, syscall.EHOSTUNREACH},
		{"10.0.0.2:9", header.ICMPv4Unreachable, header.ICMPv4NetUnreachable, syscall.ENETUNREACH},
		{"10.0.0.2:9", header.ICMPv4Unreachable, header.ICMPv4AdminProhibited, syscall.EHOSTUNREACH},
		{"10.0.0.2:9", header.ICMPv4TimeExceeded, 0, syscall.EHOSTUNREACH},
		{"[fd00::2]:9", header.ICMPv6Unreachable, header.ICMPv6NoRoute, syscall.ENETUNREACH},
		{"[fd00::2]:9", header.ICMPv6Unreachable, header.ICMPv6AdminProhibited, syscall.EACCES},
		{"[fd00::2]:9", header.ICMPv6Unreachable, header.ICMPv6AddressUnreachable, syscall.EHOSTUNREACH},
	} {
		l := newLab(t, wire.Config{})
		conn, err := l.host.StartDialTCP(netip.AddrPort{}, addrPort(c.peer), TCPOptions{})
		require.NoError(t, err)
		f := l.one()
		forged := append([]byte(nil), f.ip...)
		forged[len(f.ip)-len(f.payload)+4] ^= 0x80 // another sequence number
		l.inject(l.icmpError(c.typ, c.code, 0, forged))
		l.quiet()
		require.Equal(t, ErrWouldBlock, conn.ConnectStatus())
		l.inject(l.icmpError(c.typ, c.code, 0, f.ip))
		l.quiet()
		require.Equal(t, c.want, conn.ConnectStatus())
		require.Zero(t, l.host.Stats().TCP.Connections)
		require.EqualValues(t, 1, l.host.Stats().TCP.OpenFails)
	}
}

// An established connection outlives ICMP errors; one that then times out says
// why.
func TestSoftErrors(t *testing.T) {
	l := newLab(t, wire.Config{})
	c := l.dial(addrPort("10.0.0.2:80"), TCPOptions{})
	_, err := c.conn.TryWrite([]byte("hello"))
	require.NoError(t, err)
	f := c.expect(psh|ack, "hello")
	l.inject(l.icmpError(header.ICMPv4Unreachable, header.ICMPv4PortUnreachable, 0, f.ip))
	l.inject(l.icmpError(header.ICMPv4Unreachable, header.ICMPv4HostUnreachable, 0, f.ip))
	l.run()
	_, err = c.conn.TryWrite([]byte("more"))
	require.NoError(t, err)
	l.sleep(time.Hour)
	_, err = readAll(c.conn)
	require.Equal(t, syscall.EHOSTUNREACH, err)
	c.conn.Close()
}

// A connection sends smaller segments when it is told, in time and about what
// it sent, that the path carries less.
func TestPathMTU(t *testing.T) {
	for _, to := range []netip.AddrPort{addrPort("10.0.0.2:80"), addrPort("[fd00::2]:80")} {
		l := newLabWith(t, wire.Config{}, Config{TCP: TCPDefaults{NoTS: true}})
		v6 := to.Addr().Is6()
		small, large, tooBig := 1000, 1460, func(mtu int, about []byte) []byte {
			return l.icmpError(header.ICMPv4Unreachable, header.ICMPv4FragNeeded, uint32(mtu), about)
		}
		headers := 40
		if v6 {
			small, large, headers = 1300, 1440, 60
			tooBig = func(mtu int, about []byte) []byte {
				return l.icmpError(header.ICMPv6PacketTooBig, 0, uint32(mtu), about)
			}
		}
		conn, err := l.host.StartDialTCP(netip.AddrPort{}, to, TCPOptions{})
		require.NoError(t, err)
		f := l.one()
		c := &labConn{lab: l, conn: conn, local: to, remote: netip.AddrPortFrom(f.src, f.srcPort), snd: 5000, window: 65535, rcv: tcp1(f)}
		l.inject(l.segment(c.local, c.remote, tcp.Segment{Seq: c.snd, Ack: c.rcv, Flags: syn | ack, Window: 65535,
			Options: header.TCPOptions{MSS: 1460, WScale: -1}}))
		c.snd++
		c.expect(ack, "")
		_, err = conn.TryWrite(pattern(3000))
		require.NoError(t, err)
		fs := l.take()
		require.Len(t, fs, 3)
		require.Len(t, fs[0].data, large)

		forged := append([]byte(nil), fs[0].ip...)
		forged[len(f.ip)-len(f.payload)+4] ^= 0x80
		l.inject(tooBig(small, forged))
		l.quiet()
		l.inject(tooBig(small, fs[0].ip))
		fs = l.take()
		require.NotEmpty(t, fs, "what was too big is sent again")
		for _, f := range fs {
			require.LessOrEqual(t, len(f.ip), small)
		}
		require.Len(t, fs[0].data, small-headers)
		require.Equal(t, c.rcv, tcp.Seq(fs[0].Seq()))
		// Not larger again, and not below the least: IPv4's is as far as it goes,
		// one below IPv6's is not believed at all (RFC 8201 section 4).
		l.inject(tooBig(1400, fs[0].ip))
		l.inject(tooBig(100, fs[0].ip))
		l.sleep(time.Second)
		fs = l.take()
		least := 576
		if v6 {
			least = small
		}
		require.Len(t, fs[0].ip, least)
		conn.SetLinger(0)
		conn.Close()
	}
}

// A "too big" about a datagram is believed only if one that large has just gone
// there from that port; a port that is bound to no peer is no way in.
func TestPathMTUOfDatagrams(t *testing.T) {
	for _, to := range []netip.AddrPort{addrPort("10.0.0.2:9"), addrPort("[fd00::2]:9")} {
		l := newLab(t, wire.Config{})
		u, err := l.host.ListenUDP(netip.AddrPort{}, UDPOptions{})
		require.NoError(t, err)
		believed := func() bool { return l.host.pathMTUs.lookup(to.Addr(), l.now).mtu != 0 }
		tooBig := func(mtu int, about []byte) {
			if to.Addr().Is4() {
				l.inject(l.icmpError(header.ICMPv4Unreachable, header.ICMPv4FragNeeded, uint32(mtu), about))
			} else {
				l.inject(l.icmpError(header.ICMPv6PacketTooBig, 0, uint32(mtu), about))
			}
			l.run()
		}
		send := func(n int, to netip.AddrPort) []byte {
			_, err := u.WriteTo(make([]byte, n), to)
			require.NoError(t, err)
			return l.one().ip
		}
		small := send(500, to)
		tooBig(1300, small)
		require.False(t, believed(), "what was sent is smaller than that")
		other := send(1400, netip.AddrPortFrom(to.Addr(), 10))
		tooBig(1300, small)
		require.False(t, believed(), "the large one went elsewhere")
		large := send(1400, to)
		tooBig(1480, large)
		require.False(t, believed(), "smaller than that")
		l.sleep((largeLife + 2) * time.Second)
		tooBig(1300, large)
		require.False(t, believed(), "long ago")
		send(1400, to)
		send(1300, to) // the larger one counts
		tooBig(1350, large)
		require.True(t, believed())
		require.Equal(t, 1350, l.host.pathMTUs.lookup(to.Addr(), l.now).mtu)
		tooBig(1300, other)
		require.Equal(t, 1350, l.host.pathMTUs.lookup(to.Addr(), l.now).mtu, "that was long ago")
		_, err = u.WriteTo(make([]byte, 1400), to)
		require.NoError(t, err)
		require.Len(t, l.take(), 2, "in fragments that the path carries")
		require.NoError(t, u.Close())
		tooBig(1280, large)
		require.Equal(t, 1350, l.host.pathMTUs.lookup(to.Addr(), l.now).mtu, "nobody has the port")
	}
}
