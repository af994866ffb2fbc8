//go:build linux

package fastnet

import (
	"context"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var dialSituations = []situation{
	{"dial addresses that are none", func(t *testing.T, w *world) (errs []any) {
		for _, c := range [][2]string{
			{"tcp", ""}, {"tcp", "host"}, {"tcp", "1.2.3.4"}, {"tcp", "::1"}, {"tcp", "[::1"}, {"tcp", "[::1]80"},
			{"tcp", "a:b:c"}, {"tcp", "127.0.0.1:65536"}, {"tcp", "127.0.0.1:-1"}, {"tcp", "127.0.0.1:99999999999"},
			{"tcp", "127.0.0.1:no-such-service"}, {"udp", "127.0.0.1:no-such-service"},
			{"tcp4", "[::1]:80"}, {"tcp6", "127.0.0.1:80"}, {"udp4", "[::1]:80"}, {"udp6", "127.0.0.1:80"},
			{"", "127.0.0.1:80"}, {"tcp5", "127.0.0.1:80"}, {"sctp", "127.0.0.1:80"}, {"tcp:80", "127.0.0.1:80"},
			{"ip", "127.0.0.1"}, {"ip4:nonsense", "127.0.0.1"}, {"unix", "/nonexistent/socket"},
			{"tcp", "x]:80"}, {"tcp", "[:80"},
		} {
			errs = append(errs, errOf(w.dial(t.Context(), new(net.Dialer), c[0], c[1])))
		}
		return errs
	}},
	{"dial a port where nobody listens", func(t *testing.T, w *world) []any {
		port := w.freePort(t)
		c, err := w.dial(t.Context(), new(net.Dialer), "tcp", w.server(port))
		require.True(t, c == nil, "an untyped nil")
		addr := &net.TCPAddr{IP: net.ParseIP(w.serverIP), Port: port}
		return list(err,
			errOf(w.dialTCP("tcp", nil, addr)),
			errOf(w.dialTCP("tcp4", nil, addr)),
			errOf(w.dialTCP("tcp", &net.TCPAddr{}, addr)),
			errOf(w.dial(t.Context(), &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(w.clientIP)}}, "tcp", w.server(port))),
			errOf(w.dial(t.Context(), &net.Dialer{FallbackDelay: -1}, "tcp", w.server(port))),
			errOf(w.dial(t.Context(), &net.Dialer{Timeout: time.Minute}, "tcp4", w.server(port))),
		)
	}},
	{"dial nothing", func(t *testing.T, w *world) []any {
		return list(
			errOf(w.dialTCP("tcp", nil, nil)), errOf(w.dialUDP("udp", nil, nil)),
			errOf(w.dialTCP("udp", nil, &net.TCPAddr{Port: 80})), errOf(w.dialUDP("tcp", nil, &net.UDPAddr{Port: 80})),
			errOf(w.dialTCP("tcp", &net.TCPAddr{Port: 1}, nil)),
			errOf(w.dialTCP("", nil, nil)),
		)
	}},
	{"dial impossible address structures", func(t *testing.T, w *world) []any {
		return list(
			errOf(w.dialTCP("tcp4", nil, &net.TCPAddr{IP: net.IPv6loopback, Port: 80})),
			errOf(w.dialTCP("tcp", nil, &net.TCPAddr{IP: net.ParseIP(w.serverIP), Port: 65536})),
			errOf(w.dialTCP("tcp", nil, &net.TCPAddr{IP: net.ParseIP(w.serverIP), Port: -1})),
			errOf(w.dialTCP("tcp", &net.TCPAddr{Port: 70000}, &net.TCPAddr{IP: net.ParseIP(w.serverIP), Port: 80})),
			errOf(w.dialTCP("tcp", nil, &net.TCPAddr{IP: net.IP{1, 2, 3}, Port: 80})),
			errOf(w.dialTCP("tcp", nil, &net.TCPAddr{IP: net.IP{1, 2, 3, 4, 5}, Port: 80})),
			errOf(w.dialTCP("tcp4", &net.TCPAddr{IP: net.IPv6loopback}, &net.TCPAddr{IP: net.ParseIP(w.serverIP), Port: 80})),
			errOf(w.dialTCP("tcp6", nil, &net.TCPAddr{IP: net.ParseIP(w.serverIP), Port: 80})),
			errOf(w.dialTCP("tcp6", &net.TCPAddr{IP: net.ParseIP(w.clientIP)}, &net.TCPAddr{IP: net.IPv6loopback, Port: 80})),
			errOf(w.dialUDP("udp4", nil, &net.UDPAddr{IP: net.IPv6loopback, Port: 80})),
			errOf(w.dialUDP("udp", nil, &net.UDPAddr{IP: net.ParseIP(w.serverIP), Port: 65536})),
		)
	}},
	{"dial from an address of another kind", func(t *testing.T, w *world) []any {
		other := &net.TCPAddr{IP: net.IPv6loopback}
		if net.ParseIP(w.serverIP).To4() == nil {
			other.IP = net.IPv4(127, 0, 0, 1)
		}
		return list(
			errOf(w.dialTCP("tcp", other, &net.TCPAddr{IP: net.ParseIP(w.serverIP), Port: 80})),
			errOf(w.dialUDP("udp", &net.UDPAddr{IP: other.IP}, &net.UDPAddr{IP: net.ParseIP(w.serverIP), Port: 80})),
			errOf(w.dial(t.Context(), &net.Dialer{LocalAddr: other}, "tcp", w.server(80))),
			errOf(w.dial(t.Context(), &net.Dialer{LocalAddr: &net.UDPAddr{}}, "tcp", w.server(80))),
			errOf(w.dial(t.Context(), &net.Dialer{LocalAddr: &net.TCPAddr{}}, "udp", w.server(80))),
			errOf(w.dial(t.Context(), &net.Dialer{LocalAddr: &net.UnixAddr{Name: "x", Net: "unix"}}, "tcp", w.server(80))),
		)
	}},
	{"dial from an address that is not ours", func(t *testing.T, w *world) []any {
		return list(
			errOf(w.dialTCP("tcp", &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}, &net.TCPAddr{IP: net.ParseIP(w.serverIP), Port: 80})),
			errOf(w.dialUDP("udp", &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1)}, &net.UDPAddr{IP: net.ParseIP(w.serverIP), Port: 80})),
			errOf(w.dial(t.Context(), &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}}, "tcp", w.server(80))),
		)
	}},
	{"dial from a port in use", func(t *testing.T, w *world) []any {
		ln, err := w.listen("tcp", w.server(0))
		require.NoError(t, err)
		defer ln.Close()
		go echo(ln)
		c, err := w.dialTCP("tcp", &net.TCPAddr{IP: net.ParseIP(w.clientIP)}, ln.Addr().(*net.TCPAddr))
		require.NoError(t, err)
		defer c.Close()
		_, err = w.dialTCP("tcp", c.LocalAddr().(*net.TCPAddr), ln.Addr().(*net.TCPAddr))

		u, uerr := w.dialUDP("udp", &net.UDPAddr{IP: net.ParseIP(w.clientIP)}, &net.UDPAddr{IP: net.ParseIP(w.serverIP), Port: 9})
		require.NoError(t, uerr)
		defer u.Close()
		_, uerr = w.dialUDP("udp", u.LocalAddr().(*net.UDPAddr), &net.UDPAddr{IP: net.ParseIP(w.serverIP), Port: 9})
		return list(err, uerr)
	}},
	{"dial with a context that has ended", func(t *testing.T, w *world) []any {
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		expired, cancel := context.WithDeadline(t.Context(), past)
		defer cancel()
		closed := make(chan struct{})
		close(closed)
		return list(
			errOf(w.dial(cancelled, new(net.Dialer), "tcp", w.server(80))),
			errOf(w.dial(expired, new(net.Dialer), "tcp", w.server(80))),
			errOf(w.dial(cancelled, new(net.Dialer), "udp", w.server(80))),
			errOf(w.dial(expired, new(net.Dialer), "udp", w.server(80))),
			errOf(w.dial(t.Context(), &net.Dialer{Timeout: -1}, "tcp", w.server(80))),
			errOf(w.dial(t.Context(), &net.Dialer{Deadline: past}, "tcp", w.server(80))),
			errOf(w.dial(cancelled, &net.Dialer{Resolver: unanswered()}, "tcp", "name.example:80")),
		)
	}},
	{"dial an unspecified address", func(t *testing.T, w *world) []any {
		// The local system is meant: nobody listens there.
		port := strconv.Itoa(w.freePort(t))
		return list(
			errOf(w.dial(t.Context(), new(net.Dialer), "tcp", ":"+port)),
			errOf(w.dial(t.Context(), new(net.Dialer), "tcp", "0.0.0.0:"+port)),
			errOf(w.dial(t.Context(), new(net.Dialer), "tcp4", "[::]:"+port)),
		)
	}},
}

