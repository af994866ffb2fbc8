package xdp

import (
	"bufio"
	"context"
	"fmt"
	"io"
	stdnet "net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	net "github.com/fastnet-go/fastnet/fastnet"
)

func init() {
	moreCommands["inherit"] = (*agent).inherit
	moreCommands["inheritconn"] = (*agent).inheritConn
	moreCommands["inheritpacket"] = (*agent).inheritPacket
	moreCommands["offspring"] = (*agent).offspring
	moreCommands["listen"] = (*agent).listen
	moreCommands["catch"] = (*agent).catch
}

// inherited is a descriptor that the program was started with.
func inherited(fd string) (*os.File, error) {
	n, err := strconv.Atoi(fd)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(n), "descriptor "+fd), nil
}

// inherit: name descriptor: the server of slowly on a listener that the program was
// started with, as by systemd; and whose that is.
func (p *agent) inherit(args []string) (string, error) {
	f, err := inherited(args[1])
	if err != nil {
		return "", err
	}
	l, err := net.FileListener(f)
	if err != nil {
		return "", err
	}
	f.Close()
	p.sockets[args[0]] = l
	whose := "kernel"
	if l.(*net.TCPListener).Stack() != nil {
		whose = "stack"
	}
	serveSlowly(l)
	return whose + " " + l.Addr().String(), nil
}

// inheritconn: descriptor: echoes on a connection that the program was started with.
func (p *agent) inheritConn(args []string) (string, error) {
	f, err := inherited(args[0])
	if err != nil {
		return "", err
	}
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return "", err
	}
	go func() {
		io.Copy(c, c)
		c.Close()
	}()
	return "echoes", nil
}

// inheritpacket: descriptor.
func (p *agent) inheritPacket(args []string) (string, error) {
	f, err := inherited(args[0])
	if err != nil {
		return "", err
	}
	defer f.Close()
	c, err := net.FilePacketConn(f)
	if err != nil {
		return "", err
	}
	return c.LocalAddr().String(), nil
}

// listen: name address.
func (p *agent) listen(args []string) (string, error) {
	l, err := net.Listen("tcp", args[1])
	if err != nil {
		return "", err
	}
	p.sockets[args[0]] = l
	return l.Addr().String(), nil
}

// catch: name: accepts one connection, which takes the place of the listener.
func (p *agent) catch(args []string) (string, error) {
	l := p.sockets[args[0]].(net.Listener)
	defer l.Close()
	c, err := l.Accept()
	if err != nil {
		return "", err
	}
	p.sockets[args[0]] = c
	return owner(c), nil
}

// The program's own input, output and error for its offspring, where it is to have one:
// see family.
const offspringFD = 3

// offspring: configuration name ...: starts the next process, as programs do that are
// restarted by a signal, with the Files of some sockets, and says its number. "-" is
// no configuration.
func (p *agent) offspring(args []string) (string, error) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "FASTNET="+strings.TrimPrefix(args[0], "-"))
	for _, name := range args[1:] {
		f, err := p.sockets[name].(interface{ File() (*os.File, error) }).File()
		if err != nil {
			return "", err
		}
		defer f.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.NewFile(offspringFD, "in"), os.NewFile(offspringFD+1, "out"), os.NewFile(offspringFD+2, "err")
	if err := cmd.Start(); err != nil {
		return "", err
	}
	go cmd.Wait()
	cmd.Stdin.(io.Closer).Close()
	cmd.Stdout.(io.Closer).Close()
	cmd.Stderr.(io.Closer).Close()
	return strconv.Itoa(cmd.Process.Pid), nil
}

