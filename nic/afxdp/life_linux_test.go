package afxdp

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
)

// await waits for a link that is told of and satisfies ok.
func awaitLink(t *testing.T, changes <-chan nic.Link, ok func(nic.Link) bool) nic.Link {
	t.Helper()
	limit := timeout()
	for {
		select {
		case l := <-changes:
			if ok(l) {
				return l
			}
		case <-limit:
			t.Fatal("waited in vain for a change of the link")
		}
	}
}

func TestLinkIsFollowed(t *testing.T) {
	l := newLab(t, 1)
	h := l.open(Config{})
	changes := make(chan nic.Link, 64)
	h.dev.Notify(func(n nic.Link) { changes <- n })
	require.Equal(t, nic.Link{Up: true, MTU: 1500}, h.dev.Link())

	l.ip("-n", l.far, "link", "set", theirs, "down")
	awaitLink(t, changes, func(n nic.Link) bool { return !n.Up })
	q := h.dev.queues[0]
	p := q.Alloc(60)
	p.Extend(60)
	require.Equal(t, 1, q.Send([]*nic.Packet{p}))
	require.EqualValues(t, 1, q.Stats().TxDropped)
	l.ip("-n", l.near, "link", "set", ours, "down")
	l.ip("-n", l.near, "link", "set", ours, "up")
	l.ip("-n", l.far, "link", "set", theirs, "up")
	awaitLink(t, changes, func(n nic.Link) bool { return n.Up })
	l.ip("-n", l.near, "link", "set", ours, "mtu", "1400")
	awaitLink(t, changes, func(n nic.Link) bool { return n.MTU == 1400 })
	require.Equal(t, 1400, h.dev.Info().MTU)
	l.ip("-n", l.near, "link", "set", ours, "mtu", "9000")
	awaitLink(t, changes, func(n nic.Link) bool { return n.MTU == 9000 })

	// It still works.
	l.settle()
	h.exclusive()
	_, err := write(l.raw(), l.udp(ourIP.As4(), 7, []byte("x")))
	require.NoError(t, err)
	h.await("a datagram", func(p *nic.Packet) bool { return p.Len() > 34 && p.Bytes()[23] == unix.IPPROTO_UDP }).Release()

	// Gone for good.
	l.ip("-n", l.far, "link", "delete", theirs)
	gone := awaitLink(t, changes, func(n nic.Link) bool { return n.Err != nil })
	require.ErrorContains(t, gone.Err, "afxdp: "+ours+" is gone: it was deleted")
	require.Nil(t, q.Alloc(60))
	require.NoError(t, h.dev.Close())
	h.gone = true
}

func TestChangedEthernetAddressEndsTheDevice(t *testing.T) {
	l := newLab(t, 1)
	h := l.open(Config{})
	changes := make(chan nic.Link, 64)
	h.dev.Notify(func(n nic.Link) { changes <- n })
	l.ip("-n", l.near, "link", "set", ours, "address", "02:00:00:00:00:42")
	n := awaitLink(t, changes, func(n nic.Link) bool { return n.Err != nil })
	require.ErrorContains(t, n.Err, "its Ethernet address was changed: open it again")
}

func TestInterfaceThatIsDownCanBeOpened(t *testing.T) {
	l := newLab(t, 1)
	l.ip("-n", l.near, "link", "set", ours, "down")
	h := l.open(Config{})
	changes := make(chan nic.Link, 64)
	h.dev.Notify(func(n nic.Link) { changes <- n })
	require.False(t, h.dev.Link().Up)
	l.ip("-n", l.near, "link", "set", ours, "up")
	awaitLink(t, changes, func(n nic.Link) bool { return n.Up })
	l.settle()
	h.exclusive()
	_, err := write(l.raw(), l.udp(ourIP.As4(), 7, []byte("x")))
	require.NoError(t, err)
	h.await("a datagram", func(p *nic.Packet) bool { return p.Len() > 34 && p.Bytes()[23] == unix.IPPROTO_UDP }).Release()
}

func TestOneDeviceAnInterface(t *testing.T) {
	l := newLab(t, 2)
	h := l.open(Config{})
	_, err := Open(Config{Interface: ours, NetNS: l.nearNS})
	require.ErrorIs(t, err, ErrBusy)
	require.ErrorContains(t, err, "afxdp: queue 0 of "+ours+" is taken")
	require.NotContains(t, err.Error(), "\n")
	r, err := Probe(Config{Interface: ours, NetNS: l.nearNS})
	require.NoError(t, err)
	require.Len(t, r.Obstacles, 2)
	require.Regexp(t, regexp.MustCompile(ours+` has a native XDP program already, number \d+ "steer": end the program`), r.Obstacles[0])
	require.Contains(t, r.Obstacles[1], "queue 0 of "+ours+" is taken")
	require.NoError(t, h.dev.Close())

	// At once, again.
	for range 3 {
		dev, err := Open(Config{Interface: ours, NetNS: l.nearNS})
		require.NoError(t, err)
		require.NoError(t, dev.Close())
	}
	r, err = Probe(Config{Interface: ours, NetNS: l.nearNS})
	require.NoError(t, err)
	require.Empty(t, r.Obstacles)

	// Somebody's program, without sockets.
	s := newSteering(t, false)
	link := attachTo(t, l, s)
	_, err = Open(Config{Interface: ours, NetNS: l.nearNS})
	require.ErrorIs(t, err, ErrBusy)
	require.ErrorContains(t, err, "has an XDP program already")
	require.NoError(t, link.Close())
}

