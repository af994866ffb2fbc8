package xdp

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	net "github.com/fastnet-go/fastnet/fastnet"
)

// The test binary is also the program that the tests run in a namespace: a server
// and client as a user of fastnet would write it, told by its standard input what
// to do. Without FASTNET it is one of the kernel's.
const programVariable = "FASTNET_TEST_PROGRAM"

// patience is for machines that stop for a while, or are shared by many: only what
// hangs is to be told by it.
const patience = time.Minute

// hangs is how long a command of many steps, each of which may take as long as
// patience, may take.
const hangs = 5 * patience

func TestMain(m *testing.M) {
	if os.Getenv(programVariable) != "" {
		serveCommands()
		os.Exit(0)
	}
	endInOrder()
	os.Exit(m.Run())
}

// serveCommands carries out a line each and answers with one.
func serveCommands() {
	p := &agent{sockets: map[string]io.Closer{}}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		answer, err := p.do(strings.Fields(in.Text()))
		if err != nil {
			answer = "error " + err.Error()
		}
		fmt.Println(strings.ReplaceAll(answer, "\n", " "))
	}
}

// agent is the program's state.
type agent struct {
	sockets map[string]io.Closer
	conns   []net.Conn
	read    chan error
	loader  *loader

	mu    sync.Mutex
	kept  []io.Closer // until the end
	ended []string    // of the goroutines of wait
}

func (p *agent) do(args []string) (string, error) {
	switch args[0] {
	case "serve": // name address: an HTTP server
		l, err := net.Listen("tcp", args[2])
		if err != nil {
			return "", err
		}
		p.sockets[args[1]] = l
		go http.Serve(l, http.HandlerFunc(page))
		return l.Addr().String(), nil
	case "echo": // name address: a TCP echo server, with connections that outlive the listener
		l, err := net.Listen("tcp", args[2])
		if err != nil {
			return "", err
		}
		p.sockets[args[1]] = l
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					fmt.Fprintln(os.Stderr, "accept:", err)
					return
				}
				go func() {
					io.Copy(c, c)
					c.Close()
				}()
			}
		}()
		return l.Addr().String(), nil
	case "echoudp": // name address
		c, err := net.ListenPacket("udp", args[2])
		if err != nil {
			return "", err
		}
		p.sockets[args[1]] = c
		go func() {
			b := make([]byte, 1<<16)
			for {
				n, from, err := c.ReadFrom(b)
				if err != nil {
					return
				}
				c.WriteTo(b[:n], from)
			}
		}()
		return c.LocalAddr().String(), nil
	case "close": // name
		return "closed", p.sockets[args[1]].Close()
	case "get": // URL: its body
		c := &http.Client{Timeout: patience, Transport: &http.Transport{DialContext: new(net.Dialer).DialContext, DisableKeepAlives: true}}
		r, err := c.Get(args[1])
		if err != nil {
			return "", err
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		return string(b), err
	case "dial": // network address: whose the connection is, and both ends
		// Without keep-alive probes: of a connection that rests its end must hear of
		// nothing, however long the test takes.
		c, err := (&net.Dialer{Timeout: patience, KeepAlive: -1}).Dial(args[1], args[2])
		if err != nil {
			return "", err
		}
		p.conns = append(p.conns, c)
		return fmt.Sprintln(owner(c), c.LocalAddr(), c.RemoteAddr()), nil
	case "say": // text: on the last connection, and what comes back
		c := p.conns[len(p.conns)-1]
		c.SetDeadline(time.Now().Add(patience))
		if _, err := c.Write([]byte(args[1])); err != nil {
			return "", err
		}
		b := make([]byte, len(args[1]))
		if _, err := io.ReadFull(c, b); err != nil {
			return "", err
		}
		return string(b), nil
	case "read": // begins to read from the last connection
		c := p.conns[len(p.conns)-1]
		p.read = make(chan error, 1)
		go func() {
			_, err := c.Read(make([]byte, 1))
			p.read <- err
		}()
		return "reading", nil
	case "lastread": // how that ended
		select {
		case err := <-p.read:
			p.read <- err
			return "read", err
		default:
			return "reading", nil
		}
	case "hangup":
		c := p.conns[len(p.conns)-1]
		p.conns = p.conns[:len(p.conns)-1]
		return "closed", c.Close()
	case "stats":
		n, err := net.Default()
		if err != nil {
			return "", err
		}
		text, err := json.Marshal(n.Stats())
		return string(text), err
	case "shutdown":
		n, err := net.Default()
		if err != nil {
			return "", err
		}
		ctx, cancel := context.WithTimeout(context.Background(), hangs)
		defer cancel()
		return "done", n.Shutdown(ctx)
	case "exit":
		n, err := net.Default()
		if err != nil {
			return "", err
		}
		return "closed", n.Close()
	}
	if f := moreCommands[args[0]]; f != nil {
		return f(p, args[1:])
	}
	return "", errors.New("unknown command")
}

