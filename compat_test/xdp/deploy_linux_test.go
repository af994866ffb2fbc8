package xdp

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	net "github.com/fastnet-go/fastnet/fastnet"
)

func init() {
	moreCommands["slowly"] = (*agent).slowly
	moreCommands["files"] = (*agent).files
	moreCommands["leave"] = (*agent).leave
	moreCommands["dialfrom"] = (*agent).dialFrom
	moreCommands["abort"] = (*agent).abort
}

// slowly: name address: an HTTP server that takes its time, so that there are requests
// in its hands at any moment; more of it for clients of this machine, so that theirs
// are the last.
func (p *agent) slowly(args []string) (string, error) {
	l, err := net.Listen("tcp", args[1])
	if err != nil {
		return "", err
	}
	p.sockets[args[0]] = l
	serveSlowly(l)
	return l.Addr().String(), nil
}

func serveSlowly(l net.Listener) {
	s := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(100 * time.Millisecond)
		if strings.HasPrefix(r.RemoteAddr, "127.0.0.1:") {
			time.Sleep(300 * time.Millisecond)
		}
		page(w, r)
	})}
	servers = append(servers, s)
	go s.Serve(l)
}

// servers are those that the program has.
var servers []*http.Server

// leave: shuts down as docs/xdp.md has it, and says what there was on standard error.
func (p *agent) leave([]string) (string, error) {
	n, err := net.Default()
	if err != nil {
		return "", err
	}
	for _, s := range servers {
		s.SetKeepAlivesEnabled(false)
	}
	// As long as what the test does with who is connected meanwhile.
	ctx, cancel := context.WithTimeout(context.Background(), 10*patience)
	defer cancel()
	fmt.Fprintln(os.Stderr, time.Now().Format(time.TimeOnly), "leaves")
	err = n.Shutdown(ctx)
	text, _ := json.Marshal(n.Stats())
	fmt.Fprintln(os.Stderr, time.Now().Format(time.TimeOnly), "has left", string(text))
	return "done", err
}

// files: most: limits the open files, 0 being as many as may be had.
func (p *agent) files(args []string) (string, error) {
	most, err := strconv.ParseUint(args[0], 10, 64)
	if err != nil {
		return "", err
	}
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return "", err
	}
	if l.Cur = most; most == 0 {
		l.Cur = l.Max
	}
	return "limited", syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l)
}

// ends waits for a program to end that was told to shut down.
func (p *program) ends() {
	p.t.Helper()
	require.Equal(p.t, "done", p.answer("leave"))
	p.in.Close()
	require.NoError(p.t, p.cmd.Wait(), "%s", p.said())
}

// serves starts a process of the next version, which waits for the interface where
// another one has it.
func (r *rig) serves(config string) *program {
	p := r.server.start(config)
	p.must("slowly a :8080")
	p.must("echo b :7000")
	p.must("echo c 127.0.0.1:7001") // the kernel's alone
	return p
}

// Deploys in a row, one of them before the one before has ended: no client is refused,
// none is left without an answer, whether it comes by the interface or from this
// machine, and a connection that is open ends when it wants to.
func TestDeploysInARow(t *testing.T) {
	r := newRig(t)
	const config = "xdp:eth0,handover=true,require=true"
	first := r.serves(config)
	held := r.client.start("")
	held.must("dial tcp " + serverIP + ":7000")
	far, near := r.client.start(""), r.server.start("")
	far.startLoad("conn=http://"+serverIP+":8080/*3", "conn=http://["+serverIP6+"]:8080/*2", "keep=http://"+serverIP+":8080/*2")
	near.startLoad("conn=http://127.0.0.1:8080/*3", "keep=http://127.0.0.1:8080/", "conn=http://["+serverIP6+"]:8080/")
	both := func() {
		far.loadDoes(20, "conn")
		near.loadDoes(20, "conn")
	}
	both()
	second := r.serves(config)
	first.begin("leave") // and goes on, for who is held
	both()
	third := r.serves(config)
	require.Equal(t, "kernel", strings.Fields(near.must("dial tcp 127.0.0.1:7001"))[0])
	require.Equal(t, "alone", near.must("say alone"))
	near.must("hangup")
	second.begin("leave") // which never had the interface, nor gets it now
	second.ends()
	require.NotContains(t, second.said(), "the interface is taken")
	both()
	require.Equal(t, "held", held.must("say held"))
	held.must("hangup")
	first.ends()
	require.Eventually(t, func() bool { return third.stats().TCP.PassiveOpens > 5 }, patience, 10*time.Millisecond)
	both()
	fourth := r.serves(config)
	both()
	third.begin("leave")
	third.ends()
	require.Eventually(t, func() bool { return fourth.stats().TCP.PassiveOpens > 5 }, patience, 10*time.Millisecond)
	both()
	t.Log("RSTs of the kernel's:", r.server.counter("Tcp", "OutRsts"), "of the stack's:", fourth.stats().TCP.ResetsSent)
	far.stopLoad()
	near.stopLoad()
	fourth.exit()
	require.False(t, r.xdpAttached())
}

