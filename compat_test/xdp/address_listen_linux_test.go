package xdp

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Where a server may listen, and whose its connections are then.
func TestWhereAServerListens(t *testing.T) {
	r := newRig(t)
	// linkLocal waits for the address that the kernel makes, which it looks for at the
	// neighbours' first.
	linkLocal := func(ns *namespace) (link string) {
		require.Eventually(t, func() bool {
			f := strings.Fields(ns.ip("-6 -o addr show dev eth0 scope link -tentative"))
			for i := range f {
				if f[i] == "inet6" {
					link, _, _ = strings.Cut(f[i+1], "/")
				}
			}
			return link != ""
		}, patience, patience/1000)
		return link
	}
	linkLocal(r.client)
	link := linkLocal(r.server)
	// Another interface with the same address.
	r.server.ip("link add other0 type veth peer name other1")
	r.server.ip("addr add " + link + "/64 dev other0 nodad")
	r.server.ip("link set other0 up")
	index := strings.TrimSpace(r.server.run("cat", "/sys/class/net/eth0/ifindex"))
	p := r.server.start("xdp:eth0")
	pid := fmt.Sprint("from ", p.cmd.Process.Pid)
	opens, fallbacks := uint64(0), uint64(0)
	for i, c := range []struct {
		listen, ask string // ask has %d for the port
		from        *namespace
		stack       bool
		fallback    bool // counted
	}{
		{"127.0.0.1:0", "127.0.0.1:%d", r.server, false, false},
		{"localhost:0", "localhost:%d", r.server, false, false},
		{":0", serverIP + ":%d", r.client, true, false},
		{"0.0.0.0:0", serverIP + ":%d", r.client, true, false},
		{"[::]:0", "[" + serverIP6 + "]:%d", r.client, true, false},
		{serverIP + ":0", serverIP + ":%d", r.client, true, false},
		{serverIP + ":0", serverIP + ":%d", r.server, false, false},
		{"[" + serverIP6 + "]:0", "[" + serverIP6 + "]:%d", r.client, true, false},
		{"[" + link + "%eth0]:0", "[" + link + "%%25eth0]:%d", r.client, true, false},
		{"[" + link + "%" + index + "]:0", "[" + link + "%%25eth0]:%d", r.client, true, false},
		{"[" + link + "%other0]:0", "[" + link + "%%25other0]:%d", r.server, false, true},
	} {
		at := p.must("serve a%d %s", i, c.listen)
		var port int
		_, err := fmt.Sscan(at[strings.LastIndexByte(at, ':')+1:], &port)
		require.NoError(t, err, at)
		require.NotZero(t, port)
		require.Contains(t, c.from.curl(fmt.Sprintf("http://"+c.ask+"/", port)), pid, c.listen)
		if c.stack {
			opens++
		}
		if c.fallback {
			fallbacks++
		}
		s := p.stats()
		require.Equal(t, opens, s.TCP.PassiveOpens, c.listen)
		require.Equal(t, fallbacks, s.Fallbacks["tcp"], c.listen)
		// On the same port another process has no place, until it is closed.
		p.must("close a%d", i)
		other := r.server.start("")
		other.must("serve a :%d", port)
		other.kill()
	}
	require.Equal(t, "0", r.server.counter("Tcp", "OutRsts"))
}
