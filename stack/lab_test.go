package stack

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/wire"
	"github.com/fastnet-go/fastnet/stack/header"
	"github.com/fastnet-go/fastnet/stack/tcp"
)

// lab is a host that one goroutine drives, on a clock of its own. The other end
// of its wire is the test, which builds frames and looks at those that the host
// sends. The host is 10.0.0.1 and fd00::1; the test is anybody else.
type lab struct {
	testing.TB
	now   time.Duration
	wire  *wire.Wire
	host  *Host
	iface *Interface
	raw   nic.Queue
	mac   [6]byte // the host's
	peer  [6]byte // the test's

	mute   bool    // do not answer ARP and ND
	frames []frame // sent by the host, but ARP and ND unless mute
}

var (
	ip4Host, ip4Peer = netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	ip6Host, ip6Peer = netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2")
)

func newLab(t testing.TB, cfg wire.Config) *lab { return newLabWith(t, cfg, Config{}) }

func newLabWith(t testing.TB, cfg wire.Config, hc Config) *lab {
	t.Helper()
	w, err := wire.New(cfg)
	require.NoError(t, err)
	l := &lab{TB: t, now: time.Hour, wire: w, raw: w.Port(1).Queues()[0]}
	rng := rand.New(rand.NewPCG(1, 2))
	hc.Clock = func() time.Duration { return l.now }
	hc.Rand = func(b []byte) {
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
	}
	l.host = NewHost(hc)
	l.iface, err = l.host.Attach(w.Port(0), InterfaceConfig{Addrs: []netip.Prefix{
		netip.PrefixFrom(ip4Host, 24), netip.PrefixFrom(ip6Host, 64),
	}})
	require.NoError(t, err)
	l.mac, l.peer = w.Port(0).Info().MAC, w.Port(1).Info().MAC
	t.Cleanup(l.close)
	return l
}

// close ends everything and looks for what was not given back.
func (l *lab) close() {
	if err := l.host.Close(); err != ErrClosed {
		require.NoError(l, err)
	}
	l.wire.Port(0).Close()
	l.wire.Port(1).Close()
	require.Zero(l, l.wire.InUse(), "packets of the wire in use after Close")
	require.Zero(l, l.host.BuffersInUse(), "buffers in use after Close")
	require.Zero(l, l.host.Timers(), "timers pending after Close")
}

// inject gives the host a frame.
func (l *lab) inject(b []byte) {
	l.Helper()
	p := l.raw.Alloc(len(b))
	require.NotNil(l, p)
	copy(p.Extend(len(b)), b)
	require.Equal(l, 1, l.raw.Send([]*nic.Packet{p}))
}

// run lets the host work until there is nothing to do now.
func (l *lab) run() {
	for range 10_000 {
		n := l.host.Poll()
		n += l.collect()
		if n == 0 && l.host.NextEvent() > l.now {
			if l.host.FlushIdle() == 0 && l.collect() == 0 {
				return
			}
		}
	}
	l.Fatal("the host does not come to rest")
}

// collect takes what the host has sent.
func (l *lab) collect() int {
	var pkts [64]*nic.Packet
	n := l.raw.Recv(pkts[:])
	for _, p := range pkts[:n] {
		b := make([]byte, p.FrameLen())
		p.CopyTo(b, 0)
		if p.Checksum == nic.ChecksumPartial {
			sum, off, ok := p.CompleteChecksum()
			require.True(l, ok)
			binary.BigEndian.PutUint16(b[off:], sum)
		}
		p.Release()
		f := parseFrame(l, b)
		if !l.mute && l.answer(&f) {
			continue
		}
		l.frames = append(l.frames, f)
	}
	return n
}

