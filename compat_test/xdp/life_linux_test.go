package xdp

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// An address of its own, with ARP and neighbour discovery; the kernel keeps its.
func TestExclusiveAddress(t *testing.T) {
	r := newRig(t)
	other := r.server.start("")
	other.must("serve web :8081")
	p := r.server.start("xdp:eth0,addr=10.9.0.7/24,addr=fd09::7/64")
	p.must("serve a 10.9.0.7:8080")
	p.must("serve b [fd09::7]:8080")
	pid := p.cmd.Process.Pid
	require.Equal(t, fmt.Sprintf("hello %s from %d", clientIP, pid), r.client.curl("http://10.9.0.7:8080/"))
	require.Equal(t, fmt.Sprintf("hello %s from %d", clientIP6, pid), r.client.curl("http://[fd09::7]:8080/"))
	require.Contains(t, r.client.curl("http://"+serverIP+":8081/"), fmt.Sprint("from ", other.cmd.Process.Pid))
	require.Contains(t, r.client.curl("http://["+serverIP6+"]:8081/"), fmt.Sprint("from ", other.cmd.Process.Pid))
	far := r.client.start("")
	far.must("serve web :8082")
	require.Contains(t, p.must("get http://"+clientIP+":8082/"), "hello 10.9.0.7")
	require.Contains(t, p.must("get http://["+clientIP6+"]:8082/"), "hello fd09::7")
	require.EqualValues(t, 2, p.stats().TCP.PassiveOpens)
	require.Equal(t, "0", r.server.counter("Tcp", "OutRsts"))
	p.exit()
	require.False(t, r.xdpAttached())
}

// What would cut the machine off is refused, with what to do.
func TestTheKernelsOwnAddressIsRefused(t *testing.T) {
	r := newRig(t)
	p := r.server.start("xdp:eth0,addr=" + serverIP + "/24")
	answer := p.tell("serve a :8080")
	require.Contains(t, answer, "error ")
	require.Contains(t, answer, "the kernel has this address, on eth0")
	require.Contains(t, answer, "leave addr out to share it")
	require.False(t, r.xdpAttached())
}

// Killed at any moment it leaves nothing, and the next start succeeds.
func TestKilled(t *testing.T) {
	r := newRig(t)
	for i := range 3 {
		p := r.server.start("xdp:eth0,require=true")
		p.must("serve a :8080")
		p.must("echoudp b :5300")
		c := r.client.start("")
		c.must("dial tcp " + serverIP + ":8080")
		require.Contains(t, r.client.curl("http://"+serverIP+":8080/"), fmt.Sprint("from ", p.cmd.Process.Pid))
		p.kill()
		// The link of the program goes with the process's descriptors, after a
		// grace period of the kernel's.
		require.Eventually(t, func() bool { return !r.xdpAttached() }, patience, 10*time.Millisecond, "round %d", i)
		k := r.server.start("")
		k.must("serve a :8080")
		k.must("echoudp b :5300")
		require.Contains(t, r.client.curl("http://"+serverIP+":8080/"), fmt.Sprint("from ", k.cmd.Process.Pid))
		k.kill()
	}
}

// A second process gets one line, which says who has the interface, and the
// kernel's sockets, or an error with require.
func TestASecondProcess(t *testing.T) {
	r := newRig(t)
	p := r.server.start("xdp:eth0")
	p.must("serve a :8080")
	second := r.server.start("xdp:eth0,require=true")
	answer := second.tell("serve b :8081")
	require.Contains(t, answer, fmt.Sprintf("process %d (", p.cmd.Process.Pid))
	require.Contains(t, answer, "has it")
	third := r.server.start("xdp:eth0")
	third.must("serve b :8081")
	require.Contains(t, r.client.curl("http://"+serverIP+":8081/"), fmt.Sprint("from ", third.cmd.Process.Pid))
	third.says("all sockets are the kernel's")
	require.Equal(t, 1, strings.Count(third.said(), "\n"), third.said())
	require.Contains(t, r.client.curl("http://"+serverIP+":8080/"), fmt.Sprint("from ", p.cmd.Process.Pid))
}

// A port of a bridge is refused, and the kernel serves instead.
func TestABridgesPort(t *testing.T) {
	r := newRig(t)
	r.server.ip("link add br0 type bridge")
	r.server.ip("link set eth0 master br0")
	r.server.ip("addr del " + serverIP + "/24 dev eth0")
	r.server.ip("addr add " + serverIP + "/24 dev br0")
	r.server.ip("link set br0 up")
	p := r.server.start("xdp:eth0")
	p.must("serve a :8080")
	p.says("eth0 is a port of the bridge br0")
	require.Contains(t, r.client.curl("http://"+serverIP+":8080/"), fmt.Sprint("from ", p.cmd.Process.Pid))
	p = r.server.start("xdp:eth0,require=true")
	require.Contains(t, p.tell("serve a :8081"), "error listen tcp: fastnet: xdp:eth0: eth0 is a port of the bridge br0")
}

// Capabilities are enough, without root; one that is missing is named.
func TestAmbientCapabilities(t *testing.T) {
	r := newRig(t)
	nobody := func(caps ...uintptr) func(*exec.Cmd) {
		return func(c *exec.Cmd) {
			// ip netns exec needs root: setpriv gives it up behind that.
			names := map[uintptr]string{unix.CAP_NET_ADMIN: "+net_admin", unix.CAP_NET_RAW: "+net_raw", unix.CAP_BPF: "+bpf"}
			list := "-all"
			for _, n := range caps {
				list += "," + names[n]
			}
			program := c.Args[len(c.Args)-1]
			c.Args = append(c.Args[:len(c.Args)-1], "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
				"--inh-caps="+list, "--ambient-caps="+list, "--bounding-set="+list, program)
			c.SysProcAttr = &syscall.SysProcAttr{}
		}
	}
	if _, err := exec.LookPath("setpriv"); err != nil {
		t.Skip(err)
	}
	p := r.server.start("xdp:eth0,require=true", nobody(unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_BPF))
	p.must("serve a :8080")
	require.Contains(t, r.client.curl("http://"+serverIP+":8080/"), clientIP)
	require.EqualValues(t, 1, p.stats().TCP.PassiveOpens)
	p.exit()
	p = r.server.start("xdp:eth0,require=true", nobody(unix.CAP_NET_RAW))
	require.Contains(t, p.tell("serve a :8080"), "the process has not CAP_NET_ADMIN, CAP_BPF")
}
