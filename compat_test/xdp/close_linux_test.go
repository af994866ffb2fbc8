package xdp

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A network that is closed leaves no socket of the kernel's behind, whether or not
// the program closes its own: others may have the ports.
func TestCloseGivesAllPortsBack(t *testing.T) {
	r := newRig(t)
	p := r.server.start("xdp:eth0")
	p.must("echo a :7000")
	p.must("echoudp b :5300")
	p.must("exit")
	k := r.server.start("")
	k.must("echo a :7000")
	k.must("echoudp b :5300")
	require.Contains(t, p.tell("close b"), "error ")
	require.False(t, r.xdpAttached())
}
