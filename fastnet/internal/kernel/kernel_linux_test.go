package kernel

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/stack/route"
)

var (
	addr   = netip.MustParseAddr
	prefix = netip.MustParsePrefix
)

func hasRoute(s State, want route.Route) bool {
	return slices.ContainsFunc(s.Routes, func(r route.Route) bool {
		return r.Prefix == want.Prefix && r.Gateway == want.Gateway && (!want.Source.IsValid() || r.Source == want.Source)
	})
}

func TestTheFirstStateIsWhole(t *testing.T) {
	l := newLab(t)
	l.ip("route add default via 10.9.0.254")
	l.ip("route add 10.8.0.0/16 via 10.9.0.253 src 10.9.0.1")
	f := l.follow(Handler{})
	s := f.State()
	require.Equal(t, "eth0", s.Name)
	require.Equal(t, 1500, s.MTU)
	require.NotZero(t, s.MAC)
	require.True(t, s.Has(addr("10.9.0.1")))
	require.True(t, s.Has(addr("fd09::1")))
	require.False(t, s.Has(addr("127.0.0.1")))
	require.True(t, s.HasDefaultRoute())
	for _, r := range []route.Route{
		{Prefix: prefix("10.9.0.0/24")}, {Prefix: prefix("fd09::/64")}, {Prefix: prefix("0.0.0.0/0"), Gateway: addr("10.9.0.254")},
		{Prefix: prefix("10.8.0.0/16"), Gateway: addr("10.9.0.253"), Source: addr("10.9.0.1")},
	} {
		require.True(t, hasRoute(s, r), "%v in %v", r, s.Routes)
	}
}

func TestNoSuchInterface(t *testing.T) {
	newLab(t)
	_, err := Follow("eth9", Handler{})
	require.ErrorIs(t, err, ErrNoInterface)
}

// Addresses, routes, MTU, link and rules are followed, and the end of the
// interface.
func TestChangesAreFollowed(t *testing.T) {
	l := newLab(t)
	var mu sync.Mutex
	var last State
	routing := 0
	gone := make(chan error, 1)
	f := l.follow(Handler{
		Changed: func(s State) { mu.Lock(); last = s; mu.Unlock() },
		Routing: func() { mu.Lock(); routing++; mu.Unlock() },
		Gone:    func(err error) { gone <- err },
	})
	becomes := func(ok func(State) bool) {
		t.Helper()
		eventually(t, func() bool { mu.Lock(); defer mu.Unlock(); return ok(last) })
		require.True(t, ok(f.State()))
	}
	l.ip("addr add 10.7.0.1/16 dev eth0")
	becomes(func(s State) bool {
		return s.Has(addr("10.7.0.1")) && hasRoute(s, route.Route{Prefix: prefix("10.7.0.0/16")})
	})
	l.ip("addr del 10.7.0.1/16 dev eth0")
	becomes(func(s State) bool {
		return !s.Has(addr("10.7.0.1")) && !hasRoute(s, route.Route{Prefix: prefix("10.7.0.0/16")})
	})
	l.ip("route add default via 10.9.0.254")
	becomes(func(s State) bool { return s.HasDefaultRoute() })
	l.ip("link set eth0 mtu 1400")
	becomes(func(s State) bool { return s.MTU == 1400 })
	l.there("link set eth0 down")
	becomes(func(s State) bool { return !s.Up })
	l.there("link set eth0 up")
	becomes(func(s State) bool { return s.Up })
	mu.Lock()
	before := routing
	mu.Unlock()
	l.ip("rule add to 10.55.0.0/16 table 100")
	eventually(t, func() bool { mu.Lock(); defer mu.Unlock(); return routing > before })
	l.ip("link del eth0")
	require.ErrorIs(t, <-gone, errGone)
	require.False(t, f.RouteTo(addr("10.9.0.2"), netip.Addr{}).Ours)
	f.Resolve(addr("10.9.0.2")) // comes to nothing
}

