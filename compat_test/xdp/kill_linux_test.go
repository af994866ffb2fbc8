package xdp

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// soak is whether the long runs are asked for.
var soak = os.Getenv("FASTNET_SOAK") != ""

// Killed at a random moment, while it starts or under load, it leaves no program on the
// interface, no port and no setting, the interface works all the time, and the next
// start succeeds.
func TestKilledAtRandomMoments(t *testing.T) {
	needs(t, "hping3")
	rounds := 20
	if soak {
		rounds = 100
	}
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	r := newRig(t)
	setting := func(name string) string { return r.server.run("cat", "/sys/class/net/eth0/"+name) }
	settings := map[string]string{}
	for _, name := range []string{"napi_defer_hard_irqs", "gro_flush_timeout"} {
		settings[name] = setting(name)
	}
	other := r.server.start("")
	other.must("web kernel :8081")
	asker := r.client.start("")
	asker.startLoad("kernel=http://"+serverIP+":8081/", "kernel=http://["+serverIP6+"]:8081/")
	far := r.client.start("")
	for _, command := range []string{"web a :8080", "echo b :7000", "echoudp c :5300"} {
		far.must("%s", command)
	}
	load := func(host string) []string {
		return []string{"conn=http://" + host + ":8080/", "keep=http://" + host + ":8080/", "down=http://" + host + ":8080", "up=http://" + host + ":8080",
			"ping=" + host + ":7000", "udp=" + host + ":5300", "abort=" + host + ":8080"}
	}
	clients := r.client.start("")
	clients.startLoad(load(serverIP)...) // most of which fails, whenever nobody is there
	configs := []string{
		"xdp:eth0,require=true",
		"xdp:eth0,require=true,attach=generic",
		"xdp:eth0,require=true,busypoll=50",
		"xdp:eth0,require=true,addr=10.9.0.7/24,addr=fd09::7/64",
	}
	served := 0
	for i := range rounds {
		p := r.server.start(configs[i%len(configs)])
		if i%3 == 2 { // while it starts
			p.begin("web a :8080")
			time.Sleep(time.Duration(random.Int64N(int64(150 * time.Millisecond))))
		} else {
			at := ""
			if i%len(configs) == 3 {
				at = "10.9.0.7"
			}
			for _, command := range []string{"web a %s:8080", "echo b %s:7000", "echoudp c %s:5300"} {
				p.must(command, at)
			}
			p.startLoad(load(clientIP)...)
			time.Sleep(time.Duration(random.Int64N(int64(400 * time.Millisecond))))
			served++
		}
		p.kill()
		// The program's link goes with the last descriptor, after a grace period
		// of the kernel's.
		require.Eventually(t, func() bool { return !r.xdpAttached() }, patience, 5*time.Millisecond, "round %d", i)
		k := r.server.start("")
		for _, command := range []string{"web a :8080", "echo b :7000", "echoudp c :5300"} {
			k.must("%s", command)
		}
		require.Equal(t, fmt.Sprintf("hello %s from %d", clientIP, k.cmd.Process.Pid), r.client.curl("http://"+serverIP+":8080/"), "round %d", i)
		k.kill()
		r.client.probe("1 packets received", "-c", "1", "--icmp", serverIP)
		if (i+1)%20 == 0 {
			t.Logf("killed %d times", i+1)
		}
	}
	require.NotZero(t, served)
	// What the last one that polled had set is put back by the next start.
	p := r.server.start(configs[0])
	p.must("web a :8080")
	p.must("echo b :7000")
	for name, value := range settings {
		require.Equal(t, value, setting(name), name)
	}
	clients.loadDoes(3, "conn", "keep", "down", "up", "ping", "abort")
	clients.endLoad()
	before := p.stats().TCP.PassiveOpens
	require.Contains(t, r.client.curl("http://"+serverIP+":8080/"), fmt.Sprint("from ", p.cmd.Process.Pid))
	require.Equal(t, before+1, p.stats().TCP.PassiveOpens)
	asker.stopLoad()
	p.exit()
}

// A crash is like a kill: a panic in the program that serves.
func TestPanics(t *testing.T) {
	r := newRig(t)
	p := r.server.start("xdp:eth0,require=true")
	p.must("web a :8080")
	r.client.curl("http://" + serverIP + ":8080/")
	p.begin("panic")
	require.Error(t, p.cmd.Wait())
	require.Contains(t, p.said(), "panic: as told")
	require.Eventually(t, func() bool { return !r.xdpAttached() }, patience, 5*time.Millisecond)
	k := r.server.start("xdp:eth0,require=true")
	k.must("web a :8080")
	require.Contains(t, r.client.curl("http://"+serverIP+":8080/"), fmt.Sprint("from ", k.cmd.Process.Pid))
}
