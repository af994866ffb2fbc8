//go:build linux

package fastnet

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func everythingUDP(c udpConn, to *net.UDPAddr) []any {
	b := make([]byte, 8)
	_, _, _, _, m1 := c.ReadMsgUDP(b, nil)
	_, _, _, _, m2 := c.ReadMsgUDPAddrPort(b, nil)
	_, _, w1 := c.WriteMsgUDP(b, nil, to)
	_, _, w2 := c.WriteMsgUDPAddrPort(b, nil, to.AddrPort())
	_, _, r1 := c.ReadFrom(b)
	_, _, r2 := c.ReadFromUDP(b)
	_, _, r3 := c.ReadFromUDPAddrPort(b)
	return list(
		errOf(c.Read(b)), r1, r2, r3, m1, m2,
		errOf(c.Write(b)), errOf(c.WriteTo(b, to)), errOf(c.WriteToUDP(b, to)), errOf(c.WriteToUDPAddrPort(b, to.AddrPort())), w1, w2,
	)
}

// sockets returns a socket of the client's connected with one of the server's.
func (w *world) sockets(t *testing.T) (c, s udpConn) {
	s, err := w.listenUDP("udp", &net.UDPAddr{IP: net.ParseIP(w.serverIP)})
	require.NoError(t, err)
	c, err = w.dialUDP("udp", nil, s.LocalAddr().(*net.UDPAddr))
	require.NoError(t, err)
	t.Cleanup(func() { c.Close(); s.Close() })
	return c, s
}

var udpSituations = []situation{
	{"use a UDP socket after Close", func(t *testing.T, w *world) []any {
		c, s := w.sockets(t)
		to := &net.UDPAddr{IP: net.ParseIP(w.serverIP), Port: 5000}
		require.NoError(t, c.Close())
		require.NoError(t, s.Close())
		return append(append(everythingUDP(c, to), everythingUDP(s, to)...),
			c.Close(), s.Close(), c.SetDeadline(never), s.SetReadDeadline(never), s.SetWriteDeadline(never),
			s.SetReadBuffer(1<<16), s.SetWriteBuffer(1<<16))
	}},
	{"deadlines of a UDP socket", func(t *testing.T, w *world) []any {
		c, s := w.sockets(t)
		require.NoError(t, s.SetDeadline(past))
		require.NoError(t, c.SetDeadline(past))
		to := &net.UDPAddr{IP: net.ParseIP(w.clientIP), Port: 5000}
		errs := append(everythingUDP(s, to), everythingUDP(c, to)...)
		require.NoError(t, s.SetDeadline(time.Now().Add(20*time.Millisecond)))
		_, _, err := s.ReadFrom(make([]byte, 8))
		return append(errs, err)
	}},
	{"close a UDP socket while a read waits", func(t *testing.T, w *world) []any {
		_, s := w.sockets(t)
		pending := make(chan error, 1)
		go func() {
			_, _, err := s.ReadFromUDPAddrPort(make([]byte, 8))
			pending <- err
		}()
		time.Sleep(20 * time.Millisecond)
		require.NoError(t, s.Close())
		return list(<-pending)
	}},
	{"name an address on a connected UDP socket", func(t *testing.T, w *world) []any {
		c, s := w.sockets(t)
		to := s.LocalAddr().(*net.UDPAddr)
		_, _, m1 := c.WriteMsgUDP(nil, nil, to)
		_, _, m2 := c.WriteMsgUDPAddrPort(nil, nil, to.AddrPort())
		_, _, m3 := c.WriteMsgUDP(nil, nil, nil)
		_, _, m4 := c.WriteMsgUDPAddrPort(nil, nil, netip.AddrPort{})
		return list(
			errOf(c.WriteTo([]byte("x"), to)), errOf(c.WriteToUDP([]byte("x"), to)),
			errOf(c.WriteToUDPAddrPort([]byte("x"), to.AddrPort())), m1, m2, m3, m4,
		)
	}},
	{"name no address on a UDP socket that is not connected", func(t *testing.T, w *world) []any {
		_, s := w.sockets(t)
		_, _, m1 := s.WriteMsgUDP(nil, nil, nil)
		_, _, m2 := s.WriteMsgUDPAddrPort(nil, nil, netip.AddrPort{})
		return list(
			errOf(s.Write([]byte("x"))), errOf(s.WriteToUDP([]byte("x"), nil)),
			errOf(s.WriteToUDPAddrPort([]byte("x"), netip.AddrPort{})), m1, m2,
			errOf(s.WriteTo([]byte("x"), &net.TCPAddr{})), errOf(s.WriteTo([]byte("x"), nil)),
			errOf(s.WriteTo([]byte("x"), (*net.UDPAddr)(nil))),
		)
	}},
	{"send to impossible addresses", func(t *testing.T, w *world) []any {
		_, s := w.sockets(t)
		v6 := &net.UDPAddr{IP: net.IPv6loopback, Port: 80}
		far := &net.UDPAddr{IP: net.ParseIP(w.clientIP), Port: 65536}
		_, _, m1 := s.WriteMsgUDP(nil, nil, v6)
		return list(
			errOf(s.WriteToUDP([]byte("x"), v6)), errOf(s.WriteToUDPAddrPort([]byte("x"), v6.AddrPort())), m1,
			errOf(s.WriteToUDP([]byte("x"), far)),
			errOf(s.WriteTo([]byte("x"), &net.UDPAddr{IP: net.IP{1, 2, 3}, Port: 80})),
		)
	}},
	{"a datagram too large", func(t *testing.T, w *world) []any {
		c, s := w.sockets(t)
		return list(errOf(c.Write(make([]byte, 70000))), errOf(s.WriteTo(make([]byte, 70000), c.LocalAddr())))
	}},
	{"nobody at the other end of a connected UDP socket", func(t *testing.T, w *world) []any {
		port := w.freePort(t)
		c, err := w.dialUDP("udp", nil, &net.UDPAddr{IP: net.ParseIP(w.serverIP), Port: port})
		require.NoError(t, err)
		defer c.Close()
		send := func() {
			_, err := c.Write([]byte("x"))
			require.NoError(t, err)
		}
		b := make([]byte, 8)
		send()
		read := errOf(c.Read(b))
		send()
		_, _, from := c.ReadFrom(b)
		send()
		return list(read, from, until(t, func() error { return errOf(c.Write([]byte("x"))) }))
	}},
	{"no datagram is lost to an error of another peer", func(t *testing.T, w *world) []any {
		_, s := w.sockets(t)
		_, err := s.WriteTo([]byte("x"), &net.UDPAddr{IP: net.ParseIP(w.clientIP), Port: 9})
		require.NoError(t, err)
		require.NoError(t, s.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
		_, _, err = s.ReadFrom(make([]byte, 8))
		return list(err)
	}},
}