func attachTo(t *testing.T, l *lab, s *steering) (attached io.Closer) {
	_, index := l.mac(l.nearNS, ours)
	l.inside(l.nearNS, func() (err error) {
		attached, err = attach(s.objects, index, ours, false)
		return err
	})
	return attached
}

// TestMain lets the test binary be a process that opens a device and waits to
// be killed.
func TestMain(m *testing.M) {
	if ns := os.Getenv("AFXDP_TEST_NETNS"); ns != "" {
		dev, err := Open(Config{Interface: ours, NetNS: ns})
		if err == nil {
			err = dev.Filter().SetAddresses([]Address{{ourIP, Exclusive}})
		}
		if err != nil {
			os.Stdout.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		os.Stdout.WriteString("open\n")
		_, _ = io.Copy(io.Discard, os.Stdin)
		runtime.KeepAlive(dev)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestNothingIsLeftOfAKilledProcess(t *testing.T) {
	l := newLab(t, 2)
	for range 3 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "AFXDP_TEST_NETNS="+l.nearNS)
		in, err := cmd.StdinPipe()
		require.NoError(t, err)
		defer in.Close()
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		line, err := bufio.NewReader(out).ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "open\n", line)
		require.Contains(t, l.ip("-n", l.near, "link", "show", ours), "prog/xdp")
		require.NoError(t, cmd.Process.Kill())
		require.Error(t, cmd.Wait())
		require.NotContains(t, l.ip("-n", l.near, "link", "show", ours), "prog/xdp")
		dev, err := Open(Config{Interface: ours, NetNS: l.nearNS})
		require.NoError(t, err, "the next one")
		require.NoError(t, dev.Close())
	}
}

// with runs f in the near namespace on a thread whose capabilities change has
// changed, and which ends with it.
func (l *lab) with(change func(caps *[2]unix.CapUserData), f func() error) {
	l.t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends
		done <- func() error {
			ns, err := unix.Open(l.nearNS, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(ns)
			if err := unix.Setns(ns, unix.CLONE_NEWNET); err != nil {
				return err
			}
			hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
			var caps [2]unix.CapUserData
			if err := unix.Capget(&hdr, &caps[0]); err != nil {
				return err
			}
			change(&caps)
			if err := unix.Capset(&hdr, &caps[0]); err != nil {
				return err
			}
			return f()
		}()
	}()
	require.NoError(l.t, <-done)
}

func TestMissingCapabilitiesAreNamed(t *testing.T) {
	l := newLab(t, 1)
	for name, bits := range map[string][]uint{
		"CAP_NET_RAW":   {unix.CAP_NET_RAW},
		"CAP_NET_ADMIN": {unix.CAP_NET_ADMIN, unix.CAP_SYS_ADMIN},
		"CAP_BPF":       {unix.CAP_BPF, unix.CAP_SYS_ADMIN},
	} {
		var opened error
		var report Report
		l.with(func(caps *[2]unix.CapUserData) {
			for _, bit := range bits {
				caps[bit/32].Effective &^= 1 << (bit % 32)
			}
		}, func() (err error) {
			if report, err = Probe(Config{Interface: ours}); err != nil {
				return err
			}
			_, opened = Open(Config{Interface: ours})
			return nil
		})
		require.ErrorIs(t, opened, ErrUnavailable, name)
		require.ErrorContains(t, opened, name)
		require.NotContains(t, opened.Error(), "\n")
		require.NotEmpty(t, report.Obstacles, name)
		require.True(t, strings.HasPrefix(report.Obstacles[0], name+" is missing"), report.Obstacles[0])
	}
}

func TestThreeCapabilitiesAreEnough(t *testing.T) {
	l := newLab(t, 2)
	l.with(func(caps *[2]unix.CapUserData) {
		*caps = [2]unix.CapUserData{}
		for _, c := range capabilities {
			caps[c.bit/32].Effective |= 1 << (c.bit % 32)
			caps[c.bit/32].Permitted |= 1 << (c.bit % 32)
		}
	}, func() error {
		r, err := Probe(Config{Interface: ours})
		require.NoError(t, err)
		require.Empty(t, r.Obstacles)
		dev, err := Open(Config{Interface: ours})
		if err != nil {
			return err
		}
		t.Log(dev.Report().Memory)
		require.NoError(t, dev.Filter().SetAddresses([]Address{{ourIP, Exclusive}}))
		return dev.Close()
	})
}

