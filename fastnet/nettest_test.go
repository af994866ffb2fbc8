package fastnet

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"
)

// The conformance suites are nettest's for streams, and ours for listeners and
// datagrams, of which nettest has none. Ours run on package net too, which shows
// that they demand no more.

// sockets is what package net's functions and a Network's methods have in common.
type sockets interface {
	Listen(network, address string) (net.Listener, error)
	ListenPacket(network, address string) (net.PacketConn, error)
	Dial(network, address string) (net.Conn, error)
}

// kernelSockets are package net's.
type kernelSockets struct{}

func (kernelSockets) Listen(network, address string) (net.Listener, error) {
	return net.Listen(network, address)
}
func (kernelSockets) ListenPacket(network, address string) (net.PacketConn, error) {
	return net.ListenPacket(network, address)
}
func (kernelSockets) Dial(network, address string) (net.Conn, error) {
	return net.Dial(network, address)
}

// ends are the two sides of a suite: who listens and where, and who dials from
// where.
type ends struct {
	server, client sockets
	family         string // "4", "6" or none
	listen, from   string // IP addresses
	dial           string // where listen is wildcard: the address to reach it by
}

func (e ends) dialAddress(l net.Addr) string {
	if e.dial == "" {
		return l.String()
	}
	_, port, _ := net.SplitHostPort(l.String())
	return net.JoinHostPort(e.dial, port)
}

// streams runs nettest's suite on connections between the ends.
func (e ends) streams(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		return connectStreams(e.server, e.client, "tcp"+e.family, net.JoinHostPort(e.listen, "0"), e.dialAddress)
	})
}

func connectStreams(server, client sockets, network, address string, reach func(net.Addr) string) (c1, c2 net.Conn, stop func(), err error) {
	ln, err := server.Listen(network, address)
	if err != nil {
		return nil, nil, nil, err
	}
	defer ln.Close()
	if c1, err = client.Dial(network, reach(ln.Addr())); err != nil {
		return nil, nil, nil, err
	}
	if c2, err = ln.Accept(); err != nil {
		c1.Close()
		return nil, nil, nil, err
	}
	return c1, c2, func() { c1.Close(); c2.Close() }, nil
}

// listeners runs our suite on listeners of the server's.
func (e ends) listeners(t *testing.T) {
	testListener(t, func() (net.Listener, func() (net.Conn, error), func(string) (net.Listener, error), error) {
		network := "tcp" + e.family
		l, err := e.server.Listen(network, net.JoinHostPort(e.listen, "0"))
		if err != nil {
			return nil, nil, nil, err
		}
		dial := func() (net.Conn, error) { return e.client.Dial(network, e.dialAddress(l.Addr())) }
		again := func(address string) (net.Listener, error) { return e.server.Listen(network, address) }
		return l, dial, again, nil
	})
}

// datagrams runs our suite on packet sockets of both ends.
func (e ends) datagrams(t *testing.T) {
	network := "udp" + e.family
	open := func() (s, c net.PacketConn, err error) {
		if s, err = e.server.ListenPacket(network, net.JoinHostPort(e.listen, "0")); err != nil {
			return nil, nil, err
		}
		if c, err = e.client.ListenPacket(network, net.JoinHostPort(e.from, "0")); err != nil {
			s.Close()
		}
		return s, c, err
	}
	t.Run("unconnected", func(t *testing.T) {
		testPacketConn(t, 65507, func() (datagramEnd, datagramEnd, error) {
			s, c, err := open()
			if err != nil {
				return datagramEnd{}, datagramEnd{}, err
			}
			return datagramEnd{c, s.LocalAddr()}, datagramEnd{s, c.LocalAddr()}, nil
		})
	})
	t.Run("connected", func(t *testing.T) {
		testPacketConn(t, 65507, func() (datagramEnd, datagramEnd, error) {
			s, err := e.server.ListenPacket(network, net.JoinHostPort(e.listen, "0"))
			if err != nil {
				return datagramEnd{}, datagramEnd{}, err
			}
			c, err := e.client.Dial(network, s.LocalAddr().String())
			if err != nil {
				s.Close()
				return datagramEnd{}, datagramEnd{}, err
			}
			return datagramEnd{PacketConn: c.(net.PacketConn)}, datagramEnd{s, c.LocalAddr()}, nil
		})
	})
}

