package fastnet

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/fault"
	"github.com/fastnet-go/fastnet/nic/wire"
	"github.com/fastnet-go/fastnet/stack"
)

// The two hosts of a lab.
const (
	clientIP, serverIP   = "10.0.0.1", "10.0.0.2"
	clientIP6, serverIP6 = "2001:db8::1", "2001:db8::2"
)

// lab is two networks on a wire. When its test ends it checks that nothing is
// left of them: no goroutine, no packet.
type lab struct {
	client, server *Network
	wire           *wire.Wire
}

type labConfig struct {
	wire   wire.Config
	faults *fault.Config // of both ends
	poller *stack.Poller // default: the process's own
	change func(*Config)
}

func newLab(t testing.TB, cfg labConfig) *lab {
	t.Helper()
	before := goroutines()
	w, err := wire.New(cfg.wire)
	require.NoError(t, err)
	l := &lab{wire: w}
	open := func(port int, ips ...string) *Network {
		c := Config{
			Name: fmt.Sprintf("host%d", port), Device: w.Port(port), Poller: cfg.poller,
			Addresses: []netip.Prefix{netip.MustParsePrefix(ips[0] + "/24"), netip.MustParsePrefix(ips[1] + "/64")},
			Logger:    slog.New(slog.DiscardHandler),
		}
		if cfg.faults != nil {
			f := *cfg.faults
			f.Seed += uint64(port)
			c.Faults = &f
		}
		if cfg.change != nil {
			cfg.change(&c)
		}
		n, err := New(c)
		require.NoError(t, err)
		return n
	}
	l.client = open(0, clientIP, clientIP6)
	l.server = open(1, serverIP, serverIP6)
	t.Cleanup(func() {
		for _, n := range []*Network{l.client, l.server} {
			if err := n.Close(); err != net.ErrClosed { // by the test
				require.NoError(t, err)
			}
		}
		require.NoError(t, w.Port(0).Close())
		require.NoError(t, w.Port(1).Close())
		require.Zero(t, w.InUse(), "packets that nobody released")
		if cfg.poller == nil {
			noneLeft(t, before)
		}
	})
	return l
}

// goroutines returns the stacks of the goroutines that run code of ours, but
// for those of tests.
func goroutines() []string {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	var ours []string
	for _, g := range strings.Split(string(buf), "\n\n") {
		if strings.Contains(g, "fastnet-go/fastnet/") && !strings.Contains(g, "testing.tRunner") && !strings.Contains(g, "testing.(*M)") {
			ours = append(ours, g)
		}
	}
	return ours
}

// noneLeft checks that there are no more goroutines than before. One that has
// said goodbye may need a moment to go.
func noneLeft(t testing.TB, before []string) {
	t.Helper()
	for try := 0; ; try++ {
		now := goroutines()
		if len(now) <= len(before) {
			return
		}
		if try == 100 {
			t.Errorf("%d goroutines left:\n%s", len(now), strings.Join(now, "\n\n"))
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// connect returns both ends of a TCP connection. The ends are closed with the
// test.
func (l *lab) connect(t testing.TB, network, address string) (client, server *TCPConn) {
	t.Helper()
	ln, err := l.server.Listen(network, address)
	require.NoError(t, err)
	defer ln.Close()
	c, err := l.client.Dial(network, ln.Addr().String())
	require.NoError(t, err)
	s, err := ln.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { c.Close(); s.Close() })
	return c.(*TCPConn), s.(*TCPConn)
}

// readAll reads to the end on another goroutine.
func readAll(r io.Reader) <-chan string {
	done := make(chan string, 1)
	go func() {
		b, err := io.ReadAll(r)
		if err != nil {
			b = fmt.Append(b, " then ", err)
		}
		done <- string(b)
	}()
	return done
}

// echo serves connections until l is closed.
func echo(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			io.Copy(c, c)
		}()
	}
}

// errOf drops the other result of a call.
func errOf[T any](_ T, err error) error { return err }

// Deadlines.
var (
	past  = time.Unix(1, 0)
	never = time.Time{}
)

// newSpareWire returns a port at whose other end nobody is.
func newSpareWire(t testing.TB) nic.Device {
	w, err := wire.New(wire.Config{})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, w.Port(0).Close())
		require.NoError(t, w.Port(1).Close())
		require.Zero(t, w.InUse())
	})
	return w.Port(0)
}
