package stack

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/wire"
	"github.com/fastnet-go/fastnet/stack/header"
	"github.com/fastnet-go/fastnet/stack/tcp"
)

// edit changes bytes of a copy of a frame, from offset on.
func edit(b []byte, off int, with ...byte) []byte {
	b = append([]byte(nil), b...)
	copy(b[off:], with)
	return b
}

// resum makes the IPv4 header's checksum right again.
func resum(b []byte) []byte {
	header.IPv4(b[header.EthernetLen:]).UpdateChecksum()
	return b
}

// optioned puts IPv4 options into a frame without any.
func optioned(b []byte, options ...byte) []byte {
	const at = header.EthernetLen + header.IPv4MinLen
	b = append(append(append([]byte(nil), b[:at]...), options...), b[at:]...)
	ip := header.IPv4(b[header.EthernetLen:])
	ip[0] = 4<<4 | byte((header.IPv4MinLen+len(options))/4)
	ip.SetTotalLen(len(ip))
	ip.UpdateChecksum()
	return b
}

// extended puts an IPv6 extension header in front of the payload.
func extended(b []byte, proto uint8, ext ...byte) []byte {
	const at = header.EthernetLen + header.IPv6Len
	ip := header.IPv6(b[header.EthernetLen:])
	ext = append([]byte{ip.NextHeader(), byte(len(ext)+2)/8 - 1}, ext...)
	b = append(append(append([]byte(nil), b[:at]...), ext...), b[at:]...)
	ip = header.IPv6(b[header.EthernetLen:])
	ip.SetNextHeader(proto)
	ip.SetPayloadLen(len(ip) - header.IPv6Len)
	return b
}

