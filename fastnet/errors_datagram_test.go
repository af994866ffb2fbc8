//go:build linux

package fastnet

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// message is what ReadMsgUDP returned.
func message(n, oobn, flags int, a *net.UDPAddr, err error) []any {
	return list(n, oobn, flags, opAddr(a), err)
}

func messageAddrPort(n, oobn, flags int, a netip.AddrPort, err error) []any {
	return list(n, oobn, flags, a.Addr().Is4(), a.Addr().Is4In6(), a.IsValid(), err)
}

// wildcard is a socket of the server's bound to no address.
func (w *world) wildcard(t *testing.T, network string) (udpConn, int) {
	s, err := w.listenUDP(network, nil)
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s, s.LocalAddr().(*net.UDPAddr).Port
}

// datagramSituations are about datagrams, with their results.
var datagramSituations = []situation{
	{"a datagram that is longer than the buffer", func(t *testing.T, w *world) (results []any) {
		c, s := w.sockets(t)
		b := make([]byte, 4)
		for range 5 {
			_, err := c.Write([]byte("too long"))
			require.NoError(t, err)
		}
		results = append(results, both(s.Read(b)), string(b))
		n, from, err := s.ReadFrom(b)
		results = append(results, n, from, err)
		n, _, err = s.ReadFromUDPAddrPort(b)
		results = append(results, n, err)
		results = append(results, message(s.ReadMsgUDP(b, nil))...)
		return append(results, messageAddrPort(s.ReadMsgUDPAddrPort(b, nil))...)
	}},
	{"a datagram that fits the buffer", func(t *testing.T, w *world) (results []any) {
		c, s := w.sockets(t)
		b := make([]byte, 4)
		for range 5 {
			results = append(results, both(c.Write([]byte("four"))))
		}
		results = append(results, both(s.Read(b)), string(b))
		n, from, err := s.ReadFrom(b)
		results = append(results, n, from, err)
		n, _, err = s.ReadFromUDPAddrPort(b)
		results = append(results, n, err)
		results = append(results, message(s.ReadMsgUDP(b, nil))...)
		return append(results, messageAddrPort(s.ReadMsgUDPAddrPort(b, nil))...)
	}},
	{"datagrams without data", func(t *testing.T, w *world) []any {
		c, s := w.sockets(t)
		b := make([]byte, 4)
		results := list(both(c.Write(nil)), both(c.Write([]byte{})))
		n, from, err := s.ReadFrom(b)
		results = append(results, n, from, err)
		results = append(results, message(s.ReadMsgUDP(b, nil))...)
		results = append(results, both(s.WriteTo(nil, c.LocalAddr())))
		return append(results, both(c.Read(b)))
	}},
	{"reads into no buffer", func(t *testing.T, w *world) []any {
		c, s := w.sockets(t)
		results := list(both(c.Read(nil)))
		require.NoError(t, c.SetReadDeadline(past))
		results = append(results, both(c.Read(nil)))
		n, from, err := c.ReadFrom(nil)
		results = append(results, n, from, err)
		require.NoError(t, c.SetReadDeadline(never))
		for range 2 {
			_, err := s.WriteTo([]byte("data"), c.LocalAddr())
			require.NoError(t, err)
		}
		n, from, err = c.ReadFrom(nil)
		results = append(results, n, from, err, both(c.Read(nil)))
		b := make([]byte, 8)
		return append(results, both(c.Read(b)))
	}},
	{"datagrams of the largest size", func(t *testing.T, w *world) []any {
		c, s := w.sockets(t)
		most := 65507
		if net.ParseIP(w.serverIP).To4() == nil {
			most = 65527
		}
		require.NoError(t, s.SetReadBuffer(1<<20))
		ok := both(c.Write(make([]byte, most)))
		b := make([]byte, 65536)
		n, err := s.Read(b)
		_, _, m := s.WriteMsgUDP(make([]byte, most+1), nil, c.LocalAddr().(*net.UDPAddr))
		return list(ok.v == most, ok.err, n == most, err, errOf(c.Write(make([]byte, most+1))), m)
	}},
	{"a connected socket hears its peer alone", func(t *testing.T, w *world) []any {
		c, s := w.sockets(t)
		other, err := w.listenUDP("udp", &net.UDPAddr{IP: net.ParseIP(w.serverIP)})
		require.NoError(t, err)
		defer other.Close()
		_, err = other.WriteTo([]byte("stranger"), c.LocalAddr())
		require.NoError(t, err)
		_, err = s.WriteTo([]byte("peer"), c.LocalAddr())
		require.NoError(t, err)
		b := make([]byte, 16)
		n, from, err := c.ReadFrom(b)
		results := list(n, from, err, from.String() == s.LocalAddr().String())
		require.NoError(t, c.SetReadDeadline(time.Now().Add(soon)))
		return append(results, errOf(c.Read(b)))
	}},
	{"datagrams to port 0 and to no address", func(t *testing.T, w *world) []any {
		s, port := w.wildcard(t, "udp")
		here := &net.UDPAddr{Port: port}
		results := list(
			both(s.WriteTo([]byte("x"), &net.UDPAddr{IP: net.ParseIP(w.serverIP)})),
			both(s.WriteToUDPAddrPort([]byte("x"), netip.AddrPortFrom(netip.MustParseAddr(w.serverIP), 0))),
			both(s.WriteTo([]byte("to myself"), here)),
		)
		b := make([]byte, 16)
		n, _, err := s.ReadFrom(b)
		return append(results, n, err)
	}},
	{"datagrams to the other family", func(t *testing.T, w *world) []any {
		s4, _ := w.wildcard(t, "udp4")
		s6, _ := w.wildcard(t, "udp6")
		v4, v6 := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9}, &net.UDPAddr{IP: net.IPv6loopback, Port: 9}
		mapped := netip.AddrPortFrom(netip.MustParseAddr("::ffff:127.0.0.1"), 9)
		_, _, m := s6.WriteMsgUDPAddrPort([]byte("x"), nil, mapped)
		return list(
			both(s4.WriteTo([]byte("x"), v6)), both(s6.WriteTo([]byte("x"), v4)),
			both(s4.WriteToUDPAddrPort([]byte("x"), v6.AddrPort())), both(s6.WriteToUDPAddrPort([]byte("x"), v4.AddrPort())),
			both(s6.WriteToUDPAddrPort([]byte("x"), mapped)), both(s4.WriteToUDPAddrPort([]byte("x"), mapped)), m,
		)
	}},
	{"control messages that are none", func(t *testing.T, w *world) []any {
		c, s := w.sockets(t)
		_, _, short := c.WriteMsgUDP([]byte("x"), []byte{1, 2, 3}, nil)
		_, _, bad := s.WriteMsgUDP([]byte("x"), make([]byte, 16), c.LocalAddr().(*net.UDPAddr))
		n, oobn, none := s.WriteMsgUDP([]byte("x"), []byte{}, c.LocalAddr().(*net.UDPAddr))
		return list(short, bad, n, oobn, none)
	}},
	{"messages on sockets of both kinds", func(t *testing.T, w *world) []any {
		c, s := w.sockets(t)
		n, oobn, err := c.WriteMsgUDP([]byte("data"), nil, nil)
		results := list(n, oobn, err)
		b, oob := make([]byte, 8), make([]byte, 64)
		results = append(results, message(s.ReadMsgUDP(b, oob))...)
		n, oobn, err = s.WriteMsgUDPAddrPort([]byte("data"), nil, c.LocalAddr().(*net.UDPAddr).AddrPort())
		results = append(results, n, oobn, err)
		return append(results, messageAddrPort(c.ReadMsgUDPAddrPort(b, oob))...)
	}},
	{"the source on a socket for both families", func(t *testing.T, w *world) []any {
		s, port := w.wildcard(t, "udp")
		c, err := w.dialUDP("udp", nil, &net.UDPAddr{IP: net.ParseIP(w.serverIP), Port: port})
		require.NoError(t, err)
		defer c.Close()
		for range 4 {
			_, err = c.Write([]byte("x"))
			require.NoError(t, err)
		}
		b := make([]byte, 4)
		n, from, err := s.ReadFrom(b)
		results := list(n, from, err, s.LocalAddr())
		n, from2, err := s.ReadFromUDP(b)
		results = append(results, n, from2, err)
		_, ap, err := s.ReadFromUDPAddrPort(b)
		results = append(results, ap.Addr().Is4In6(), err)
		return append(results, messageAddrPort(s.ReadMsgUDPAddrPort(b, nil))...)
	}},
	{"a read deadline of a UDP socket that changes while a read waits", func(t *testing.T, w *world) []any {
		c, s := w.sockets(t)
		read := func() error {
			_, _, err := s.ReadFromUDPAddrPort(make([]byte, 8))
			return err
		}
		require.NoError(t, s.SetReadDeadline(time.Now().Add(time.Hour)))
		sooner := started(read)
		require.NoError(t, s.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
		first := <-sooner
		require.NoError(t, s.SetReadDeadline(never))
		now := started(read)
		require.NoError(t, s.SetReadDeadline(past))
		second := <-now
		require.NoError(t, s.SetReadDeadline(never))
		none := deadlineTakenBack(t, s.SetReadDeadline, read, func() {
			_, err := c.Write([]byte("x"))
			require.NoError(t, err)
		})
		return list(first, second, none)
	}},
	{"a deadline goes before datagrams that wait", func(t *testing.T, w *world) []any {
		c, s := w.sockets(t)
		_, err := c.Write([]byte("x"))
		require.NoError(t, err)
		w.settled(t)
		require.NoError(t, s.SetDeadline(past))
		b := make([]byte, 4)
		_, _, late := s.ReadFrom(b)
		sent := errOf(s.WriteTo(b, c.LocalAddr()))
		require.NoError(t, s.SetDeadline(never))
		n, _, err := s.ReadFrom(b)
		return list(late, sent, n, err)
	}},
	{"Close drops datagrams that wait, and wakes all readers", func(t *testing.T, w *world) []any {
		c, s := w.sockets(t)
		done := make(chan error, 3)
		for range 3 {
			go func() { done <- errOf(c.Read(make([]byte, 1))) }()
		}
		// Not from c, whose readers would be told if it came too late.
		other, err := w.dialUDP("udp", nil, s.LocalAddr().(*net.UDPAddr))
		require.NoError(t, err)
		defer other.Close()
		_, err = other.Write([]byte("x"))
		require.NoError(t, err)
		w.settled(t)
		require.NoError(t, s.Close())
		_, _, err = s.ReadFrom(make([]byte, 4))
		require.NoError(t, c.Close())
		return list(err, s.Close(), <-done, <-done, <-done, c.LocalAddr(), c.RemoteAddr(), s.RemoteAddr())
	}},
	{"a refusal is told once", func(t *testing.T, w *world) []any {
		c, err := w.dialUDP("udp", nil, &net.UDPAddr{IP: net.ParseIP(w.serverIP), Port: w.freePort(t)})
		require.NoError(t, err)
		defer c.Close()
		_, err = c.Write([]byte("x"))
		require.NoError(t, err)
		b := make([]byte, 4)
		first := errOf(c.Read(b))
		require.NoError(t, c.SetReadDeadline(time.Now().Add(soon)))
		second := errOf(c.Read(b))
		_, err = c.Write([]byte("x"))
		m := until(t, func() error {
			_, _, err := c.WriteMsgUDP(b, nil, nil)
			return err
		})
		return list(first, second, err, m)
	}},
	{"a UDP socket that is none", func(t *testing.T, w *world) []any {
		to := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9}
		c := w.zeroUDP
		return append(everythingUDP(c, to), c.Close(), c.SetDeadline(never), c.SetReadDeadline(never), c.SetWriteDeadline(never),
			c.SetReadBuffer(1), c.SetWriteBuffer(1), c.LocalAddr(), c.RemoteAddr())
	}},
	{"buffers of a UDP socket that are out of range", func(t *testing.T, w *world) []any {
		c, s := w.sockets(t)
		return list(c.SetReadBuffer(0), c.SetReadBuffer(-1), c.SetWriteBuffer(0), c.SetWriteBuffer(-1), both(c.Write([]byte("x"))), both(s.Read(make([]byte, 4))))
	}},
}