// answer answers ARP requests and neighbour solicitations, of any address but
// the host's, and reports whether f was one.
func (l *lab) answer(f *frame) bool {
	switch {
	case f.typ == header.TypeARP:
		a := header.ARP(f.bytes[header.EthernetLen:])
		if a.Op() == header.ARPRequest {
			l.inject(l.arp(header.ARPReply, l.peer, a.TargetIP(), l.mac, ip4Host))
		}
		return true
	case f.proto == header.ProtoICMPv6 && f.payload[0] == header.ICMPv6NeighborSolicitation:
		target := [16]byte(f.payload[8:24])
		l.inject(l.advertisement(netip.AddrFrom16(target), f.src, header.NDPSolicited|header.NDPOverride, &l.peer))
		return true
	case f.proto == header.ProtoICMPv6 && f.payload[0] == header.ICMPv6NeighborAdvertisement:
		return true
	}
	return false
}

// take runs the host and returns what it has sent.
func (l *lab) take() []frame {
	l.run()
	fs := l.frames
	l.frames = nil
	return fs
}

// one is take when a single frame is expected.
func (l *lab) one() frame {
	l.Helper()
	fs := l.take()
	require.Len(l, fs, 1)
	return fs[0]
}

// quiet checks that the host sends nothing.
func (l *lab) quiet() {
	l.Helper()
	require.Empty(l, l.take())
}

// sleep lets time pass, event by event.
func (l *lab) sleep(d time.Duration) {
	l.Helper()
	end := l.now + d
	for range 100_000 {
		l.run()
		next := l.host.NextEvent()
		if next > end {
			l.now = end
			l.run()
			return
		}
		l.now = max(next, l.now)
	}
	l.Fatal("time does not pass")
}

// drops returns how many packets were dropped for a reason.
func (l *lab) drops(d Drop) uint64 { return l.host.count.drops[d].Load() }

// frame is an Ethernet frame, parsed.
type frame struct {
	bytes    []byte
	typ      uint16
	src, dst netip.Addr
	proto    uint8
	ttl      uint8
	ip       []byte // from the IP header on
	payload  []byte // of IP
	header.TCP
	opts    header.TCPOptions
	data    []byte // of TCP or UDP
	srcPort uint16
	dstPort uint16
}

// parseFrame parses a frame of the host's and checks its checksums.
func parseFrame(t testing.TB, b []byte) frame {
	t.Helper()
	f := frame{bytes: b, typ: header.Ethernet(b).Type()}
	f.ip = b[header.EthernetLen:]
	var sum uint16
	fragment := false
	switch f.typ {
	case header.TypeIPv4:
		ip, payload, err := header.ParseIPv4(f.ip)
		require.NoError(t, err)
		require.True(t, ip.ChecksumOK())
		f.src, f.dst, f.proto, f.payload, f.ttl = ip.SrcAddr(), ip.DstAddr(), ip.Protocol(), payload, ip.TTL()
		sum, fragment = ip.PseudoSum(len(payload)), ip.IsFragment()
	case header.TypeIPv6:
		ip, payload, err := header.ParseIPv6(f.ip)
		require.NoError(t, err)
		f.src, f.dst, f.proto, f.payload, f.ttl = ip.SrcAddr(), ip.DstAddr(), ip.NextHeader(), payload, ip.HopLimit()
		sum = ip.PseudoSum(f.proto, len(payload))
	default:
		return f
	}
	if fragment {
		return f
	}
	switch f.proto {
	case header.ProtoTCP:
		require.EqualValues(t, 0xffff, header.Checksum(f.payload, sum), "TCP checksum")
		var err error
		f.TCP, f.data, err = header.ParseTCP(f.payload)
		require.NoError(t, err)
		require.NoError(t, header.ParseTCPOptions(f.OptionBytes(), &f.opts))
		f.srcPort, f.dstPort = f.SrcPort(), f.DstPort()
	case header.ProtoUDP:
		u, err := header.ParseUDP(f.payload)
		require.NoError(t, err)
		require.True(t, u.ChecksumOK(sum), "UDP checksum")
		f.srcPort, f.dstPort, f.data = u.SrcPort(), u.DstPort(), u.Payload()
	case header.ProtoICMP:
		require.True(t, header.ICMPv4(f.payload).ChecksumOK(), "ICMP checksum")
	case header.ProtoICMPv6:
		require.True(t, header.ICMPv6(f.payload).ChecksumOK(f.src.As16(), f.dst.As16()), "ICMPv6 checksum")
	}
	return f
}

