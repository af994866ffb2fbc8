package stack

import (
	"context"
	"io"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/wire"
)

// Errors that a dial finds without a packet, or by the first answer.
func TestDialErrors(t *testing.T) {
	p := newPair(t, wire.Config{})
	_, err := p.b.ListenTCP(addrPort("10.0.0.2:7777"), ListenOptions{})
	require.NoError(t, err)
	for _, c := range []struct {
		from, to string
		want     error
	}{
		{"", "10.0.0.1:81", syscall.ECONNREFUSED},
		{"", "[fd00::1]:81", syscall.ECONNREFUSED},
		{"", "127.0.0.1:81", syscall.ECONNREFUSED},
		{"", "[::1]:81", syscall.ECONNREFUSED},
		{"", "0.0.0.0:81", syscall.ECONNREFUSED},
		{"", "[::]:81", syscall.ECONNREFUSED},
		{"", "10.0.0.1:0", syscall.ECONNREFUSED},
		{"", "192.0.2.1:80", syscall.ENETUNREACH},
		{"", "[2001:db8::1]:80", syscall.ENETUNREACH},
		{"", "10.0.0.255:80", syscall.ENETUNREACH},
		{"", "255.255.255.255:80", syscall.ENETUNREACH},
		{"", "224.0.0.1:80", syscall.ENETUNREACH},
		{"", "[ff02::1]:80", syscall.ENETUNREACH},
		{"10.0.0.9:0", "10.0.0.1:81", syscall.EADDRNOTAVAIL},
		{"[fd00::2]:0", "10.0.0.1:81", syscall.EINVAL},
		{"127.0.0.1:0", "10.0.0.1:81", syscall.EINVAL},
		{"10.0.0.2:7777", "10.0.0.1:81", syscall.EADDRINUSE},
		{"0.0.0.0:7778", "10.0.0.1:81", syscall.ECONNREFUSED},
	} {
		var from netip.AddrPort
		if c.from != "" {
			from = addrPort(c.from)
		}
		_, err := p.b.DialTCP(context.Background(), from, addrPort(c.to), TCPOptions{})
		require.Equal(t, c.want, err, "%s to %s", c.from, c.to)
	}
	require.Zero(t, p.b.Stats().TCP.Connections)
	require.Zero(t, p.b.sockets.Load())
}

// Without an answer a dial gives up after the retransmissions of the SYN.
func TestDialTimeout(t *testing.T) {
	l := newLab(t, wire.Config{})
	c, err := l.host.StartDialTCP(netip.AddrPort{}, addrPort("10.0.0.2:80"), TCPOptions{})
	require.NoError(t, err)
	l.sleep(126 * time.Second)
	require.Equal(t, ErrWouldBlock, c.ConnectStatus())
	l.sleep(2 * time.Second)
	require.Equal(t, syscall.ETIMEDOUT, c.ConnectStatus())
	require.Len(t, l.take(), 7)
	require.Zero(t, l.host.sockets.Load())
	l.sleep(time.Hour)
	require.Zero(t, l.host.Timers())
}

func TestDialContext(t *testing.T) {
	p := newPair(t, wire.Config{})
	dial := func(ctx context.Context, to string) error {
		c, err := p.b.DialTCP(ctx, netip.AddrPort{}, addrPort(to), TCPOptions{})
		if err == nil {
			c.Close()
		}
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.Equal(t, context.Canceled, dial(ctx, "10.0.0.1:80"))
	ctx, cancel = context.WithTimeout(context.Background(), 20*time.Millisecond)
	require.Equal(t, context.DeadlineExceeded, dial(ctx, "10.0.0.99:80"), "while the next hop is looked for")
	cancel()
	ln, err := p.a.ListenTCP(addrPort("10.0.0.1:80"), ListenOptions{Backlog: 1})
	require.NoError(t, err)
	require.NoError(t, dial(context.Background(), "10.0.0.1:80"))
	ctx, cancel = context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, cancel)
	require.Equal(t, context.Canceled, dial(ctx, "10.0.0.1:80"), "while the SYN waits for an answer")
	_, err = ln.Accept()
	require.NoError(t, err)
	// After the handshake the context means nothing.
	ctx, cancel = context.WithCancel(context.Background())
	c, err := p.b.DialTCP(ctx, netip.AddrPort{}, addrPort("10.0.0.1:80"), TCPOptions{})
	require.NoError(t, err)
	cancel()
	s, err := ln.Accept()
	require.NoError(t, err)
	_, err = c.Write([]byte("x"))
	require.NoError(t, err)
	_, err = io.ReadFull(s, make([]byte, 1))
	require.NoError(t, err)
	s.Close()
	c.Close()
}

// Dialling and cancelling race at every point.
func TestDialCancelRace(t *testing.T) {
	p := newPair(t, wire.Config{})
	ln, err := p.a.ListenTCP(addrPort("10.0.0.1:80"), ListenOptions{})
	require.NoError(t, err)
	var done sync.WaitGroup
	done.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	})
	for i := range 500 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i)*200*time.Nanosecond)
		c, err := p.b.DialTCP(ctx, netip.AddrPort{}, addrPort("10.0.0.1:80"), TCPOptions{})
		if err == nil {
			c.Close()
		} else if err != context.DeadlineExceeded {
			t.Fatal(err)
		}
		cancel()
	}
	ln.Close()
	done.Wait()
}