// dialfrom: port address: dials by that port of its own.
func (p *agent) dialFrom(args []string) (string, error) {
	port, err := strconv.Atoi(args[0])
	if err != nil {
		return "", err
	}
	d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{Port: port}}
	c, err := d.Dial("tcp", args[1])
	if err != nil {
		return "", err
	}
	p.conns = append(p.conns, c)
	return c.LocalAddr().String(), nil
}

// abort: name: closes a connection by a RST.
func (p *agent) abort(args []string) (string, error) {
	c := p.sockets[args[0]].(*net.TCPConn)
	c.SetLinger(0)
	return "aborted", c.Close()
}

// A client that comes again by the port that it had before finds the next process, even
// while the old one still has the connection in TIME-WAIT, or waits for packets of one
// that was reset.
func TestAClientComesAgainByItsPort(t *testing.T) {
	r := newRig(t)
	const config = "xdp:eth0,handover=true,require=true"
	first := r.server.start(config)
	second := r.server.start(config)
	c := r.client.start("")
	for i, end := range []string{"close c", "abort c"} {
		at, from := fmt.Sprint(serverIP, ":", 7100+i), 46000+i
		first.must("listen c :%d", 7100+i)
		c.must("dialfrom %d %s", from, at)
		require.Equal(t, "stack", first.must("catch c"))
		second.must("echo e :%d", 7100+i)
		c.must("read")
		first.must("%s", end)
		// The client is not to have it in TIME-WAIT itself.
		require.Eventually(t, func() bool { return c.tell("lastread") != "reading" }, patience, time.Millisecond)
		c.must("hangup")
		answer := ""
		require.Eventually(t, func() bool { // once the last acknowledgement is there
			answer = c.tell("dialfrom %d %s", from, at)
			return !strings.Contains(answer, "address already in use")
		}, hangs, 10*time.Millisecond)
		require.NotContains(t, answer, "error", end)
		require.Equal(t, "again", c.must("say again"))
		c.must("hangup")
	}
	require.EqualValues(t, 2, first.stats().TCP.PassiveOpens)
	second.exit()
	first.exit()
}

// A server that is restarted without handover, as by systemd, answers what it has
// begun to; others are refused, at once or when they ask again, until the next one is
// there.
func TestARestart(t *testing.T) {
	r := newRig(t)
	p := r.serves("xdp:eth0,require=true")
	far, near := r.client.start(""), r.server.start("")
	far.startLoad("conn=http://"+serverIP+":8080/*4", "conn=http://["+serverIP6+"]:8080/*2")
	near.startLoad("conn=http://127.0.0.1:8080/*4")
	far.loadDoes(20, "conn")
	near.loadDoes(20, "conn")
	p.begin("leave")
	p.ends()
	p = r.serves("xdp:eth0,require=true")
	far.loadDoes(20, "conn")
	near.loadDoes(20, "conn")
	for _, l := range []*program{far, near} {
		for _, e := range l.endLoad().Errors {
			require.Contains(t, e, "connection refused")
		}
	}
	require.NotZero(t, p.stats().TCP.PassiveOpens)
}

// A connection of the kernel's half has its answer before the process ends.
func TestShutdownWaitsForBothHalves(t *testing.T) {
	r := newRig(t)
	for _, config := range []string{"xdp:eth0,require=true", "xdp:eth0,require=true,handover=true"} {
		p := r.server.start(config)
		p.must("echo a :7000")
		p.must("echo b 127.0.0.1:7001")
		var all []*program
		for _, c := range []struct {
			from *namespace
			to   string
		}{{r.client, serverIP + ":7000"}, {r.server, "127.0.0.1:7000"}, {r.server, serverIP + ":7000"}, {r.server, "127.0.0.1:7001"}} {
			k := c.from.start("")
			k.must("dial tcp %s", c.to)
			require.Equal(t, "one", k.must("say one"))
			all = append(all, k)
		}
		asker := r.server.start("")
		p.begin("leave")
		for _, at := range []string{"127.0.0.1:7000", "127.0.0.1:7001"} {
			require.Eventually(t, func() bool {
				answer := asker.tell("dial tcp %s", at)
				if !strings.HasPrefix(answer, "error ") {
					asker.must("hangup") // it was early
				}
				return strings.Contains(answer, "connection refused")
			}, patience, 10*time.Millisecond, at)
		}
		for i, k := range all {
			require.Equal(t, "two", k.must("say two"), i)
			select {
			case line := <-p.lines:
				t.Fatal("there are connections still: " + line)
			case <-time.After(100 * time.Millisecond):
			}
			k.must("hangup")
		}
		p.ends()
		require.False(t, r.xdpAttached())
	}
}

