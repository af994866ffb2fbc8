package xdp

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// warns waits for a line of the program's log.
func (p *program) warns(text string) {
	p.t.Helper()
	require.Eventually(p.t, func() bool { return strings.Contains(p.said(), text) }, patience, 10*time.Millisecond, "no word of: %s", text)
}

// What would have been refused at the start is said when it comes later, once, and
// the server goes on.
func TestChangesThatWouldHaveBeenRefusedAreSaid(t *testing.T) {
	for _, tool := range []string{"ethtool", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	r := newRig(t)
	p := r.server.start("xdp:eth0,require=true")
	p.must("serve a :8080")
	serves := func() {
		t.Helper()
		require.Contains(t, r.client.curl("http://"+serverIP+":8080/"), fmt.Sprint("from ", p.cmd.Process.Pid))
	}
	serves()
	require.NotContains(t, p.said(), "a change since")

	if out, err := r.server.try("ethtool", "-L", "eth0", "rx", "2", "tx", "2"); err != nil {
		t.Logf("no second queue here: %s", out)
	} else {
		p.warns("eth0 receives on 2 queues now, and 1 are served")
		p.warns("ethtool -L eth0 rx 1")
		r.server.run("ethtool", "-L", "eth0", "rx", "1", "tx", "1")
	}
	serves()

	r.server.run("nft", "add table inet filter; add chain inet filter input { type filter hook input priority 0; }; add rule inet filter input tcp dport 8081 drop")
	p.warns("inet filter input {tcp dport 8081 drop; policy accept}")
	r.server.run("nft", "add rule inet filter input tcp dport 8082 drop")
	p.warns("inet filter input {tcp dport 8082 drop; policy accept}")
	serves()

	if _, err := r.server.try("ip", "link", "add", "eth0.10", "link", "eth0", "type", "vlan", "id", "10"); err == nil {
		p.warns("takes the tags off the packets of its VLANs (eth0.10)")
		r.server.ip("link del eth0.10")
	}
	r.server.ip("link add br0 type bridge")
	r.server.ip("link set eth0 master br0")
	p.warns("eth0 is a port of the bridge br0")
	r.server.ip("link set eth0 nomaster")
	serves()
	require.Equal(t, 1, strings.Count(p.said(), "is a port of the bridge"))
	p.exit()
}

// An exclusive address that the kernel is given is the kernel's for as long as it has
// it: whoever wants to log in by it can.
func TestAnExclusiveAddressGivenToTheKernel(t *testing.T) {
	const own = "10.9.0.50"
	r := newRig(t)
	p := r.server.start("xdp:eth0,require=true,addr=" + own + "/24")
	p.must("serve a :8080")
	opens := func() uint64 { return p.stats().TCP.PassiveOpens }
	get := func() string {
		out, _ := r.client.try("curl", "-s", "--max-time", "5", "http://"+own+":8080/")
		return out
	}
	require.Contains(t, r.client.curl("http://"+own+":8080/"), fmt.Sprint("from ", p.cmd.Process.Pid))
	require.EqualValues(t, 1, opens())

	r.server.ip("addr add " + own + "/24 dev eth0")
	p.warns("the kernel was given the address " + own + ", on eth0")
	require.Eventually(t, func() bool {
		before := opens()
		return strings.Contains(get(), "from ") && opens() == before
	}, patience, 10*time.Millisecond, "the kernel's half of the listener does not answer")
	served := opens()

	r.server.ip("addr del " + own + "/24 dev eth0")
	require.Eventually(t, func() bool { return get() != "" && opens() > served }, patience, 10*time.Millisecond, "the stack has its address again")
	p.exit()
}