// All routes through the interface are known in the end, however many come, and
// those through others are none of its own.
func TestManyRoutesAreFollowed(t *testing.T) {
	l := newLab(t)
	l.ip("link add eth1 type veth peer name eth1 netns " + l.peer)
	l.ip("link set eth1 up")
	f := l.follow(Handler{})
	// Others come by themselves, as the link begins to work.
	are := func(want int) {
		t.Helper()
		eventually(t, func() bool {
			n := 0
			for _, r := range f.State().Routes {
				if a := r.Prefix.Addr().As16(); r.Prefix.Addr().Is4() && a[12] == 10 && a[13] >= 100 {
					n++
				}
			}
			return n == want
		})
	}
	var ours, all strings.Builder
	for i := range 500 {
		fmt.Fprintf(&ours, "route del 10.%d.%d.0/24\n", 100+i/250, i%250)
		for j, dev := range []string{"eth0", "eth1"} {
			fmt.Fprintf(&all, "route add 10.%d.%d.0/24 dev %s\n", 100+50*j+i/250, i%250, dev)
		}
	}
	batch := func(lines string) {
		cmd := exec.Command("ip", "-n", l.name, "-batch", "-")
		cmd.Stdin = strings.NewReader(lines)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	batch(all.String())
	are(500)
	l.ip("route replace 10.100.0.0/24 dev eth1")
	are(499)
	l.ip("route replace 10.100.0.0/24 nexthop dev eth1 nexthop dev eth0")
	are(500)
	batch(ours.String())
	are(0)
}

// heard is what a follower has told of neighbours.
type heard struct {
	mu    sync.Mutex
	known map[netip.Addr][6]byte
	last  map[netip.Addr]NeighborState
}

func (h *heard) tell(a netip.Addr, mac [6]byte, s NeighborState) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.last == nil {
		h.last, h.known = map[netip.Addr]NeighborState{}, map[netip.Addr][6]byte{}
	}
	h.last[a] = s
	h.known[a] = mac
}

func (h *heard) is(a string, s NeighborState) func() bool {
	return func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.last[addr(a)] == s && (s != Known || h.known[addr(a)] != [6]byte{})
	}
}

// The kernel finds neighbours when it is asked to, tells of those that it knows
// already, and of those that do not answer.
func TestTheKernelResolvesNeighbours(t *testing.T) {
	l := newLab(t)
	var h heard
	f := l.follow(Handler{Neighbor: h.tell})
	for _, a := range []string{"10.9.0.2", "fd09::2"} {
		// Again and again: a new link may take seconds until it sends.
		eventually(t, func() bool { f.Resolve(addr(a)); return h.is(a, Known)() })
		h.mu.Lock()
		h.last = nil
		h.mu.Unlock()
		f.Resolve(addr(a)) // it knows: no event would tell
		eventually(t, h.is(a, Known))
	}
	f.Resolve(addr("10.9.0.77"))
	eventually(t, h.is("10.9.0.77", Failed))
	l.ip("neigh replace 10.9.0.50 lladdr 02:00:00:00:00:50 dev eth0")
	eventually(t, h.is("10.9.0.50", Known))
	l.ip("neigh del 10.9.0.50 dev eth0")
	eventually(t, func() bool { return h.is("10.9.0.50", Forgotten)() || h.is("10.9.0.50", Failed)() })
}