// family starts a program that may have an offspring, and returns with it what starts
// that.
func (ns *namespace) family(config string) (parent *program, offspring func(config string, sockets ...string) *program) {
	t := ns.t
	t.Helper()
	in, toIn, err := os.Pipe()
	require.NoError(t, err)
	fromOut, out, err := os.Pipe()
	require.NoError(t, err)
	said, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	require.NoError(t, err)
	parent = ns.start(config, func(c *exec.Cmd) { c.ExtraFiles = []*os.File{in, out, said} })
	in.Close()
	out.Close()
	t.Cleanup(func() {
		toIn.Close() // which ends it
		if text, _ := os.ReadFile(said.Name()); t.Failed() {
			t.Logf("the offspring said: %s", text)
		}
		said.Close()
	})
	return parent, func(config string, sockets ...string) *program {
		t.Helper()
		pid, err := strconv.Atoi(parent.must("offspring %s %s", config, strings.Join(sockets, " ")))
		require.NoError(t, err)
		p := &program{t: t, in: toIn, lines: make(chan string, 16), cmd: &exec.Cmd{}}
		p.cmd.Process, err = os.FindProcess(pid)
		require.NoError(t, err)
		t.Cleanup(func() { p.cmd.Process.Kill() }) // if it has not ended
		go func() {
			defer close(p.lines)
			defer fromOut.Close()
			for s := bufio.NewScanner(fromOut); s.Scan(); {
				p.lines <- s.Text()
			}
		}()
		return p
	}
}

// gone waits until an offspring that was told to leave has ended.
func (p *program) gone() {
	p.t.Helper()
	p.in.Close()
	select {
	case line, ok := <-p.lines:
		require.False(p.t, ok, line)
	case <-time.After(hangs):
		p.t.Fatal("it does not end")
	}
}

// socket is a listening socket of nobody's in the namespace, as systemd makes one.
func (ns *namespace) socket(at string) *os.File {
	ns.t.Helper()
	type result struct {
		f   *os.File
		err error
	}
	made := make(chan result)
	go func() {
		runtime.LockOSThread() // for good: the thread goes with its namespace
		f, err := func() (*os.File, error) {
			there, err := os.Open("/run/netns/" + ns.name)
			if err != nil {
				return nil, err
			}
			defer there.Close()
			if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
				return nil, err
			}
			var lc stdnet.ListenConfig
			lc.SetMultipathTCP(false) // as systemd's, unless a unit asks for it
			l, err := lc.Listen(context.Background(), "tcp", at)
			if err != nil {
				return nil, err
			}
			defer l.Close()
			return l.(*stdnet.TCPListener).File()
		}()
		made <- result{f, err}
	}()
	r := <-made
	require.NoError(ns.t, r.err)
	ns.t.Cleanup(func() { r.f.Close() })
	return r.f
}

// A listener that systemd holds (socket activation) is served by the stack, too. No client
// is refused or reset by a restart: what comes meanwhile waits in the socket.
func TestSocketActivation(t *testing.T) {
	r := newRig(t)
	socket := r.server.socket(":8080")
	activated := func(config string) *program {
		return r.server.start(config, func(c *exec.Cmd) { c.ExtraFiles = []*os.File{socket} })
	}
	far, near := r.client.start(""), r.server.start("")
	far.startLoad("conn=http://"+serverIP+":8080/*3", "conn=http://["+serverIP6+"]:8080/*2")
	near.startLoad("conn=http://127.0.0.1:8080/*3")
	both := func() {
		far.loadDoes(10, "conn")
		near.loadDoes(10, "conn")
	}
	for range 2 {
		p := activated("xdp:eth0,require=true")
		require.Equal(t, "stack [::]:8080", p.must("inherit a 3"))
		both()
		require.Eventually(t, func() bool { return p.stats().TCP.PassiveOpens > 5 }, patience, 10*time.Millisecond)
		p.begin("leave")
		p.ends()
		require.False(t, r.xdpAttached())
	}
	// The kernel's alone, as the configuration has it: and what it says about that.
	p := activated("xdp:eth0,ports=443")
	require.Equal(t, "kernel [::]:8080", p.must("inherit a 3"))
	p.says("ports= does not have its port")
	both()
	require.EqualValues(t, 1, p.stats().Fallbacks["descriptor"])
	require.Zero(t, p.stats().TCP.PassiveOpens)
	p.begin("leave")
	p.ends()
	p = activated("xdp:eth0,ports=443,require=true")
	require.Contains(t, p.tell("inherit a 3"), "ports= does not have its port), and require=true forbids that")
	p.exit()
	p = activated("xdp:eth0,require=true")
	p.must("inherit a 3")
	both()
	far.stopLoad()
	near.stopLoad()
	p.kill() // and the next one has the socket as it was
	p = activated("xdp:eth0,require=true")
	p.must("inherit a 3")
	require.Contains(t, r.client.curl("http://"+serverIP+":8080/"), "hello "+clientIP)
	require.Contains(t, r.server.curl("http://127.0.0.1:8080/"), "hello 127.0.0.1")
	require.NotZero(t, p.stats().TCP.PassiveOpens)
	p.exit()
}

