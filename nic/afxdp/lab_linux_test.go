package afxdp

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/internal/nictest"
	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/internal/link"
)

// patience bounds what a test waits for; it says nothing of how long anything
// takes.
const patience = time.Minute

// tick is how often a test looks meanwhile.
const tick = 10 * time.Millisecond

var (
	ourIP  = netip.MustParseAddr("10.79.0.1")
	hostIP = netip.MustParseAddr("10.79.0.2")
	ourIP6 = netip.MustParseAddr("fd79::1")
)

// The names of the veth pair's ends: ours has the program.
const ours, theirs = "xdp0", "peer0"

var labs atomic.Int32

// lab is a veth pair, each end in a network namespace of its own.
type lab struct {
	t             testing.TB
	near, far     string // namespaces
	ourMAC, peer  nic.MAC
	peerIndex     int
	nearNS, farNS string // paths
}

// newLab makes the pair with so many queues at each end, and as many that send if
// they are not told.
func newLab(t testing.TB, queues int, sending ...int) *lab {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("network namespaces and XDP programs need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("there is no ip command (iproute2)")
	}
	n := labs.Add(1)
	l := &lab{t: t, near: fmt.Sprintf("fnxdp-%d-%da", os.Getpid(), n), far: fmt.Sprintf("fnxdp-%d-%db", os.Getpid(), n)}
	l.nearNS, l.farNS = "/run/netns/"+l.near, "/run/netns/"+l.far
	for _, ns := range []string{l.near, l.far} {
		if out, err := exec.Command("ip", "netns", "add", ns).CombinedOutput(); err != nil {
			t.Skipf("no network namespace can be made here: %s", out)
		}
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "delete", ns).Run() })
	}
	rx, tx := fmt.Sprint(queues), fmt.Sprint(append(sending, queues)[0])
	l.ip("-n", l.near, "link", "add", ours, "numrxqueues", rx, "numtxqueues", tx, "type", "veth",
		"peer", "name", theirs, "numrxqueues", rx, "numtxqueues", tx, "netns", l.far)
	for _, end := range []struct{ ns, dev, ip, ip6 string }{{l.near, ours, "10.79.0.1/24", "fd79::1/64"}, {l.far, theirs, "10.79.0.2/24", "fd79::2/64"}} {
		l.ip("-n", end.ns, "address", "add", end.ip, "dev", end.dev)
		l.ip("-n", end.ns, "address", "add", end.ip6, "dev", end.dev, "nodad")
		l.ip("-n", end.ns, "link", "set", "lo", "up")
		l.ip("-n", end.ns, "link", "set", end.dev, "up")
	}
	l.ourMAC, _ = l.mac(l.nearNS, ours)
	l.peer, l.peerIndex = l.mac(l.farNS, theirs)
	l.settle()
	return l
}

// settle waits until the kernel sends at both ends: it starts some time after the
// carrier is there, from a worker of its own (linkwatch), and loses what is sent
// before.
func (l *lab) settle() {
	l.t.Helper()
	for ns, dev := range map[string]string{l.near: ours, l.far: theirs} {
		sends := func() bool { return strings.Contains(l.ip("-n", ns, "link", "show", dev), "qdisc noqueue state UP") }
		for end := time.Now().Add(patience); !sends(); time.Sleep(time.Millisecond) {
			require.True(l.t, time.Now().Before(end), "%s does not come up", dev)
		}
	}
}

// ip runs the ip command.
func (l *lab) ip(args ...string) string {
	l.t.Helper()
	out, err := exec.Command("ip", args...).CombinedOutput()
	require.NoErrorf(l.t, err, "ip %s: %s", strings.Join(args, " "), out)
	return string(out)
}

// inside runs f in a namespace.
func (l *lab) inside(ns string, f func() error, mayFail ...bool) {
	l.t.Helper()
	err := link.InNamespace(ns, f)
	if len(mayFail) == 0 {
		require.NoError(l.t, err)
	}
}

func (l *lab) mac(ns, name string) (mac nic.MAC, index int) {
	l.t.Helper()
	l.inside(ns, func() error {
		n, err := link.Open()
		if err != nil {
			return err
		}
		defer n.Close()
		s, err := n.Get(name)
		mac, index = s.MAC, int(s.Index)
		return err
	})
	return mac, index
}

