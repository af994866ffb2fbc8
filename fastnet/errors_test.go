//go:build linux

package fastnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/stack"
)

// world is an implementation of package net's API with two hosts, or one that
// is both.
type world struct {
	serverIP, clientIP string
	listen             func(network, address string) (net.Listener, error)
	listenPacket       func(network, address string) (net.PacketConn, error)
	listenTCP          func(network string, a *net.TCPAddr) (tcpListener, error)
	listenUDP          func(network string, a *net.UDPAddr) (udpConn, error)
	dial               func(ctx context.Context, d *net.Dialer, network, address string) (net.Conn, error)
	dialTCP            func(network string, l, r *net.TCPAddr) (tcpConn, error)
	dialUDP            func(network string, l, r *net.UDPAddr) (udpConn, error)

	listenWith func(ctx context.Context, lc *net.ListenConfig, network, address string) (net.Listener, error)
	packetWith func(ctx context.Context, lc *net.ListenConfig, network, address string) (net.PacketConn, error)
	buffers    func(c tcpConn, b [][]byte) (n int64, left int, err error)

	serverIP4, serverIP6 string
	// dialHere dials from the server's host.
	dialHere func(ctx context.Context, d *net.Dialer, network, address string) (net.Conn, error)
	// silent is where a SYN gets no answer.
	silent func(t *testing.T, w *world) string
	// Sockets that are zero, and one that is nil: package net's nil connections
	// panic.
	zeroTCP                  tcpConn
	zeroUDP                  udpConn
	noListener, zeroListener tcpListener
}

type tcpListener interface {
	net.Listener
	SetDeadline(time.Time) error
}

type tcpConn interface {
	net.Conn
	CloseRead() error
	CloseWrite() error
	SetLinger(int) error
	SetNoDelay(bool) error
	SetKeepAlive(bool) error
	SetKeepAlivePeriod(time.Duration) error
	SetKeepAliveConfig(net.KeepAliveConfig) error
	SetReadBuffer(int) error
	SetWriteBuffer(int) error
	ReadFrom(io.Reader) (int64, error)
	WriteTo(io.Writer) (int64, error)
}

type udpConn interface {
	net.Conn
	net.PacketConn
	ReadFromUDP([]byte) (int, *net.UDPAddr, error)
	ReadFromUDPAddrPort([]byte) (int, netip.AddrPort, error)
	ReadMsgUDP(b, oob []byte) (n, oobn, flags int, addr *net.UDPAddr, err error)
	ReadMsgUDPAddrPort(b, oob []byte) (n, oobn, flags int, addr netip.AddrPort, err error)
	WriteToUDP([]byte, *net.UDPAddr) (int, error)
	WriteToUDPAddrPort([]byte, netip.AddrPort) (int, error)
	WriteMsgUDP(b, oob []byte, addr *net.UDPAddr) (n, oobn int, err error)
	WriteMsgUDPAddrPort(b, oob []byte, addr netip.AddrPort) (n, oobn int, err error)
	SetReadBuffer(int) error
	SetWriteBuffer(int) error
}

// kernelWorld is package net on the kernel's loopback, by its address ip.
func kernelWorld(ip string) *world {
	return &world{
		serverIP: ip, clientIP: ip,
		listen: net.Listen, listenPacket: net.ListenPacket,
		listenTCP: func(n string, a *net.TCPAddr) (tcpListener, error) { return net.ListenTCP(n, a) },
		listenUDP: func(n string, a *net.UDPAddr) (udpConn, error) { return net.ListenUDP(n, a) },
		dial: func(ctx context.Context, d *net.Dialer, network, address string) (net.Conn, error) {
			return d.DialContext(ctx, network, address)
		},
		dialTCP: func(n string, l, r *net.TCPAddr) (tcpConn, error) { return net.DialTCP(n, l, r) },
		dialUDP: func(n string, l, r *net.UDPAddr) (udpConn, error) { return net.DialUDP(n, l, r) },
		listenWith: func(ctx context.Context, lc *net.ListenConfig, network, address string) (net.Listener, error) {
			return lc.Listen(ctx, network, address)
		},
		packetWith: func(ctx context.Context, lc *net.ListenConfig, network, address string) (net.PacketConn, error) {
			return lc.ListenPacket(ctx, network, address)
		},
		buffers: func(c tcpConn, b [][]byte) (int64, int, error) {
			v := net.Buffers(b)
			n, err := v.WriteTo(c)
			return n, len(v), err
		},
		serverIP4: "127.0.0.1", serverIP6: "::1",
		dialHere: func(ctx context.Context, d *net.Dialer, network, address string) (net.Conn, error) {
			return d.DialContext(ctx, network, address)
		},
		silent:     kernelSilent,
		zeroTCP:    new(net.TCPConn),
		zeroUDP:    new(net.UDPConn),
		noListener: (*net.TCPListener)(nil), zeroListener: new(net.TCPListener),
	}
}