// The classical graceful restart: a process starts the next one with the File of its
// listener. With handover=true that one has the interface afterwards, without it serves by
// the kernel. No client is refused or reset.
func TestAListenerIsHandedToTheNextProcess(t *testing.T) {
	for _, config := range []string{"xdp:eth0,require=true,handover=true", "xdp:eth0"} {
		t.Run(config, func(t *testing.T) {
			r := newRig(t)
			parent, offspring := r.server.family(config)
			parent.must("slowly a :8080")
			far, near := r.client.start(""), r.server.start("")
			far.startLoad("conn=http://"+serverIP+":8080/*3", "conn=http://["+serverIP6+"]:8080/*2", "keep=http://"+serverIP+":8080/")
			near.startLoad("conn=http://127.0.0.1:8080/*3", "keep=http://127.0.0.1:8080/")
			both := func() {
				far.loadDoes(10, "conn")
				near.loadDoes(10, "conn")
			}
			both()
			child := offspring(config, "a")
			whose := strings.Fields(child.must("inherit a 3"))[0]
			both()
			parent.begin("leave")
			parent.ends()
			both()
			if strings.Contains(config, "handover") {
				require.Equal(t, "stack", whose)
				require.Eventually(t, func() bool { return child.stats().TCP.PassiveOpens > 5 }, patience, 10*time.Millisecond)
			} else {
				require.Equal(t, "kernel", whose, "the parent has the interface")
				require.False(t, r.xdpAttached())
			}
			both()
			far.stopLoad()
			near.stopLoad()
			child.must("leave")
			child.gone()
			require.False(t, r.xdpAttached())
		})
	}
}

// What a process gets of another one's sockets: a connection goes on by its File for as
// long as the process that has it lives, and that one waits for it; a UDP socket of the
// stack's does not work elsewhere, and the error says what does; nor does the interface
// with require=true, for who does not wait for it.
func TestFilesOfAnotherProcessesSockets(t *testing.T) {
	r := newRig(t)
	const config = "xdp:eth0,require=true"
	parent, offspring := r.server.family(config)
	parent.must("echoudp u :5300")
	parent.must("listen c :7000")
	c := r.client.start("")
	c.must("dial tcp %s:7000", serverIP)
	require.Equal(t, "stack", parent.must("catch c"))
	parent.must("slowly a :8080")
	child := offspring("-", "c", "u", "a")
	parent.must("close c")
	child.must("inheritconn 3")
	require.Equal(t, "hello", c.must("say hello"))
	require.Contains(t, child.tell("inheritpacket 4"), fmt.Sprintf("the file is of a socket of the stack in process %d, which only that process can use: open one here", parent.cmd.Process.Pid))
	require.Equal(t, "kernel", strings.Fields(child.must("inherit a 5"))[0])
	parent.begin("leave")
	select {
	case line := <-parent.lines:
		t.Fatal("the child's connection is open still: " + line)
	case <-time.After(1500 * time.Millisecond):
	}
	require.Equal(t, "more", c.must("say more"))
	c.must("hangup")
	parent.ends()
	require.Contains(t, r.client.curl("http://"+serverIP+":8080/"), "hello "+clientIP)
	child.in.Close()
}
