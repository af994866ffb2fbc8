package tap

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/internal/link"
)

var (
	hostIP = netip.MustParseAddr("10.77.0.1") // the kernel's end
	ourIP  = netip.MustParseAddr("10.77.0.2")
	ourMAC = nic.MAC{0x02, 0, 0, 0, 0, 0x77}
)

// viaVhost makes all tests here go by vhost-net: compat_test/vm/run.sh does it, in
// a virtual machine whose kernel has that.
var viaVhost = os.Getenv("FASTNET_TEST_VHOST") != ""

// patience bounds what a test waits for the kernel; it says nothing of how long
// anything takes.
const patience = 10 * time.Second

// namespace returns the path of a network namespace of its own, which is gone
// after the test.
func namespace(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("creating network namespaces and TAP interfaces needs root")
	}
	type result struct {
		fd  int
		err error
	}
	made := make(chan result, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			made <- result{err: err}
			return
		}
		fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		made <- result{fd, err}
	}()
	r := <-made
	if r.err != nil {
		t.Skipf("no network namespace can be made here: %v", r.err)
	}
	t.Cleanup(func() { unix.Close(r.fd) })
	if _, err := os.Stat(tunPath); err != nil {
		t.Skipf("no TAP interfaces here: %v", err)
	}
	return fmt.Sprintf("/proc/self/fd/%d", r.fd)
}

// inside runs f in a namespace.
func inside(t *testing.T, ns string, f func() error) {
	t.Helper()
	require.NoError(t, link.InNamespace(ns, f))
}

// rtnl runs f with an rtnetlink socket of a namespace.
func rtnl(t *testing.T, ns string, f func(n *link.Socket) error) {
	t.Helper()
	inside(t, ns, func() error {
		n, err := link.Open()
		if err != nil {
			return err
		}
		defer n.Close()
		return f(n)
	})
}

// linkIndex is the index of an interface, 0 if there is none.
func linkIndex(t *testing.T, ns, name string) (index int32) {
	t.Helper()
	rtnl(t, ns, func(n *link.Socket) error {
		l, err := n.Get(name)
		if err == unix.ENODEV {
			return nil
		}
		index = l.Index
		return err
	})
	return index
}

// host is an open device and the tests' side of it.
type host struct {
	t       *testing.T
	ns      string
	dev     *device
	hostMAC nic.MAC
	woken   chan int // queue
	id      uint16
}

// openHost opens a device in a namespace of its own, and checks afterwards that
// nothing is left.
func openHost(t *testing.T, cfg Config) *host {
	t.Helper()
	h := &host{t: t, ns: namespace(t), woken: make(chan int, 64)}
	cfg.NetNS = h.ns
	cfg.MAC = ourMAC
	cfg.VHost = viaVhost
	if cfg.HostAddrs == nil {
		cfg.HostAddrs = []netip.Prefix{netip.PrefixFrom(hostIP, 24)}
	}
	dev, err := open(cfg)
	require.NoError(t, err)
	h.dev = dev
	for i, q := range dev.queues {
		q.SetWake(func() {
			select {
			case h.woken <- i:
			default:
			}
		})
	}
	t.Cleanup(func() {
		if err := dev.Close(); err != nil {
			require.ErrorIs(t, err, nic.ErrClosed) // the test has closed it
		}
		require.Zero(t, dev.InUse(), "buffers are left")
		if len(cfg.FDs) == 0 {
			require.Zero(t, linkIndex(t, h.ns, dev.info.Name), "the interface is left")
		}
	})
	return h
}

