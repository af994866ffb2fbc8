package stack

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/wire"
)

// patience bounds what a test in real time waits for; it says nothing of how long
// anything takes.
const patience = time.Minute

// pair is two hosts on a wire, with a poller: a is 10.0.0.1 and fd00::1, b
// 10.0.0.2 and fd00::2.
type pair struct {
	a, b   *Host
	wire   *wire.Wire
	poller *Poller
	wrap   func(nic.Device) nic.Device
}

func newPair(t testing.TB, cfg wire.Config) *pair {
	t.Helper()
	return newPairOn(t, cfg, noWrap)
}

func noWrap(d nic.Device) nic.Device { return d }

// newPairOn is newPair with something around the devices.
func newPairOn(t testing.TB, cfg wire.Config, wrap func(nic.Device) nic.Device) *pair {
	t.Helper()
	return newPairWith(t, cfg, wrap, PollerConfig{})
}

// newPairWith is newPairOn with a poller of its own kind.
func newPairWith(t testing.TB, cfg wire.Config, wrap func(nic.Device) nic.Device, pc PollerConfig) *pair {
	t.Helper()
	w, err := wire.New(cfg)
	require.NoError(t, err)
	p := &pair{wire: w, poller: NewPoller(pc)}
	p.wrap = wrap
	p.a = p.host(t, "a", 0, "10.0.0.1/24", "fd00::1/64")
	p.b = p.host(t, "b", 1, "10.0.0.2/24", "fd00::2/64")
	t.Cleanup(func() { p.close(t) })
	return p
}

func (p *pair) host(t testing.TB, name string, port int, addrs ...string) *Host {
	h := NewHost(Config{Name: name})
	var ps []netip.Prefix
	for _, a := range addrs {
		ps = append(ps, netip.MustParsePrefix(a))
	}
	_, err := h.Attach(p.wrap(p.wire.Port(port)), InterfaceConfig{Addrs: ps})
	require.NoError(t, err)
	require.NoError(t, p.poller.Add(h))
	return h
}

// close ends everything and looks for what was not given back.
func (p *pair) close(t testing.TB) {
	p.a.Close() // a test may have closed them
	p.b.Close()
	require.NoError(t, p.poller.Close())
	p.wire.Port(0).Close()
	p.wire.Port(1).Close()
	require.Zero(t, p.wire.InUse(), "packets of the wire in use after Close")
	for _, h := range []*Host{p.a, p.b} {
		require.Zero(t, h.BuffersInUse(), "buffers of %s in use after Close", h.Name())
		require.Zero(t, h.Timers(), "timers of %s pending after Close", h.Name())
	}
}

func addrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// connect returns both ends of a connection from b to a listener of a's.
func (p *pair) connect(t testing.TB, at string) (server, client *TCPConn) {
	t.Helper()
	l, err := p.a.ListenTCP(addrPort(at), ListenOptions{})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	client, err = p.b.DialTCP(ctx, netip.AddrPort{}, addrPort(at), TCPOptions{})
	require.NoError(t, err)
	server, err = l.Accept()
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return server, client
}
