package xdp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// After a mixed load in both directions every buffer is back, and the process holds no
// more memory, goroutines and descriptors than before.
func TestMixedLoad(t *testing.T) {
	needs(t, "nft")
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
			"ping=" + host + ":7000*4", "udp=" + host + ":5300*2"}
	}
	kinds := []string{"conn", "keep", "down", "up", "ping", "udp"}
	run := func(d time.Duration, more ...string) {
		t.Helper()
		clients, clients6 := r.client.start(""), r.client.start("")
		clients.startLoad(append(load(serverIP), "abort="+serverIP+":8080")...)
		clients6.startLoad(append(load("["+serverIP6+"]"), "abort=["+serverIP6+"]:8080")...)
		p.startLoad(append(append(load(clientIP), load("["+clientIP6+"]")...), more...)...)
		time.Sleep(d)
		for _, c := range []*program{clients, clients6, p} {
			c.loadDoes(1, kinds...)
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
	run(4 * time.Second) // so that what is made once, or kept to be used again, is there
	before := quiet()
	// Whatever has ended in order, the kernel has had no packet of it.
	require.Equal(t, "0", r.server.counter("Tcp", "OutRsts"))
	// A dialled connection that the program resets is over at once: late packets of
	// its peer's are the kernel's to refuse.
	r.server.count("tcp", "{ 8080, 7000 }")
	run(duration, "abort="+clientIP+":8080", "abort=["+clientIP6+"]:8080")
	var after memoryState
	require.Eventually(t, func() bool {
		after = quiet()
		// Go's scheduler and net/http keep a few; a leak is one for each of
		// thousands of connections.
		return after.Goroutines <= before.Goroutines+5 && after.Files <= before.Files+10 && after.Heap <= before.Heap+32<<20
	}, patience, 500*time.Millisecond, "before %+v, after %+v", before, &after)
	t.Logf("before %+v, after %+v", before, after)
	for _, way := range []string{"in", "out"} {
		require.Contains(t, r.server.run("nft", "list", "counter", "inet", "proof", "tcp"+way), "packets 0 bytes 0")
	}
	f := p.device().Filter
	require.Zero(t, f.NoSocket)
	require.Zero(t, f.MapFull)
	p.exit()
	require.False(t, r.xdpAttached())
}
