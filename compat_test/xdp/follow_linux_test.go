package xdp

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Addresses, routes, MTU, link and neighbours change under a server: it follows.
func TestTheServerFollowsTheKernel(t *testing.T) {
	r := newRig(t)
	p := r.server.start("xdp:eth0")
	p.must("echo e :7000")
	p.must("serve a :8080")
	c := r.client.start("")
	c.must("dial tcp " + serverIP + ":7000")
	require.Equal(t, "one", c.must("say one"))
	stackServes := func(at string) {
		t.Helper()
		require.Eventually(t, func() bool {
			before := p.stats().TCP.PassiveOpens
			out, err := r.client.try("curl", "-s", "-g", "--max-time", "5", "http://"+at+":8080/")
			return err == nil && strings.HasPrefix(out, "hello ") && p.stats().TCP.PassiveOpens == before+1
		}, patience, 10*time.Millisecond, at)
	}

	r.server.ip("addr add 10.11.0.1/24 dev eth0")
	r.client.ip("addr add 10.11.0.2/24 dev eth0")
	stackServes("10.11.0.1")
	r.server.ip("addr del 10.11.0.1/24 dev eth0")
	require.Eventually(t, func() bool {
		_, err := r.client.try("curl", "-s", "--max-time", "1", "http://10.11.0.1:8080/")
		return err != nil
	}, patience, 10*time.Millisecond)
	require.Contains(t, p.tell("serve b 10.11.0.1:8090"), "cannot assign requested address")

	// A connection outlives its address's absence.
	r.server.ip("addr del " + serverIP + "/24 dev eth0")
	time.Sleep(300 * time.Millisecond)
	r.server.ip("addr add " + serverIP + "/24 dev eth0")
	require.Equal(t, "two", c.must("say two"))

	r.server.ip("link set eth0 down")
	time.Sleep(300 * time.Millisecond)
	r.server.ip("link set eth0 up")
	require.Equal(t, "three", c.must("say three"))
	stackServes(serverIP)

	r.server.ip("link set eth0 mtu 1400")
	r.client.ip("link set eth0 mtu 1400")
	require.Equal(t, "four", c.must("say four"))
	stackServes(serverIP)

	// The client's Ethernet address is another: the kernel's neighbour entry, and
	// with it ours.
	r.client.ip("link set eth0 down")
	r.client.ip("link set eth0 address 02:00:00:00:0a:02")
	r.client.ip("link set eth0 up")
	r.client.ip("-6 addr replace " + clientIP6 + "/64 dev eth0 nodad")
	stackServes(serverIP)
	require.Equal(t, "five", c.must("say five"))

	// A route through a gateway appears and goes.
	r.client.ip("addr add 10.12.0.2/32 dev lo")
	far := r.client.start("")
	far.must("echo a 10.12.0.2:7001")
	require.Contains(t, p.tell("dial tcp 10.12.0.2:7001"), "network is unreachable")
	r.server.ip("route add 10.12.0.0/16 via " + clientIP)
	require.Eventually(t, func() bool { return strings.HasPrefix(p.tell("dial tcp 10.12.0.2:7001"), "stack ") }, patience, 10*time.Millisecond)
	require.Equal(t, "far", p.must("say far"))
	r.server.ip("route del 10.12.0.0/16 via " + clientIP)
	require.Eventually(t, func() bool {
		return strings.Contains(p.tell("dial tcp 10.12.0.2:7001"), "network is unreachable")
	}, patience, 10*time.Millisecond)
	require.Equal(t, "0", r.server.counter("Tcp", "OutRsts"))
}

// The interface is deleted, with its peer's namespace: whoever waits gets an
// error.
func TestTheInterfaceGoesAway(t *testing.T) {
	for _, how := range []string{"interface", "namespace"} {
		t.Run(how, func(t *testing.T) {
			r := newRig(t)
			far := r.client.start("")
			far.must("echo a :7000")
			p := r.server.start("xdp:eth0")
			p.must("serve a :8080")
			p.must("echoudp b :5300")
			require.Contains(t, p.must("dial tcp "+clientIP+":7000"), "stack ")
			p.must("read")
			if how == "interface" {
				r.server.ip("link del eth0")
			} else {
				r.client.ip("link del eth0")
			}
			require.Eventually(t, func() bool { return strings.Contains(p.tell("lastread"), "error ") }, patience, 10*time.Millisecond)
			require.NotContains(t, p.said(), "panic")
			require.Contains(t, p.tell("dial tcp "+clientIP+":7000"), "error ")
			// localhost is the kernel's still.
			p.tell("serve c 127.0.0.1:8081")
			require.Contains(t, r.server.curl("http://127.0.0.1:8081/"), fmt.Sprint("from ", p.cmd.Process.Pid))
			p.exit()
		})
	}
}