// eth makes a frame for the host.
func (l *lab) eth(typ uint16, payload []byte) []byte {
	b := make([]byte, header.EthernetLen+len(payload))
	header.PutEthernet(b, l.mac, l.peer, typ)
	copy(b[header.EthernetLen:], payload)
	return b
}

func (l *lab) arp(op uint16, senderMAC [6]byte, sender netip.Addr, targetMAC [6]byte, target netip.Addr) []byte {
	b := make([]byte, header.ARPLen)
	header.PutARP(b, op, senderMAC, sender, targetMAC, target)
	return l.eth(header.TypeARP, b)
}

func (l *lab) advertisement(target, dst netip.Addr, flags uint8, link *[6]byte) []byte {
	b := make([]byte, ndLen)
	n := header.PutNeighborAdvertisement(b, target.As16(), dst.As16(), target.As16(), flags, link)
	return l.ip6(header.IPv6Fields{NextHeader: header.ProtoICMPv6, HopLimit: 255, Src: target.As16(), Dst: dst.As16()}, b[:n])
}

// ip4 makes a frame with an IPv4 packet. Zero fields take the obvious value.
func (l *lab) ip4(f header.IPv4Fields, payload []byte) []byte {
	setDefault(&f.Src, ip4Peer.As4())
	setDefault(&f.Dst, ip4Host.As4())
	setDefault(&f.TTL, 64)
	setDefault(&f.TotalLen, header.IPv4MinLen+len(payload))
	b := make([]byte, header.IPv4MinLen+len(payload))
	f.Put(b)
	copy(b[header.IPv4MinLen:], payload)
	return l.eth(header.TypeIPv4, b)
}

func (l *lab) ip6(f header.IPv6Fields, payload []byte) []byte {
	setDefault(&f.Src, ip6Peer.As16())
	setDefault(&f.Dst, ip6Host.As16())
	setDefault(&f.HopLimit, 64)
	setDefault(&f.PayloadLen, len(payload))
	b := make([]byte, header.IPv6Len+len(payload))
	f.Put(b)
	copy(b[header.IPv6Len:], payload)
	return l.eth(header.TypeIPv6, b)
}

// packet makes a frame with an IP packet of either family.
func (l *lab) packet(src, dst netip.Addr, proto uint8, payload []byte) []byte {
	if src.Is4() {
		return l.ip4(header.IPv4Fields{Src: src.As4(), Dst: dst.As4(), Protocol: proto}, payload)
	}
	return l.ip6(header.IPv6Fields{Src: src.As16(), Dst: dst.As16(), NextHeader: proto}, payload)
}

func pseudoSum(src, dst netip.Addr, proto uint8, n int) uint16 {
	if src.Is4() {
		return header.PseudoSum4(src.As4(), dst.As4(), proto, n)
	}
	return header.PseudoSum6(src.As16(), dst.As16(), proto, n)
}

// udpBytes makes a UDP datagram.
func udpBytes(src, dst netip.AddrPort, data []byte) []byte {
	b := make([]byte, header.UDPLen+len(data))
	sum := header.CopyChecksum(b[header.UDPLen:], data, pseudoSum(src.Addr(), dst.Addr(), header.ProtoUDP, len(b)))
	header.PutUDP(b, src.Port(), dst.Port(), len(b), sum)
	return b
}

// udp makes a frame with a UDP datagram.
func (l *lab) udp(src, dst netip.AddrPort, data []byte) []byte {
	return l.packet(src.Addr(), dst.Addr(), header.ProtoUDP, udpBytes(src, dst, data))
}

// tcpBytes makes a TCP segment.
func tcpBytes(src, dst netip.AddrPort, seg tcp.Segment) []byte {
	if seg.Options == (header.TCPOptions{}) {
		seg.Options.Reset()
	}
	n := seg.Options.Len()
	b := make([]byte, header.TCPMinLen+n+len(seg.Payload))
	f := header.TCPFields{SrcPort: src.Port(), DstPort: dst.Port(), Seq: uint32(seg.Seq), Ack: uint32(seg.Ack), Flags: seg.Flags, Window: seg.Window}
	f.Put(b, n)
	seg.Options.Put(b[header.TCPMinLen:])
	copy(b[header.TCPMinLen+n:], seg.Payload)
	sum := pseudoSum(src.Addr(), dst.Addr(), header.ProtoTCP, len(b))
	header.TCP(b).SetChecksum(^header.Checksum(b, sum))
	return b
}

