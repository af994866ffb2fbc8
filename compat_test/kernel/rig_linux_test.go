package kernel

import (
	"context"
	"iter"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/fastnet"
	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/fault"
	"github.com/fastnet-go/fastnet/nic/pcap"
	"github.com/fastnet-go/fastnet/nic/tap"
	"github.com/fastnet-go/fastnet/stack"
)

// link says how the two ends are joined.
type link struct {
	name      string
	noOffload bool
	queues    int
	mtu       int
	sysctl    map[string]string // of the kernel's end
	rcvBuf    int               // of the kernel's sockets
	mptcp     bool              // the kernel dials so
	tcp       stack.TCPDefaults // of ours
	faults    fault.Faults      // of both directions
	lossy     bool              // so a test moves less
}

// plain links are those that all tests run on.
var plain = []link{
	{name: "offload"},
	{name: "no offload", noOffload: true},
}

// family has an address of each end.
type family struct {
	name         string
	kernel, ours netip.Prefix
}

var families = []family{
	{"IPv4", netip.MustParsePrefix("10.177.0.1/24"), netip.MustParsePrefix("10.177.0.2/24")},
	{"IPv6", netip.MustParsePrefix("fd77::1/64"), netip.MustParsePrefix("fd77::2/64")},
}

// rig is the kernel and fastnet on the two ends of a TAP interface.
type rig struct {
	ns      *namespace
	device  nic.Device // the TAP interface
	name    string     // of the kernel's end
	faults  *fault.Device
	network *fastnet.Network
	kernel  *kernelEnd
	ours    fastnetEnd
	lossy   bool
	dead    bool // the interface was deleted by the test
}

