package stack

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/wire"
	"github.com/fastnet-go/fastnet/stack/header"
)

var (
	group4 = netip.MustParseAddr("239.1.2.3")
	group6 = netip.MustParseAddr("ff05::1:3")
	ll     = netip.MustParseAddr("fe80::2")
)

// message is what a report says: the type, the record's or 0, and the group.
type message struct {
	typ, record uint8
	group       netip.Addr
	to          netip.Addr
}

// messages checks the headers of reports and returns what they say.
func (l *lab) messages() []message {
	l.Helper()
	var ms []message
	for _, f := range l.take() {
		require.EqualValues(l, 1, f.ttl)
		mac, _ := header.MulticastMAC(f.dst)
		require.Equal(l, mac, [6]byte(f.bytes[:6]))
		if f.dst.Is4() {
			require.EqualValues(l, header.ProtoIGMP, f.proto)
			require.EqualValues(l, 0xffff, header.Checksum(f.payload, 0))
			info, err := header.IPv4(f.ip[:24]).CheckOptions()
			require.NoError(l, err)
			require.True(l, info.RouterAlert)
			require.Equal(l, ip4Host, f.src)
			m := message{typ: f.payload[0], to: f.dst}
			if m.typ == igmpReportV3 {
				require.EqualValues(l, 1, binary.BigEndian.Uint16(f.payload[6:]))
				m.record, m.group = f.payload[8], netip.AddrFrom4([4]byte(f.payload[12:16]))
				require.Len(l, f.payload, 16)
			} else {
				m.group = netip.AddrFrom4([4]byte(f.payload[4:8]))
				require.Len(l, f.payload, 8)
			}
			ms = append(ms, m)
			continue
		}
		ip, payload, err := header.ParseIPv6(f.ip)
		require.NoError(l, err)
		x, err := header.WalkIPv6(ip, payload)
		require.NoError(l, err)
		require.Equal(l, []byte{5, 2, 0, 0}, payload[2:6], "router alert")
		icmp := header.ICMPv6(x.Payload)
		require.True(l, icmp.ChecksumOK(ip.Src(), ip.Dst()))
		require.True(l, f.src.IsLinkLocalUnicast())
		m := message{typ: icmp.Type(), to: f.dst}
		if m.typ == header.ICMPv6MulticastReportV2 {
			m.record, m.group = icmp[8], netip.AddrFrom16([16]byte(icmp[12:28]))
		} else {
			m.group = netip.AddrFrom16([16]byte(icmp[8:24]))
		}
		ms = append(ms, m)
	}
	return ms
}

// query is a router's question, of the version before if older.
func (l *lab) query(group netip.Addr, older bool) []byte {
	if group.Is4() {
		b := make([]byte, 12)
		b[0], b[1] = igmpQuery, 100 // 10 s
		a := group.As4()
		copy(b[4:], a[:])
		if older {
			b = b[:8]
		}
		binary.BigEndian.PutUint16(b[2:], ^header.Checksum(b, 0))
		return l.ip4(header.IPv4Fields{Dst: allHosts4.As4(), Protocol: header.ProtoIGMP, TTL: 1}, b)
	}
	body := make([]byte, 20)
	a := group.As16()
	copy(body, a[:])
	if older {
		body = body[:16]
	}
	b := make([]byte, header.ICMPv6Len+len(body))
	header.PutICMPv6(b, ll.As16(), allNodes6.As16(), header.ICMPv6MulticastQuery, 0, 10_000<<16, body)
	return l.ip6(header.IPv6Fields{Src: ll.As16(), Dst: allNodes6.As16(), NextHeader: header.ProtoICMPv6, HopLimit: 1}, b)
}

func TestMembershipIsToldTwiceAndSoIsItsEnd(t *testing.T) {
	for group, want := range map[netip.Addr]message{
		group4: {igmpReportV3, 0, group4, allIGMPv3},
		group6: {header.ICMPv6MulticastReportV2, 0, group6, allMLDv2},
	} {
		l := newLab(t, wire.Config{})
		u, err := l.host.ListenUDP(addrPort("[::]:5353"), UDPOptions{ReuseAddr: true})
		require.NoError(t, err)
		v, err := l.host.ListenUDP(addrPort("[::]:5353"), UDPOptions{ReuseAddr: true})
		require.NoError(t, err)
		require.NoError(t, u.JoinGroup(0, group))
		want.record = hasJoined
		require.Equal(t, []message{want}, l.messages(), "at once")
		require.NoError(t, v.JoinGroup(0, group))
		l.sleep(reportInterval)
		require.Equal(t, []message{want}, l.messages(), "robustness; the second member is no news")
		l.sleep(time.Hour)
		require.Empty(t, l.messages())

		require.Equal(t, syscall.EADDRINUSE, u.JoinGroup(0, group))
		require.NoError(t, u.LeaveGroup(0, group))
		require.Equal(t, syscall.EADDRNOTAVAIL, u.LeaveGroup(0, group))
		require.Empty(t, l.messages(), "another is left")
		require.NoError(t, v.Close())
		want.record = hasLeft
		require.Equal(t, []message{want}, l.messages(), "Close leaves")
		l.sleep(reportInterval)
		require.Equal(t, []message{want}, l.messages())
		l.sleep(time.Hour)
		require.Empty(t, l.messages())
	}
}