// A host talks to itself by any of its addresses.
func TestLoopback(t *testing.T) {
	p := newPair(t, wire.Config{})
	for _, c := range []struct{ listen, dial, remote string }{
		{"127.0.0.1:80", "127.0.0.1:80", "127.0.0.1:80"},
		{"[::1]:80", "[::1]:80", "[::1]:80"},
		{"10.0.0.1:80", "10.0.0.1:80", "10.0.0.1:80"},
		{"[fd00::1]:80", "[fd00::1]:80", "[fd00::1]:80"},
		{"0.0.0.0:80", "0.0.0.0:80", "127.0.0.1:80"},
		{"[::]:80", "[::]:80", "[::1]:80"},
		{"[::]:80", "127.3.2.1:80", "127.3.2.1:80"},
		{"[::]:80", "[::ffff:10.0.0.1]:80", "10.0.0.1:80"},
	} {
		ln, err := p.a.ListenTCP(addrPort(c.listen), ListenOptions{})
		require.NoError(t, err)
		client, err := p.a.DialTCP(context.Background(), netip.AddrPort{}, addrPort(c.dial), TCPOptions{})
		require.NoError(t, err, c.dial)
		require.Equal(t, addrPort(c.remote), client.RemoteAddr())
		server, err := ln.Accept()
		require.NoError(t, err)
		require.Equal(t, client.LocalAddr(), server.RemoteAddr())
		go func() {
			client.Write(pattern(300_000))
			client.CloseWrite()
		}()
		b, err := io.ReadAll(server)
		require.NoError(t, err)
		require.Equal(t, pattern(300_000), b)
		server.Close()
		client.Close()
		ln.Close()
	}
	require.Zero(t, p.a.Stats().Device.TxPackets)
}

// A socket that dials its own address and port is connected to itself (RFC 9293
// section 3.5, simultaneous open).
func TestSelfConnection(t *testing.T) {
	p := newPair(t, wire.Config{})
	c, err := p.a.DialTCP(context.Background(), addrPort("127.0.0.1:5555"), addrPort("127.0.0.1:5555"), TCPOptions{})
	require.NoError(t, err)
	_, err = c.Write([]byte("hello"))
	require.NoError(t, err)
	b := make([]byte, 5)
	_, err = io.ReadFull(c, b)
	require.NoError(t, err)
	require.Equal(t, "hello", string(b))
	require.NoError(t, c.CloseWrite())
	_, err = c.Read(b)
	require.Equal(t, io.EOF, err)
	require.NoError(t, c.Close())
}

// Ports for one destination run out, and come again as connections end; other
// destinations are not affected.
func TestPortsRunOut(t *testing.T) {
	if testing.Short() {
		t.Skip("28000 connections")
	}
	l := newLab(t, wire.Config{})
	l.mute = true // the SYNs wait for the next hop
	seen := map[uint16]bool{}
	var last *TCPConn
	for range numEphemeral {
		c, err := l.host.StartDialTCP(netip.AddrPort{}, addrPort("10.0.0.2:80"), TCPOptions{})
		require.NoError(t, err)
		require.False(t, seen[c.LocalAddr().Port()])
		seen[c.LocalAddr().Port()] = true
		last = c
	}
	_, err := l.host.StartDialTCP(netip.AddrPort{}, addrPort("10.0.0.2:80"), TCPOptions{})
	require.Equal(t, syscall.EADDRNOTAVAIL, err)
	_, err = l.host.StartDialTCP(netip.AddrPort{}, addrPort("10.0.0.2:81"), TCPOptions{})
	require.NoError(t, err)
	last.Close()
	c, err := l.host.StartDialTCP(netip.AddrPort{}, addrPort("10.0.0.2:80"), TCPOptions{})
	require.NoError(t, err)
	require.Equal(t, last.LocalAddr(), c.LocalAddr())
}

// A connection limit of the host's is an error for who dials, and a drop for
// who comes.
func TestMaxConnections(t *testing.T) {
	l := newLabWith(t, wire.Config{}, Config{MaxConnections: 2})
	ln := l.listen("10.0.0.1:80")
	l.accept(ln, addrPort("10.0.0.2:1"))
	c := l.accept(ln, addrPort("10.0.0.2:2"))
	_, err := l.host.StartDialTCP(netip.AddrPort{}, addrPort("10.0.0.2:80"), TCPOptions{})
	require.Equal(t, syscall.ENOBUFS, err)
	over := &labConn{lab: l, local: addrPort("10.0.0.2:3"), remote: addrPort("10.0.0.1:80")}
	over.send(syn, "")
	l.quiet()
	require.EqualValues(t, 1, l.drops(DropFlow))
	c.send(rst, "")
	l.quiet()
	over.snd = 0
	over.send(syn, "")
	require.Equal(t, syn|ack, l.one().Flags())
}