// wireEnds are those of a lab's hosts, and of a host and itself.
func wireEnds(l *lab) map[string]ends {
	return map[string]ends{
		"IPv4":        {server: l.server, client: l.client, family: "4", listen: serverIP, from: clientIP},
		"IPv6":        {server: l.server, client: l.client, family: "6", listen: serverIP6, from: clientIP6},
		"its own lo":  {server: l.server, client: l.server, listen: "127.0.0.1", from: "127.0.0.1"},
		"lo by IPv6":  {server: l.server, client: l.server, listen: "::1", from: "::1"},
		"own address": {server: l.server, client: l.server, listen: serverIP, from: serverIP},
	}
}

func TestStreamsPassNettest(t *testing.T) {
	for name, e := range wireEnds(newLab(t, labConfig{})) {
		t.Run(name, e.streams)
	}
}

func TestListenersPassTheirSuite(t *testing.T) {
	l := newLab(t, labConfig{})
	all := wireEnds(l)
	all["dual-stack by IPv4"] = ends{server: l.server, client: l.client, dial: serverIP}
	all["dual-stack by IPv6"] = ends{server: l.server, client: l.client, dial: serverIP6}
	both := newLab(t, labConfig{change: func(c *Config) { c.Loopback = LoopbackKernel }})
	all["in both places, by the stack"] = ends{server: both.server, client: both.client, dial: serverIP}
	all["in both places, by the kernel"] = ends{server: both.server, client: kernelSockets{}, dial: "127.0.0.1"}
	all["package net's own"] = ends{server: kernelSockets{}, client: kernelSockets{}, listen: "127.0.0.1"}
	for name, e := range all {
		t.Run(name, e.listeners)
	}
}

func TestPacketConnsPassTheirSuite(t *testing.T) {
	all := wireEnds(newLab(t, labConfig{}))
	all["package net's own"] = ends{server: kernelSockets{}, client: kernelSockets{}, listen: "127.0.0.1", from: "127.0.0.1"}
	for name, e := range all {
		t.Run(name, e.datagrams)
	}
}

// TestUnixSocketsPassTheSuites: the sockets are package net's, by way of a
// network.
func TestUnixSocketsPassTheSuites(t *testing.T) {
	if !nettest.TestableNetwork("unix") {
		t.Skip("no unix sockets on " + runtime.GOOS)
	}
	n := newLab(t, labConfig{}).server
	dir, err := os.MkdirTemp("", "fn") // t.TempDir may be too long a path
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	var count atomic.Int32
	path := func() string { return filepath.Join(dir, fmt.Sprint(count.Add(1))) }
	for _, network := range []string{"unix", "unixpacket"} {
		if !nettest.TestableNetwork(network) {
			continue
		}
		if network == "unix" { // of unixpacket reads keep borders
			t.Run(network, func(t *testing.T) {
				nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
					return connectStreams(n, n, network, path(), net.Addr.String)
				})
			})
		}
		t.Run(network+" listener", func(t *testing.T) {
			testListener(t, func() (net.Listener, func() (net.Conn, error), func(string) (net.Listener, error), error) {
				l, err := n.Listen(network, path())
				if err != nil {
					return nil, nil, nil, err
				}
				dial := func() (net.Conn, error) { return n.Dial(network, l.Addr().String()) }
				return l, dial, func(a string) (net.Listener, error) { return n.Listen(network, a) }, nil
			})
		})
	}
	if nettest.TestableNetwork("unixgram") {
		t.Run("unixgram", func(t *testing.T) {
			testPacketConn(t, 9000, func() (c1, c2 datagramEnd, err error) {
				var pair [2]net.PacketConn
				for i := range pair {
					if pair[i], err = n.ListenPacket("unixgram", path()); err != nil {
						return c1, c2, err
					}
				}
				return datagramEnd{pair[0], pair[1].LocalAddr()}, datagramEnd{pair[1], pair[0].LocalAddr()}, nil
			})
		})
	}
	require.NotZero(t, n.Stats().Fallbacks["unix"])
}
