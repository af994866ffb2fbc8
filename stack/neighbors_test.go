package stack

import (
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/wire"
	"github.com/fastnet-go/fastnet/stack/header"
	"github.com/fastnet-go/fastnet/stack/neighbor"
)

// Datagrams wait for the next hop's address and then go in their order; no
// other question is asked.
func TestResolutionHoldsPackets(t *testing.T) {
	for _, peer := range []netip.Addr{ip4Peer, ip6Peer} {
		l := newLab(t, wire.Config{})
		l.mute = true
		u, err := l.host.ListenUDP(netip.AddrPort{}, UDPOptions{})
		require.NoError(t, err)
		for i := range 5 {
			_, err := u.WriteTo([]byte{byte(i)}, netip.AddrPortFrom(peer, 9))
			require.NoError(t, err)
		}
		q := l.one()
		if peer.Is4() {
			a := header.ARP(q.bytes[header.EthernetLen:])
			require.Equal(t, header.Broadcast, header.Ethernet(q.bytes).Dst())
			require.EqualValues(t, header.ARPRequest, a.Op())
			require.Equal(t, peer, a.TargetIP())
			require.Equal(t, ip4Host, a.SenderIP())
			require.Equal(t, l.mac, a.SenderMAC())
			l.inject(l.arp(header.ARPReply, l.peer, peer, l.mac, ip4Host))
		} else {
			s, o, err := header.ParseNeighborSolicitation(header.IPv6(q.ip), header.ICMPv6(q.payload))
			require.NoError(t, err)
			require.Equal(t, peer, s.TargetAddr())
			require.Equal(t, header.SolicitedNode(peer.As16()), q.dst.As16())
			require.True(t, o.HasSourceLink)
			require.Equal(t, l.mac, o.SourceLink)
			l.inject(l.advertisement(peer, ip6Host, header.NDPSolicited|header.NDPOverride, &l.peer))
		}
		fs := l.take()
		require.Len(t, fs, 5)
		for i, f := range fs {
			require.Equal(t, []byte{byte(i)}, f.data)
			require.Equal(t, l.peer, header.Ethernet(f.bytes).Dst())
		}
	}
}

// A connect to a host that is not there fails after three questions, a second
// apart, and one made soon after fails at once.
func TestUnresolvedHost(t *testing.T) {
	for _, at := range []string{"10.0.0.9:80", "[fd00::9]:80"} {
		l := newLab(t, wire.Config{})
		l.mute = true
		c, err := l.host.StartDialTCP(netip.AddrPort{}, addrPort(at), TCPOptions{})
		require.NoError(t, err)
		l.sleep(2900 * time.Millisecond)
		require.Equal(t, ErrWouldBlock, c.ConnectStatus())
		l.sleep(200 * time.Millisecond)
		require.Equal(t, syscall.EHOSTUNREACH, c.ConnectStatus())
		require.Len(t, l.take(), 3)
		require.NotZero(t, l.drops(DropNoNeighbor))

		c, err = l.host.StartDialTCP(netip.AddrPort{}, addrPort(at), TCPOptions{})
		require.NoError(t, err)
		require.Equal(t, syscall.EHOSTUNREACH, c.ConnectStatus())
		l.quiet()
		require.Zero(t, l.host.Stats().TCP.Connections)
	}
}

// Too many packets for one next hop push out the oldest.
func TestResolutionIsBounded(t *testing.T) {
	l := newLab(t, wire.Config{})
	l.mute = true
	u, err := l.host.ListenUDP(netip.AddrPort{}, UDPOptions{})
	require.NoError(t, err)
	for i := range 72 {
		_, err := u.WriteTo([]byte{byte(i)}, netip.AddrPortFrom(ip4Peer, 9))
		require.NoError(t, err)
	}
	require.EqualValues(t, 8, l.drops(DropNeighborPending))
	l.take()
	l.inject(l.arp(header.ARPReply, l.peer, ip4Peer, l.mac, ip4Host))
	fs := l.take()
	require.Len(t, fs, 64)
	require.Equal(t, []byte{8}, fs[0].data)
}

// A reply that nobody asked for makes no entry, and does not redirect what goes
// to a neighbour that is reachable.
func TestUnsolicitedReply(t *testing.T) {
	l := newLab(t, wire.Config{})
	thief := [6]byte{2, 0, 0, 0, 0, 66}
	l.inject(l.arp(header.ARPReply, thief, netip.MustParseAddr("10.0.0.77"), l.mac, ip4Host))
	l.quiet()
	require.Empty(t, l.iface.Neighbors())

	u, err := l.host.ListenUDP(netip.AddrPort{}, UDPOptions{})
	require.NoError(t, err)
	for _, peer := range []netip.Addr{ip4Peer, ip6Peer} {
		to := netip.AddrPortFrom(peer, 9)
		u.WriteTo([]byte("x"), to)
		require.Len(t, l.take(), 1)
		if peer.Is4() {
			l.inject(l.arp(header.ARPReply, thief, peer, l.mac, ip4Host))
			l.inject(l.arp(header.ARPRequest, thief, peer, [6]byte{}, peer)) // an announcement
			l.inject(l.arp(header.ARPRequest, thief, peer, [6]byte{}, ip4Host))
		} else {
			l.inject(l.advertisement(peer, ip6Host, header.NDPSolicited|header.NDPOverride, &thief))
		}
		l.take()
		u.WriteTo([]byte("x"), to)
		require.Equal(t, l.peer, header.Ethernet(l.one().bytes).Dst())
	}
}

