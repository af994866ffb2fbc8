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

// Packets of queues that are not served reach the kernel, which would reset the
// connections that they belong to.
func TestQueuesThatAreNotServedAreRefused(t *testing.T) {
	r := newRig(t)
	r.server.ip("link del eth0")
	r.server.ip("link add eth0 numrxqueues 2 numtxqueues 2 type veth peer name eth0 netns " + r.client.name)
	r.server.ip("addr add " + serverIP + "/24 dev eth0")
	r.server.ip("link set eth0 up")
	p := r.server.start("xdp:eth0,queues=1")
	require.Contains(t, p.tell("serve a :8080"), "queues=1: eth0 receives on 2")
	require.False(t, r.xdpAttached())
	p = r.server.start("xdp:eth0,queues=2,require=true")
	p.must("serve a :8080")
}
