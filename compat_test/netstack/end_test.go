package netstack

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/fault"
	"github.com/fastnet-go/fastnet/nic/wire"
)

// patience is generous, for the machine may be busy with other work.
const patience = 60 * time.Second

// end is a host on one end of a wire: gVisor's, or ours.
type end interface {
	listen(t *testing.T, on netip.AddrPort) net.Listener
	dial(ctx context.Context, to netip.AddrPort) (net.Conn, error)
	listenPacket(on netip.AddrPort) (net.PacketConn, error)
	dialPacket(to netip.AddrPort) (net.Conn, error)
	close(t *testing.T)
}

// halfCloser is what every TCP connection of this suite is.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

// makeEnd makes a host on a device.
type makeEnd func(t *testing.T, dev nic.Device, addresses []netip.Prefix, now func() time.Duration) end

// netstackEnd is gVisor's.
type netstackEnd struct{ *Host }

func newNetstackEnd(t *testing.T, dev nic.Device, addresses []netip.Prefix, now func() time.Duration) end {
	h, err := New(Config{Device: dev, Addresses: addresses, Now: now})
	require.NoError(t, err)
	return netstackEnd{h}
}

func (e netstackEnd) listen(t *testing.T, on netip.AddrPort) net.Listener {
	l, err := e.Listen(on)
	require.NoError(t, err)
	return l
}

func (e netstackEnd) dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	c, err := e.Dial(ctx, to)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (e netstackEnd) close(t *testing.T) { require.NoError(t, e.Close()) }

// reset closes a connection of any end by a RST.
func reset(t *testing.T, c net.Conn) {
	switch c := c.(type) {
	case *Conn:
		require.NoError(t, c.Reset())
	case interface{ SetLinger(int) error }:
		require.NoError(t, c.SetLinger(0))
		require.NoError(t, c.(net.Conn).Close())
	default:
		t.Fatalf("%T cannot be reset", c)
	}
}

// isErrno reports whether err is the system error, by name where the end's
// errors are only text.
func isErrno(err error, errno syscall.Errno) bool {
	return errors.Is(err, errno) || err != nil && strings.Contains(err.Error(), errno.Error())
}

// linkKind is a way of joining the two ends.
type linkKind struct {
	name   string
	wire   wire.Config
	faults fault.Faults // of both directions
	lossy  bool         // so a test moves less
}

// steady links lose nothing.
var steady = []linkKind{
	{name: "plain"},
	{name: "two queues", wire: wire.Config{Queues: 2}},
	{name: "checksum offload", wire: wire.Config{Checksum: true}},
	{name: "segmentation offload", wire: wire.Config{TSO: true}},
	{name: "MTU 9000", wire: wire.Config{MTU: 9000}},
	{name: "MTU 1280", wire: wire.Config{MTU: 1280}},
}

var lossy = []linkKind{
	{name: "loss", lossy: true, faults: fault.Faults{Loss: .02}},
	{name: "every fault", lossy: true, faults: fault.Faults{
		Loss: .01, Corrupt: .01, CorruptFrom: 14, Duplicate: .02, Reorder: .05, Delay: time.Millisecond, Jitter: time.Millisecond,
	}},
	{name: "long and narrow", lossy: true, faults: fault.Faults{Delay: 10 * time.Millisecond, Rate: 50_000_000, Queue: 64 << 10}},
}

// few are enough where what a test does hardly depends on the link.
var few = []linkKind{steady[0], steady[3]}

// pairing says who serves and who dials.
type pairing struct {
	name           string
	server, client makeEnd
}

// pairings are checked in this order: netstack against itself shows that the
// adapter and the tests are sound.
var pairings = []pairing{
	{"netstack serves netstack", newNetstackEnd, newNetstackEnd},
	{"fastnet serves netstack", newFastnetEnd, newNetstackEnd},
	{"netstack serves fastnet", newNetstackEnd, newFastnetEnd},
}

// families of addresses: each has the server's and the client's.
var families = []struct {
	name           string
	server, client netip.Prefix
}{
	{"IPv4", netip.MustParsePrefix("10.7.0.1/24"), netip.MustParsePrefix("10.7.0.2/24")},
	{"IPv6", netip.MustParsePrefix("fd00:7::1/64"), netip.MustParsePrefix("fd00:7::2/64")},
}

// network is a server and a client that can reach each other.
type network struct {
	server, client end
	address        netip.AddrPort // to serve on
	lossy          bool
}

// scaled is n, less on a link where every loss may cost a timeout.
func (n *network) scaled(full, lossy int) int {
	if n.lossy {
		return lossy
	}
	return full
}

// forEachNetwork runs test on every pairing and family over these links.
func forEachNetwork(t *testing.T, links []linkKind, test func(*testing.T, *network)) {
	for _, p := range pairings {
		t.Run(p.name, func(t *testing.T) {
			for _, f := range families {
				for _, k := range links {
					t.Run(f.name+"/"+k.name, func(t *testing.T) {
						t.Parallel() // most of the time passes in timeouts
						test(t, newNetwork(t, p, k, f.server, f.client))
					})
				}
			}
		})
	}
}

func newNetwork(t *testing.T, p pairing, k linkKind, server, client netip.Prefix) *network {
	w, err := wire.New(k.wire)
	require.NoError(t, err)
	origin := time.Now()
	now := func() time.Duration { return time.Since(origin) }
	dev := nic.Device(w.Port(1))
	if k.lossy {
		dev, err = fault.Wrap(dev, fault.Config{Seed: 1, Rx: k.faults, Tx: k.faults}, now)
		require.NoError(t, err)
	}
	n := &network{
		server:  p.server(t, w.Port(0), []netip.Prefix{server}, now),
		client:  p.client(t, dev, []netip.Prefix{client}, now),
		address: netip.AddrPortFrom(server.Addr(), 80),
		lossy:   k.lossy,
	}
	t.Cleanup(func() {
		n.client.close(t)
		n.server.close(t)
		// What was damaged on the way apart, netstack found nothing to object to.
		for _, e := range []end{n.client, n.server} {
			if h, ok := e.(netstackEnd); ok && k.faults.Corrupt == 0 {
				c := h.Counters()
				require.Zero(t, c.Invalid, "malformed TCP segments")
				require.Zero(t, c.ChecksumErrors, "TCP checksums")
				require.Zero(t, c.MalformedIP, "malformed IP packets")
			}
		}
		// Every buffer is back: neither end lost track of one.
		require.Eventually(t, func() bool { return w.InUse() == 0 }, patience, time.Millisecond, "packets in use after both ends closed")
	})
	return n
}

// connect makes one connection.
func (n *network) connect(t *testing.T) (client, server halfCloser) {
	l := n.server.listen(t, n.address)
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			t.Error("accept:", err)
		}
		accepted <- c
	}()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	d, err := n.client.dial(ctx, n.address)
	require.NoError(t, err)
	a := <-accepted
	require.NotNil(t, a)
	t.Cleanup(func() { d.Close(); a.Close() })
	require.NoError(t, d.SetDeadline(time.Now().Add(patience)))
	require.NoError(t, a.SetDeadline(time.Now().Add(patience)))
	return d.(halfCloser), a.(halfCloser)
}
