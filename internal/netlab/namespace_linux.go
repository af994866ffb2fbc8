package netlab

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Namespace is the path of a network namespace, good for child processes too. The
// empty one is that in which the process is.
type Namespace string

// New makes a namespace, or skips the test where that is not allowed.
func New(t testing.TB) Namespace {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("making network namespaces needs root")
	}
	fd := -1
	err := onItsOwnThread(func() error { return unix.Unshare(unix.CLONE_NEWNET) }, func() (err error) {
		fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		t.Skipf("no network namespace can be made here: %v", err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return Namespace(fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd))
}

// NeedTUN skips the test where there are no TAP interfaces.
func NeedTUN(t testing.TB) {
	t.Helper()
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skipf("no TAP interfaces here: %v", err)
	}
}

// NeedTools skips the test where one of these programs is missing.
func NeedTools(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("no %s here (Debian: apt-get install iproute2 ethtool util-linux)", name)
		}
	}
}

// Enter moves the thread into the namespace. Its goroutine is locked to it, and
// ends without having unlocked it.
func (ns Namespace) Enter() error {
	fd, err := unix.Open(string(ns), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("entering the namespace %s: %w", ns, err)
	}
	return nil
}

// Do runs f on a thread in the namespace: a socket belongs to the namespace of
// the thread that makes it.
func (ns Namespace) Do(f func() error) error {
	if ns == "" {
		return f()
	}
	return onItsOwnThread(ns.Enter, f)
}

// NoIPv6 has interfaces that the namespace gets from now on do without IPv6, if the
// kernel lets us: with it they send reports of their groups, and look for routers,
// whenever they like.
func (ns Namespace) NoIPv6() { _ = ns.set("ipv6/conf/default/disable_ipv6", "1") }

// TrustNeighbors has an interface of the namespace ask for no Ethernet address again
// that it has once had, if the kernel lets us: the test, which cannot answer at any
// moment, would be forgotten after some seconds (RFC 4861 section 7.3.3, which Linux
// follows for ARP too).
func (ns Namespace) TrustNeighbors(name string) {
	for _, family := range []string{"ipv4", "ipv6"} {
		_ = ns.set(family+"/neigh/"+name+"/delay_first_probe_time", "100000")
	}
}

// set sets a sysctl of the network's: that of the thread's namespace.
func (ns Namespace) set(name, value string) error {
	return ns.Do(func() error { return os.WriteFile("/proc/sys/net/"+name, []byte(value), 0) })
}

// onItsOwnThread runs functions, until one fails, on a thread that ends then.
func onItsOwnThread(first, second func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked, so the thread is thrown away
		err := first()
		if err == nil {
			err = second()
		}
		result <- err
	}()
	return <-result
}

// Shell runs commands in the namespace, up to the first that fails, and returns
// what they print.
func (ns Namespace) Shell(t testing.TB, commands string) string {
	t.Helper()
	var out []byte
	require.NoError(t, ns.Do(func() (err error) {
		if out, err = exec.Command("sh", "-ec", commands).CombinedOutput(); err != nil {
			err = fmt.Errorf("%s: %w: %s", commands, err, out)
		}
		return err
	}))
	return string(out)
}