// A frame that is not right is dropped, and counted for one reason; nothing
// else happens: no answer, no state, nothing for the sockets.
func TestMalformedFrames(t *testing.T) {
	l := newLab(t, wire.Config{})
	u, err := l.host.ListenUDP(addrPort("[::]:53"), UDPOptions{})
	require.NoError(t, err)
	l.listen("[::]:80")

	from4, to4 := addrPort("10.0.0.2:5000"), addrPort("10.0.0.1:53")
	from6, to6 := addrPort("[fd00::2]:5000"), addrPort("[fd00::1]:53")
	u4, u6 := l.udp(from4, to4, []byte("hello")), l.udp(from6, to6, []byte("hello"))
	syn4 := l.segment(from4, addrPort("10.0.0.1:80"), tcp.Segment{Flags: syn, Seq: 1})
	syn6 := l.segment(from6, addrPort("[fd00::1]:80"), tcp.Segment{Flags: syn, Seq: 1})
	echo4 := l.icmp(ip4Peer, ip4Host, header.ICMPv4Echo, 0, 1, []byte("x"))
	echo6 := l.icmp(ip6Peer, ip6Host, header.ICMPv6Echo, 0, 1, []byte("x"))
	at := func(s string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(s), 5000) }
	synFrom := func(src, dst string) []byte {
		return l.segment(at(src), netip.AddrPortFrom(netip.MustParseAddr(dst), 80), tcp.Segment{Flags: syn})
	}
	const ip, tr4, tr6 = header.EthernetLen, header.EthernetLen + header.IPv4MinLen, header.EthernetLen + header.IPv6Len

	for _, c := range []struct {
		name  string
		frame []byte
		why   Drop
	}{
		{"half an Ethernet header", u4[:13], DropShort},
		{"empty", nil, DropShort},
		{"another host's MAC", edit(u4, 0, 2, 3, 4, 5, 6, 7), DropNotForUs},
		{"VLAN tag", edit(u4, 12, 0x81, 0), DropEtherType},
		{"802.3 length", edit(u4, 12, 0, 46), DropEtherType},

		{"v4: no IP header", u4[:ip+19], DropIPHeader},
		{"v4: nothing", u4[:ip], DropIPHeader},
		{"v4: version 6", edit(u4, ip, 0x65), DropIPHeader},
		{"v4: header of 16 bytes", resum(edit(u4, ip, 0x44)), DropIPHeader},
		{"v4: header beyond the packet", edit(u4[:ip+24], ip, 0x4f), DropIPHeader},
		{"v4: total length below the header's", resum(edit(u4, ip+2, 0, 19)), DropIPHeader},
		{"v4: total length beyond the frame", resum(edit(u4, ip+2, 0, 200)), DropIPHeader},
		{"v4: checksum", edit(u4, ip+10, 1, 2), DropIPChecksum},
		{"v4: TTL changed on the way", edit(u4, ip+8, 9), DropIPChecksum},
		{"v4: loose source route", optioned(u4, 131, 7, 4, 10, 0, 0, 9, 0), DropIPHeader},
		{"v4: strict source route", optioned(u4, 137, 7, 4, 10, 0, 0, 9, 0), DropIPHeader},
		{"v4: option without end", optioned(u4, 1, 1, 7, 9), DropIPHeader},
		{"v4: option of length 0", optioned(u4, 1, 1, 7, 0), DropIPHeader},
		{"v4: from loopback", l.udp(at("127.0.0.1"), to4, nil), DropMartian},
		{"v4: to loopback", l.udp(from4, addrPort("127.0.0.1:53"), nil), DropMartian},
		{"v4: from a group", l.udp(at("224.0.0.1"), to4, nil), DropMartian},
		{"v4: from the broadcast address", l.udp(at("255.255.255.255"), to4, nil), DropMartian},
		{"v4: from the subnet's", l.udp(at("10.0.0.255"), to4, nil), DropMartian},
		{"v4: from ourselves", l.udp(at("10.0.0.1"), to4, nil), DropMartian},
		{"v4: to another host", l.udp(from4, addrPort("10.0.0.3:53"), nil), DropNotLocal},
		{"v4: to another host's TCP", synFrom("10.0.0.2", "10.0.0.3"), DropNotLocal},

		{"v6: no IP header", u6[:ip+39], DropIPHeader},
		{"v6: version 4", edit(u6, ip, 0x45), DropIPHeader},
		{"v6: payload beyond the frame", edit(u6, ip+4, 0, 200), DropIPHeader},
		{"v6: from a group", l.udp(at("ff02::1"), to6, nil), DropMartian},
		{"v6: from loopback", l.udp(at("::1"), to6, nil), DropMartian},
		{"v6: to loopback", l.udp(from6, addrPort("[::1]:53"), nil), DropMartian},
		{"v6: from IPv4", l.ip6(header.IPv6Fields{Src: netip.MustParseAddr("::ffff:10.0.0.2").As16(), NextHeader: header.ProtoUDP}, u6[tr6:]), DropMartian},
		{"v6: to IPv4", l.ip6(header.IPv6Fields{Dst: netip.MustParseAddr("::ffff:10.0.0.1").As16(), NextHeader: header.ProtoUDP}, u6[tr6:]), DropMartian},
		{"v6: from ourselves", l.udp(at("fd00::1"), to6, nil), DropMartian},
		{"v6: to another host", l.udp(from6, addrPort("[fd00::3]:53"), nil), DropNotLocal},
		{"v6: to another host's TCP", synFrom("fd00::2", "fd00::3"), DropNotLocal},
		{"v6: option to discard in silence", extended(u6, header.ProtoDestOptions, 0x41, 4, 0, 0, 0, 0), DropIPHeader},
		{"v6: too many headers", extended9(u6), DropIPHeader},

		{"UDP: no header", l.ip4(header.IPv4Fields{Protocol: header.ProtoUDP}, u4[tr4:tr4+7]), DropUDPHeader},
		{"UDP: length of 7", edit(u4, tr4+4, 0, 7), DropUDPHeader},
		{"UDP: length beyond the packet", edit(u4, tr4+4, 0, 99), DropUDPHeader},
		{"UDP: checksum", edit(u4, tr4+8, 'j'), DropUDPChecksum},
		{"UDP v6: checksum", edit(u6, tr6+8, 'j'), DropUDPChecksum},
		{"UDP v6: no checksum", edit(u6, tr6+6, 0, 0), DropUDPChecksum},

		{"TCP: no header", l.ip4(header.IPv4Fields{Protocol: header.ProtoTCP}, syn4[tr4:tr4+19]), DropTCPHeader},
		{"TCP: checksum", edit(syn4, tr4+4, 7), DropTCPChecksum},
		{"TCP v6: checksum", edit(syn6, tr6+4, 7), DropTCPChecksum},
		{"TCP: header of 16 bytes", l.sumTCP(edit(syn4, tr4+12, 0x40)), DropTCPHeader},
		{"TCP: header beyond the segment", l.sumTCP(edit(syn4, tr4+12, 0xf0)), DropTCPHeader},
		{"TCP: option beyond the header", l.sumTCP(edit(l.segment(from4, addrPort("10.0.0.1:80"), tcp.Segment{
			Flags: syn, Options: header.TCPOptions{MSS: 1000, WScale: -1}}), tr4+21, 40)), DropTCPHeader},
		{"TCP: from a group", synFrom("224.0.0.1", "10.0.0.1"), DropMartian},
		{"TCP: from the subnet's broadcast address", synFrom("10.0.0.255", "10.0.0.1"), DropMartian},
		{"TCP: from no address", unspecified(synFrom("10.0.0.2", "10.0.0.1")), DropMartian},
		{"TCP: from no port", l.segment(addrPort("10.0.0.2:0"), addrPort("10.0.0.1:80"), tcp.Segment{Flags: syn}), DropMartian},
		{"TCP: from ourselves (LAND)", l.segment(addrPort("10.0.0.1:80"), addrPort("10.0.0.1:80"), tcp.Segment{Flags: syn}), DropMartian},
		{"TCP v6: from ourselves", l.segment(addrPort("[fd00::1]:80"), addrPort("[fd00::1]:80"), tcp.Segment{Flags: syn}), DropMartian},
		{"TCP: to broadcast", synFrom("10.0.0.2", "10.0.0.255"), DropNotLocal},
		{"TCP: to a group", synFrom("10.0.0.2", "224.0.0.1"), DropNotLocal},
		{"TCP: to us by a group's MAC", edit(syn4, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), DropMartian},

		{"ICMP: no header", l.ip4(header.IPv4Fields{Protocol: header.ProtoICMP}, echo4[tr4:tr4+7]), DropICMP},
		{"ICMP: checksum", edit(echo4, tr4+4, 9), DropICMP},
		{"ICMPv6: no header", l.ip6(header.IPv6Fields{NextHeader: header.ProtoICMPv6}, echo6[tr6:tr6+7]), DropICMP},
		{"ICMPv6: checksum", edit(echo6, tr6+4, 9), DropICMP},
	} {
		before := l.host.count.snapshot()
		l.inject(c.frame)
		require.Empty(t, l.take(), c.name)
		after := l.host.count.snapshot()
		for i := range after {
			want := before[i]
			if Drop(i) == c.why {
				want++
			}
			require.Equal(t, want, after[i], "%s: drops for %s", c.name, Drop(i))
		}
		_, _, _, err := u.TryReadFrom(make([]byte, 10))
		require.Equal(t, ErrWouldBlock, err, c.name)
		require.Zero(t, l.host.flows.len(), c.name)
	}
}