// A process that has no descriptor left accepts by the stack all the same, which needs
// none, counts what the kernel's half cannot accept, and tries that again.
func TestNoDescriptorIsLeft(t *testing.T) {
	r := newRig(t)
	p := r.server.start("xdp:eth0,require=true")
	p.must("serve a :8080")
	p.must("files 3")
	near := make(chan string, 1)
	go func() {
		out, err := r.server.try("curl", "-s", "-S", "--max-time", fmt.Sprint(hangs.Seconds()), "http://127.0.0.1:8080/")
		near <- fmt.Sprint(out, err)
	}()
	require.Eventually(t, func() bool { return p.stats().KernelAcceptErrors > 0 }, patience, time.Millisecond)
	for range 20 {
		require.Contains(t, r.client.curl("http://"+serverIP+":8080/"), "hello "+clientIP)
	}
	s := p.stats()
	require.EqualValues(t, 20, s.TCP.PassiveOpens)
	require.Less(t, s.KernelAcceptErrors, uint64(1000), "it spins")
	p.says("raise the limit of open files")
	require.Empty(t, near)
	p.must("files 0")
	require.Contains(t, <-near, fmt.Sprintf("hello 127.0.0.1 from %d", p.cmd.Process.Pid))
}

// The ports that dials have are used up, or the filter's room for connections: the kernel
// makes the dial, and one line says what to do.
func TestDialsThatTheStackCannotMake(t *testing.T) {
	r := newRig(t)
	far := r.client.start("")
	far.must("echo a :7000")
	for _, c := range []struct{ config, want string }{
		{"xdp:eth0,dialports=4", "all dial ports are in use for this peer: set dialports higher"},
		{"xdp:eth0,maxflows=64,dialports=128", "the filter has no room for another connection: set maxflows higher, or have fewer"},
		{"xdp:eth0,dialports=0", "dialports=0"},
	} {
		p := r.server.start(c.config)
		require.Eventually(t, func() bool {
			return strings.HasPrefix(p.must("dial tcp %s:7000", clientIP), "kernel ")
		}, patience, time.Millisecond, c.config)
		require.Equal(t, "hello", p.must("say hello"), c.config)
		p.says(c.want)
		require.EqualValues(t, 1, p.stats().Fallbacks["tcp"])
		p.exit()
	}
}

// What docs/xdp.md says that clients see when a process ends without Shutdown: of a
// connection that is open, and of new ones.
func TestWhatClientsSee(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		how    string
		end    func(p *program)
		atOnce bool // or at the next packet
	}{
		{"Close", func(p *program) { p.must("exit") }, true},
		{"SIGKILL", (*program).kill, false},
		{"SIGTERM without a handler", func(p *program) { p.cmd.Process.Signal(syscall.SIGTERM); p.cmd.Wait() }, false},
		{"panic", func(p *program) { p.begin("panic"); p.cmd.Wait() }, false},
	} {
		p := r.server.start("xdp:eth0,require=true")
		p.must("echo a :7000")
		far, idle := r.client.start(""), r.client.start("")
		for _, k := range []*program{far, idle} {
			require.Equal(t, "kernel", strings.Fields(k.must("dial tcp %s:7000", serverIP))[0])
			require.Equal(t, "hello", k.must("say hello"))
		}
		require.EqualValues(t, 2, p.stats().TCP.PassiveOpens)
		idle.must("read")
		c.end(p)
		require.Eventually(t, func() bool { return !r.xdpAttached() }, patience, 5*time.Millisecond, c.how)
		require.Contains(t, r.client.start("").tell("dial tcp %s:7000", serverIP), "connection refused", c.how)
		if c.atOnce {
			require.Eventually(t, func() bool { return strings.Contains(idle.tell("lastread"), "connection reset by peer") }, patience, time.Millisecond, c.how)
		} else {
			require.Equal(t, "reading", idle.tell("lastread"), c.how)
		}
		require.Contains(t, far.tell("say more"), "connection reset by peer", c.how)
		k := r.server.start("")
		k.must("echo a :7000") // the port is free
		k.kill()
	}
}
