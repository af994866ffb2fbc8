package xdp

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Transfers in both directions and both families complete, each byte as it was sent,
// while all around them is configured anew, again and again.
func TestTransfersOutliveChanges(t *testing.T) {
	r := newRig(t)
	for _, ns := range []*namespace{r.server, r.client} {
		ns.run("sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/eth0/keep_addr_on_down")
	}
	far := r.client.start("")
	p := r.server.start("xdp:eth0,require=true")
	for _, c := range []*program{far, p} {
		c.must("web a :8080")
		c.must("echo b :7000")
	}
	transfers := func(hosts ...string) (all []string) {
		for _, host := range hosts {
			all = append(all, "down=http://"+host+":8080", "up=http://"+host+":8080", "ping="+host+":7000")
		}
		return all
	}
	clients := r.client.start("")
	loads := []struct {
		name string
		who  *program
		what []string // a connection each
	}{
		{"clients", clients, transfers(serverIP, "["+serverIP6+"]")},
		{"dials", p, transfers(clientIP, "["+clientIP6+"]")},
	}
	for _, l := range loads {
		l.who.startLoad(l.what...)
	}
	for _, l := range loads {
		// To dial without a route is an error, and rightly so.
		l.who.loadDoes(1, l.what...)
	}
	each := func(ns []*namespace, line string) {
		for _, n := range ns {
			n.ip(line)
		}
	}
	both := []*namespace{r.server, r.client}
	mac := strings.TrimSpace(r.client.run("cat", "/sys/class/net/eth0/address"))
	changes := []struct {
		what string
		do   func()
	}{
		{"the server's link goes down and comes back", func() {
			r.server.ip("link set eth0 down")
			time.Sleep(100 * time.Millisecond)
			r.server.ip("link set eth0 up")
		}},
		{"the client's link goes down and comes back", func() {
			r.client.ip("link set eth0 down")
			r.client.ip("link set eth0 up")
		}},
		{"a smaller MTU", func() { each(both, "link set eth0 mtu 1280") }},
		{"the MTU that was", func() { each(both, "link set eth0 mtu 1500") }},
		{"more addresses", func() {
			r.server.ip("addr add 10.11.0.1/24 dev eth0")
			r.server.ip("addr add fd11::1/64 dev eth0 nodad")
		}},
		{"fewer addresses", func() {
			r.server.ip("addr del 10.11.0.1/24 dev eth0")
			r.server.ip("addr del fd11::1/64 dev eth0")
		}},
		{"the address goes and comes back", func() {
			r.server.ip("addr del " + serverIP + "/24 dev eth0")
			time.Sleep(50 * time.Millisecond)
			r.server.ip("addr add " + serverIP + "/24 dev eth0")
		}},
		{"the client's Ethernet address", func() { r.client.ip("link set eth0 address 02:00:00:00:0b:02") }},
		{"neighbours by hand, of another Ethernet address", func() {
			r.client.ip("link set eth0 address " + mac)
			r.server.ip("neigh replace " + clientIP + " lladdr " + mac + " dev eth0 nud permanent")
			r.server.ip("neigh replace " + clientIP6 + " lladdr " + mac + " dev eth0 nud permanent")
		}},
		{"neighbours that are to be found again", func() {
			r.server.ip("neigh del " + clientIP + " dev eth0")
			r.server.ip("neigh del " + clientIP6 + " dev eth0")
			r.server.ip("neigh flush dev eth0")
		}},
		{"a route that leads nowhere, for a while", func() {
			r.server.ip("route add blackhole " + clientIP + "/32")
			time.Sleep(100 * time.Millisecond)
			r.server.ip("route del blackhole " + clientIP + "/32")
		}},
		{"a route by a gateway, which is the client too", func() {
			r.client.ip("addr add 10.9.0.3/24 dev eth0")
			r.server.ip("route add " + clientIP + "/32 via 10.9.0.3")
		}},
		{"the route that was", func() { r.server.ip("route del " + clientIP + "/32 via 10.9.0.3") }},
	}
	for _, c := range changes {
		c.do()
		for _, l := range loads {
			l.who.loadDoes(2, l.what...)
			require.Empty(t, l.who.lookAtLoad().Errors, "%s, after: %s", l.name, c.what)
		}
	}
	t.Log(clients.stopLoad().Done, p.stopLoad().Done)
	// OutRsts of the server's namespace would say less: as a veth goes down its
	// driver takes the program off before it stops its NAPI (veth_close), so that a
	// burst may reach the kernel's stack, whose resets meet a queue that is shut
	// already (dev_deactivate).
	require.Equal(t, "0", r.client.counter("Tcp", "EstabResets"), "net/http tries some again unasked")
	require.Zero(t, p.stats().TCP.ResetsSent)
	require.Eventually(t, func() bool { return p.device().InUse == 0 }, patience, 20*time.Millisecond, "buffers are left")
	p.exit()
}

