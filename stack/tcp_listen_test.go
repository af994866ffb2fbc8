package stack

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/wire"
	"github.com/fastnet-go/fastnet/stack/tcp"
)

func TestTCPBindings(t *testing.T) {
	l := newLab(t, wire.Config{})
	for _, c := range bindings {
		for _, ab := range [][2]bind{{c.a, c.b}, {c.b, c.a}} {
			name := fmt.Sprintf("%+v beside %+v", ab[1], ab[0])
			a, err := l.host.ListenTCP(ab[0].at(0), ListenOptions{V6Only: ab[0].only, ReusePort: ab[0].reuse})
			require.NoError(t, err, name)
			port := a.Addr().Port()
			b, err := l.host.ListenTCP(ab[1].at(port), ListenOptions{V6Only: ab[1].only, ReusePort: ab[1].reuse})
			require.Equal(t, c.want, err, name)
			if err == nil {
				b.Close()
			}
			require.NoError(t, a.Close())
			b, err = l.host.ListenTCP(ab[1].at(port), ListenOptions{V6Only: ab[1].only})
			require.NoError(t, err, "after Close")
			b.Close()
			require.Equal(t, ErrClosed, b.Close())
		}
	}
	_, err := l.host.ListenTCP(addrPort("10.0.0.2:80"), ListenOptions{})
	require.Equal(t, syscall.EADDRNOTAVAIL, err)
}

// A server starts again while its old connections are in TIME-WAIT or still
// open.
func TestListenAgain(t *testing.T) {
	d := newDuo(t, wire.Config{}, Config{})
	ln, err := d.a.ListenTCP(addrPort("10.0.0.1:80"), ListenOptions{})
	require.NoError(t, err)
	s1, c1 := d.connect(ln, TCPOptions{})
	s2, _ := d.connect(ln, TCPOptions{})
	require.NoError(t, s1.Close())
	require.NoError(t, c1.Close())
	d.run()
	require.NoError(t, ln.Close())
	ln, err = d.a.ListenTCP(addrPort("10.0.0.1:80"), ListenOptions{})
	require.NoError(t, err)
	d.connect(ln, TCPOptions{})
	_, err = s2.TryWrite([]byte("still here"))
	require.NoError(t, err)
}

// A SYN when the backlog is full is dropped; the peer tries again later.
func TestBacklogOverflow(t *testing.T) {
	d := newDuo(t, wire.Config{}, Config{})
	ln, err := d.a.ListenTCP(addrPort("10.0.0.1:80"), ListenOptions{Backlog: 2})
	require.NoError(t, err)
	var cs []*TCPConn
	for range 3 {
		c, err := d.b.StartDialTCP(netip.AddrPort{}, addrPort("10.0.0.1:80"), TCPOptions{})
		require.NoError(t, err)
		cs = append(cs, c)
		d.run()
	}
	require.NoError(t, cs[1].ConnectStatus())
	require.Equal(t, ErrWouldBlock, cs[2].ConnectStatus())
	require.EqualValues(t, 1, d.a.Stats().Drops["listen-overflow"])
	_, err = ln.TryAccept()
	require.NoError(t, err)
	d.sleep(1100 * time.Millisecond)
	require.NoError(t, cs[2].ConnectStatus())
}

// Close of a listener resets the connections that nobody has accepted, those
// whose handshake is under way too, and gives their memory back; those accepted
// go on.
func TestListenerClose(t *testing.T) {
	l := newLab(t, wire.Config{})
	ln := l.listen("10.0.0.1:80")
	accepted := l.accept(ln, addrPort("10.0.0.2:1"))
	queued := &labConn{lab: l, local: addrPort("10.0.0.2:2"), remote: addrPort("10.0.0.1:80"), snd: 1, window: 1000}
	queued.send(syn, "")
	queued.rcv = tcp1(l.one())
	queued.send(psh|ack, "data that nobody reads")
	l.take()
	reset := &labConn{lab: l, local: addrPort("10.0.0.2:3"), remote: addrPort("10.0.0.1:80"), snd: 1, window: 1000}
	reset.send(syn, "")
	reset.rcv = tcp1(l.one())
	reset.send(psh|ack, "data that nobody reads")
	l.take()
	reset.send(rst, "")
	half := &labConn{lab: l, local: addrPort("10.0.0.2:4"), remote: addrPort("10.0.0.1:80"), snd: 1, window: 1000}
	half.send(syn, "")
	half.rcv = tcp1(l.one())
	require.NotZero(t, l.host.BuffersInUse()+l.wire.InUse())

	require.NoError(t, ln.Close())
	fs := l.take()
	require.Len(t, fs, 2)
	for _, f := range fs {
		require.NotZero(t, f.Flags()&rst)
	}
	require.Zero(t, l.host.BuffersInUse())
	require.Zero(t, l.wire.InUse())
	require.Equal(t, 1, l.host.Stats().TCP.Connections)
	accepted.send(psh|ack, "hello")
	accepted.expect(ack, "")
	_, err := ln.TryAccept()
	require.Equal(t, ErrClosed, err)
	require.Equal(t, ErrClosed, ln.SetDeadline(time.Time{}))
	half.send(ack, "")
	require.Equal(t, rst, l.one().Flags(), "nobody listens")
	accepted.conn.Close()
}

