package fastnet

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
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
// for those of tests, and for those of the process's poller while it has networks: it
// starts one more with each network until it has all.
func goroutines() []string {
	pollers.Lock()
	shared := pollers.shared != nil
	pollers.Unlock()
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	var ours []string
	for _, g := range strings.Split(string(buf), "\n\n") {
		if shared && strings.Contains(g, "stack.(*worker).run") {
			continue
		}
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
	for begun := time.Now(); ; {
		now := goroutines()
		if len(now) <= len(before) {
			return
		}
		if time.Since(begun) > time.Minute {
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

// lastQuietPort is where quietPort goes on.
var lastQuietPort = 10_000 + rand.IntN(10_000)

// quietPort returns a TCP and UDP port of this machine's that nobody uses, and that the
// kernel gives to nobody who asks for any: another process, such as the test of another
// package, does not have it by chance a moment later.
func quietPort(t testing.TB) int {
	t.Helper()
	first, last := 32768, 60999 // Linux's default
	if b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		_, err := fmt.Sscan(string(b), &first, &last)
		require.NoError(t, err)
	}
	if first < 12_000 && last > 60_000 {
		first, last = 0, 0 // hardly any are left: one of these, then
	}
	for {
		if lastQuietPort++; first <= lastQuietPort && lastQuietPort <= last {
			lastQuietPort = last + 1
		}
		if lastQuietPort > 65535 {
			lastQuietPort = 2000
		}
		address := fmt.Sprint(":", lastQuietPort)
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		u, err := net.ListenPacket("udp", address)
		require.NoError(t, l.Close())
		if err != nil {
			continue
		}
		require.NoError(t, u.Close())
		return lastQuietPort
	}
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