func TestQueriesAreAnsweredInTime(t *testing.T) {
	for group, want := range map[netip.Addr]message{
		group4: {igmpReportV3, isMember, group4, allIGMPv3},
		group6: {header.ICMPv6MulticastReportV2, isMember, group6, allMLDv2},
	} {
		l := newLab(t, wire.Config{})
		u, err := l.host.ListenUDP(addrPort("[::]:5353"), UDPOptions{})
		require.NoError(t, err)
		require.NoError(t, u.JoinGroup(0, group))
		l.sleep(reportInterval)
		l.take()
		all, other := netip.IPv4Unspecified(), group4.Next()
		if group.Is6() {
			all, other = netip.IPv6Unspecified(), group6.Next()
		}
		for _, q := range []netip.Addr{all, group} {
			l.inject(l.query(q, false))
			l.inject(l.query(q, false))
			require.Empty(t, l.messages(), "not at once: all would")
			l.sleep(10 * time.Second)
			require.Equal(t, []message{want}, l.messages())
		}
		l.inject(l.query(other, false))
		l.sleep(time.Minute)
		require.Empty(t, l.messages(), "a group that we are not in")
	}
}

func TestOlderRoutersAreSpokenTo(t *testing.T) {
	for group, want := range map[netip.Addr][2]message{
		group4: {{igmpReportV2, 0, group4, group4}, {igmpLeaveV2, 0, group4, allRouters4}},
		group6: {{header.ICMPv6MulticastReport, 0, group6, group6}, {header.ICMPv6MulticastDone, 0, group6, allRouters6}},
	} {
		l := newLab(t, wire.Config{})
		u, err := l.host.ListenUDP(addrPort("[::]:5353"), UDPOptions{})
		require.NoError(t, err)
		require.NoError(t, u.JoinGroup(0, group))
		l.sleep(reportInterval)
		l.take()
		all := netip.IPv4Unspecified()
		if group.Is6() {
			all = netip.IPv6Unspecified()
		}
		l.inject(l.query(all, true))
		l.sleep(10 * time.Second)
		require.Equal(t, []message{want[0]}, l.messages())
		require.NoError(t, u.LeaveGroup(0, group))
		require.Equal(t, []message{want[1]}, l.messages())
		l.sleep(olderQuerierTime)
		require.Empty(t, l.messages())
		require.NoError(t, u.JoinGroup(0, group))
		require.NotEqual(t, want[0], l.messages()[0], "it is gone")
	}
}

func TestForgedQueriesAreDropped(t *testing.T) {
	l := newLab(t, wire.Config{})
	u, err := l.host.ListenUDP(addrPort("[::]:5353"), UDPOptions{})
	require.NoError(t, err)
	require.NoError(t, u.JoinGroup(0, group4))
	require.NoError(t, u.JoinGroup(0, group6))
	l.sleep(reportInterval)
	l.take()
	q4, q6 := l.query(netip.IPv4Unspecified(), false), l.query(netip.IPv6Unspecified(), false)
	bad := [][]byte{
		edit(q4, header.EthernetLen+header.IPv4MinLen+1, 7), // the checksum
		edit(q6, header.EthernetLen+7, 2),                   // from beyond the link
	}
	for _, b := range bad {
		l.inject(b)
	}
	l.sleep(time.Minute)
	require.Empty(t, l.messages())
	require.EqualValues(t, len(bad), l.drops(DropICMP))
}

func TestNothingIsToldOfGroupsThatStayOnTheHost(t *testing.T) {
	l := newLab(t, wire.Config{})
	u, err := l.host.ListenUDP(addrPort("[::]:5353"), UDPOptions{})
	require.NoError(t, err)
	require.NoError(t, u.JoinGroup(0, allHosts4))
	require.NoError(t, u.JoinGroup(0, allNodes6))
	require.NoError(t, u.JoinGroup(0, netip.MustParseAddr("ff01::7")))
	require.NoError(t, u.JoinGroup(l.host.loop.index, group4))
	require.Equal(t, errInvalid, u.JoinGroup(0, ip4Peer))
	require.Equal(t, syscall.ENODEV, u.JoinGroup(9, group4))
	require.NoError(t, u.Close())
	l.sleep(time.Minute)
	l.quiet()
	require.Equal(t, ErrClosed, u.JoinGroup(0, group4))
}

