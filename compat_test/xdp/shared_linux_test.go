package xdp

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The kernel's clients reach a server on the shared address through the stack, by
// localhost through the kernel, and what else is on the address is untouched.
func TestSharedServer(t *testing.T) {
	r := newRig(t)
	other := r.server.start("")
	other.must("serve web :8081")
	p := r.server.start("xdp:eth0")
	p.must("serve web :8080")
	require.True(t, r.xdpAttached())
	pid := p.cmd.Process.Pid
	for _, c := range []struct{ at, from string }{{serverIP, clientIP}, {"[" + serverIP6 + "]", clientIP6}} {
		require.Equal(t, fmt.Sprintf("hello %s from %d", c.from, pid), r.client.curl("http://"+c.at+":8080/"))
	}
	s := p.stats()
	require.EqualValues(t, 2, s.TCP.PassiveOpens, "%+v", s)
	// By the kernel, to the same listener.
	for _, at := range []string{"127.0.0.1", "[::1]", serverIP} {
		require.Contains(t, r.server.curl("http://"+at+":8080/"), fmt.Sprint("from ", pid))
	}
	require.EqualValues(t, 2, p.stats().TCP.PassiveOpens)
	// Untouched.
	require.Equal(t, fmt.Sprintf("hello %s from %d", clientIP, other.cmd.Process.Pid), r.client.curl("http://"+serverIP+":8081/"))
	require.Empty(t, p.stats().Fallbacks)
	require.Zero(t, p.stats().TCP.ResetsSent)
	require.Equal(t, "0", r.server.counter("Tcp", "OutRsts"))
	p.exit()
	require.False(t, r.xdpAttached())
}

// The ways of attaching, and checksums that a local peer leaves out.
func TestWaysOfAttaching(t *testing.T) {
	for _, config := range []string{"xdp:eth0,attach=native", "xdp:eth0,attach=generic", "xdp:eth0,offload=false", "xdp:eth0,addr=10.9.0.7/24,attach=generic"} {
		for _, sums := range []string{"on", "off"} {
			t.Run(config+" checksums "+sums, func(t *testing.T) {
				r := newRig(t)
				if out, err := r.client.try("ethtool", "-K", "eth0", "tx", sums); err != nil {
					t.Skip(out)
				}
				at := serverIP
				if strings.Contains(config, "addr=") {
					at = "10.9.0.7"
				}
				p := r.server.start(config)
				p.must("serve a %s:8080", at)
				p.must("echoudp u %s:5300", at)
				size := r.client.run("curl", "-s", "-S", "-o", "/dev/null", "-w", "%{size_download}", "--max-time", seconds, "http://"+at+":8080/big")
				require.Equal(t, fmt.Sprint(big), size)
				c := r.client.start("")
				c.must("dial udp %s:5300", at)
				require.Equal(t, "hello", c.must("say hello"))
				s := p.stats()
				require.EqualValues(t, 1, s.TCP.PassiveOpens)
				for _, reason := range []string{"tcp-checksum", "udp-checksum", "ip-checksum", "tcp-header"} {
					require.Zero(t, s.Drops[reason], reason)
				}
				require.Equal(t, "0", r.client.counter("Tcp", "InCsumErrors"))
			})
		}
	}
}

// With a list of ports the others are the kernel's, counted and logged once.
func TestOnlyListedPortsAreTaken(t *testing.T) {
	r := newRig(t)
	p := r.server.start("xdp:eth0,ports=8080,udp:53")
	p.must("serve a " + serverIP + ":8080")
	p.must("serve b :8081")
	require.Contains(t, r.client.curl("http://"+serverIP+":8080/"), clientIP)
	require.Contains(t, r.client.curl("http://"+serverIP+":8081/"), clientIP)
	s := p.stats()
	require.EqualValues(t, 1, s.TCP.PassiveOpens)
	require.Equal(t, map[string]uint64{"tcp": 1}, s.Fallbacks)
	p.says("served by the kernel, not by the stack")
	p.says("ports= does not have its port")
}

// A port of another process is not to be had, by either way round.
func TestAPortIsOneProcesss(t *testing.T) {
	r := newRig(t)
	other := r.server.start("")
	other.must("serve web " + serverIP + ":22")
	p := r.server.start("xdp:eth0")
	require.Contains(t, p.tell("serve a :22"), "listen tcp :22: bind: address already in use")
	require.Contains(t, p.tell("serve a "+serverIP+":22"), "address already in use")
	require.Contains(t, r.client.curl("http://"+serverIP+":22/"), fmt.Sprint("from ", other.cmd.Process.Pid))
	p.must("serve a :8080")
	require.Contains(t, other.tell("serve b :8080"), "address already in use")
	require.Contains(t, p.tell("serve b :8080"), "address already in use")
}

