package stack

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/wire"
	"github.com/fastnet-go/fastnet/stack/header"
	"github.com/fastnet-go/fastnet/stack/route"
	"github.com/fastnet-go/fastnet/stack/tcp"
)

// flood gives a's device frames that no host has sent.
type flood struct {
	*duo
	rng *rand.Rand
	to  netip.AddrPort
}

func (f *flood) inject(b []byte) {
	q := f.wire.Port(1).Queues()[0]
	p := q.Alloc(len(b))
	require.NotNil(f, p)
	copy(p.Extend(len(b)), b)
	require.Equal(f, 1, q.Send([]*nic.Packet{p}))
}

// segment is one from somewhere in the world.
func (f *flood) segment(seg tcp.Segment) {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], f.rng.Uint32())
	a[0] = 20 + a[0]%100
	from := netip.AddrPortFrom(netip.AddrFrom4(a), 1+uint16(f.rng.UintN(65535)))
	body := tcpBytes(from, f.to, seg)
	b := make([]byte, header.EthernetLen+header.IPv4MinLen+len(body))
	header.PutEthernet(b, f.wire.Port(0).Info().MAC, f.wire.Port(1).Info().MAC, header.TypeIPv4)
	ip := header.IPv4Fields{Src: a, Dst: f.to.Addr().As4(), TTL: 64, TotalLen: header.IPv4MinLen + len(body), Protocol: header.ProtoTCP}
	ip.Put(b[header.EthernetLen:])
	copy(b[header.EthernetLen+header.IPv4MinLen:], body)
	f.inject(b)
}

// forge is what an attacker sends: mostly SYNs, and ACKs that guess.
func (f *flood) forge() {
	seg := tcp.Segment{Flags: syn, Seq: tcp.Seq(f.rng.Uint32()), Window: uint16(f.rng.Uint32())}
	seg.Options.Reset()
	switch f.rng.IntN(8) {
	case 0:
		seg.Flags, seg.Ack = ack, tcp.Seq(f.rng.Uint32())
	case 1:
		seg.Flags, seg.Ack, seg.Payload = ack, tcp.Seq(f.rng.Uint32()), make([]byte, 100)
	case 2:
		seg.Flags = rst
	case 3:
		seg.Options.MSS, seg.Options.WScale, seg.Options.SACKPermitted = 1460, 7, true
		seg.Options.Timestamps, seg.Options.TSVal = true, f.rng.Uint32()
	}
	f.segment(seg)
}

// While forged SYNs from all over the world come, thirty for each that is
// honest, all who are honest get in, with their options and their data, and what
// the host keeps of the others is bounded.
func TestSYNFlood(t *testing.T) {
	d := newDuo(t, wire.Config{}, Config{MaxHalfOpen: 500})
	require.NoError(t, d.a.AddRoute(route.Route{Prefix: netip.MustParsePrefix("0.0.0.0/0"), Gateway: ip4Peer}))
	ln, err := d.a.ListenTCP(addrPort("10.0.0.1:80"), ListenOptions{})
	require.NoError(t, err)
	f := &flood{duo: d, rng: rand.New(rand.NewPCG(1, 2)), to: ln.Addr()}
	const rounds = 1000
	served, most := 0, 0
	for range rounds {
		for range 30 {
			f.forge()
		}
		c, err := d.b.StartDialTCP(netip.AddrPort{}, ln.Addr(), TCPOptions{})
		require.NoError(t, err)
		d.run()
		most = max(most, d.a.Stats().TCP.HalfOpen)
		require.LessOrEqual(t, d.a.flows.len(), 2, "only the honest are connections")
		d.now += 3 * time.Millisecond
		if c.ConnectStatus() != nil {
			c.SetLinger(0)
			c.Close()
			continue
		}
		_, err = c.TryWrite([]byte("hello"))
		require.NoError(t, err)
		d.run()
		s, err := ln.TryAccept()
		require.NoError(t, err)
		got, _ := readAll(s)
		require.Equal(t, "hello", got)
		if i := s.Info(); i.SACK && i.Timestamps && i.SndScale == i.RcvScale && i.SndScale > 0 && i.SndMSS == 1460 {
			served++
		}
		c.SetLinger(0)
		c.Close()
		d.run()
		s.Close()
		d.run()
	}
	require.GreaterOrEqual(t, served, rounds*99/100)
	require.Equal(t, 500, most)
	st := d.a.Stats().TCP
	require.Greater(t, st.SYNs, uint64(rounds*15))
	require.Greater(t, st.CookiesSent, uint64(rounds*10))
	require.Greater(t, st.CookiesValid, uint64(rounds/2))
	require.Greater(t, st.CookiesInvalid, uint64(rounds))
	require.Zero(t, d.a.BuffersInUse())
	require.Less(t, unsafe.Sizeof(halfOpen{}), uintptr(288))

	d.sleep(2 * time.Minute)
	require.Zero(t, d.a.Stats().TCP.Connections)
}