// Only what the kernel would send out of the interface is ours.
func TestRouteTo(t *testing.T) {
	l := newLab(t)
	l.ip("link add eth1 type veth peer name eth1 netns " + l.peer)
	l.ip("addr add 10.19.0.1/24 dev eth1")
	l.ip("link set eth1 up")
	l.there("link set eth1 up")
	l.ip("route add default via 10.9.0.254")
	l.ip("route add 10.66.0.0/16 via 10.19.0.2")
	l.ip("route add unreachable 10.67.0.0/16")
	l.ip("rule add to 10.68.0.0/16 table 100")
	l.ip("route add default via 10.19.0.2 table 100")
	l.ip("rule add from 10.9.0.1 to 10.66.0.0/16 table 101")
	l.ip("route add default via 10.9.0.254 table 101")
	f := l.follow(Handler{})
	for _, c := range []struct {
		dst, src string
		ours     bool
		from     string
	}{
		{dst: "10.9.0.2", ours: true, from: "10.9.0.1"},
		{dst: "192.0.2.1", ours: true, from: "10.9.0.1"},
		{dst: "fd09::2", ours: true, from: "fd09::1"},
		{dst: "::ffff:10.9.0.2", ours: true, from: "10.9.0.1"},
		{dst: "10.9.0.1"}, // this host
		{dst: "127.0.0.1"},
		{dst: "0.0.0.0"},
		{dst: "224.0.0.251"},
		{dst: "10.9.0.255"}, // broadcast
		{dst: "10.66.0.1"},  // the other interface
		{dst: "10.67.0.1"},
		{dst: "10.68.0.1"}, // by a rule
		{dst: "10.66.0.1", src: "10.9.0.1", ours: true, from: "10.9.0.1"}, // by a rule for the source
		{dst: "2001:db8::1"}, // no route
		{dst: "fe80::1%eth1"},
		{dst: "fe80::1"},
		{dst: "fe80::1%eth0", ours: true},
	} {
		src := netip.Addr{}
		if c.src != "" {
			src = addr(c.src)
		}
		w := f.RouteTo(addr(c.dst), src)
		require.Equal(t, c.ours, w.Ours, c.dst)
		if c.from != "" {
			require.Equal(t, addr(c.from), w.Source, c.dst)
		}
	}
}

// Nobody else gets a port of a block.
func TestABlockHoldsItsPorts(t *testing.T) {
	newLab(t)
	for _, kind := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM} {
		b, err := ReserveBlock(kind, 16)
		require.NoError(t, err)
		require.Len(t, b.Ports(), 16)
		try := func(port uint16) error {
			fd, err := unix.Socket(unix.AF_INET, kind, 0)
			require.NoError(t, err)
			defer unix.Close(fd)
			require.NoError(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
			return unix.Bind(fd, &unix.SockaddrInet4{Port: int(port), Addr: [4]byte{10, 9, 0, 1}})
		}
		for _, p := range b.Ports() {
			require.ErrorIs(t, try(p), unix.EADDRINUSE)
		}
		require.NoError(t, b.Close())
		require.NoError(t, try(b.Ports()[0]))
	}
}

func TestOneProcessHasAnInterface(t *testing.T) {
	newLab(t)
	c, err := NewClaim(7)
	require.NoError(t, err)
	var taken *Taken
	for range 100 { // however many ask
		_, err = NewClaim(7)
		require.ErrorAs(t, err, &taken)
		require.Equal(t, os.Getpid(), taken.Holder().PID)
		require.Contains(t, err.Error(), "kernel.test")
	}
	other, err := NewClaim(8)
	require.NoError(t, err)
	require.NoError(t, other.Close())
	require.NoError(t, c.Close())
	c, err = NewClaim(7)
	require.NoError(t, err)
	require.NoError(t, c.Close())
}

// Who has no more than the name is named, too, whoever it is.
func TestWhoHasAClaimIsNamed(t *testing.T) {
	newLab(t)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	require.NoError(t, unix.Bind(fd, claimName(9))) // and does not listen
	var taken *Taken
	_, err = NewClaim(9)
	require.ErrorAs(t, err, &taken)
	require.Equal(t, Holder{os.Getpid(), "kernel.test", os.Getuid()}, taken.Holder())
	require.Equal(t, fmt.Sprintf("process %d (kernel.test) has it", os.Getpid()), taken.Error())
	require.NoError(t, unix.Close(fd))
	c, err := NewClaim(9)
	require.NoError(t, err)
	require.NoError(t, c.Close())

	// And who has no time to take in those that ask: its queue is full after a few.
	fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	require.NoError(t, unix.Bind(fd, claimName(9)))
	require.NoError(t, unix.Listen(fd, 2))
	for range 5 {
		_, err = NewClaim(9)
		require.ErrorAs(t, err, &taken)
		require.Equal(t, Holder{os.Getpid(), "kernel.test", os.Getuid()}, taken.Holder())
	}
	stranger := Holder{7, "nc", os.Getuid() + 1000}
	require.Equal(t, fmt.Sprintf("process 7 (nc) of user %d", stranger.UID), stranger.String())
	require.Contains(t, stranger.advice(), "end that process")
	require.Contains(t, Holder{}.advice(), "ss -xap")
}