// segment makes a frame with a TCP segment.
func (l *lab) segment(src, dst netip.AddrPort, seg tcp.Segment) []byte {
	return l.packet(src.Addr(), dst.Addr(), header.ProtoTCP, tcpBytes(src, dst, seg))
}

// icmp makes a frame with an ICMP or ICMPv6 message from the peer.
func (l *lab) icmp(src, dst netip.Addr, typ, code uint8, rest uint32, payload []byte) []byte {
	b := make([]byte, header.ICMPv4Len+len(payload))
	if src.Is4() {
		header.PutICMPv4(b, typ, code, rest, payload)
		return l.packet(src, dst, header.ProtoICMP, b)
	}
	header.PutICMPv6(b, src.As16(), dst.As16(), typ, code, rest, payload)
	return l.packet(src, dst, header.ProtoICMPv6, b)
}

// labConn is a connection of the host's whose other end is the test.
type labConn struct {
	*lab
	conn          *TCPConn
	local, remote netip.AddrPort // of the test
	snd, rcv      tcp.Seq        // next to send, next expected
	window        uint16
}

const (
	fin = header.TCPFlagFIN
	syn = header.TCPFlagSYN
	rst = header.TCPFlagRST
	psh = header.TCPFlagPSH
	ack = header.TCPFlagACK
)

// send gives the host a segment of the connection.
func (c *labConn) send(flags header.TCPFlags, data string) {
	c.Helper()
	c.inject(c.segment(c.local, c.remote, tcp.Segment{
		Seq: c.snd, Ack: c.rcv, Flags: flags, Window: c.window, Payload: []byte(data),
	}))
	c.snd += tcp.Seq(len(data))
	if flags&(syn|fin) != 0 {
		c.snd++
	}
}

// expect takes one segment with the flags and data given.
func (c *labConn) expect(flags header.TCPFlags, data string) frame {
	c.Helper()
	f := c.one()
	require.Equal(c, flags.String(), f.Flags().String())
	require.Equal(c, data, string(f.data))
	c.advance(f)
	return f
}

// advance moves what is expected next over a segment.
func (c *labConn) advance(f frame) {
	if tcp.Seq(f.Seq()) == c.rcv {
		c.rcv += tcp.Seq(len(f.data))
		if f.Flags()&(syn|fin) != 0 {
			c.rcv++
		}
	}
}

// accept opens a connection to a listener of the host's, without options but
// the MSS.
func (l *lab) accept(ln *TCPListener, from netip.AddrPort) *labConn {
	l.Helper()
	to := ln.Addr()
	if to.Addr().IsUnspecified() {
		to = netip.AddrPortFrom(ip4Host, to.Port())
		if from.Addr().Is6() {
			to = netip.AddrPortFrom(ip6Host, to.Port())
		}
	}
	c := &labConn{lab: l, local: from, remote: to, snd: 1000, window: 65535}
	c.send(syn, "")
	f := l.one()
	require.Equal(l, syn|ack, f.Flags())
	c.rcv = tcp.Seq(f.Seq()) + 1
	c.send(ack, "")
	l.quiet()
	var err error
	c.conn, err = ln.TryAccept()
	require.NoError(l, err)
	return c
}

// dial makes the host connect to the test.
func (l *lab) dial(to netip.AddrPort, o TCPOptions) *labConn {
	l.Helper()
	conn, err := l.host.StartDialTCP(netip.AddrPort{}, to, o)
	require.NoError(l, err)
	f := l.one()
	require.Equal(l, syn, f.Flags())
	c := &labConn{lab: l, conn: conn, local: to, remote: netip.AddrPortFrom(f.src, f.srcPort), snd: 5000, window: 65535}
	c.rcv = tcp.Seq(f.Seq()) + 1
	c.send(syn|ack, "")
	c.expect(ack, "")
	require.NoError(l, conn.ConnectStatus())
	return c
}

