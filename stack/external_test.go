package stack

import (
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/wire"
	"github.com/fastnet-go/fastnet/stack/header"
	"github.com/fastnet-go/fastnet/stack/route"
	"github.com/fastnet-go/fastnet/stack/tcp"
)

// newExternalLab is a lab whose neighbours are found by somebody else; asked are
// those that the host has wanted.
func newExternalLab(t *testing.T) (l *lab, asked func() []netip.Addr) {
	l = newLab(t, wire.Config{})
	require.NoError(t, l.host.Close())
	var wanted []netip.Addr
	l.host = NewHost(Config{Clock: func() time.Duration { return l.now }})
	var err error
	l.iface, err = l.host.Attach(l.wire.Port(0), InterfaceConfig{
		Addrs: []netip.Prefix{netip.PrefixFrom(ip4Host, 24), netip.PrefixFrom(ip6Host, 64)}, NoLinkLocal: true,
		Resolve: func(a netip.Addr) { wanted = append(wanted, a) },
	})
	require.NoError(t, err)
	l.mute = true
	return l, func() []netip.Addr {
		w := wanted
		wanted = nil
		return w
	}
}

// The host asks whom it was told to ask, and sends no ARP and no solicitation, nor
// answers any.
func TestNeighboursFromOutside(t *testing.T) {
	l, asked := newExternalLab(t)
	require.Len(t, l.iface.Info().Addrs, 2, "no link-local address of its own")
	u, err := l.host.ListenUDP(netip.AddrPort{}, UDPOptions{})
	require.NoError(t, err)
	for _, peer := range []netip.Addr{ip4Peer, ip6Peer} {
		l.iface.SetNeighbor(peer, l.peer) // nobody wants it
		_, err = u.WriteTo([]byte("x"), netip.AddrPortFrom(peer, 9))
		require.NoError(t, err)
		l.quiet()
		require.Equal(t, []netip.Addr{peer}, asked())
		l.iface.SetNeighbor(peer, l.peer)
		require.Equal(t, "x", string(l.one().data))
		l.iface.SetNeighbor(peer, nic.MAC{2, 9})
		_, err = u.WriteTo([]byte("y"), netip.AddrPortFrom(peer, 9))
		require.NoError(t, err)
		require.Equal(t, [6]byte{2, 9}, header.Ethernet(l.one().bytes).Dst())
		l.iface.LoseNeighbor(peer, false)
		_, err = u.WriteTo([]byte("z"), netip.AddrPortFrom(peer, 9))
		require.NoError(t, err)
		l.quiet()
		require.Equal(t, []netip.Addr{peer}, asked())
		l.iface.LoseNeighbor(peer, true)
		l.quiet()
		_, err = u.WriteTo([]byte("z"), netip.AddrPortFrom(peer, 9))
		require.Equal(t, syscall.EHOSTUNREACH, err)
	}
	l.inject(l.arp(header.ARPRequest, l.peer, ip4Peer, [6]byte{}, ip4Host))
	l.inject(l.arp(header.ARPReply, [6]byte{2, 6, 6}, ip4Peer, l.mac, ip4Host))
	l.inject(l.advertisement(ip6Peer, ip6Host, header.NDPSolicited|header.NDPOverride, &[6]byte{2, 6, 6}))
	l.quiet()
}

// Addresses come and go while the host runs, with the routes to their subnets.
// What is open on one that is gone is silent until it comes back.
func TestAddressesChange(t *testing.T) {
	l := newLab(t, wire.Config{})
	c := l.accept(l.listen("10.0.0.1:80"), addrPort("10.0.0.2:7"))
	other := netip.MustParsePrefix("10.1.0.1/24")
	require.NoError(t, l.iface.SetAddrs([]netip.Prefix{other}))
	require.Equal(t, []netip.Prefix{other}, l.iface.Info().Addrs)
	_, err := l.host.ListenUDP(addrPort("10.0.0.1:53"), UDPOptions{})
	require.Equal(t, syscall.EADDRNOTAVAIL, err)
	u, err := l.host.ListenUDP(addrPort("10.0.0.1:53"), UDPOptions{FreeBind: true})
	require.NoError(t, err)
	_, err = u.WriteTo([]byte("x"), addrPort("10.1.0.2:9"))
	require.Equal(t, syscall.EINVAL, err)
	_, err = c.conn.TryWrite([]byte("hello"))
	require.NoError(t, err)
	for _, f := range l.take() {
		require.NotEqual(t, ip4Host, f.src, "sent from an address that is gone")
	}
	l.inject(l.udp(addrPort("10.1.0.2:9"), addrPort("10.0.0.1:53"), []byte("y")))
	l.quiet()
	require.EqualValues(t, 1, l.drops(DropNotLocal))
	_, ok := l.host.routes.Lookup(ip4Peer)
	require.False(t, ok)

	require.NoError(t, l.iface.SetAddrs([]netip.Prefix{other, netip.PrefixFrom(ip4Host, 24)}))
	l.sleep(3 * time.Second) // it is sent again
	require.NotEmpty(t, l.take())
	require.ErrorContains(t, l.iface.SetAddrs([]netip.Prefix{netip.MustParsePrefix("127.0.0.1/8")}), "is on lo already")
	require.ErrorContains(t, l.iface.SetAddrs([]netip.Prefix{netip.MustParsePrefix("224.0.0.1/8")}), "not an address that a host can have")
}