func TestErrorsSayWhatToDo(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{}, "no interface: name the one to use"},
		{Config{Interface: "a-name-that-is-too-long"}, "an interface's has 15 at most"},
		{Config{Interface: "x", Queues: -1}, "want at least 1"},
		{Config{Interface: "x", Ring: 100}, "want a power of two from 64 to 32768"},
		{Config{Interface: "x", Frames: 3}, "3 buffers: want 64 to"},
		{Config{Interface: "x", FrameSize: 1000}, "the kernel takes 2048 or 4096"},
		{Config{Interface: "x", Attach: AttachGeneric, Copy: CopyNever}, "a generic attach copies"},
		{Config{Interface: "x", Attach: 9}, "there is no way of attaching"},
		{Config{Interface: "x", Copy: 9}, "there is no way of copying"},
		{Config{Interface: "x", BusyPoll: -1}, "busy polling for -1 us"},
		{Config{Interface: "x", MaxFlows: -1}, "want at least 1 of each"},
	} {
		_, err := Open(c.cfg)
		require.ErrorContains(t, err, "afxdp: ")
		require.ErrorContains(t, err, c.want)
		require.NotErrorIs(t, err, ErrUnavailable)
	}
	l := newLab(t, 1)
	_, err := Open(Config{Interface: "nosuch", NetNS: l.nearNS})
	require.ErrorIs(t, err, unix.ENODEV)
	require.ErrorContains(t, err, "afxdp: there is no interface nosuch")
	_, err = Open(Config{Interface: "lo", NetNS: l.nearNS})
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorContains(t, err, "lo is no Ethernet interface")
	_, err = Open(Config{Interface: ours, NetNS: l.nearNS, Queues: 2})
	require.ErrorContains(t, err, "2 queues: "+ours+" has 1")
	_, err = Open(Config{Interface: ours, NetNS: l.nearNS, Copy: CopyNever})
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorContains(t, err, "no zero copy")
	_, err = Open(Config{Interface: ours, NetNS: "/no/such/namespace"})
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestOptions(t *testing.T) {
	l := newLab(t, 1)
	h := l.open(Config{HugePages: true, BusyPoll: 20, BusyPollBudget: 32, FrameSize: 4096})
	r := h.dev.Report()
	require.Equal(t, Choice{on, "20 us, 32 packets"}, r.BusyPoll)
	if r.Memory.Value == smallPages {
		require.Contains(t, r.Memory.Reason, "sysctl vm.nr_hugepages")
	}
	require.Contains(t, r.String(), ours+": driver veth, MTU 1500, up, 1 of 1 receive queues\n  attach: native\n")
	h.exclusive()
	raw := l.raw()
	want := l.udp(ourIP.As4(), 7, []byte("polled"))
	_, err := write(raw, want)
	require.NoError(t, err)
	p := h.await("a datagram", func(p *nic.Packet) bool { return p.Len() > 34 && p.Bytes()[23] == unix.IPPROTO_UDP })
	require.Equal(t, want, p.Bytes())
	p.Release()
}

func TestEffectsAreTold(t *testing.T) {
	l := newLab(t, 2)
	tso := func() string {
		out, err := exec.Command("ip", "netns", "exec", l.far, "ethtool", "-k", theirs).CombinedOutput()
		if err != nil {
			t.Skipf("there is no ethtool command: %s", out)
		}
		return string(out)
	}
	before := tso()
	r, err := Probe(Config{Interface: ours, NetNS: l.nearNS, Queues: 1})
	require.NoError(t, err)
	require.Empty(t, r.Obstacles)
	require.Equal(t, before, tso(), "Probe changes nothing")
	require.Equal(t, Choice{native, ""}, r.Attach)
	require.Equal(t, Choice{copyMode, "the driver veth has no zero copy"}, r.Copy)
	text := strings.Join(r.Effects, "\n")
	require.Contains(t, text, "the peer's segmentation")
	require.Contains(t, text, "1 of 2 queues are served")
	h := l.open(Config{Queues: 1})
	t.Log(h.dev.Report().Effects, "\n", diff(before, tso()))
	require.Contains(t, tso(), "tcp-segmentation-offload: off")
	require.NoError(t, h.dev.Close())
	require.Equal(t, before, tso(), "nothing is left")
	r, err = Probe(Config{Interface: ours, NetNS: l.nearNS, Attach: AttachGeneric})
	require.NoError(t, err)
	require.Equal(t, Choice{generic, "as configured"}, r.Attach)
	require.Contains(t, strings.Join(r.Effects, "\n"), "segments that a local peer has not cut (TSO)")
}

func diff(a, b string) (d string) {
	was := strings.Split(a, "\n")
	for i, line := range strings.Split(b, "\n") {
		if i < len(was) && line != was[i] {
			d += was[i] + " -> " + line + "\n"
		}
	}
	return d
}
