package xdp

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// namespace is a network namespace of a test's own.
type namespace struct {
	t    *testing.T
	name string
}

var namespaces atomic.Int32

// newNamespace makes one, or skips the test where that cannot be.
func newNamespace(t *testing.T) *namespace {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces and XDP need root")
	}
	for _, tool := range []string{"ip", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	if _, err := os.Stat("/proc/net/if_inet6"); err != nil {
		t.Skip("this kernel has no IPv6")
	}
	ns := &namespace{t, fmt.Sprintf("fnsh-%d-%d", os.Getpid(), namespaces.Add(1))}
	if out, err := addNamespace(ns.name); err != nil {
		t.Skipf("no network namespace can be made here: %s", out)
	}
	t.Cleanup(func() { deleteNamespace(ns.name) })
	// What a new namespace takes over from the machine's settings is not to matter.
	ns.try("sh", "-c", "cd /proc/sys/net; for what in forwarding rp_filter arp_ignore arp_announce arp_filter; do for i in all default; do echo 0 >ipv4/conf/$i/$what; done; done; for i in all default; do echo 0 >ipv6/conf/$i/disable_ipv6; done")
	ns.ip("link set lo up")
	return ns
}

// try runs a command in the namespace.
func (ns *namespace) try(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), hangs)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", ns.name, name}, args...)...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// run is try of what is to succeed.
func (ns *namespace) run(name string, args ...string) string {
	ns.t.Helper()
	out, err := ns.try(name, args...)
	require.NoError(ns.t, err, "%s %v: %s", name, args, out)
	return out
}

// ip runs ip(8) with the words of a line.
func (ns *namespace) ip(line string) string {
	ns.t.Helper()
	return ns.run("ip", strings.Fields(line)...)
}

// counter reads one of the namespace's counters from /proc/net/snmp.
func (ns *namespace) counter(protocol, name string) string {
	ns.t.Helper()
	var names []string
	for line := range strings.Lines(ns.run("cat", "/proc/net/snmp")) {
		f := strings.Fields(line)
		if f[0] != protocol+":" {
			continue
		}
		if names == nil {
			names = f
		} else if i := slices.Index(names, name); i > 0 {
			return f[i]
		}
	}
	ns.t.Fatalf("the kernel has no counter %s %s", protocol, name)
	return ""
}

// seconds is patience for programs.
var seconds = fmt.Sprint(patience.Seconds())

// curl gets a page.
func (ns *namespace) curl(url string) string {
	ns.t.Helper()
	return ns.run("curl", "-s", "-S", "-g", "--max-time", seconds, url)
}

// probe sends packets by hping3, which waits a second for the answer, until one has
// come in time.
func (ns *namespace) probe(answer string, args ...string) {
	ns.t.Helper()
	require.Eventually(ns.t, func() bool {
		out, _ := ns.try("hping3", args...)
		return strings.Contains(out, answer)
	}, patience, 10*time.Millisecond, "hping3 %v", args)
}

// rig is a server's namespace and a client's, joined by veth: eth0 in both.
type rig struct {
	server, client *namespace
}

const (
	serverIP, clientIP   = "10.9.0.1", "10.9.0.2"
	serverIP6, clientIP6 = "fd09::1", "fd09::2"
)

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{newNamespace(t), newNamespace(t)}
	// Made in place, so that names do not meet.
	r.server.ip("link add eth0 type veth peer name eth0 netns " + r.client.name)
	for _, c := range []struct {
		ns    *namespace
		addrs []string
	}{{r.server, []string{serverIP + "/24", serverIP6 + "/64"}}, {r.client, []string{clientIP + "/24", clientIP6 + "/64"}}} {
		for _, a := range c.addrs {
			if strings.Contains(a, ":") {
				a += " nodad"
			}
			c.ns.ip("addr add " + a + " dev eth0")
		}
		c.ns.ip("link set eth0 up")
	}
	// The kernel transmits some time after the carrier is there, and makes IPv6 ready,
	// both in workers of its own.
	for _, c := range []struct {
		ns       *namespace
		to, from string
	}{{r.server, clientIP6, serverIP6}, {r.client, serverIP6, clientIP6}} {
		require.Eventually(t, func() bool {
			link, _ := c.ns.try("ip", "link", "show", "dev", "eth0")
			route, err := c.ns.try("ip", "-6", "route", "get", c.to)
			return err == nil && strings.Contains(link, " state UP ") && strings.Contains(route, "src "+c.from+" ")
		}, patience, time.Millisecond, "the veth pair does not come up")
	}
	return r
}

// xdpAttached reports whether there is an XDP program on the server's interface.
func (r *rig) xdpAttached() bool {
	return strings.Contains(r.server.ip("link show dev eth0"), "xdp")
}
