package kernel

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/internal/netlab"
)

// namespace is a network namespace that nobody else has.
type namespace struct {
	netlab.Namespace
	t       testing.TB
	jobs    chan func()   // to threads in the namespace that are free
	limit   chan struct{} // holds one for each thread at work
	threads sync.WaitGroup
}

// newNamespace makes a namespace, or skips the test where that is not allowed.
func newNamespace(t testing.TB) *namespace {
	t.Helper()
	netlab.NeedTUN(t)
	if _, err := os.Stat("/proc/net/if_inet6"); err != nil {
		t.Skip("this kernel has no IPv6")
	}
	ns := &namespace{Namespace: netlab.New(t), t: t, jobs: make(chan func()), limit: make(chan struct{}, 64)}
	t.Cleanup(ns.close)
	ns.setUp("lo", true) // the kernel sends itself ICMP errors there
	return ns
}

func (ns *namespace) close() {
	close(ns.jobs)
	ns.threads.Wait()
}

// do is Do on threads that are kept: a benchmark makes many sockets.
func (ns *namespace) do(f func() error) error {
	ns.limit <- struct{}{}
	defer func() { <-ns.limit }()
	done := make(chan error, 1)
	job := func() { done <- f() }
	select {
	case ns.jobs <- job:
	default:
		ns.threads.Go(func() {
			runtime.LockOSThread() // never unlocked, so the thread is thrown away
			if err := ns.Enter(); err != nil {
				done <- err
				return
			}
			for ; job != nil; job = <-ns.jobs {
				job()
			}
		})
	}
	return <-done
}

// sysctl sets one of the namespace's own settings, as net/ipv4/tcp_sack.
func (ns *namespace) sysctl(name, value string) {
	ns.t.Helper()
	err := ns.do(func() error { return os.WriteFile("/proc/sys/"+name, []byte(value), 0) })
	if os.IsNotExist(err) {
		ns.t.Skipf("this kernel has no setting %s", name)
	}
	require.NoError(ns.t, err)
}

// counter reads one of the namespace's counters from /proc/net/snmp or snmp6.
func (ns *namespace) counter(protocol, name string) string {
	ns.t.Helper()
	var text []byte
	require.NoError(ns.t, ns.do(func() (err error) {
		text, err = os.ReadFile("/proc/thread-self/net/snmp")
		return err
	}))
	var names []string
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if f[0] != protocol+":" {
			continue
		}
		if names == nil {
			names = f
			continue
		}
		for i := range names {
			if names[i] == name {
				return f[i]
			}
		}
	}
	ns.t.Fatalf("the kernel has no counter %s %s", protocol, name)
	return ""
}

// run runs a program in the namespace and returns all that it prints.
func (ns *namespace) run(ctx context.Context, env []string, name string, args ...string) (string, error) {
	var out strings.Builder
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second
	if err := ns.do(cmd.Start); err != nil {
		return "", err
	}
	err := cmd.Wait()
	return out.String(), err
}

// setUp brings an interface up or down.
func (ns *namespace) setUp(name string, up bool) {
	ns.t.Helper()
	flags := uint32(0)
	if up {
		flags = unix.IFF_UP
	}
	require.NoError(ns.t, ns.change(unix.RTM_NEWLINK, name, flags, unix.IFF_UP))
}

// hasLink reports whether there is an interface of that name.
func (ns *namespace) hasLink(name string) bool {
	return ns.do(func() error {
		_, err := net.InterfaceByName(name)
		return err
	}) == nil
}

// deleteLink deletes an interface under the hands of who has it open.
func (ns *namespace) deleteLink(name string) {
	ns.t.Helper()
	require.NoError(ns.t, ns.change(unix.RTM_DELLINK, name, 0, 0))
}

// change sends an rtnetlink request about an interface (RFC 3549 section 3.1).
func (ns *namespace) change(kind uint16, name string, flags, mask uint32) error {
	return ns.do(func() error {
		i, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		ne := binary.NativeEndian
		b := make([]byte, unix.SizeofNlMsghdr+unix.SizeofIfInfomsg)
		ne.PutUint32(b, uint32(len(b)))
		ne.PutUint16(b[4:], kind)
		ne.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_ACK)
		ne.PutUint32(b[20:], uint32(i.Index))
		ne.PutUint32(b[24:], flags)
		ne.PutUint32(b[28:], mask)
		if err := unix.Sendto(fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return err
		}
		answer := make([]byte, 4096)
		n, _, err := unix.Recvfrom(fd, answer, 0)
		if err != nil {
			return err
		}
		if n < 20 {
			return fmt.Errorf("an answer of %d bytes", n)
		}
		if errno := -int32(ne.Uint32(answer[16:])); errno != 0 {
			return unix.Errno(errno)
		}
		return nil
	})
}
