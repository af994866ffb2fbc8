package kernel

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const patience = 20 * time.Second

var names atomic.Int32

// lab is a namespace that the test's goroutine is in, with eth0, whose peer's
// other end is eth0 in a second one.
type lab struct {
	t          *testing.T
	name, peer string
}

func newNamespace(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip(err)
	}
	name := fmt.Sprintf("fnk-%d-%d", os.Getpid(), names.Add(1))
	if out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
		t.Skipf("no network namespace can be made here: %s", out)
	}
	t.Cleanup(func() { exec.Command("ip", "netns", "del", name).Run() })
	return name
}

func newLab(t *testing.T) *lab {
	l := &lab{t, newNamespace(t), newNamespace(t)}
	l.ip("link add eth0 type veth peer name eth0 netns " + l.peer)
	l.ip("addr add 10.9.0.1/24 dev eth0")
	l.ip("addr add fd09::1/64 dev eth0 nodad")
	l.ip("link set lo up")
	l.ip("link set eth0 up")
	l.there("addr add 10.9.0.2/24 dev eth0")
	l.there("addr add fd09::2/64 dev eth0 nodad")
	l.there("link set eth0 up")
	// The kernel makes the route to an IPv6 address of its own a moment after the address
	// (addrconf_dad_work in Linux' net/ipv6/addrconf.c).
	for ns, address := range map[string]string{l.name: "fd09::1", l.peer: "fd09::2"} {
		for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
			out, _ := exec.Command("ip", "-n", ns, "-6", "route", "get", address).CombinedOutput()
			if strings.HasPrefix(string(out), "local ") {
				break
			}
			require.True(t, time.Now().Before(deadline), "%s", out)
		}
	}
	runtime.LockOSThread() // never unlocked: the thread ends with the test
	fd, err := unix.Open("/run/netns/"+l.name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	require.NoError(t, unix.Setns(fd, unix.CLONE_NEWNET))
	return l
}

func (l *lab) in(ns, line string) {
	l.t.Helper()
	out, err := exec.Command("ip", append([]string{"-n", ns}, strings.Fields(line)...)...).CombinedOutput()
	require.NoError(l.t, err, "%s: %s", line, out)
}

func (l *lab) ip(line string)    { l.t.Helper(); l.in(l.name, line) }
func (l *lab) there(line string) { l.t.Helper(); l.in(l.peer, line) }

// run runs another program in the lab's namespace; the test is skipped if there is
// no such program.
func (l *lab) run(name string, args ...string) {
	l.t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		l.t.Skip(err)
	}
	out, err := exec.Command("ip", append([]string{"netns", "exec", l.name, name}, args...)...).CombinedOutput()
	require.NoError(l.t, err, "%s %v: %s", name, args, out)
}

func (l *lab) follow(h Handler) *Follower {
	l.t.Helper()
	f, err := Follow("eth0", h)
	require.NoError(l.t, err)
	l.t.Cleanup(f.Close)
	return f
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, patience, 5*time.Millisecond)
}
