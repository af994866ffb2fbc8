package tap

import (
	"errors"
	"net/netip"
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/internal/nictest"
	"github.com/fastnet-go/fastnet/nic"
)

func TestOpenTakesDescriptorsOver(t *testing.T) {
	ns := namespace(t)
	var fds []int
	require.NoError(t, ns.Do(func() (err error) {
		fds, _, err = attach(&Config{Name: "given", Queues: 2})
		return err
	}))
	dev, err := open(Config{FDs: fds, NetNS: string(ns), Up: true})
	require.NoError(t, err)
	require.Equal(t, "given", dev.Info().Name)
	require.Len(t, dev.Queues(), 2)
	require.True(t, dev.Link().Up)
	require.NoError(t, dev.Close())

	// Of a namespace that is not told, and so without news of the link.
	require.NoError(t, ns.Do(func() (err error) {
		fds, _, err = attach(&Config{Name: "elsewhere0", Queues: 1})
		return err
	}))
	dev, err = open(Config{FDs: fds})
	require.NoError(t, err)
	require.Equal(t, nic.Link{Up: true, MTU: 1500}, dev.Link())
	require.NoError(t, dev.Close())

	// That no file has, nor gets meanwhile.
	_, err = open(Config{FDs: []int{1 << 30}})
	require.ErrorContains(t, err, "not attached")
}

// A descriptor belongs to Open from the call on, also where it never comes to use it.
func TestOpenClosesDescriptorsWhenItFails(t *testing.T) {
	for what, cfg := range map[string]Config{
		"a namespace that cannot be entered": {NetNS: "/no/such/namespace"},
		"a name that cannot be":              {Name: "much-too-long-for-a-name"},
		"no TAP interface's":                 {},
	} {
		r, w, err := os.Pipe()
		require.NoError(t, err)
		fd, err := unix.Dup(int(r.Fd()))
		require.NoError(t, err)
		require.NoError(t, errors.Join(r.Close(), w.Close()))
		var before, after unix.Stat_t
		require.NoError(t, unix.Fstat(fd, &before))
		cfg.FDs = []int{fd}
		_, err = open(cfg)
		require.Error(t, err, what)
		if unix.Fstat(fd, &after) == nil { // somebody else's file by now
			require.NotEqual(t, before.Ino, after.Ino, what)
		}
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	ns := namespace(t)
	first, err := Open(Config{Name: "taken", NetNS: string(ns)})
	require.NoError(t, err)
	defer first.Close()
	_, err = Open(Config{Name: "taken", NetNS: string(ns)})
	require.ErrorIs(t, err, unix.EBUSY)
	require.ErrorContains(t, err, "tap: name=taken: it is in use")
	for _, name := range []string{"lo", "a/b", "a b"} {
		_, err = Open(Config{Name: name, NetNS: string(ns)})
		require.ErrorContains(t, err, "choose another name")
	}
	_, err = Open(Config{NetNS: "/no/such/namespace"})
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "netns=/no/such/namespace: no such network namespace")

	for _, a := range []netip.Prefix{netip.PrefixFrom(nictest.HostIP, 24), netip.MustParsePrefix("fd77::1/64")} {
		_, err = Open(Config{Name: "same", NetNS: string(ns), HostAddrs: []netip.Prefix{a}, Addrs: []netip.Prefix{a}})
		require.ErrorIs(t, err, unix.EADDRINUSE)
		require.ErrorContains(t, err, "addr="+a.String())
		require.Zero(t, linkIndex(t, ns, "same"))
	}

	// Without the capability, then as nobody: on threads that end.
	as := func(drop func() error, f func()) {
		done := make(chan error)
		go func() {
			runtime.LockOSThread()
			err := drop()
			if err == nil {
				f()
			}
			done <- err
		}()
		require.NoError(t, <-done)
	}
	dropNetAdmin := func() error {
		hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var caps [2]unix.CapUserData
		if err := unix.Capget(&hdr, &caps[0]); err != nil {
			return err
		}
		caps[0].Effective &^= 1 << unix.CAP_NET_ADMIN
		return unix.Capset(&hdr, &caps[0])
	}
	as(dropNetAdmin, func() { _, err = Open(Config{Name: "fast0"}) })
	require.ErrorIs(t, err, unix.EPERM)
	require.ErrorContains(t, err, "tap: name=fast0: creating it needs CAP_NET_ADMIN: run as root, or")
	as(func() error {
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, 65534, 65534, 65534); errno != 0 {
			return errno
		}
		return nil
	}, func() { _, err = Open(Config{Name: "fast0"}) })
	require.Error(t, err)
	require.ErrorContains(t, err, "run as root")

	require.ErrorContains(t, openError(unix.ENOENT), "modprobe tun")
	require.ErrorContains(t, kernelEndError(unix.EPERM, "giving %s the address %v", "ip address add dev %s %v", "fast0", "10.0.0.1/8"),
		`giving fast0 the address 10.0.0.1/8 needs CAP_NET_ADMIN: run as root, or do it beforehand with "ip address add dev fast0 10.0.0.1/8"`)
	require.ErrorContains(t, attachError(errors.New("odd"), "fast0", true), "name=fast0: creating it: odd")
}

func TestPersistentInterfaceOfManyQueuesIsUsable(t *testing.T) {
	ns := namespace(t)
	require.NoError(t, ns.Do(func() error {
		fds, _, err := attach(&Config{Name: "lasting", Queues: 2})
		if err != nil {
			return err
		}
		if err := unix.IoctlSetInt(fds[0], unix.TUNSETPERSIST, 1); err != nil {
			return err
		}
		// As another program may leave it behind.
		if err := unix.IoctlSetPointerInt(fds[0], unix.TUNSETVNETHDRSZ, 12); err != nil {
			return err
		}
		for _, fd := range fds {
			unix.Close(fd)
		}
		return nil
	}))
	dev, err := open(Config{Name: "lasting", NetNS: string(ns), MAC: ourMAC, HostAddrs: []netip.Prefix{netip.PrefixFrom(nictest.HostIP, 24)}})
	require.NoError(t, err)
	nictest.Attach(t, ns, dev).Meet()
	require.NoError(t, dev.Close())
	require.NotZero(t, linkIndex(t, ns, "lasting"), "it was not ours to delete")
}
