package xdp

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// An address moves to another interface of the machine while the stack has a
// connection on it, and comes back. Away, new connections to it are the kernel's;
// those of before wait. Back, each goes on where it was, and new ones are the
// stack's.
func TestAnAddressMovesAwayAndComesBack(t *testing.T) {
	r := newRig(t)
	r.server.ip("addr add 10.9.0.9/16 dev eth0") // the way to the client stays
	p := r.server.start("xdp:eth0,require=true")
	p.must("echo e :7000")
	p.must("serve a :8080")
	ours, theirs := r.client.start(""), r.client.start("")
	ours.must("dial tcp " + serverIP + ":7000")
	require.Equal(t, "one", ours.must("say one"))
	var opens uint64

	r.server.ip("addr del " + serverIP + "/24 dev eth0")
	r.server.ip("addr add " + serverIP + "/32 dev lo")
	require.Eventually(t, func() bool { // the change is followed in a moment
		opens = p.stats().TCP.PassiveOpens
		out, err := r.client.try("curl", "-s", "--max-time", "5", "http://"+serverIP+":8080/")
		return err == nil && out != "" && p.stats().TCP.PassiveOpens == opens
	}, patience, 10*time.Millisecond, "the kernel has the address, and nobody answers, or the stack does")
	require.Contains(t, r.client.curl("http://"+serverIP+":8080/"), fmt.Sprint("from ", p.cmd.Process.Pid))
	require.Equal(t, opens, p.stats().TCP.PassiveOpens, "the stack has it no more")
	theirs.must("dial tcp " + serverIP + ":7000")
	require.Equal(t, "kernel", theirs.must("say kernel"))

	r.server.ip("addr del " + serverIP + "/32 dev lo")
	r.server.ip("addr add " + serverIP + "/24 dev eth0")
	require.Equal(t, "two", ours.must("say two"))
	require.Equal(t, "still", theirs.must("say still"))
	require.Eventually(t, func() bool {
		before := p.stats().TCP.PassiveOpens
		r.client.curl("http://" + serverIP + ":8080/")
		return p.stats().TCP.PassiveOpens == before+1
	}, patience, 10*time.Millisecond, "new connections are the stack's again")
	require.Equal(t, "three", ours.must("say three"))
	require.Equal(t, "end", theirs.must("say end"))
	require.Equal(t, "0", r.server.counter("Tcp", "OutRsts"))
	p.exit()
}