// A neighbour in use is asked now and then whether it is still there; one that
// is gone is looked for and then given up.
func TestNeighborAges(t *testing.T) {
	l := newLab(t, wire.Config{})
	u, err := l.host.ListenUDP(netip.AddrPort{}, UDPOptions{})
	require.NoError(t, err)
	to := netip.AddrPortFrom(ip4Peer, 9)
	u.WriteTo([]byte("x"), to)
	l.one()
	require.Equal(t, neighbor.Reachable, l.iface.Neighbors()[0].State)
	l.sleep(time.Minute)
	require.Equal(t, neighbor.Stale, l.iface.Neighbors()[0].State)
	l.mute = true
	u.WriteTo([]byte("x"), to)
	require.Equal(t, []byte("x"), l.one().data, "a stale address is used")
	l.sleep(5100 * time.Millisecond)
	a := l.one()
	require.EqualValues(t, header.TypeARP, a.typ)
	require.Equal(t, l.peer, header.Ethernet(a.bytes).Dst(), "who had it is asked first")
	l.sleep(10 * time.Second)
	l.take()
	_, err = u.WriteTo([]byte("x"), to)
	require.NoError(t, err)
	l.sleep(15 * time.Minute)
	require.Empty(t, l.iface.Neighbors())
	require.Zero(t, l.host.Timers())
}

// The host answers who asks for its addresses, and nobody else.
func TestAnswersARP(t *testing.T) {
	l := newLab(t, wire.Config{})
	l.mute = true
	l.inject(l.arp(header.ARPRequest, l.peer, ip4Peer, [6]byte{}, ip4Host))
	a := header.ARP(l.one().bytes[header.EthernetLen:])
	require.EqualValues(t, header.ARPReply, a.Op())
	require.Equal(t, ip4Host, a.SenderIP())
	require.Equal(t, l.mac, a.SenderMAC())
	require.Equal(t, l.peer, a.TargetMAC())
	require.Equal(t, ip4Peer, a.TargetIP())
	require.Len(t, l.iface.Neighbors(), 1, "an answer will be wanted")

	for name, b := range map[string][]byte{
		"somebody else":   l.arp(header.ARPRequest, l.peer, ip4Peer, [6]byte{}, netip.MustParseAddr("10.0.0.3")),
		"loopback":        l.arp(header.ARPRequest, l.peer, ip4Peer, [6]byte{}, netip.MustParseAddr("127.0.0.1")),
		"our own address": l.arp(header.ARPRequest, l.peer, ip4Host, [6]byte{}, ip4Host),
		"a group's MAC":   l.arp(header.ARPRequest, [6]byte{1, 2, 3}, ip4Peer, [6]byte{}, ip4Host),
		"a group":         l.arp(header.ARPRequest, l.peer, netip.MustParseAddr("224.0.0.1"), [6]byte{}, ip4Host),
		"short":           l.arp(header.ARPRequest, l.peer, ip4Peer, [6]byte{}, ip4Host)[:30],
	} {
		l.inject(b)
		require.Empty(t, l.take(), name)
	}
	require.EqualValues(t, 4, l.drops(DropARP))

	// A probe (RFC 5227) is answered, and leaves no entry.
	l.inject(l.arp(header.ARPRequest, [6]byte{2, 9}, netip.IPv4Unspecified(), [6]byte{}, ip4Host))
	require.EqualValues(t, header.ARPReply, header.ARP(l.one().bytes[header.EthernetLen:]).Op())
	require.Len(t, l.iface.Neighbors(), 1)

	// Who is not of the subnet is answered, but not remembered.
	l.inject(l.arp(header.ARPRequest, l.peer, netip.MustParseAddr("10.9.9.9"), [6]byte{}, ip4Host))
	l.one()
	require.Len(t, l.iface.Neighbors(), 1)
}

func (l *lab) solicitation(src netip.Addr, target netip.Addr, hops uint8, link *[6]byte) []byte {
	dst := header.SolicitedNode(target.As16())
	b := make([]byte, ndLen)
	n := header.PutNeighborSolicitation(b, src.As16(), dst, target.As16(), link)
	f := l.ip6(header.IPv6Fields{NextHeader: header.ProtoICMPv6, HopLimit: hops, Dst: dst}, b[:n])
	header.IPv6(f[header.EthernetLen:]).SetSrc(src.As16()) // may be unspecified
	return f
}