func TestOnlyMembersGetAGroupsDatagrams(t *testing.T) {
	l := newLab(t, wire.Config{})
	u, err := l.host.ListenUDP(addrPort("0.0.0.0:5353"), UDPOptions{})
	require.NoError(t, err)
	l.inject(l.udp(addrPort("10.0.0.2:5353"), netip.AddrPortFrom(group4, 5353), []byte("hello")))
	l.run()
	_, _, _, err = u.TryReadFrom(make([]byte, 9))
	require.Equal(t, ErrWouldBlock, err)
	require.EqualValues(t, 1, l.drops(DropNotLocal))
	require.NoError(t, u.JoinGroup(0, group4))
	l.inject(l.udp(addrPort("10.0.0.2:5353"), netip.AddrPortFrom(group4, 5353), []byte("hello")))
	l.run()
	n, _, from, info, err := u.ReadMsg(make([]byte, 9))
	require.NoError(t, err)
	require.Equal(t, 5, n)
	require.Equal(t, addrPort("10.0.0.2:5353"), from)
	require.Equal(t, group4, info.To)
	require.Equal(t, l.iface.index, info.Interface)
}

// TestDatagramHeaders: what a socket's options and a datagram's own say is what
// the IP header says.
func TestDatagramHeaders(t *testing.T) {
	l := newLab(t, wire.Config{})
	u, err := l.host.ListenUDP(addrPort("[::]:53"), UDPOptions{
		TOS: 0x28, TrafficClass: 0x48, TTL: 9, HopLimit: 8, MulticastTTL: 5,
	})
	require.NoError(t, err)
	tos := func(f frame) uint8 {
		if f.dst.Is4() {
			return header.IPv4(f.ip).TOS()
		}
		return header.IPv6(f.ip).TrafficClass()
	}
	big := make([]byte, 3000)
	for _, tt := range []struct {
		to       string
		tos, ttl uint8
	}{{"10.0.0.2:9", 0x28, 9}, {"[fd00::2]:9", 0x48, 8}, {"239.1.2.3:9", 0x28, 5}, {"[ff05::1:3]:9", 0x48, 5}} {
		for _, b := range [][]byte{[]byte("x"), big} {
			_, err = u.WriteTo(b, addrPort(tt.to))
			require.NoError(t, err)
			for _, f := range l.take() {
				require.Equal(t, []uint8{tt.tos, tt.ttl}, []uint8{tos(f), f.ttl}, "%s, %d bytes", tt.to, len(b))
			}
			_, err = u.WriteMsg(b, addrPort(tt.to), SendOptions{TOS: 3, TTL: 77})
			require.NoError(t, err)
			for _, f := range l.take() {
				require.Equal(t, []uint8{3, 77}, []uint8{tos(f), f.ttl})
			}
		}
	}
	_, err = u.WriteMsg(nil, addrPort("10.0.0.2:9"), SendOptions{From: ip4Peer})
	require.Equal(t, errInvalid, err, "not ours")
	_, err = u.WriteMsg(nil, addrPort("10.0.0.2:9"), SendOptions{From: ip6Host})
	require.Equal(t, errInvalid, err, "another family")
	_, err = u.WriteMsg(nil, addrPort("192.0.2.1:9"), SendOptions{Interface: 99})
	require.Equal(t, syscall.ENODEV, err)
}

// TestSegmentsCarryTheTypeOfService, from the SYN-ACK on, but for the bits of ECN.
func TestSegmentsCarryTheTypeOfService(t *testing.T) {
	l := newLab(t, wire.Config{})
	ln, err := l.host.ListenTCP(addrPort("[::]:80"), ListenOptions{TCP: TCPOptions{TOS: 0x2b, TrafficClass: 0x4b, TTL: 9, HopLimit: 8}})
	require.NoError(t, err)
	c := l.accept(ln, addrPort("10.0.0.2:5000"))
	_, err = c.conn.Write([]byte("hi"))
	require.NoError(t, err)
	ip4 := header.IPv4(l.one().ip)
	require.EqualValues(t, 0x28, ip4.TOS())
	require.EqualValues(t, 9, ip4.TTL())
	c = l.accept(ln, addrPort("[fd00::2]:5000"))
	_, err = c.conn.Write([]byte("hi"))
	require.NoError(t, err)
	ip6 := header.IPv6(l.one().ip)
	require.EqualValues(t, 0x48, ip6.TrafficClass())
	require.EqualValues(t, 8, ip6.HopLimit())
}