// A listener that is closed gives its port back. Its connections go on, and the
// kernel resets none, neither while they live nor in TIME-WAIT.
func TestAClosedPortGoesBackToTheKernel(t *testing.T) {
	r := newRig(t)
	p := r.server.start("xdp:eth0")
	p.must("echo a :7000")
	c := r.client.start("")
	c.must("dial tcp " + serverIP + ":7000")
	require.Equal(t, "one", c.must("say one"))
	p.must("close a")
	require.Equal(t, "two", c.must("say two"))
	// Another server of the kernel's has the port now.
	other := r.server.start("")
	other.must("serve web " + serverIP + ":7000")
	require.Contains(t, r.client.curl("http://"+serverIP+":7000/"), fmt.Sprint("from ", other.cmd.Process.Pid))
	require.Equal(t, "three", c.must("say three"))
	require.EqualValues(t, 1, p.stats().TCP.PassiveOpens)
	c.must("hangup")
	require.Equal(t, "0", r.server.counter("Tcp", "OutRsts"))
	other.must("close web")
	// And back again.
	p.must("serve b :7000")
	require.Contains(t, r.client.curl("http://"+serverIP+":7000/"), fmt.Sprint("from ", p.cmd.Process.Pid))
}

// A dial takes the stack where the kernel's routes lead out of the interface.
func TestDialsGoWhereTheKernelsRoutesLead(t *testing.T) {
	r := newRig(t)
	r.server.ip("link add dummy0 type veth peer name dummy1")
	r.server.ip("addr add 10.10.0.1/24 dev dummy0")
	r.server.ip("link set dummy0 up")
	far := r.client.start("")
	far.must("echo a :7000")
	near := r.server.start("")
	near.must("echo a :7001")
	p := r.server.start("xdp:eth0,dialports=8")
	for _, c := range []struct{ to, who string }{
		{clientIP + ":7000", "stack"}, {"[" + clientIP6 + "]:7000", "stack"},
		{serverIP + ":7001", "kernel"}, {"127.0.0.1:7001", "kernel"}, {"10.10.0.1:7001", "kernel"}, {"localhost:7001", "kernel"},
	} {
		require.Contains(t, p.must("dial tcp %s", c.to), c.who+" ", c.to)
		require.Equal(t, "hello", p.must("say hello"), c.to)
		p.must("hangup")
	}
	// More to one peer than there are ports: the kernel's, counted.
	for range 8 {
		require.Contains(t, p.must("dial tcp "+clientIP+":7000"), "")
		require.Equal(t, "hello", p.must("say hello"))
	}
	require.Contains(t, p.must("dial tcp "+clientIP+":7000"), "kernel ")
	require.Equal(t, "hello", p.must("say hello"))
	require.NotZero(t, p.stats().Fallbacks["tcp"])
	p.says("set dialports higher")
	require.Contains(t, p.tell("dial tcp "+clientIP+":7009"), "connection refused")
	require.Equal(t, "0", r.server.counter("Tcp", "OutRsts"))
}

// The one who closes first waits in TIME-WAIT: in the stack, not in the kernel,
// which never hears of the connection.
func TestTimeWaitIsTheStacks(t *testing.T) {
	r := newRig(t)
	far := r.client.start("")
	far.must("echo a :7000")
	p := r.server.start("xdp:eth0")
	for range 4 {
		require.Contains(t, p.must("dial tcp "+clientIP+":7000"), "stack ")
		require.Equal(t, "x", p.must("say x"))
		p.must("hangup")
	}
	require.Eventually(t, func() bool {
		s := p.stats().TCP
		return s.Established == 0 && s.Connections == 4
	}, patience, 10*time.Millisecond)
	require.Equal(t, "0", r.server.counter("Tcp", "OutRsts"))
}

// Datagrams come by the stack and by the kernel to one socket, and the answers go
// back the way that they came.
func TestSharedUDP(t *testing.T) {
	r := newRig(t)
	p := r.server.start("xdp:eth0")
	p.must("echoudp a :5300")
	c, local := r.client.start(""), r.server.start("")
	for _, at := range []string{serverIP + ":5300", "[" + serverIP6 + "]:5300"} {
		c.must("dial udp %s", at)
		require.Equal(t, "far", c.must("say far"))
	}
	require.EqualValues(t, 2, p.stats().UDP.In)
	require.Eventually(t, func() bool { return p.stats().UDP.Out >= 2 }, patience, time.Millisecond, "it is counted when it is sent")
	require.EqualValues(t, 2, p.stats().UDP.Out)
	for _, at := range []string{"127.0.0.1:5300", "[::1]:5300", serverIP + ":5300"} {
		local.must("dial udp %s", at)
		require.Equal(t, "near", local.must("say near"))
	}
	require.EqualValues(t, 2, p.stats().UDP.In)
	require.Contains(t, local.tell("echoudp b :5300"), "address already in use")
	p.must("close a")
	local.must("echoudp b :5300")
	require.Equal(t, "again", c.must("say again"))
	// Connected sockets, out.
	c.must("echoudp e :5301")
	require.Contains(t, p.must("dial udp "+clientIP+":5301"), "stack ")
	require.Equal(t, "out", p.must("say out"))
	p.must("hangup")
}