var listenSituations = []situation{
	{"listen on addresses that are none", func(t *testing.T, w *world) (errs []any) {
		for _, c := range [][2]string{
			{"tcp", "host"}, {"tcp", "127.0.0.1:65536"}, {"tcp", "127.0.0.1:-1"}, {"tcp", "127.0.0.1:no-such-service"},
			{"tcp4", "[::1]:0"}, {"tcp6", "127.0.0.1:0"}, {"", ":0"}, {"tcp5", ":0"}, {"udp", ":0"}, {"ip4:1", "127.0.0.1"},
			{"unix", "/nonexistent/socket"}, {"tcp", "[::1"}, {"tcp", "192.0.2.1:0"},
		} {
			errs = append(errs, errOf(w.listen(c[0], c[1])))
		}
		for _, c := range [][2]string{
			{"udp", "host"}, {"udp", "127.0.0.1:65536"}, {"udp4", "[::1]:0"}, {"tcp", ":0"}, {"udp5", ":0"},
			{"udp", "192.0.2.1:0"}, {"unixgram", "/nonexistent/socket"},
		} {
			errs = append(errs, errOf(w.listenPacket(c[0], c[1])))
		}
		return errs
	}},
	{"listen on impossible address structures", func(t *testing.T, w *world) []any {
		return list(
			errOf(w.listenTCP("udp", nil)), errOf(w.listenUDP("tcp", nil)), errOf(w.listenTCP("", &net.TCPAddr{})),
			errOf(w.listenTCP("tcp", &net.TCPAddr{Port: 65536})), errOf(w.listenTCP("tcp", &net.TCPAddr{Port: -1})),
			errOf(w.listenTCP("tcp4", &net.TCPAddr{IP: net.IPv6loopback})),
			errOf(w.listenTCP("tcp6", &net.TCPAddr{IP: net.ParseIP(w.serverIP)})),
			errOf(w.listenTCP("tcp", &net.TCPAddr{IP: net.IP{1, 2, 3}})),
			errOf(w.listenUDP("udp", &net.UDPAddr{Port: 65536})),
			errOf(w.listenUDP("udp4", &net.UDPAddr{IP: net.IPv6loopback})),
			errOf(w.listenUDP("udp6", &net.UDPAddr{IP: net.ParseIP(w.serverIP)})),
			errOf(w.listenTCP("tcp", &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)})),
			errOf(w.listenUDP("udp", &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1)})),
		)
	}},
	{"listen twice", func(t *testing.T, w *world) []any {
		port, uport := w.freePort(t), w.freePort(t)
		l, err := w.listen("tcp", w.server(port))
		require.NoError(t, err)
		defer l.Close()
		u, err := w.listenPacket("udp", w.server(uport))
		require.NoError(t, err)
		defer u.Close()
		any := ":" + strconv.Itoa(port)
		return list(
			closed(w.listen("tcp", w.server(port))), closed(w.listen("tcp", any)), closed(w.listen("tcp4", any)),
			errOf(w.listenTCP("tcp", l.Addr().(*net.TCPAddr))),
			errOf(w.listenPacket("udp", w.server(uport))), errOf(w.listenUDP("udp", u.LocalAddr().(*net.UDPAddr))),
			errOf(w.listenPacket("udp", ":"+strconv.Itoa(uport))),
		)
	}},
	{"accept after the deadline and after Close", func(t *testing.T, w *world) []any {
		l, err := w.listenTCP("tcp", &net.TCPAddr{IP: net.ParseIP(w.serverIP)})
		require.NoError(t, err)
		require.NoError(t, l.SetDeadline(past))
		_, late := l.Accept()
		_, again := l.Accept()
		require.NoError(t, l.SetDeadline(time.Now().Add(20*time.Millisecond)))
		_, soon := l.Accept()
		require.NoError(t, l.SetDeadline(never))
		pending := make(chan error, 1)
		go func() { pending <- errOf(l.Accept()) }()
		time.Sleep(20 * time.Millisecond)
		require.NoError(t, l.Close())
		return list(late, again, soon, <-pending, errOf(l.Accept()), l.Close(), l.SetDeadline(never))
	}},
}