// One in the accept queue that was reset is accepted all the same, and its
// first Read tells.
func TestAcceptOfResetConnection(t *testing.T) {
	l := newLab(t, wire.Config{})
	ln := l.listen("10.0.0.1:80")
	c := &labConn{lab: l, local: addrPort("10.0.0.2:3"), remote: addrPort("10.0.0.1:80"), snd: 1, window: 1000}
	c.send(syn, "")
	c.rcv = tcp1(l.one())
	c.send(psh|ack, "hello")
	c.expect(ack, "")
	c.send(rst, "")
	l.quiet()
	conn, err := ln.TryAccept()
	require.NoError(t, err)
	got, err := readAll(conn)
	require.Equal(t, "hello", got)
	require.Equal(t, syscall.ECONNRESET, err)
	require.NoError(t, conn.Close())
}

func TestAcceptDeadlines(t *testing.T) {
	p := newPair(t, wire.Config{})
	ln, err := p.a.ListenTCP(addrPort("10.0.0.1:80"), ListenOptions{})
	require.NoError(t, err)
	accept := func() error { _, err := ln.Accept(); return err }
	require.NoError(t, ln.SetDeadline(time.Now().Add(-time.Second)))
	require.Equal(t, os.ErrDeadlineExceeded, accept())
	require.NoError(t, ln.SetDeadline(time.Now().Add(20*time.Millisecond)))
	require.Equal(t, os.ErrDeadlineExceeded, accept())
	require.NoError(t, ln.SetDeadline(time.Now().Add(time.Hour)))
	time.AfterFunc(20*time.Millisecond, func() { ln.SetDeadline(time.Now()) })
	require.Equal(t, os.ErrDeadlineExceeded, accept())
	require.NoError(t, ln.SetDeadline(time.Now().Add(20*time.Millisecond)))
	require.NoError(t, ln.SetDeadline(time.Time{}))
	time.AfterFunc(40*time.Millisecond, func() {
		c, err := p.b.DialTCP(context.Background(), netip.AddrPort{}, addrPort("10.0.0.1:80"), TCPOptions{})
		if err == nil {
			c.Close()
		}
	})
	require.NoError(t, accept())
	var waiting sync.WaitGroup
	for range 3 {
		waiting.Go(func() {
			if err := accept(); err != ErrClosed {
				t.Errorf("accept: %v", err)
			}
		})
	}
	time.Sleep(10 * time.Millisecond)
	require.NoError(t, ln.Close())
	waiting.Wait()
}

// A dual-stack listener gives IPv4 addresses as IPv4, and one of IPv6 only
// takes none.
func TestListenDualStack(t *testing.T) {
	l := newLab(t, wire.Config{})
	ln := l.listen("[::]:80")
	c := l.accept(ln, addrPort("10.0.0.2:7"))
	require.Equal(t, addrPort("10.0.0.2:7"), c.conn.RemoteAddr())
	require.Equal(t, addrPort("10.0.0.1:80"), c.conn.LocalAddr())
	c.conn.Close()
	l.take()
	require.NoError(t, ln.Close())
	_, err := l.host.ListenTCP(addrPort("[::]:80"), ListenOptions{V6Only: true})
	require.NoError(t, err)
	l.inject(l.segment(addrPort("10.0.0.2:9"), addrPort("10.0.0.1:80"), tcp.Segment{Flags: syn}))
	require.Equal(t, rst|ack, l.one().Flags())
	l.inject(l.segment(addrPort("[fd00::2]:9"), addrPort("[fd00::1]:80"), tcp.Segment{Flags: syn}))
	require.Equal(t, syn|ack, l.one().Flags())
}

// Handshakes that the peer does not finish end, and make room.
func TestHalfOpenConnectionsEnd(t *testing.T) {
	l := newLab(t, wire.Config{})
	ln, err := l.host.ListenTCP(addrPort("10.0.0.1:80"), ListenOptions{Backlog: 10})
	require.NoError(t, err)
	for i := range 20 {
		l.inject(l.segment(netip.AddrPortFrom(ip4Peer, uint16(1000+i)), addrPort("10.0.0.1:80"), tcp.Segment{Flags: syn, Seq: 1}))
	}
	require.Len(t, l.take(), 20)
	require.Equal(t, 20, l.host.Stats().TCP.Connections)
	l.sleep(62 * time.Second)
	require.Len(t, l.take(), 5*20)
	require.Equal(t, 20, l.host.Stats().TCP.HalfOpen)
	l.sleep(5 * time.Second)
	l.quiet()
	st := l.host.Stats().TCP
	require.Zero(t, st.Connections)
	require.EqualValues(t, 20, st.SYNTimeouts)
	require.EqualValues(t, 20, st.SYNs)
	require.Zero(t, ln.halfOpen)
	require.Empty(t, l.host.ended.set)
	l.host.wheel.Stop(&l.iface.neighTime)
	require.Zero(t, l.host.Timers())
	l.accept(ln, addrPort("10.0.0.2:7"))
}