// raw opens a packet socket at the far end.
func (l *lab) raw() int {
	l.t.Helper()
	fd := -1
	l.inside(l.farNS, func() (err error) {
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(bigEndian(unix.ETH_P_ALL))); err != nil {
			return err
		}
		tv := unix.NsecToTimeval(int64(patience))
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
			return err
		}
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20)
		// A device whose ring is full shall drop, not this socket wait for it.
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 16<<20)
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_ALL), Ifindex: l.peerIndex})
	})
	l.t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// host is an open device and the tests' side of it.
type host struct {
	*lab
	dev   *Device
	woken chan int // queue
	gone  bool     // the interface was deleted
}

// open opens the device, and checks afterwards that nothing is left.
func (l *lab) open(cfg Config) *host {
	l.t.Helper()
	cfg.Interface, cfg.NetNS = ours, l.nearNS
	dev, err := Open(cfg)
	require.NoError(l.t, err)
	h := &host{lab: l, dev: dev, woken: make(chan int, 64)}
	for i, q := range dev.queues {
		q.SetWake(func() {
			select {
			case h.woken <- i:
			default:
			}
		})
	}
	l.t.Cleanup(func() {
		if err := dev.Close(); err != nil {
			require.ErrorIs(l.t, err, nic.ErrClosed) // the test has closed it
		}
		require.Zero(l.t, dev.InUse(), "buffers are left")
		if h.gone {
			return
		}
		require.NotContains(l.t, l.ip("-n", l.near, "link", "show", ours), "prog/xdp", "a program is left")
	})
	return h
}

// exclusive makes the program take everything for ourIP and ourIP6.
func (h *host) exclusive() {
	h.t.Helper()
	require.NoError(h.t, h.dev.Filter().SetAddresses([]Address{{ourIP, Exclusive}, {ourIP6, Exclusive}}))
}

// await receives until a frame satisfies match, sleeping whenever the device
// lets it. The caller releases the frame.
func (h *host) await(what string, match func(p *nic.Packet) bool) *nic.Packet {
	h.t.Helper()
	p := nictest.AwaitFrame(h.dev.Queues(), h.woken, patience, match)
	if p == nil {
		h.t.Fatalf("waited in vain for %s; stats %+v; filter %+v", what, nic.DeviceStats(h.dev), h.dev.Filter().Counters())
	}
	return p
}

// send sends one frame on queue i.
func (h *host) send(i int, frame []byte) {
	h.t.Helper()
	q := h.dev.queues[i]
	p := q.Alloc(len(frame))
	require.NotNil(h.t, p)
	for part := p; part != nil; part = part.Next() {
		frame = frame[copy(part.Extend(min(len(frame), part.Tailroom())), frame):]
	}
	require.Equal(h.t, 1, q.Send([]*nic.Packet{p}))
	q.Kick()
}

// experimental is an EtherType that no protocol has (IEEE 802, local
// experimental).
const experimental = 0x88b5

// frame is one of the experimental type.
func (l *lab) frame(dst, src nic.MAC, payload string) []byte {
	b := append(append([]byte{}, dst[:]...), src[:]...)
	return append(append(b, experimental>>8, experimental&0xff), payload...)
}

// A socket with a time-out is interrupted by the runtime's signals (signal(7)).

func read(fd int, b []byte) (n int, err error) {
	for n, err = unix.Read(fd, b); err == unix.EINTR; {
		n, err = unix.Read(fd, b)
	}
	return n, err
}

func write(fd int, b []byte) (n int, err error) {
	for n, err = unix.Write(fd, b); err == unix.EINTR; {
		n, err = unix.Write(fd, b)
	}
	return n, err
}

func connect(fd int, to unix.Sockaddr) (err error) {
	for err = unix.Connect(fd, to); err == unix.EINTR || err == unix.EALREADY; {
		time.Sleep(time.Millisecond)
		err = unix.Connect(fd, to)
	}
	if err == unix.EISCONN {
		return nil
	}
	return err
}
