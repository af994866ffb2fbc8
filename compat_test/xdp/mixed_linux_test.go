package xdp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// After a mixed load in both directions every buffer is back, and the process holds no
// more memory, goroutines and descriptors than before.
func TestMixedLoad(t *testing.T) {
	duration := 15 * time.Second
	if soak {
		duration = 10 * time.Minute
	}
	r := newRig(t)
	far := r.client.start("")
	p := r.server.start("xdp:eth0,require=true")
	for _, c := range []*program{far, p} {
		for _, command := range []string{"web a :8080", "echo b :7000", "echoudp c :5300"} {
			c.must("%s", command)
		}
	}
	load := func(host string) []string {
		return []string{"conn=http://" + host + ":8080/*2", "keep=http://" + host + ":8080/*4", "down=http://" + host + ":8080", "up=http://" + host + ":8080",
			"ping=" + host + ":7000*4", "udp=" + host + ":5300*2", "abort=" + host + ":8080"}
	}
	kinds := []string{"conn", "keep", "down", "up", "ping", "abort"}
	run := func(d time.Duration) {
		t.Helper()
		clients, clients6 := r.client.start(""), r.client.start("")
		clients.startLoad(load(serverIP)...)
		clients6.startLoad(load("[" + serverIP6 + "]")...)
		p.startLoad(append(load(clientIP), load("["+clientIP6+"]")...)...)
		time.Sleep(d)
		for _, c := range []*program{clients, clients6, p} {
			c.loadDoes(1, append(kinds, "udp")...)
		}
		for name, c := range map[string]*program{"IPv4": clients, "IPv6": clients6, "dials": p} {
			t.Log(name, c.stopLoad().Done)
		}
		clients.kill()
		clients6.kill()
	}
	quiet := func() memoryState {
		t.Helper()
		require.Eventually(t, func() bool {
			return p.stats().TCP.Established == 0 && p.device().InUse == 0
		}, patience, 20*time.Millisecond, "buffers or connections are left")
		return p.memory()
	}
	run(2 * time.Second) // so that what is made once is there
	before := quiet()
	run(duration)
	var after memoryState
	require.Eventually(t, func() bool {
		after = quiet()
		// Go's scheduler and net/http keep a few; a leak is one for each of
		// thousands of connections.
		return after.Goroutines <= before.Goroutines+5 && after.Files <= before.Files+10 && after.Heap <= before.Heap+16<<20
	}, patience, 500*time.Millisecond, "before %+v, after %+v", before, &after)
	t.Logf("before %+v, after %+v", before, after)
	require.Equal(t, "0", r.server.counter("Tcp", "OutRsts"))
	f := p.device().Filter
	require.Zero(t, f.NoSocket)
	require.Zero(t, f.MapFull)
	p.exit()
	require.False(t, r.xdpAttached())
}
