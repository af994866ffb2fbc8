//go:build linux

package fastnet

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// bindings are the ways to listen, with the server's addresses of each family.
func (w *world) bindings(network string, port int) (all [][2]string) {
	p := strconv.Itoa(port)
	for _, b := range [][2]string{
		{"", ""}, {"4", ""}, {"6", ""}, {"", "0.0.0.0"}, {"", "::"},
		{"", w.serverIP4}, {"", w.serverIP6}, {"6", w.serverIP6}, {"", "::ffff:" + w.serverIP4},
	} {
		all = append(all, [2]string{network + b[0], net.JoinHostPort(b[1], p)})
	}
	return all
}

// opens listens or opens a packet socket.
func (w *world) opens(network, address string) (interface{ Close() error }, net.Addr, error) {
	if strings.HasPrefix(network, "udp") {
		c, err := w.listenPacket(network, address)
		if err != nil {
			return nil, nil, err
		}
		return c, c.LocalAddr(), nil
	}
	l, err := w.listen(network, address)
	if err != nil {
		return nil, nil, err
	}
	return l, l.Addr(), nil
}

// twoSockets opens a second socket of each kind on the port of a first of each
// kind, with the address of both shown.
func twoSockets(network string) func(t *testing.T, w *world) []any {
	return func(t *testing.T, w *world) (results []any) {
		for i := range w.bindings(network, 0) {
			// Any port would do, but for those of other programs, in a family or at
			// an address that the first leaves alone.
			first := w.bindings(network, w.freePort(t))[i]
			a, addr, err := w.opens(first[0], first[1])
			require.NoError(t, err, first)
			results = append(results, addr)
			_, port, err := net.SplitHostPort(addr.String())
			require.NoError(t, err)
			p, err := strconv.Atoi(port)
			require.NoError(t, err)
			for _, second := range w.bindings(network, p) {
				b, addr, err := w.opens(second[0], second[1])
				results = append(results, strings.Join(first[:], " ")+" and "+strings.Join(second[:], " "), addr, err)
				if err == nil {
					b.Close()
				}
			}
			a.Close()
		}
		return results
	}
}