func (c *counters) snapshot() (all [numDrops]uint64) {
	for i := range all {
		all[i] = c.drops[i].Load()
	}
	return all
}

func extended9(b []byte) []byte {
	for range header.MaxExtensions + 1 {
		b = extended(b, header.ProtoDestOptions, 1, 4, 0, 0, 0, 0)
	}
	return b
}

// sumTCP makes a segment's checksum right again, over IPv4.
func (l *lab) sumTCP(b []byte) []byte {
	ip, payload, err := header.ParseIPv4(b[header.EthernetLen:])
	require.NoError(l, err)
	header.TCP(payload).SetChecksum(0)
	header.TCP(payload).SetChecksum(^header.Checksum(payload, ip.PseudoSum(len(payload))))
	return b
}

// What is unusual but right reaches the socket.
func TestUnusualFrames(t *testing.T) {
	l := newLab(t, wire.Config{})
	u, err := l.host.ListenUDP(addrPort("[::]:53"), UDPOptions{})
	require.NoError(t, err)
	require.NoError(t, u.JoinGroup(0, netip.MustParseAddr("224.0.0.251")))
	require.NoError(t, u.JoinGroup(0, netip.MustParseAddr("ff02::fb")))
	l.sleep(reportInterval)
	l.take()
	from4, to4 := addrPort("10.0.0.2:5000"), addrPort("10.0.0.1:53")
	from6, to6 := addrPort("[fd00::2]:5000"), addrPort("[fd00::1]:53")
	u4, u6 := l.udp(from4, to4, []byte("hello")), l.udp(from6, to6, []byte("hello"))
	const tr4 = header.EthernetLen + header.IPv4MinLen
	short := append(udpBytes(from4, to4, []byte("hello")), "trailer"...)
	for name, b := range map[string][]byte{
		"v4":                      u4,
		"v6":                      u6,
		"v4 padded to 60 bytes":   append(append([]byte(nil), u4...), make([]byte, 60-len(u4))...),
		"v6 padded":               append(append([]byte(nil), u6...), 1, 2, 3),
		"v4 without checksum":     edit(u4, tr4+6, 0, 0),
		"v4 record route":         optioned(u4, 7, 7, 4, 0, 0, 0, 0, 0),
		"v4 router alert":         optioned(u4, 148, 4, 0, 0),
		"v4 unknown option":       optioned(u4, 0x5e, 4, 0, 0),
		"v4 in a broadcast frame": edit(u4, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
		"v4 subnet broadcast":     l.udp(from4, addrPort("10.0.0.255:53"), []byte("hello")),
		"v4 limited broadcast":    edit(l.udp(from4, addrPort("255.255.255.255:53"), []byte("hello")), 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
		"v4 group":                l.udp(from4, addrPort("224.0.0.251:53"), []byte("hello")),
		"v6 group":                l.udp(from6, addrPort("[ff02::fb]:53"), []byte("hello")),
		"v6 hop-by-hop options":   extended(u6, header.ProtoHopByHop, 1, 4, 0, 0, 0, 0),
		"v6 unknown option":       extended(u6, header.ProtoDestOptions, 0x1e, 4, 0, 0, 0, 0),
		"v6 routing, none left":   extended(u6, header.ProtoRouting, 0, 0, 0, 0, 0, 0),
		"v6 atomic fragment":      extended(u6, header.ProtoFragment, 0, 0, 1, 2, 3, 4),
		"UDP shorter than IP":     l.packet(ip4Peer, ip4Host, header.ProtoUDP, short),
		"v4 another's offlink":    l.udp(addrPort("192.0.2.7:5000"), to4, []byte("hello")),
	} {
		l.inject(b)
		require.Empty(t, l.take(), name)
		buf := make([]byte, 100)
		n, full, from, err := u.TryReadFrom(buf)
		require.NoError(t, err, name)
		require.Equal(t, "hello", string(buf[:n]), name)
		require.Equal(t, 5, full, name)
		require.EqualValues(t, 5000, from.Port(), name)
	}
	require.Empty(t, l.host.Stats().Drops)
}

// unspecified makes a TCP segment over IPv4 come from no address.
func unspecified(b []byte) []byte {
	ip, payload, _ := header.ParseIPv4(b[header.EthernetLen:])
	ip.SetSrc([4]byte{})
	ip.UpdateChecksum()
	header.TCP(payload).SetChecksum(0)
	header.TCP(payload).SetChecksum(^header.Checksum(payload, ip.PseudoSum(len(payload))))
	return b
}
