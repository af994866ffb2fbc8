package xdp

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// clients ask for a page again and again, each time by a new connection, and
// collect what goes wrong and who answers.
type clients struct {
	stop chan struct{}
	all  sync.WaitGroup
	mu   sync.Mutex
	n    int
	errs []string
}

func (r *rig) ask(url string, many int) *clients {
	c := &clients{stop: make(chan struct{})}
	for range many {
		c.all.Go(func() {
			for {
				select {
				case <-c.stop:
					return
				default:
				}
				out, err := r.client.try("curl", "-s", "-S", "-g", "--max-time", seconds, url)
				c.mu.Lock()
				c.n++
				if err != nil || !strings.HasPrefix(out, "hello ") {
					c.errs = append(c.errs, out)
				}
				c.mu.Unlock()
			}
		})
	}
	return c
}

func (c *clients) asked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// A new process takes over from the old one: no client is refused, and a
// connection that is open ends when it wants to.
func TestHandover(t *testing.T) {
	r := newRig(t)
	const config = "xdp:eth0,handover=true,require=true"
	first := r.server.start(config)
	first.must("serve a :8080")
	first.must("echo e :7000")
	c := r.client.start("")
	c.must("dial tcp " + serverIP + ":7000")
	require.Equal(t, "one", c.must("say one"))

	asking := r.ask("http://"+serverIP+":8080/", 2)
	require.Eventually(t, func() bool { return asking.asked() > 5 }, hangs, time.Millisecond)
	second := r.server.start(config)
	second.must("serve a :8080")
	second.must("echo e :7000")
	require.Contains(t, r.server.curl("http://127.0.0.1:8080/"), "hello ")
	require.EqualValues(t, 0, second.stats().TCP.PassiveOpens)
	// A connection that the waiting process has by the kernel stays there.
	near := r.client.start("")
	first.must("close e")
	near.must("dial tcp " + serverIP + ":7000")
	require.Equal(t, "early", near.must("say early"))
	first.begin("shutdown")
	before := asking.asked()
	require.Eventually(t, func() bool { return asking.asked() > before+20 }, hangs, time.Millisecond)
	require.Equal(t, "two", c.must("say two"))
	c.must("hangup")
	require.Equal(t, "done", first.answer("shutdown"))
	first.in.Close()
	require.NoError(t, first.cmd.Wait())
	require.Eventually(t, func() bool { return second.stats().TCP.PassiveOpens > 5 }, patience, 10*time.Millisecond)
	close(asking.stop)
	asking.all.Wait()
	require.Empty(t, asking.errs, "of %d", asking.n)
	require.Equal(t, "late", near.must("say late"))
	c.must("dial tcp " + serverIP + ":7000")
	require.Equal(t, "three", c.must("say three"))
	require.Equal(t, "later", near.must("say later"))
	near.must("hangup")
	require.Equal(t, "0", r.server.counter("Tcp", "OutRsts"))
	second.exit()
	require.False(t, r.xdpAttached())
}

// Killed, the process that had the interface leaves it to the one that waits, which
// resets its connections once it is sure that they are not the kernel's.
func TestHandoverFromTheDead(t *testing.T) {
	r := newRig(t)
	const config = "xdp:eth0,handover=true,require=true"
	first := r.server.start(config)
	first.must("serve a :8080")
	first.must("echoudp u :5300")
	second := r.server.start(config)
	second.must("serve a :8080")
	second.must("echoudp u :5300")
	first.must("echo e :7000")
	second.must("echo e :7000")
	open := r.client.start("")
	open.must("dial tcp %s:7000", serverIP)
	require.Equal(t, "one", open.must("say one"))
	first.kill()
	require.Eventually(t, func() bool {
		out, err := r.client.try("curl", "-s", "--max-time", "5", "http://"+serverIP+":8080/")
		return err == nil && strings.HasPrefix(out, "hello ") && second.stats().TCP.PassiveOpens > 0
	}, patience, 10*time.Millisecond)
	c := r.client.start("")
	c.must("dial udp " + serverIP + ":5300")
	require.Eventually(t, func() bool { // a socket is given its port after the other
		return c.must("say x") == "x" && second.stats().UDP.In > 0
	}, patience, 10*time.Millisecond)
	require.Eventually(t, func() bool { return strings.Contains(open.tell("say two"), "connection reset by peer") }, hangs, time.Millisecond)
}