// kernelSilent is the address of a listener whose queue is full: it drops SYNs.
func kernelSilent(t *testing.T, w *world) string {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.ParseIP(w.serverIP)})
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	raw, err := l.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) { err = syscall.Listen(int(fd), 0) }))
	require.NoError(t, err)
	c, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	// Until the last ACK is there, the next SYN would be answered by a SYN cookie.
	await(t, "the queue is not full", func() bool { return acceptQueue(l) == 1 })
	return l.Addr().String()
}

// The addresses of the lab's server, where parameters have their names.
const wireServerIP4, wireServerIP6 = serverIP, serverIP6

// stackWorld is a client's and a server's network.
func stackWorld(client, server *Network, clientIP, serverIP string) *world {
	// Of the server's host, of the same kind as serverIP.
	serverIP4, serverIP6 := wireServerIP4, wireServerIP6
	if netip.MustParseAddr(serverIP).IsLoopback() {
		serverIP4, serverIP6 = "127.0.0.1", "::1"
	}
	return &world{
		serverIP: serverIP, clientIP: clientIP,
		listen: server.Listen, listenPacket: server.ListenPacket,
		listenTCP: func(n string, a *net.TCPAddr) (tcpListener, error) { return server.ListenTCP(n, a) },
		listenUDP: func(n string, a *net.UDPAddr) (udpConn, error) { return server.ListenUDP(n, a) },
		dial: func(ctx context.Context, d *net.Dialer, network, address string) (net.Conn, error) {
			return client.DialWith(ctx, (*Dialer)(d), network, address)
		},
		dialTCP: func(n string, l, r *net.TCPAddr) (tcpConn, error) { return client.DialTCP(n, l, r) },
		dialUDP: func(n string, l, r *net.UDPAddr) (udpConn, error) { return client.DialUDP(n, l, r) },
		listenWith: func(ctx context.Context, lc *net.ListenConfig, network, address string) (net.Listener, error) {
			return server.ListenWith(ctx, (*ListenConfig)(lc), network, address)
		},
		packetWith: func(ctx context.Context, lc *net.ListenConfig, network, address string) (net.PacketConn, error) {
			return server.ListenPacketWith(ctx, (*ListenConfig)(lc), network, address)
		},
		buffers: func(c tcpConn, b [][]byte) (int64, int, error) {
			v := Buffers(b)
			n, err := v.WriteTo(c)
			return n, len(v), err
		},
		serverIP4: serverIP4, serverIP6: serverIP6,
		dialHere: func(ctx context.Context, d *net.Dialer, network, address string) (net.Conn, error) {
			return server.DialWith(ctx, (*Dialer)(d), network, address)
		},
		silent: func(t *testing.T, w *world) string {
			l, err := server.Host().ListenTCP(netip.AddrPortFrom(netip.MustParseAddr(w.serverIP), 0), stack.ListenOptions{Backlog: 1})
			require.NoError(t, err)
			t.Cleanup(func() { l.Close() })
			c, err := client.Dial("tcp", l.Addr().String())
			require.NoError(t, err)
			t.Cleanup(func() { c.Close() })
			await(t, "the queue is not full", func() bool { return l.Waiting() == 1 })
			return l.Addr().String()
		},
		zeroTCP:    new(TCPConn),
		zeroUDP:    new(UDPConn),
		noListener: (*TCPListener)(nil), zeroListener: new(TCPListener),
	}
}

// server is the address of port on the server's host.
func (w *world) server(port int) string { return net.JoinHostPort(w.serverIP, fmt.Sprint(port)) }

// pair returns both ends of a connection.
func (w *world) pair(t *testing.T) (c, s tcpConn) {
	ln, err := w.listen("tcp", w.server(0))
	require.NoError(t, err)
	defer ln.Close()
	cc, err := w.dial(t.Context(), new(net.Dialer), "tcp", ln.Addr().String())
	require.NoError(t, err)
	ss, err := ln.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { cc.Close(); ss.Close() })
	return cc.(tcpConn), ss.(tcpConn)
}

// freePort is a port on which nobody listens, and from which nobody dials: neither
// another program nor, by chance, the socket that dials it.
func (w *world) freePort(t *testing.T) int { return quietPort(t) }

var (
	portNumber  = regexp.MustCompile(`:\d{4,5}\b`)
	hostAddress = regexp.MustCompile(`\b(127\.0\.0\.1|10\.0\.0\.[12]|2001:db8::[12])\b|::1\b`)
)

// replace makes a text the same in all worlds.
func replace(s string) string {
	s = hostAddress.ReplaceAllString(s, "HOST")
	s = strings.ReplaceAll(s, "HOST%", "HOST %")
	return portNumber.ReplaceAllString(s, ":PORT")
}