var bindSituations = []situation{
	{"two TCP listeners on a port", twoSockets("tcp")},
	{"two UDP sockets on a port", twoSockets("udp")},
	{"listen on the port of a connection that was dialled", func(t *testing.T, w *world) []any {
		ln, err := w.listen("tcp", w.server(0))
		require.NoError(t, err)
		defer ln.Close()
		// On the server's host, which dials itself.
		c, err := w.selfDial(t, ln.Addr().String())
		require.NoError(t, err)
		defer c.Close()
		port := c.LocalAddr().(*net.TCPAddr).Port
		return list(closed(w.listen("tcp", w.server(port))), closed(w.listen("tcp", ":"+strconv.Itoa(port))))
	}},
	{"listen again while accepted connections are open", func(t *testing.T, w *world) []any {
		ln, err := w.listen("tcp", w.server(w.freePort(t)))
		require.NoError(t, err)
		c, err := w.dial(t.Context(), new(net.Dialer), "tcp", ln.Addr().String())
		require.NoError(t, err)
		defer c.Close()
		s, err := ln.Accept()
		require.NoError(t, err)
		defer s.Close()
		require.NoError(t, ln.Close())
		again, err := w.listen("tcp", ln.Addr().String())
		if err == nil {
			again.Close()
		}
		return list(err)
	}},
	{"listen again at once after the server closed first", func(t *testing.T, w *world) []any {
		ln, err := w.listen("tcp", w.server(w.freePort(t)))
		require.NoError(t, err)
		c, err := w.dial(t.Context(), new(net.Dialer), "tcp", ln.Addr().String())
		require.NoError(t, err)
		s, err := ln.Accept()
		require.NoError(t, err)
		require.NoError(t, s.Close())
		_, eof := c.Read(make([]byte, 1))
		require.NoError(t, c.Close())
		require.NoError(t, ln.Close())
		again, err := w.listen("tcp", ln.Addr().String())
		if err == nil {
			again.Close()
		}
		return list(eof, err)
	}},
	{"dial from the port of a listener", func(t *testing.T, w *world) []any {
		other, err := w.listen("tcp", w.server(0))
		require.NoError(t, err)
		defer other.Close()
		ln, err := w.listen("tcp", w.server(0))
		require.NoError(t, err)
		defer ln.Close()
		_, err = w.selfDialFrom(t, ln.Addr(), other.Addr().String())
		return list(err)
	}},
	{"bind to the port of a connected UDP socket", func(t *testing.T, w *world) []any {
		c, s := w.sockets(t)
		port := s.LocalAddr().(*net.UDPAddr).Port
		d, err := w.listenUDP("udp", &net.UDPAddr{IP: net.ParseIP(w.serverIP), Port: port})
		_ = c
		return list(d == nil, err)
	}},
	{"sockets without a port have one each", func(t *testing.T, w *world) []any {
		var ports []int
		for range 3 {
			l, err := w.listen("tcp", w.server(0))
			require.NoError(t, err)
			defer l.Close()
			u, err := w.listenPacket("udp", ":0")
			require.NoError(t, err)
			defer u.Close()
			ports = append(ports, l.Addr().(*net.TCPAddr).Port, u.LocalAddr().(*net.UDPAddr).Port)
		}
		return list(
			ports[0] != ports[2] && ports[2] != ports[4] && ports[0] != ports[4],
			ports[1] != ports[3] && ports[3] != ports[5] && ports[1] != ports[5],
			min(ports[0], ports[1]) > 1023,
		)
	}},
	{"listen on zones, groups and broadcast addresses", func(t *testing.T, w *world) []any {
		return list(
			errOf(w.listen("tcp", "[fe80::9%no-such-zone]:0")),
			errOf(w.listenPacket("udp", "[fe80::9%no-such-zone]:0")),
			errOf(w.listen("tcp", "[2001:db8:9::9]:0")),
			errOf(w.listen("tcp4", "[::ffff:192.0.2.1]:0")),
			errOf(w.listen("tcp6", "[::ffff:127.0.0.1]:0")),
			errOf(w.listenTCP("tcp6", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})),
			errOf(w.listenUDP("udp6", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})),
		)
	}},
	{"a Control function that fails", func(t *testing.T, w *world) []any {
		fails := func(err error) *net.ListenConfig {
			return &net.ListenConfig{Control: func(string, string, syscall.RawConn) error { return err }}
		}
		d := &net.Dialer{Control: func(string, string, syscall.RawConn) error { return syscall.EPERM }}
		dc := &net.Dialer{ControlContext: func(context.Context, string, string, syscall.RawConn) error { return context.Canceled }}
		return list(
			errOf(w.listenWith(t.Context(), fails(errors.New("no")), "tcp", w.server(0))),
			errOf(w.listenWith(t.Context(), fails(syscall.EPERM), "tcp", ":0")),
			errOf(w.packetWith(t.Context(), fails(syscall.EPERM), "udp", w.server(0))),
			errOf(w.dial(t.Context(), d, "tcp", w.server(80))), errOf(w.dial(t.Context(), d, "udp", w.server(80))),
			errOf(w.dial(t.Context(), dc, "tcp", w.server(80))),
		)
	}},
	{"a Control function is told the network and the address", func(t *testing.T, w *world) (told []any) {
		note := func(network, address string, c syscall.RawConn) error {
			told = append(told, network+" "+address)
			return syscall.EPERM
		}
		lc, d := &net.ListenConfig{Control: note}, &net.Dialer{Control: note}
		lc.SetMultipathTCP(false) // package net calls Control again when the kernel has none
		for _, network := range []string{"tcp", "udp"} {
			for _, address := range []string{":0", ":1234", w.server(1234), "0.0.0.0:0", "[::]:0"} {
				if network == "tcp" {
					w.listenWith(t.Context(), lc, network, address)
				} else {
					w.packetWith(t.Context(), lc, network, address)
				}
			}
			w.dial(t.Context(), d, network, w.server(1234))
			w.dial(t.Context(), d, network, ":1234")
		}
		return told
	}},
	{"one of a SO_REUSEPORT group closes while connections wait", func(t *testing.T, w *world) []any {
		// Its own are reset, those of the others are not, and new ones go to the
		// others (tcp_migrate_req of ip-sysctl is off by default).
		lc := &net.ListenConfig{Control: sets(syscall.SOL_SOCKET, unix.SO_REUSEPORT, 1)}
		stays, err := w.listenWith(t.Context(), lc, "tcp", w.server(0))
		require.NoError(t, err)
		defer stays.Close()
		closes, err := w.listenWith(t.Context(), lc, "tcp", stays.Addr().String())
		require.NoError(t, err)
		var conns []net.Conn
		dial := func() {
			c, err := w.dial(t.Context(), new(net.Dialer), "tcp", stays.Addr().String())
			require.NoError(t, err)
			t.Cleanup(func() { c.Close() })
			conns = append(conns, c)
		}
		for range 40 {
			dial()
		}
		require.NoError(t, closes.Close())
		for range 10 {
			dial()
		}
		go func() {
			for {
				c, err := stays.Accept()
				if err != nil {
					return
				}
				c.Write([]byte("served"))
				c.Close()
			}
		}()
		resets := 0
		var reset error
		for i, c := range conns {
			_, err := io.ReadFull(c, make([]byte, 6))
			if err == nil {
				continue
			}
			require.Less(t, i, 40)
			require.ErrorIs(t, err, syscall.ECONNRESET)
			resets++
			reset = err
		}
		return list(0 < resets && resets < 40, reset)
	}},
	{"listen with a context that has ended", func(t *testing.T, w *world) []any {
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		l, err := w.listenWith(ended, new(net.ListenConfig), "tcp", w.server(0))
		if err == nil {
			l.Close()
		}
		u, uerr := w.packetWith(ended, new(net.ListenConfig), "udp", w.server(0))
		if uerr == nil {
			u.Close()
		}
		var lerr error
		for range 100 { // if an answer is there too, chance decides between it and the context
			_, lerr = w.listenWith(ended, new(net.ListenConfig), "tcp", "localhost.invalid:0")
			if errors.Is(lerr, context.Canceled) {
				break
			}
		}
		return list(err, uerr, lerr)
	}},
	{"accept deadlines that change while Accept waits", func(t *testing.T, w *world) []any {
		l, err := w.listenTCP("tcp", &net.TCPAddr{IP: net.ParseIP(w.serverIP)})
		require.NoError(t, err)
		defer l.Close()
		accept := func() error { return errOf(l.Accept()) }
		require.NoError(t, l.SetDeadline(time.Now().Add(time.Hour)))
		sooner := started(accept)
		require.NoError(t, l.SetDeadline(time.Now().Add(10*time.Millisecond)))
		first := <-sooner
		require.NoError(t, l.SetDeadline(never))
		now := started(accept)
		require.NoError(t, l.SetDeadline(past))
		second := <-now
		require.NoError(t, l.SetDeadline(never))
		none := deadlineTakenBack(t, l.SetDeadline, accept, func() {
			c, err := w.dial(t.Context(), new(net.Dialer), "tcp", l.Addr().String())
			require.NoError(t, err)
			t.Cleanup(func() { c.Close() })
		})
		return list(first, second, none)
	}},
	{"Close ends all that wait in Accept", func(t *testing.T, w *world) []any {
		l, err := w.listen("tcp", w.server(w.freePort(t)))
		require.NoError(t, err)
		done := make(chan error, 3)
		for range 3 {
			go func() { done <- errOf(l.Accept()) }()
		}
		time.Sleep(20 * time.Millisecond)
		require.NoError(t, l.Close())
		return list(<-done, <-done, <-done, l.Addr(), errOf(w.dial(t.Context(), new(net.Dialer), "tcp", l.Addr().String())))
	}},
	{"accept a connection that has been reset", func(t *testing.T, w *world) []any {
		l, err := w.listen("tcp", w.server(0))
		require.NoError(t, err)
		defer l.Close()
		c, err := w.dial(t.Context(), new(net.Dialer), "tcp", l.Addr().String())
		require.NoError(t, err)
		require.NoError(t, c.(tcpConn).SetLinger(0))
		require.NoError(t, c.Close())
		time.Sleep(20 * time.Millisecond)
		s, err := l.Accept()
		if err != nil {
			return list(err)
		}
		return list(err, s.LocalAddr(), s.RemoteAddr(), errOf(s.Read(make([]byte, 1))), errOf(s.Write([]byte("x"))), s.Close(), s.Close())
	}},
	{"accept a connection that has been closed", func(t *testing.T, w *world) []any {
		l, err := w.listen("tcp", w.server(0))
		require.NoError(t, err)
		defer l.Close()
		c, err := w.dial(t.Context(), new(net.Dialer), "tcp", l.Addr().String())
		require.NoError(t, err)
		_, err = c.Write([]byte("bye"))
		require.NoError(t, err)
		require.NoError(t, c.Close())
		time.Sleep(20 * time.Millisecond)
		s, err := l.Accept()
		require.NoError(t, err)
		b := make([]byte, 8)
		n, err := s.Read(b)
		return list(string(b[:n]), err, errOf(s.Read(b)), s.Close())
	}},
	{"a listener that is none", func(t *testing.T, w *world) (results []any) {
		for _, l := range []tcpListener{w.noListener, w.zeroListener} {
			results = append(results, errOf(l.Accept()), l.Close(), l.SetDeadline(never))
		}
		return results
	}},
}

// closed closes what should not be there.
func closed(l net.Listener, err error) error {
	if err == nil {
		l.Close()
	}
	return err
}

// selfDial dials from the server's host.
func (w *world) selfDial(t *testing.T, address string) (net.Conn, error) {
	return w.selfDialFrom(t, nil, address)
}

func (w *world) selfDialFrom(t *testing.T, local net.Addr, address string) (net.Conn, error) {
	return w.dialHere(t.Context(), &net.Dialer{LocalAddr: local}, "tcp", address)
}