// A connection goes by the routes that there are when it sends.
func TestRoutesChange(t *testing.T) {
	l := newLab(t, wire.Config{})
	c := l.accept(l.listen("10.0.0.1:80"), addrPort("10.0.0.2:7"))
	_ = c
	u, err := l.host.ListenUDP(netip.AddrPort{}, UDPOptions{})
	require.NoError(t, err)
	_, err = u.WriteTo([]byte("x"), addrPort("192.0.2.1:9"))
	require.Equal(t, syscall.ENETUNREACH, err)
	on := netip.MustParsePrefix("10.0.0.0/24")
	require.NoError(t, l.iface.SetRoutes([]route.Route{{Prefix: on}, {Prefix: netip.MustParsePrefix("0.0.0.0/0"), Gateway: ip4Peer}}))
	_, err = u.WriteTo([]byte("x"), addrPort("192.0.2.1:9"))
	require.NoError(t, err)
	l.one()
	require.NoError(t, l.iface.SetRoutes([]route.Route{{Prefix: on}}))
	_, err = u.WriteTo([]byte("x"), addrPort("192.0.2.1:9"))
	require.Equal(t, syscall.ENETUNREACH, err)
}

func TestTheEthernetAddressChanges(t *testing.T) {
	l := newLab(t, wire.Config{})
	u, err := l.host.ListenUDP(netip.AddrPort{}, UDPOptions{})
	require.NoError(t, err)
	send := func() frame {
		_, err = u.WriteTo([]byte("x"), addrPort("10.0.0.2:9"))
		require.NoError(t, err)
		return l.one()
	}
	require.Equal(t, l.mac, header.Ethernet(send().bytes).Src())
	l.iface.SetMAC(nic.MAC{2, 7})
	require.Equal(t, [6]byte{2, 7}, header.Ethernet(send().bytes).Src())
}

// Whoever keeps books of connections is told when nothing is left of one.
func TestTheEndOfAFlowIsTold(t *testing.T) {
	type ends struct{ local, remote netip.AddrPort }
	var ended []ends
	var rested []bool
	l := newLabWith(t, wire.Config{}, Config{FlowEnded: func(local, remote netip.AddrPort, waited bool) {
		ended, rested = append(ended, ends{local, remote}), append(rested, waited)
	}})
	local, remote := addrPort("10.0.0.1:80"), addrPort("10.0.0.2:7")
	ln := l.listen("10.0.0.1:80")
	c := l.accept(ln, remote)
	require.True(t, l.host.HasTCPFlow(local, remote))
	require.False(t, l.host.HasTCPFlow(local, addrPort("10.0.0.2:8")))
	var seen []ends
	l.host.TCPFlows(80, func(local, remote netip.AddrPort) { seen = append(seen, ends{local, remote}) })
	require.Equal(t, []ends{{local, remote}}, seen)
	l.host.TCPFlows(81, func(netip.AddrPort, netip.AddrPort) { t.Fatal("no such port") })
	open, _ := l.host.OpenConnections()
	require.Equal(t, 1, open)

	// Closed here first: TIME-WAIT.
	require.NoError(t, c.conn.Close())
	c.advance(c.expect(fin|ack, ""))
	c.send(fin|ack, "")
	l.take()
	require.True(t, l.host.HasTCPFlow(local, remote), "TIME-WAIT")
	require.Empty(t, ended)
	l.sleep(2 * time.Minute)
	require.False(t, l.host.HasTCPFlow(local, remote))
	require.Equal(t, []ends{{local, remote}}, ended)
	require.Equal(t, []bool{true}, rested)

	// Reset: what the peer has sent meanwhile may come yet.
	c = l.accept(ln, remote)
	c.conn.SetLinger(0)
	require.NoError(t, c.conn.Close())
	require.Equal(t, []ends{{local, remote}, {local, remote}}, ended)
	require.Equal(t, []bool{true, false}, rested)
	l.take()
}

// A listener that is drained answers no SYN, not even by a RST: the peer asks again,
// and the port has another owner then.
func TestADrainedListenerIsSilent(t *testing.T) {
	l := newLab(t, wire.Config{})
	ln := l.listen("10.0.0.1:80")
	c := l.accept(ln, addrPort("10.0.0.2:7"))
	ln.Drain()
	l.inject(l.segment(addrPort("10.0.0.2:8"), addrPort("10.0.0.1:80"), tcp.Segment{Flags: syn, Seq: 1, Window: 1000}))
	l.quiet()
	require.EqualValues(t, 1, l.drops(DropClosed))
	c.send(ack, "hello") // what is open goes on
	l.take()
	b := make([]byte, 8)
	n, err := c.conn.TryRead(b)
	require.NoError(t, err)
	require.Equal(t, "hello", string(b[:n]))
}

// What came another way is read like what came by the wire, with its bounds.
func TestDatagramsFromOutside(t *testing.T) {
	l := newLab(t, wire.Config{})
	u, err := l.host.ListenUDP(addrPort("10.0.0.1:53"), UDPOptions{RcvBuf: 4096})
	require.NoError(t, err)
	from := addrPort("127.0.0.1:9")
	for _, n := range []int{0, 10, 2000} {
		u.Deliver(pattern(n), from, DatagramInfo{To: ip4Host, TTL: 9})
		b := make([]byte, 3000)
		m, full, src, info, err := u.ReadMsg(b)
		require.NoError(t, err)
		require.Equal(t, n, full)
		require.Equal(t, pattern(n), b[:m])
		require.Equal(t, from, src)
		require.EqualValues(t, 9, info.TTL)
	}
	for range 10 {
		u.Deliver(pattern(1000), from, DatagramInfo{})
	}
	require.NotZero(t, l.drops(DropReceiveBuffer))
	u.Deliver(pattern(70_000), from, DatagramInfo{}) // more than a datagram has
	require.EqualValues(t, 1, l.drops(DropNoBuffer))
	require.NoError(t, u.Close())
	u.Deliver(pattern(1), from, DatagramInfo{})
	require.EqualValues(t, 1, l.drops(DropClosed))
}