// cookieLab is a host that answers each SYN by a cookie.
func cookieLab(t *testing.T, backlog int) (*lab, *TCPListener) {
	l := newLabWith(t, wire.Config{}, Config{MaxHalfOpen: -1})
	ln, err := l.host.ListenTCP(addrPort("[::]:80"), ListenOptions{Backlog: backlog})
	require.NoError(t, err)
	return l, ln
}

// begin sends a SYN and takes the SYN-ACK.
func (l *lab) begin(from, to netip.AddrPort) *labConn {
	l.Helper()
	c := &labConn{lab: l, local: from, remote: to, snd: 1000, window: 1000}
	c.send(syn, "")
	f := l.one()
	require.Equal(l, syn|ack, f.Flags())
	c.rcv = tcp1(f)
	return c
}

// The ACK of a cookie makes the connection, with the data it brings; nothing is
// kept before.
func TestCookieOfAListener(t *testing.T) {
	for _, to := range []netip.AddrPort{addrPort("10.0.0.1:80"), addrPort("[fd00::1]:80")} {
		l, ln := cookieLab(t, 0)
		from := addrPort("10.0.0.2:7")
		if to.Addr().Is6() {
			from = addrPort("[fd00::2]:7")
		}
		c := l.begin(from, to)
		require.Zero(t, l.host.Stats().TCP.Connections)
		l.sleep(5 * time.Second)
		l.quiet() // nobody sends a SYN-ACK again

		c.snd += 5 // what overtakes the first data is dropped, not reset
		c.send(psh|ack, "world")
		l.quiet()
		require.EqualValues(t, 1, l.drops(DropCookie))
		c.snd -= 10
		c.send(psh|ack, "hello")
		c.expect(ack, "")
		c.send(psh|ack, "world")
		c.expect(ack, "")
		conn, err := ln.TryAccept()
		require.NoError(t, err)
		got, _ := readAll(conn)
		require.Equal(t, "helloworld", got)
		st := l.host.Stats().TCP
		require.EqualValues(t, 1, st.CookiesSent)
		require.EqualValues(t, 1, st.CookiesValid)
		require.EqualValues(t, 1, st.CookiesInvalid)
		require.EqualValues(t, 1, st.PassiveOpens)
		conn.SetLinger(0)
		conn.Close()
	}
}

// A cookie that comes too late, and a guess, are answered by RST; long after the
// last cookie nothing is taken for one.
func TestCookieExpires(t *testing.T) {
	l, ln := cookieLab(t, 0)
	c := l.begin(addrPort("10.0.0.2:7"), addrPort("10.0.0.1:80"))
	c.rcv++
	c.send(ack, "")
	require.Equal(t, rst, l.one().Flags())
	c.rcv--
	l.sleep(2*time.Minute + 8*time.Second)
	c.send(ack, "")
	require.Equal(t, rst, l.one().Flags())
	st := l.host.Stats().TCP
	require.EqualValues(t, 1, st.CookiesInvalid)
	require.EqualValues(t, 1, st.CookiesExpired)
	l.sleep(10 * time.Minute)
	c.send(ack, "")
	require.Equal(t, rst, l.one().Flags())
	require.Equal(t, st.CookiesInvalid, l.host.Stats().TCP.CookiesInvalid)
	_, err := ln.TryAccept()
	require.Equal(t, ErrWouldBlock, err)
}