// listen makes a listener of the host's.
func (l *lab) listen(at string) *TCPListener {
	l.Helper()
	ln, err := l.host.ListenTCP(addrPort(at), ListenOptions{})
	require.NoError(l, err)
	return ln
}

// duo is two hosts that one goroutine drives: a is 10.0.0.1 and fd00::1, b
// 10.0.0.2 and fd00::2.
type duo struct {
	testing.TB
	now   time.Duration
	wire  *wire.Wire
	a, b  *Host
	hosts []*Host
}

func newDuo(t testing.TB, cfg wire.Config, hc Config) *duo {
	w, err := wire.New(cfg)
	require.NoError(t, err)
	d := &duo{TB: t, now: time.Hour, wire: w}
	for i, addrs := range [][]string{{"10.0.0.1/24", "fd00::1/64"}, {"10.0.0.2/24", "fd00::2/64"}} {
		rng := rand.New(rand.NewPCG(uint64(i), 2))
		hc.Name = string(rune('a' + i))
		hc.Clock = func() time.Duration { return d.now }
		hc.Rand = func(b []byte) {
			for i := range b {
				b[i] = byte(rng.Uint32())
			}
		}
		h := NewHost(hc)
		var ps []netip.Prefix
		for _, a := range addrs {
			ps = append(ps, netip.MustParsePrefix(a))
		}
		_, err := h.Attach(w.Port(i), InterfaceConfig{Addrs: ps})
		require.NoError(t, err)
		d.hosts = append(d.hosts, h)
	}
	d.a, d.b = d.hosts[0], d.hosts[1]
	t.Cleanup(func() {
		for _, h := range d.hosts {
			h.Close()
		}
		d.wire.Port(0).Close()
		d.wire.Port(1).Close()
		require.Zero(t, d.wire.InUse(), "packets of the wire in use after Close")
		for _, h := range d.hosts {
			require.Zero(t, h.BuffersInUse(), "buffers of %s in use after Close", h.Name())
			require.Zero(t, h.Timers(), "timers of %s pending after Close", h.Name())
		}
	})
	return d
}

// run lets the hosts work until there is nothing to do now.
func (d *duo) run() {
	for range 1_000_000 {
		n, next := 0, Never
		for _, h := range d.hosts {
			n += h.Poll()
			next = min(next, h.NextEvent())
		}
		if n == 0 && next > d.now {
			for _, h := range d.hosts {
				n += h.FlushIdle()
			}
			if n == 0 {
				return
			}
		}
	}
	d.Fatal("the hosts do not come to rest")
}

// sleep lets time pass, event by event.
func (d *duo) sleep(t time.Duration) {
	end := d.now + t
	for range 1_000_000 {
		d.run()
		next := Never
		for _, h := range d.hosts {
			next = min(next, h.NextEvent())
		}
		if next > end {
			d.now = end
			d.run()
			return
		}
		d.now = max(next, d.now)
	}
	d.Fatal("time does not pass")
}

// connect returns both ends of a connection from b to a listener of a's.
func (d *duo) connect(ln *TCPListener, o TCPOptions) (server, client *TCPConn) {
	d.Helper()
	to := ln.Addr()
	client, err := d.b.StartDialTCP(netip.AddrPort{}, to, o)
	require.NoError(d, err)
	d.run()
	require.NoError(d, client.ConnectStatus())
	server, err = ln.TryAccept()
	require.NoError(d, err)
	return server, client
}

// read returns all that can be read of c now, and what ended it.
func readAll(c *TCPConn) (string, error) {
	var all []byte
	b := make([]byte, 64<<10)
	for {
		n, err := c.TryRead(b)
		all = append(all, b[:n]...)
		if err != nil {
			return string(all), err
		}
	}
}

// tcp1 is the sequence number after a SYN.
func tcp1(f frame) tcp.Seq { return tcp.Seq(f.Seq()) + 1 }