// newRig joins the two. When the test is over it checks that nothing is left.
func newRig(t testing.TB, l link) *rig {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() { noneLeft(t, before) })
	r := &rig{ns: newNamespace(t), name: "fast0", lossy: l.lossy}
	for name, value := range l.sysctl {
		r.ns.sysctl(name, value)
	}
	cfg := tap.Config{Name: r.name, NetNS: string(r.ns.Namespace), Queues: l.queues, MTU: l.mtu, NoOffload: l.noOffload}
	var addresses []netip.Prefix
	for _, f := range families {
		cfg.HostAddrs = append(cfg.HostAddrs, f.kernel)
		addresses = append(addresses, f.ours)
	}
	cfg.Addrs = addresses
	var err error
	r.device, err = tap.Open(cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, r.device.Close())
		require.Zero(t, r.device.(interface{ InUse() int }).InUse(), "buffers of the TAP device are in use")
	})

	clock := stack.SystemClock()
	dev := r.device
	if l.lossy {
		r.faults, err = fault.Wrap(keepOpen{dev}, fault.Config{Seed: 1, Rx: l.faults, Tx: l.faults}, clock)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, r.faults.Close()) })
		dev = r.faults
	}
	if dir := os.Getenv("FASTNET_PCAP"); dir != "" { // to look at a test that fails
		w, err := pcap.Create(filepath.Join(dir, strings.NewReplacer("/", "-", " ", "-").Replace(t.Name())+".pcapng"), pcap.Config{Origin: time.Now().Add(-clock())})
		require.NoError(t, err)
		t.Cleanup(func() { w.Close() })
		dev = pcap.Wrap(dev, w, clock)
	}
	r.network, err = fastnet.New(fastnet.Config{
		Device: dev, Addresses: addresses, Clock: clock, Loopback: fastnet.LoopbackStack, TCP: l.tcp,
		Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	t.Cleanup(func() { r.close(t) })
	r.kernel = &kernelEnd{ns: r.ns, rcvBuf: l.rcvBuf, mptcp: l.mptcp}
	r.ours = fastnetEnd{r.network}
	return r
}

// keepOpen is a device that outlives its wrapper.
type keepOpen struct{ nic.Device }

func (keepOpen) Close() error { return nil }

func (r *rig) close(t testing.TB) {
	stats := r.network.Stats()
	if !r.lossy && !r.dead {
		// Neither end found fault with what the other sent.
		for _, reason := range []string{"short", "ip-header", "ip-checksum", "tcp-header", "tcp-checksum", "udp-header", "udp-checksum", "icmp", "fragment"} {
			require.Zero(t, stats.Drops[reason], "dropped: %v", stats.Drops)
		}
		for _, c := range [][2]string{{"Tcp", "InCsumErrors"}, {"Udp", "InCsumErrors"}, {"Ip", "InHdrErrors"}, {"Icmp", "InCsumErrors"}} {
			require.Equal(t, "0", r.ns.counter(c[0], c[1]), "the kernel counts %s %s", c[0], c[1])
		}
	}
	if t.Failed() || os.Getenv("FASTNET_STATS") != "" {
		t.Logf("%+v", stats)
		out, _ := r.ns.run(context.Background(), nil, "ip", "-s", "-s", "link", "show", "dev", r.name)
		t.Log(out)
		for _, c := range r.network.Connections() {
			t.Logf("%+v", c)
		}
	}
	host := r.network.Host()
	require.NoError(t, r.network.Close())
	require.Zero(t, host.BuffersInUse(), "buffers of the host are in use")
	require.Zero(t, host.Timers(), "timers are pending")
}

// noneLeft checks that there are no more goroutines than before. One that has
// said goodbye may need a moment to go.
func noneLeft(t testing.TB, before int) {
	t.Helper()
	for deadline := time.Now().Add(patience); runtime.NumGoroutine() > before; {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<20)
			t.Errorf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// roles says who serves and who dials, over which family.
type roles struct {
	*rig
	server, client end
	family         family
	address        netip.AddrPort // of the server, with port 8080
}

// forEachRole runs test over these links, each end in each role, and both
// families; with -short over half of that, in which all are still met. The rig
// is new for each.
func forEachRole(t *testing.T, links []link, test func(*testing.T, *roles)) {
	for i, l := range links {
		for j, f := range families {
			for k, ours := range []bool{true, false} {
				if testing.Short() && (i+j+k)%2 != 0 {
					continue
				}
				name := "kernel serves"
				if ours {
					name = "fastnet serves"
				}
				t.Run(strings.Join([]string{l.name, f.name, name}, "/"), func(t *testing.T) {
					test(t, newRoles(t, l, f, ours))
				})
			}
		}
	}
}

func newRoles(t testing.TB, l link, f family, ours bool) *roles {
	r := &roles{rig: newRig(t, l), family: f}
	if ours {
		r.server, r.client = r.ours, r.kernel
		r.address = netip.AddrPortFrom(f.ours.Addr(), 8080)
	} else {
		r.server, r.client = r.kernel, r.ours
		r.address = netip.AddrPortFrom(f.kernel.Addr(), 8080)
	}
	return r
}

// connect makes one connection.
func (r *roles) connect(t testing.TB) (client, server tcpConn) {
	t.Helper()
	l := r.server.listen(t, r.address)
	defer l.Close()
	type result struct {
		c   net.Conn
		err error
	}
	accepted := make(chan result, 1)
	go func() {
		c, err := l.Accept()
		accepted <- result{c, err}
	}()
	d, err := r.dial()
	require.NoError(t, err)
	a := <-accepted
	require.NoError(t, a.err)
	t.Cleanup(func() { d.Close(); a.c.Close() })
	require.NoError(t, d.SetDeadline(time.Now().Add(patience)))
	require.NoError(t, a.c.SetDeadline(time.Now().Add(patience)))
	return d.(tcpConn), a.c.(tcpConn)
}

// bothWays makes two connections: a is the client of the first, and the server of
// the second.
func (r *roles) bothWays(t testing.TB) iter.Seq2[tcpConn, tcpConn] {
	return func(yield func(a, b tcpConn) bool) {
		a, b := r.connect(t)
		if yield(a, b) {
			b, a = r.connect(t)
			yield(a, b)
		}
	}
}

func (r *roles) dial() (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return r.client.dial(ctx, r.address)
}

// scaled is full, or less with -short or on a link where each loss may cost a
// time-out.
func (r *rig) scaled(full, short, lossy int) int {
	switch {
	case r.lossy:
		return lossy
	case testing.Short():
		return short
	}
	return full
}