// With the accept queue full the last ACK of a handshake is dropped, and nothing
// that came with it acknowledged: it is taken once there is room.
func TestAcceptQueueFull(t *testing.T) {
	for name, most := range map[string]int{"SYN queue": 0, "cookies": -1} {
		l := newLabWith(t, wire.Config{}, Config{MaxHalfOpen: most})
		to := addrPort("10.0.0.1:80")
		ln, err := l.host.ListenTCP(to, ListenOptions{Backlog: 1})
		require.NoError(t, err)
		a, b := l.begin(addrPort("10.0.0.2:1"), to), l.begin(addrPort("10.0.0.2:2"), to)
		a.send(ack, "")
		b.send(psh|ack, "hello")
		l.quiet()
		require.EqualValues(t, 1, l.drops(DropListenOverflow), name)
		late := &labConn{lab: l, local: addrPort("10.0.0.2:3"), remote: to, snd: 1000, window: 1000}
		late.send(syn, "")
		l.quiet() // nor is anything begun
		require.EqualValues(t, 2, l.drops(DropListenOverflow), name)
		if most == 0 {
			l.sleep(1100 * time.Millisecond)
			require.Equal(t, syn|ack, l.one().Flags(), "the peer is asked again")
		}
		_, err = ln.TryAccept()
		require.NoError(t, err)
		b.snd -= 5
		b.send(psh|ack, "hello")
		b.expect(ack, "")
		conn, err := ln.TryAccept()
		require.NoError(t, err, name)
		got, _ := readAll(conn)
		require.Equal(t, "hello", got, name)
		_, err = ln.TryAccept()
		require.Equal(t, ErrWouldBlock, err)
	}
}

// A half-open connection is reset, or answered, as the RFCs say, and a listener
// that is closed resets its own.
func TestHalfOpenSegments(t *testing.T) {
	l := newLab(t, wire.Config{})
	ln := l.listen("10.0.0.1:80")
	other := l.listen("10.0.0.1:81")
	c := l.begin(addrPort("10.0.0.2:1"), ln.Addr())
	c.snd -= 1
	c.send(syn, "")
	require.Equal(t, syn|ack, l.one().Flags(), "the SYN again")
	c.rcv += 7
	c.send(ack, "")
	require.Equal(t, rst, l.one().Flags(), "an ACK of what was not sent")
	c.rcv -= 7
	c.snd += 100
	c.send(rst, "")
	require.Equal(t, ack, l.one().Flags(), "a RST in the window is challenged")
	c.snd -= 100
	require.Equal(t, 1, l.host.Stats().TCP.HalfOpen)
	c.send(rst, "")
	l.quiet()
	require.Zero(t, l.host.Stats().TCP.Connections)

	l.begin(addrPort("10.0.0.2:1"), ln.Addr())
	l.begin(addrPort("10.0.0.2:2"), other.Addr())
	require.NoError(t, ln.Close())
	f := l.one()
	require.Equal(t, rst|ack, f.Flags())
	require.EqualValues(t, 1, f.dstPort)
	require.Equal(t, 1, l.host.Stats().TCP.HalfOpen)
}

// A segment that comes by another queue while the handshake's last ACK is being
// worked off gets no RST, which would end the connection at the peer's.
func TestDataOvertakesTheHandshakeOnAnotherQueue(t *testing.T) {
	var l *lab
	var data []byte
	cc := func() tcp.Congestion {
		if data != nil { // the connection is being made
			q := l.wire.Port(1).Queues()[1]
			p := q.Alloc(len(data))
			copy(p.Extend(len(data)), data)
			require.Equal(t, 1, q.Send([]*nic.Packet{p}))
			require.Equal(t, 1, l.iface.queues[1].poll())
		}
		return nil
	}
	l = newLabWith(t, wire.Config{Queues: 2}, Config{TCP: TCPDefaults{Congestion: cc}})
	ln := l.listen("10.0.0.1:80")
	c := &labConn{lab: l, local: addrPort("10.0.0.2:5000"), remote: ln.Addr(), snd: 1000, window: 65535}
	c.send(syn, "")
	c.rcv = tcp.Seq(l.one().Seq()) + 1
	data = l.segment(c.local, c.remote, tcp.Segment{Flags: ack, Seq: c.snd, Ack: c.rcv, Window: 1000, Payload: []byte("early")})
	c.send(ack, "")
	l.run()
	data = nil
	conn, err := ln.TryAccept()
	require.NoError(t, err)
	require.Zero(t, l.host.Stats().TCP.ResetsSent)
	require.Zero(t, l.host.Stats().TCP.HalfOpen)
	c.send(ack|psh, "early")
	l.run()
	got, _ := readAll(conn)
	require.Equal(t, "early", got)
	conn.SetLinger(0)
	conn.Close()
}
