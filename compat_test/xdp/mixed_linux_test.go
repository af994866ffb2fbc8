package xdp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// After a mixed load in both directions every buffer is back, and the process holds no
// more memory, goroutines and descriptors than before; and from the first packet on
// the kernel has had none of it, and has reset nothing.
func TestMixedLoad(t *testing.T) {
	needs(t, "nft")
	duration := 30 * time.Second
	if soak {
		duration = 10 * time.Minute
	}
	r := newRig(t)
	r.server.count("tcp", "1-65535")
	far := r.client.start("")
	p := r.server.start("xdp:eth0,require=true")
	for _, c := range []*program{far, p} {
		for _, command := range []string{"web a :8080", "echo b :7000", "echoudp c :5300"} {
			c.must("%s", command)
		}
	}
	before := p.memory()
	load := func(host string) []string {
		return []string{"conn=http://" + host + ":8080/*2", "keep=http://" + host + ":8080/*4", "down=http://" + host + ":8080", "up=http://" + host + ":8080",
			"ping=" + host + ":7000*4", "udp=" + host + ":5300*2", "abort=" + host + ":8080"}
	}
	kinds := []string{"conn", "keep", "down", "up", "ping", "udp", "abort"}
	clients, clients6 := r.client.start(""), r.client.start("")
	clients.startLoad(load(serverIP)...)
	clients6.startLoad(load("[" + serverIP6 + "]")...)
	p.startLoad(append(load(clientIP), load("["+clientIP6+"]")...)...)
	for end := time.Now().Add(duration); time.Now().Before(end); {
		time.Sleep(min(time.Until(end), time.Minute))
		t.Logf("under load: %+v, %d buffers in use", p.memory(), p.device().InUse)
	}
	for _, c := range []*program{clients, clients6, p} {
		c.loadDoes(1, kinds...)
	}
	for name, c := range map[string]*program{"IPv4": clients, "IPv6": clients6, "dials": p} {
		t.Log(name, c.stopLoad().Done)
	}
	clients.kill()
	clients6.kill()

	var after memoryState
	var held struct {
		buffers int   // of the UMEM
		memory  int64 // of connections, by the stack's own books
		open    int64
	}
	require.Eventually(t, func() bool {
		s := p.stats().TCP
		held.buffers, held.memory, held.open = p.device().InUse, s.Memory, s.Established
		return held.buffers == 0 && held.memory == 0 && held.open == 0
	}, patience, 20*time.Millisecond, "%+v", &held)
	// What the pools had at the busiest they give back some seconds later. What stays
	// are the records of TIME-WAIT, for a minute, the flow table and maps, which do not
	// shrink, and what Go's scheduler and net/http keep.
	ok := assert.Eventually(t, func() bool {
		after = p.memory()
		most := before.Heap + mostKept + recordKept*uint64(p.stats().TCP.Connections)
		return after.Goroutines <= before.Goroutines+5 && after.Files <= before.Files+10 && after.Heap <= most
	}, 2*patience, 500*time.Millisecond, "before %+v, after %+v", before, &after)
	if !ok {
		t.Fatal(p.must("heap"))
	}
	t.Logf("before %+v, after %+v: %+v", before, after, p.stats().TCP)
	for _, way := range []string{"in", "out"} {
		require.Contains(t, r.server.run("nft", "list", "counter", "inet", "proof", "tcp"+way), "packets 0 bytes 0")
	}
	// Connections that were reset on either side, too.
	require.Equal(t, "0", r.server.counter("Tcp", "OutRsts"))
	f := p.device().Filter
	require.Zero(t, f.NoSocket)
	require.Zero(t, f.MapFull)
	p.exit()
	require.False(t, r.xdpAttached())
}

// What may be left of the heap that a mixed load takes, and for each connection in
// TIME-WAIT: its record, and its place in the books of the filter.
const (
	mostKept   = 3 << 20
	recordKept = 1 << 10
)