// await receives until a frame satisfies match, sleeping whenever the device
// lets it. The caller releases the frame.
func (h *host) await(what string, match func(p *nic.Packet) bool) *nic.Packet {
	h.t.Helper()
	timeout := time.After(patience)
	var one [1]*nic.Packet
	for {
		got := false
		for _, q := range h.dev.queues {
			for q.Recv(one[:]) == 1 {
				got = true
				if match(one[0]) {
					return one[0]
				}
				one[0].Release()
			}
		}
		asleep := true
		for _, q := range h.dev.queues {
			asleep = q.Arm() && asleep
		}
		if got || !asleep {
			continue
		}
		select {
		case <-h.woken:
		case <-timeout:
			h.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// send sends one frame on queue i.
func (h *host) send(i int, meta nic.Meta, frame []byte) {
	h.t.Helper()
	q := h.dev.queues[i]
	p := q.Alloc(len(frame))
	require.NotNil(h.t, p)
	p.Meta = meta
	copy(p.Extend(len(frame)), frame)
	require.Equal(h.t, 1, q.Send([]*nic.Packet{p}))
	q.Kick()
}

// frame views of what the tests exchange with the kernel.

func etherType(p *nic.Packet) uint16 {
	if p.Len() < 14 {
		return 0
	}
	return binary.BigEndian.Uint16(p.Bytes()[12:])
}

// isIPv4 reports whether p is an IPv4 frame of a protocol to us.
func isIPv4(p *nic.Packet, protocol byte) bool {
	b := p.Bytes()
	return etherType(p) == 0x0800 && len(b) >= 34 && b[23] == protocol && [4]byte(b[30:34]) == ourIP.As4()
}

// sum is the one's complement sum, in its plainest form.
func sum(parts ...[]byte) uint16 {
	var s uint32
	for _, b := range parts { // of even lengths, but for the last
		for i := 0; i < len(b); i += 2 {
			s += uint32(b[i]) << 8
			if i+1 < len(b) {
				s += uint32(b[i+1])
			}
		}
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

// pseudo is the IPv4 pseudo-header of a packet from us to the host.
func pseudo(protocol byte, length int) []byte {
	b := append(ourIP.AsSlice(), hostIP.AsSlice()...)
	return append(b, 0, protocol, byte(length>>8), byte(length))
}

// ipv4 builds a frame from us to the host.
func (h *host) ipv4(protocol byte, payload []byte) []byte {
	b := append(append([]byte{}, h.hostMAC[:]...), ourMAC[:]...)
	b = append(b, 0x08, 0x00)
	ip := make([]byte, 20)
	h.id++
	ip[0], ip[8], ip[9] = 0x45, 64, protocol
	binary.BigEndian.PutUint16(ip[2:], uint16(20+len(payload)))
	binary.BigEndian.PutUint16(ip[4:], h.id)
	copy(ip[12:], ourIP.AsSlice())
	copy(ip[16:], hostIP.AsSlice())
	binary.BigEndian.PutUint16(ip[10:], ^sum(ip))
	return append(append(b, ip...), payload...)
}

// udp builds a datagram whose checksum field holds the pseudo-header's sum.
func (h *host) udp(from, to uint16, data string) []byte {
	b := make([]byte, 8, 8+len(data))
	binary.BigEndian.PutUint16(b, from)
	binary.BigEndian.PutUint16(b[2:], to)
	binary.BigEndian.PutUint16(b[4:], uint16(8+len(data)))
	binary.BigEndian.PutUint16(b[6:], sum(pseudo(unix.IPPROTO_UDP, 8+len(data))))
	return h.ipv4(unix.IPPROTO_UDP, append(b, data...))
}

var udpPartial = nic.Meta{Checksum: nic.ChecksumPartial, ChecksumStart: 34, ChecksumOffset: 6}

// arp builds an ARP packet from us: op 1 asks, 2 answers.
func arp(op byte, dst, target nic.MAC) []byte {
	b := append(append([]byte{}, dst[:]...), ourMAC[:]...)
	b = append(b, 0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, op)
	b = append(append(b, ourMAC[:]...), ourIP.AsSlice()...)
	return append(append(b, target[:]...), hostIP.AsSlice()...)
}

// meet asks for the kernel's address by ARP, which tells it ours as well.
func (h *host) meet() {
	h.t.Helper()
	h.send(0, nic.Meta{}, arp(1, nic.MAC{255, 255, 255, 255, 255, 255}, nic.MAC{}))
	p := h.await("an ARP reply", func(p *nic.Packet) bool { return etherType(p) == 0x0806 && p.Bytes()[21] == 2 })
	h.hostMAC = nic.MAC(p.Bytes()[22:28])
	require.Equal(h.t, hostIP.AsSlice(), p.Bytes()[28:32])
	p.Release()
}

// socket opens a socket of the kernel's in the namespace, bound to hostIP and
// port, with a timeout on everything that blocks.
func (h *host) socket(kind int, port int) int {
	h.t.Helper()
	fd := -1
	inside(h.t, h.ns, func() (err error) {
		if fd, err = unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		tv := unix.NsecToTimeval(int64(patience))
		for _, option := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} {
			if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, option, &tv); err != nil {
				return err
			}
		}
		return unix.Bind(fd, &unix.SockaddrInet4{Addr: hostIP.As4(), Port: port})
	})
	h.t.Cleanup(func() { unix.Close(fd) })
	return fd
}