// What cannot be taken is named, with what to do.
func TestObstacles(t *testing.T) {
	l := newLab(t)
	f := l.follow(Handler{})
	require.NoError(t, f.Check())
	l.ip("link add br0 type bridge")
	l.ip("link set eth0 master br0")
	var o Obstacle
	require.ErrorAs(t, f.Check(), &o)
	require.Contains(t, o.Error(), "port of the bridge br0")
	require.Contains(t, o.Error(), "nomaster")
	l.ip("link set eth0 nomaster")
	require.NoError(t, f.Check())
	lo, err := Follow("lo", Handler{})
	require.NoError(t, err)
	defer lo.Close()
	require.ErrorAs(t, lo.Check(), &o)
	require.Contains(t, o.Error(), "no Ethernet")
	require.Equal(t, "eth0", lo.HasAddress(addr("10.9.0.1")))
	require.Empty(t, lo.HasAddress(addr("10.9.0.9")))
}

// VLANs whose tags the device takes off are not to be told apart.
func TestStrippedVLANs(t *testing.T) {
	l := newLab(t)
	f := l.follow(Handler{})
	if _, err := exec.LookPath("ethtool"); err != nil {
		t.Skip(err)
	}
	require.True(t, stripsVLAN("eth0")) // as veth does
	if out, err := exec.Command("ip", "-n", l.name, "link", "add", "eth0.10", "link", "eth0", "type", "vlan", "id", "10").CombinedOutput(); err != nil {
		t.Skipf("this kernel has no VLANs: %s", out)
	}
	var o Obstacle
	require.ErrorAs(t, f.Check(), &o)
	require.Contains(t, o.Error(), "eth0.10")
	require.Contains(t, o.Error(), "rxvlan off")
	l.run("ethtool", "-K", "eth0", "rxvlan", "off")
	require.NoError(t, f.Check())
}

// The kernel's connections on a port, over both families by a dual-stack socket, in
// each state.
func TestTheKernelsConnectionsAreListed(t *testing.T) {
	newLab(t)
	l, err := net.Listen("tcp", ":7000")
	require.NoError(t, err)
	defer l.Close()
	want := map[netip.AddrPort]bool{}
	for _, at := range []string{"10.9.0.1:7000", "[fd09::1]:7000"} {
		c, err := net.Dial("tcp", at)
		require.NoError(t, err)
		defer c.Close()
		want[c.LocalAddr().(*net.TCPAddr).AddrPort()] = true
	}
	gone, err := net.Dial("tcp", "10.9.0.1:7000")
	require.NoError(t, err)
	require.NoError(t, gone.Close())
	for range 3 {
		c, err := l.Accept()
		require.NoError(t, err)
		defer c.Close()
	}
	list := func(port uint16) map[netip.AddrPort]bool {
		got := map[netip.AddrPort]bool{}
		require.NoError(t, TCPFlows(port, func(local, remote netip.AddrPort) {
			require.Equal(t, port, local.Port())
			got[remote] = true
		}))
		return got
	}
	got := list(7000)
	require.Len(t, got, 3, "with one in CLOSE-WAIT")
	for a := range want {
		require.True(t, got[a], "%v in %v", a, got)
	}
	require.Empty(t, list(7001))
}

func FuzzParseDiag(f *testing.F) {
	f.Add(make([]byte, 72))
	f.Add([]byte{2})
	f.Fuzz(func(t *testing.T, b []byte) {
		if l, r, ok := parseDiag(b); ok {
			require.True(t, l.IsValid() && r.IsValid())
		}
	})
}