// Whatever is taken away under a server, those who wait on the stack's connections get
// an error, nobody hangs, and the rest of the program goes on.
func TestWhatIsTakenAway(t *testing.T) {
	for _, c := range []struct {
		what string
		do   func(r *rig, far *program)
	}{
		{"the peer's namespace is deleted", func(r *rig, far *program) {
			far.kill()
			r.client.deleteNow(t)
		}},
		{"the interface is deleted", func(r *rig, _ *program) { r.server.ip("link del eth0") }},
		{"the interface is moved to another namespace", func(r *rig, _ *program) {
			r.server.ip("link set eth0 netns " + newNamespace(t).name)
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			r := newRig(t)
			far := r.client.start("")
			far.must("sink a :7200")
			p := r.server.start("xdp:eth0,require=true")
			p.must("web a :8080")
			p.must("echoudp b :5300")
			p.must("wait start " + clientIP + ":7200")
			r.client.curl("http://" + serverIP + ":8080/")
			c.do(r, far)
			require.Eventually(t, func() bool {
				ended := p.must("wait ended")
				return strings.Contains(ended, "read:") && strings.Contains(ended, "write:")
			}, patience, 10*time.Millisecond, "somebody waits still")
			require.Contains(t, p.tell("dial tcp "+clientIP+":7200"), "error ")
			require.Contains(t, r.server.curl("http://127.0.0.1:8080/"), fmt.Sprint("from ", p.cmd.Process.Pid))
			p.must("stats")
			p.must("wait close")
			require.Eventually(t, func() bool { return strings.HasPrefix(p.must("wait ended"), "4 ") }, patience, 10*time.Millisecond, "somebody waits still")
			p.exit()
			require.NotContains(t, p.said(), "panic")
		})
	}
}

// deleteNow deletes a namespace with all that is in it.
func (ns *namespace) deleteNow(t *testing.T) {
	t.Helper()
	out, err := exec.Command("ip", "netns", "del", ns.name).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// What ends or renames the device leaves a server that can be reached: by the stack, or
// by the kernel's half of its listeners.
func TestTheServerStaysReachable(t *testing.T) {
	for _, c := range []struct {
		what string
		do   func(*rig)
	}{
		{"another Ethernet address", func(r *rig) {
			r.server.ip("link set eth0 address 02:00:00:00:0c:01")
			r.client.ip("neigh flush dev eth0") // else it takes the client a minute to notice
		}},
		{"an MTU above the buffers", func(r *rig) {
			r.client.ip("link set eth0 mtu 9000")
			if out, err := r.server.try("ip", "link", "set", "eth0", "mtu", "9000"); err != nil {
				t.Logf("the kernel refuses: %s", out)
			}
		}},
		{"another name", func(r *rig) {
			r.server.ip("link set eth0 down")
			r.server.ip("link set eth0 name fast0")
			r.server.ip("link set fast0 up")
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			r := newRig(t)
			far := r.client.start("")
			far.must("sink a :7200")
			p := r.server.start("xdp:eth0,require=true")
			p.must("web a :8080")
			p.must("wait start " + clientIP + ":7200")
			require.Contains(t, r.client.curl("http://"+serverIP+":8080/"), fmt.Sprint("from ", p.cmd.Process.Pid))
			c.do(r)
			for range 3 {
				require.Eventually(t, func() bool {
					out, err := r.client.try("curl", "-s", "--max-time", "5", "http://"+serverIP+":8080/")
					return err == nil && strings.Contains(out, fmt.Sprint("from ", p.cmd.Process.Pid))
				}, patience, 10*time.Millisecond, "nobody answers")
			}
			t.Log(p.must("wait ended"), p.stats().TCP)
			p.must("wait close")
			require.Eventually(t, func() bool { return strings.HasPrefix(p.must("wait ended"), "4 ") }, patience, 10*time.Millisecond, "somebody waits still")
			p.exit()
			require.NotContains(t, p.said(), "panic")
		})
	}
}
