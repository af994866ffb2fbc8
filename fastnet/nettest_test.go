package fastnet

import (
	"net"
	"testing"

	"golang.org/x/net/nettest"
)

// TestConnsPassNettest runs the conformance tests of golang.org/x/net/nettest.
func TestConnsPassNettest(t *testing.T) {
	for name, ends := range map[string]struct {
		network, host string
		loopback      bool
	}{
		"IPv4 over a wire":   {"tcp4", serverIP, false},
		"IPv6 over a wire":   {"tcp6", serverIP6, false},
		"the host's own lo":  {"tcp", "127.0.0.1", true},
		"its own lo by IPv6": {"tcp", "::1", true},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, labConfig{})
			nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
				ln, err := l.server.Listen(ends.network, net.JoinHostPort(ends.host, "0"))
				if err != nil {
					return nil, nil, nil, err
				}
				defer ln.Close()
				from := l.client
				if ends.loopback {
					from = l.server
				}
				if c1, err = from.Dial(ends.network, ln.Addr().String()); err != nil {
					return nil, nil, nil, err
				}
				if c2, err = ln.Accept(); err != nil {
					c1.Close()
					return nil, nil, nil, err
				}
				return c1, c2, func() { c1.Close(); c2.Close() }, nil
			})
		})
	}
}