func owner(c any) string {
	switch c := c.(type) {
	case *net.TCPConn:
		if c.Stack() != nil {
			return "stack"
		}
	case *net.UDPConn:
		if c.Stack() != nil {
			return "stack"
		}
	}
	return "kernel"
}

const big = 4 << 20

// page tells who asked, or is large.
func page(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/big" {
		w.Write(make([]byte, big))
		return
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	fmt.Fprintf(w, "hello %s from %d", host, os.Getpid())
}

// program is a running one.
type program struct {
	t      *testing.T
	cmd    *exec.Cmd
	in     io.WriteCloser
	lines  chan string
	mu     sync.Mutex
	stderr strings.Builder
}

// start runs the program in a namespace with a configuration; none is the
// kernel's.
func (ns *namespace) start(config string, change ...func(*exec.Cmd)) *program {
	ns.t.Helper()
	p := &program{t: ns.t, lines: make(chan string, 16)}
	p.cmd = exec.Command("ip", "netns", "exec", ns.name, "/proc/"+fmt.Sprint(os.Getpid())+"/exe")
	p.cmd.Env = append(os.Environ(), programVariable+"=1", "FASTNET="+config)
	p.cmd.Stderr = &lockedWriter{p}
	for _, f := range change {
		f(p.cmd)
	}
	var err error
	p.in, err = p.cmd.StdinPipe()
	require.NoError(ns.t, err)
	out, err := p.cmd.StdoutPipe()
	require.NoError(ns.t, err)
	require.NoError(ns.t, p.cmd.Start())
	go func() {
		defer close(p.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	ns.t.Cleanup(func() {
		if ns.t.Failed() && p.cmd.ProcessState == nil && config != "" {
			fmt.Fprintln(p.in, "stats")
			select {
			case line := <-p.lines:
				ns.t.Log(line)
			case <-time.After(5 * time.Second):
			}
		}
		p.kill()
		if ns.t.Failed() {
			ns.t.Logf("%s said: %s", config, p.said())
		}
	})
	return p
}

type lockedWriter struct{ p *program }

func (w *lockedWriter) Write(b []byte) (int, error) {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	return w.p.stderr.Write(b)
}

// said is what the program has written to its standard error.
func (p *program) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.String()
}

// begin gives a command, whose answer is fetched later.
func (p *program) begin(command string) {
	p.t.Helper()
	_, err := fmt.Fprintln(p.in, command)
	require.NoError(p.t, err, "%s", p.said())
}

// answer waits for that of a command.
func (p *program) answer(command string) string {
	p.t.Helper()
	select {
	case line, ok := <-p.lines:
		require.True(p.t, ok, "the program has ended: %s", p.said())
		return strings.TrimSpace(line)
	case <-time.After(hangs):
		p.cmd.Process.Signal(syscall.SIGQUIT) // shows where it hangs
		p.cmd.Wait()
		p.t.Fatalf("no answer to %q: %s", command, p.said())
		return ""
	}
}

// tell gives a command and returns the answer, which may be an error's text.
func (p *program) tell(format string, args ...any) string {
	p.t.Helper()
	command := fmt.Sprintf(format, args...)
	p.begin(command)
	return p.answer(command)
}

// says waits until the program has written something to its standard error.
func (p *program) says(text string) {
	p.t.Helper()
	require.Eventually(p.t, func() bool { return strings.Contains(p.said(), text) }, patience, 10*time.Millisecond, "%q is not in %s", text, p.said())
}

// must is tell of what is to succeed.
func (p *program) must(format string, args ...any) string {
	p.t.Helper()
	answer := p.tell(format, args...)
	require.False(p.t, strings.HasPrefix(answer, "error "), "%s: %s\n%s", fmt.Sprintf(format, args...), answer, p.said())
	return answer
}

// stats are the network's counters.
func (p *program) stats() net.Stats {
	p.t.Helper()
	var s net.Stats
	require.NoError(p.t, json.Unmarshal([]byte(p.must("stats")), &s))
	return s
}

func (p *program) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

// exit ends the program in order.
func (p *program) exit() {
	p.t.Helper()
	p.must("exit")
	p.in.Close()
	require.NoError(p.t, p.cmd.Wait(), "%s", p.said())
}