func TestAnswersND(t *testing.T) {
	l := newLab(t, wire.Config{})
	l.mute = true
	link := linkLocal(l.mac)
	for _, target := range []netip.Addr{ip6Host, link} {
		l.inject(l.solicitation(ip6Peer, target, 255, &l.peer))
		f := l.one()
		a, o, err := header.ParseNeighborAdvertisement(header.IPv6(f.ip), header.ICMPv6(f.payload))
		require.NoError(t, err)
		require.Equal(t, target, a.TargetAddr())
		require.Equal(t, ip6Peer, f.dst)
		require.True(t, a.Solicited())
		require.True(t, o.HasTargetLink)
		require.Equal(t, l.mac, o.TargetLink)
		require.Equal(t, l.peer, header.Ethernet(f.bytes).Dst())
	}
	// Duplicate address detection is answered to everybody (RFC 4861 section 7.2.4).
	l.inject(l.solicitation(netip.IPv6Unspecified(), ip6Host, 255, nil))
	f := l.one()
	require.Equal(t, allNodes, f.dst)
	require.EqualValues(t, 255, f.ttl)
	require.False(t, header.NeighborAdvertisement(f.payload).Solicited())

	l.inject(l.solicitation(ip6Peer, netip.MustParseAddr("fd00::3"), 255, &l.peer))
	l.quiet()
	require.Zero(t, l.drops(DropICMP))
	for name, b := range map[string][]byte{
		"a router's":  l.solicitation(ip6Peer, ip6Host, 254, &l.peer),
		"DAD, option": l.solicitation(netip.IPv6Unspecified(), ip6Host, 255, &l.peer),
	} {
		before := l.drops(DropICMP)
		l.inject(b)
		require.Empty(t, l.take(), name)
		require.Equal(t, before+1, l.drops(DropICMP), name)
	}
}

// A solicitation without the sender's link address is answered after the host
// has asked for it.
func TestSolicitationWithoutLinkAddress(t *testing.T) {
	l := newLab(t, wire.Config{})
	l.mute = true
	l.inject(l.solicitation(ip6Peer, ip6Host, 255, nil))
	s := l.one()
	require.EqualValues(t, header.ICMPv6NeighborSolicitation, s.payload[0])
	l.inject(l.advertisement(ip6Peer, ip6Host, header.NDPSolicited|header.NDPOverride, &l.peer))
	require.EqualValues(t, header.ICMPv6NeighborAdvertisement, l.one().payload[0])
}

// Link-local addresses work with a zone, and connections are told apart by it.
func TestLinkLocal(t *testing.T) {
	l := newLab(t, wire.Config{})
	peer := netip.MustParseAddr("fe80::99")
	ln := l.listen("[::]:80")
	c := &labConn{lab: l, local: netip.AddrPortFrom(peer, 1234), remote: netip.AddrPortFrom(linkLocal(l.mac), 80), snd: 7, window: 1000}
	c.send(syn, "")
	f := l.one()
	c.rcv = tcp1(f)
	c.send(ack, "")
	l.quiet()
	s, err := ln.TryAccept()
	require.NoError(t, err)
	require.Equal(t, "fe80::99%wire0", s.RemoteAddr().Addr().String())
	require.Equal(t, "wire0", s.LocalAddr().Addr().Zone())

	for zone, want := range map[string]error{"wire0": nil, "2": nil, "": nil, "wire7": syscall.EINVAL} {
		_, err := l.host.StartDialTCP(netip.AddrPort{}, netip.AddrPortFrom(peer.WithZone(zone), 80), TCPOptions{})
		require.Equal(t, want, err, "zone %q", zone)
	}
	l.take()
}

// Interfaces of a host may have the same link-local address, and an interface
// several addresses of a subnet.
func TestAddressesThatOverlap(t *testing.T) {
	h := NewHost(Config{})
	defer h.Close()
	var prefixes = func(ss ...string) (ps []netip.Prefix) {
		for _, s := range ss {
			ps = append(ps, netip.MustParsePrefix(s))
		}
		return ps
	}
	attach := func(name string, addrs ...string) error {
		w, err := wire.New(wire.Config{})
		require.NoError(t, err)
		_, err = h.Attach(w.Port(0), InterfaceConfig{Name: name, Addrs: prefixes(addrs...)})
		return err
	}
	require.NoError(t, attach("one", "10.0.0.1/24", "10.0.0.5/24", "fd00::1/64", "fe80::1/64"))
	routes := len(h.Routes())
	require.Error(t, attach("two", "10.1.0.1/24", "10.0.0.5/32"))
	require.Len(t, h.Routes(), routes, "a failed Attach leaves no route")
	require.NoError(t, attach("two", "10.1.0.1/24", "fd01::1/64"))
}
