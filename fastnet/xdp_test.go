package fastnet

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/fastnet/internal/kernel"
	"github.com/fastnet-go/fastnet/fastnet/internal/steer"
	"github.com/fastnet-go/fastnet/nic/afxdp"
	"github.com/fastnet-go/fastnet/stack"
	"github.com/fastnet-go/fastnet/stack/route"
)

func TestShortFormDescribesASharedInterface(t *testing.T) {
	for text, want := range map[string]XDP{
		"xdp:eth0":           {Config: afxdp.Config{Interface: "eth0"}},
		"xdp:eth0,ports=443": {Config: afxdp.Config{Interface: "eth0"}, Ports: []PortRange{{First: 443, Last: 443}}},
		"xdp:name=eth0,ports=443,udp:53,8000-8010,ports=tcp:22,attach=generic": {
			Config: afxdp.Config{Interface: "eth0", Attach: afxdp.AttachGeneric},
			Ports:  []PortRange{{"", 443, 443}, {"udp", 53, 53}, {"", 8000, 8010}, {"tcp", 22, 22}},
		},
		"xdp:eth0,partial=true":                                     {Config: afxdp.Config{Interface: "eth0", PartialChecksums: true}},
		"xdp:eth0,dialports=0,handover=true":                        {Config: afxdp.Config{Interface: "eth0"}, DialPorts: -1, Handover: true},
		"xdp:eth0,copy=never,queues=2,ring=512,frames=4096":         {Config: afxdp.Config{Interface: "eth0", Copy: afxdp.CopyNever, Queues: 2, Ring: 512, Frames: 4096}},
		"xdp:eth0,offload=false,hugepages=true,busypoll=50,ports=1": {Config: afxdp.Config{Interface: "eth0", NoOffload: true, HugePages: true, BusyPoll: 50}, Ports: []PortRange{{First: 1, Last: 1}}},
	} {
		c, err := ParseConfig(text)
		require.NoError(t, err, text)
		require.Equal(t, Config{XDP: &want}, c, text)
	}
}

func TestShortFormDescribesAnExclusiveAddress(t *testing.T) {
	c, err := ParseConfig("xdp:eth0,addr=10.0.0.2/24,gw=10.0.0.1,pcap=x.pcapng")
	require.NoError(t, err)
	require.Equal(t, Config{
		XDP: &XDP{Config: afxdp.Config{Interface: "eth0"}}, Addresses: prefixes("10.0.0.2/24"), Gateway: netip.MustParseAddr("10.0.0.1"), Pcap: "x.pcapng",
	}, c)
}

func TestWrongXDPConfigurationsSayWhatToWrite(t *testing.T) {
	for text, want := range map[string]string{
		"xdp:":                                    "no interface: name the one to use, as xdp:eth0",
		"xdp:eth0,ports=x":                        "ports=x: not a port: write ports, as 443, udp:53 or 8000-8010",
		"xdp:eth0,ports=0":                        "not a range of ports",
		"xdp:eth0,ports=10-9":                     "not a range of ports",
		"xdp:eth0,ports=70000":                    "not a port",
		"xdp:eth0,ports=sctp:80":                  "neither tcp nor udp",
		"xdp:eth0,attach=fast":                    "write auto, native or generic",
		"xdp:eth0,copy=some":                      "write auto, always or never",
		"xdp:eth0,gw=10.0.0.1":                    "gw: addresses, routes and MTU are the kernel's on a shared interface: leave it out, or give addr=",
		"xdp:eth0,mtu=1400":                       "mtu: addresses, routes and MTU are the kernel's",
		"xdp:eth0,loopback=stack":                 "loopback=stack: ",
		"xdp:eth0,host=10.0.0.1/8":                `unknown key "host": xdp: takes addr,`,
		"xdp:eth0,addr=10.0.0.2/24,ports=443":     "ports is for an interface whose addresses are shared",
		"xdp:eth0,addr=10.0.0.2/24,handover=true": "handover is for an interface whose addresses are shared",
		"xdp:eth0,handover=true,loss=0.1":         "takes no capture and no faults",
	} {
		_, err := ParseConfig(text)
		require.ErrorContains(t, err, want, text)
		require.NotContains(t, err.Error(), "\n")
	}
	_, err := New(Config{XDP: &XDP{Config: afxdp.Config{Interface: "eth0", NetNS: "/run/netns/x"}}})
	require.Error(t, err)
	_, err = New(Config{XDP: &XDP{}, LoopbackOnly: true})
	require.Error(t, err)
	_, err = New(Config{XDP: &XDP{}, Wire: "x"})
	require.ErrorIs(t, err, errOneDevice)
}

func TestPortRangesAreWrittenAsTheyAreRead(t *testing.T) {
	for _, text := range []string{"443", "udp:53", "8000-8010", "tcp:1-65535"} {
		c, err := ParseConfig("xdp:eth0,ports=" + text)
		require.NoError(t, err)
		require.Equal(t, text, c.XDP.Ports[0].String())
	}
}

// fakeRouter is a kernel with one interface.
type fakeRouter struct {
	state kernel.State
	asked int
	ways  map[netip.Addr]kernel.Way
}

func (r *fakeRouter) State() kernel.State { return r.state }

func (r *fakeRouter) RouteTo(dst, _ netip.Addr) kernel.Way {
	r.asked++
	return r.ways[dst]
}

func newShared(x XDP) (*shared, *fakeRouter) {
	r := &fakeRouter{
		state: kernel.State{Name: "eth0", Index: 2, Addrs: prefixes("10.0.0.1/24", "fd00::1/64", "fe80::1/64")},
		ways:  map[netip.Addr]kernel.Way{netip.MustParseAddr("10.0.0.2"): {Ours: true, Source: netip.MustParseAddr("10.0.0.1")}},
	}
	return &shared{cfg: &x, kernel: r}, r
}