// describe writes down what a call has returned.
func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "nil"
	case error:
		return describeError(v)
	case outcome:
		return v.describe()
	case net.Addr:
		return replace(addrText(v))
	}
	return replace(fmt.Sprintf("%T(%v)", v, v))
}

// describeError writes down all that a program can see of an error, with the
// worlds' addresses and ports replaced.
func describeError(err error) string {
	var b strings.Builder
	for e := err; e != nil; e = errors.Unwrap(e) {
		switch e := e.(type) {
		case *net.OpError:
			fmt.Fprintf(&b, "OpError{%q %q %s %s} > ", e.Op, e.Net, replace(addrText(e.Source)), replace(addrText(e.Addr)))
		case *os.SyscallError:
			fmt.Fprintf(&b, "SyscallError{%s} > ", e.Syscall)
		case syscall.Errno:
			fmt.Fprintf(&b, "Errno(%d) ", int(e))
		case *net.AddrError:
			fmt.Fprintf(&b, "AddrError{%s %s} ", e.Err, replace(e.Addr))
		case *net.DNSError:
			fmt.Fprintf(&b, "DNSError{%s %s %s %v %v %v} ", e.Err, e.Name, e.Server, e.IsTimeout, e.IsTemporary, e.IsNotFound)
		default:
			fmt.Fprintf(&b, "%T ", e)
		}
	}
	fmt.Fprintf(&b, "%q", replace(err.Error()))
	var ne net.Error
	if errors.As(err, &ne) {
		//lint:ignore SA1019 package net's errors have Temporary, so ours must
		fmt.Fprintf(&b, " timeout=%v temporary=%v", ne.Timeout(), ne.Temporary())
	}
	for _, is := range []error{
		io.EOF, net.ErrClosed, os.ErrDeadlineExceeded, context.Canceled, context.DeadlineExceeded, net.ErrWriteToConnected, errors.ErrUnsupported,
	} {
		if errors.Is(err, is) {
			fmt.Fprintf(&b, " is(%v)", is)
		}
	}
	return b.String()
}

func addrText(a net.Addr) string {
	if a == nil {
		return "nil"
	}
	typ := strings.NewReplacer("fastnet.addrPortAddr", "addrPort", "net.addrPortUDPAddr", "addrPort").Replace(fmt.Sprintf("%T", a))
	ip := ""
	switch a := a.(type) {
	case *net.TCPAddr:
		if a == nil {
			return "(a nil *net.TCPAddr)"
		}
		ip = fmt.Sprintf(" %d bytes", len(a.IP))
	case *net.UDPAddr:
		if a == nil {
			return "(a nil *net.UDPAddr)"
		}
		ip = fmt.Sprintf(" %d bytes", len(a.IP))
	}
	return fmt.Sprintf("(%s %s%s)", typ, a, ip)
}

// situation is a script that yields errors and other results, to be the same in
// all worlds.
type situation struct {
	name string
	run  func(t *testing.T, w *world) []any
}

func list(results ...any) []any { return results }

// TestErrorsAreThoseOfPackageNet runs each situation with package net, on a
// host's own loopback, and between two hosts.
func TestErrorsAreThoseOfPackageNet(t *testing.T) {
	for _, s := range slices.Concat(dialSituations, dialEndSituations, listenSituations, bindSituations, tcpSituations, endSituations, deadlineSituations, udpSituations, datagramSituations) {
		t.Run(s.name, func(t *testing.T) {
			l := newLab(t, labConfig{})
			compare(t, s, kernelWorld("127.0.0.1"), map[string]*world{
				"loopback": stackWorld(l.server, l.server, "127.0.0.1", "127.0.0.1"),
				"wire":     stackWorld(l.client, l.server, clientIP, serverIP),
			})
			if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
				return // a kernel without IPv6
			} else {
				l.Close()
			}
			compare(t, s, kernelWorld("::1"), map[string]*world{
				"IPv6 loopback": stackWorld(l.server, l.server, "::1", "::1"),
				"IPv6 wire":     stackWorld(l.client, l.server, clientIP6, serverIP6),
			})
		})
	}
}

// compare runs s in the kernel's world and in others.
func compare(t *testing.T, s situation, kernel *world, others map[string]*world) {
	t.Helper()
	var want []string
	for _, v := range s.run(t, kernel) {
		want = append(want, describe(v))
	}
	for name, w := range others {
		got := s.run(t, w)
		require.Len(t, got, len(want), name)
		for i := range got {
			if got := describe(got[i]); got != want[i] {
				t.Errorf("%s, result %d:\n got %s\nwant %s", name, i, got, want[i])
			}
		}
	}
}