// The kernel is asked once for a destination, until its routes change.
func TestTheKernelsRoutesAreRemembered(t *testing.T) {
	sh, r := newShared(XDP{})
	dst, none := netip.MustParseAddr("10.0.0.2"), netip.Addr{}
	for range 3 {
		require.True(t, sh.way(dst, none).Ours)
	}
	require.Equal(t, 1, r.asked)
	r.ways = nil
	sh.ways.forget()
	require.False(t, sh.way(dst, none).Ours)
	require.Equal(t, 2, r.asked)
	// A source that the interface has not is the kernel's affair.
	require.False(t, sh.way(dst, netip.MustParseAddr("10.1.0.1")).Ours)
	require.Equal(t, 2, r.asked)
	require.Zero(t, testing.AllocsPerRun(100, func() { sh.way(dst, none) }))
}

func TestWhichListenersAreShared(t *testing.T) {
	sh, _ := newShared(XDP{Ports: []PortRange{{"tcp", 443, 443}, {"", 8000, 8010}}})
	for _, c := range []struct {
		network, local, why string
	}{
		{"tcp", "0.0.0.0:443", ""}, {"tcp4", "10.0.0.1:443", ""}, {"tcp6", "[fd00::1]:8005", ""}, {"udp", "[::]:8000", ""},
		{"udp", "10.0.0.1:443", "ports= does not have its port"}, {"tcp", "[::]:22", "ports= does not have its port"},
		{"tcp", "[::]:0", "ports= does not have its port"},
		{"tcp6", "[fe80::1%eth0]:443", ""}, {"tcp6", "[fe80::1%2]:443", ""}, {"tcp6", "[fe80::1%eth1]:443", "the address is not on eth0"},
		{"tcp", "10.1.0.1:443", "the address is not on eth0"}, {"udp", "224.0.0.1:8000", "groups are the kernel's on a shared interface"},
	} {
		require.Equal(t, c.why, sh.declines(c.network, netip.MustParseAddrPort(c.local)), "%v", c)
	}
	sh, _ = newShared(XDP{})
	require.Empty(t, sh.declines("tcp", netip.MustParseAddrPort("[::]:22")))
}

func TestWhatTheFilterTakesForASocket(t *testing.T) {
	for _, c := range []struct {
		local  string
		v6only bool
		want   string // "" is any address
	}{
		{"0.0.0.0:53", false, "0.0.0.0"}, {"[::]:53", false, ""}, {"[::]:53", true, "::"}, {"10.0.0.1:53", false, "10.0.0.1"},
		{"[fe80::1%eth0]:53", true, "fe80::1"},
	} {
		p := filterPort(steer.UDP, netip.MustParseAddrPort(c.local), c.v6only)
		want := netip.Addr{}
		if c.want != "" {
			want = netip.MustParseAddr(c.want)
		}
		require.Equal(t, afxdp.Port{Protocol: 17, Addr: want, Port: 53}, p, "%v", c)
	}
}

// What came by another interface, through the kernel's socket, is answered from
// where it went to; what was broadcast on ours, from its address.
func TestWhoAnswersOnASharedInterface(t *testing.T) {
	n, err := New(Config{LoopbackOnly: true})
	require.NoError(t, err)
	defer n.Close()
	sh, _ := newShared(XDP{})
	sh.steer = steer.New(nil, n.host, nil)
	defer sh.steer.Close()
	n.shared = sh
	n.netIndexes()
	n.ifaceAddrs.Store(&[][]netip.Prefix{prefixes("127.0.0.1/8"), prefixes("10.0.0.1/24", "fd00::1/64")})
	for to, want := range map[string]string{
		"10.0.0.1": "10.0.0.1", "127.0.0.5": "127.0.0.5", "172.17.0.1": "172.17.0.1",
		"10.0.0.255": "10.0.0.1", "255.255.255.255": "10.0.0.1", "224.0.0.251": "10.0.0.1",
	} {
		require.Equal(t, want, n.replyFrom(&stack.DatagramInfo{To: netip.MustParseAddr(to), Interface: 2}).String(), to)
	}
}

// A datagram to a peer by the stack costs nothing beside it.
func TestSharedUDPDoesNotAllocate(t *testing.T) {
	n, err := New(Config{LoopbackOnly: true})
	require.NoError(t, err)
	defer n.Close()
	sh, r := newShared(XDP{})
	sh.live.Store(true)
	self := netip.MustParseAddr("127.0.0.1")
	r.ways[self] = kernel.Way{Ours: true, Source: self}
	s, err := n.host.ListenUDP(netip.MustParseAddrPort("0.0.0.0:0"), stack.UDPOptions{})
	require.NoError(t, err)
	defer s.Close()
	u := &sharedUDP{sh: sh}
	b, dst := make([]byte, 272), netip.AddrPortFrom(self, s.LocalAddr().Port())
	require.Zero(t, allocs(t, func() {
		if _, err := u.send(&UDPConn{stack: s}, b, dst); err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := s.ReadFrom(b); err != nil {
			t.Fatal(err)
		}
	}))
	require.Equal(t, 1, r.asked)
}

func TestTheStateOfAnInterface(t *testing.T) {
	s := kernel.State{Addrs: prefixes("10.0.0.1/24"), Routes: []route.Route{{Prefix: netip.MustParsePrefix("0.0.0.0/0")}}}
	require.True(t, s.Has(netip.MustParseAddr("::ffff:10.0.0.1")))
	require.False(t, s.Has(netip.MustParseAddr("10.0.0.2")))
	o := s
	require.True(t, s.Equal(&o))
	o.MTU = 9000
	require.False(t, s.Equal(&o))
}
