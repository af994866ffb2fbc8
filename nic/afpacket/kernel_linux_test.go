package afpacket

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/internal/link"
)

var (
	hostIP = netip.MustParseAddr("10.77.0.1") // the kernel's, at the other end of the cable
	ourIP  = netip.MustParseAddr("10.77.0.2")
)

// patience bounds what a test waits for the kernel; it says nothing of how long
// anything takes.
const patience = 10 * time.Second

// namespace returns the path of a network namespace of its own, which is gone
// after the test.
func namespace(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("creating network namespaces needs root")
	}
	for _, tool := range []string{"ip", "ethtool"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s here, with which a veth pair is set up (Debian: apt-get install iproute2 ethtool)", tool)
		}
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
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), r.fd)
}

// sh runs commands in a namespace.
func sh(t *testing.T, ns, commands string) string {
	t.Helper()
	var out []byte
	require.NoError(t, link.InNamespace(ns, func() (err error) {
		if out, err = exec.Command("sh", "-ec", commands).CombinedOutput(); err != nil {
			err = fmt.Errorf("%s: %w: %s", commands, err, out)
		}
		return err
	}))
	return string(out)
}

// host is an open device on one end of a veth pair, and the tests' side of it:
// the kernel's stack at the other end.
type host struct {
	t       *testing.T
	ours    string // the namespace of the device's end, "fnb"
	theirs  string // of the other, "fna"
	dev     *device
	hostMAC nic.MAC
	woken   chan int // queue
	id      uint16
}

// cable makes a veth pair between two namespaces.
func cable(t *testing.T) *host {
	t.Helper()
	h := &host{t: t, ours: namespace(t), theirs: namespace(t), woken: make(chan int, 64)}
	sh(t, h.theirs, fmt.Sprintf(`
		sysctl -qw net.ipv6.conf.default.accept_dad=0
		ip link add fna numtxqueues 2 numrxqueues 2 type veth peer name fnb numtxqueues 2 numrxqueues 2 netns %s
		ip address add %s/24 dev fna
		ip address add fd77::1/64 dev fna nodad
		ip link set fna up`, h.ours, hostIP))
	sh(t, h.ours, "ip link set fnb up")
	// The kernel starts to transmit some time after the carrier is there, from a
	// worker of its own (linkwatch); what is sent before is lost.
	for ns, end := range map[string]string{h.ours: "fnb", h.theirs: "fna"} {
		sh(t, ns, fmt.Sprintf(`for i in $(seq 500); do ip link show %s | grep -q "qdisc noqueue state UP" && break; sleep 0.01; done`, end))
	}
	return h
}

// openHost opens a device on one end of a cable, and checks afterwards that
// nothing is left.
func openHost(t *testing.T, cfg Config) *host {
	t.Helper()
	h := cable(t)
	h.open(cfg)
	return h
}

func (h *host) config(cfg Config) Config {
	cfg.Interface, cfg.NetNS = "fnb", h.ours
	if cfg.Addrs == nil {
		cfg.Addrs = []netip.Prefix{netip.PrefixFrom(ourIP, 24)}
	}
	return cfg
}

// traces shows what a device could leave behind: counts of who wants frames that
// are for others, and packet sockets.
const traces = "ip -d link show fnb 2>/dev/null | grep -o 'promiscuity.*allmulti [0-9]*'; wc -l </proc/net/packet"

func (h *host) open(cfg Config) {
	h.t.Helper()
	before := sh(h.t, h.ours, traces)
	dev, err := open(h.config(cfg))
	require.NoError(h.t, err)
	h.dev = dev
	ourMAC = dev.info.MAC
	for i, q := range dev.queues {
		q.SetWake(func() {
			select {
			case h.woken <- i:
			default:
			}
		})
	}
	h.t.Cleanup(func() {
		gone := dev.Link().Err != nil
		if err := dev.Close(); err != nil {
			require.ErrorIs(h.t, err, nic.ErrClosed) // the test has closed it
		}
		require.Zero(h.t, dev.InUse(), "buffers are left")
		if !gone && !h.t.Failed() {
			require.Equal(h.t, before, sh(h.t, h.ours, traces), "a trace is left")
		}
	})
}

// await receives until a frame satisfies match, sleeping whenever the device
// lets it. The caller releases the frame.
func (h *host) await(what string, match func(p *nic.Packet) bool) *nic.Packet {
	h.t.Helper()
	p := h.awaitFor(patience, match)
	if p == nil {
		h.t.Fatalf("waited in vain for %s", what)
	}
	return p
}

// awaitFor is await for some time, and then nil.
func (h *host) awaitFor(patience time.Duration, match func(p *nic.Packet) bool) *nic.Packet {
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
			return nil
		}
	}
}

// drain releases what has arrived, and returns how many frames that was.
func drain(q nic.Queue) int {
	var pkts [16]*nic.Packet
	total := 0
	for n := q.Recv(pkts[:]); n > 0; n = q.Recv(pkts[:]) {
		total += n
		for _, p := range pkts[:n] {
			p.Release()
		}
	}
	return total
}

// packet returns a frame to be sent.
func (h *host) packet(q *queue, meta nic.Meta, frame []byte) *nic.Packet {
	h.t.Helper()
	p := q.Alloc(len(frame))
	require.NotNil(h.t, p)
	p.Meta = meta
	copy(p.Extend(len(frame)), frame)
	return p
}

// send sends one frame on queue i.
func (h *host) send(i int, meta nic.Meta, frame []byte) {
	h.t.Helper()
	q := h.dev.queues[i]
	require.Equal(h.t, 1, q.Send([]*nic.Packet{h.packet(q, meta, frame)}))
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

func isUDP(p *nic.Packet) bool { return isIPv4(p, unix.IPPROTO_UDP) }

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

// arp builds an ARP question from us.
func arp() []byte {
	b := append(append([]byte{}, broadcast[:]...), ourMAC[:]...)
	b = append(b, 0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1)
	b = append(append(b, ourMAC[:]...), ourIP.AsSlice()...)
	return append(append(b, make([]byte, 6)...), hostIP.AsSlice()...)
}

// meet asks for the kernel's address by ARP, which tells it ours as well.
func (h *host) meet() {
	h.t.Helper()
	var p *nic.Packet
	for end := time.Now().Add(patience); p == nil; { // again: just after a link came up the other end may miss it
		require.True(h.t, time.Now().Before(end), "no ARP reply")
		h.send(0, nic.Meta{}, arp())
		p = h.awaitFor(time.Second, func(p *nic.Packet) bool { return etherType(p) == 0x0806 && p.Bytes()[21] == 2 })
	}
	h.hostMAC = nic.MAC(p.Bytes()[22:28])
	require.Equal(h.t, hostIP.AsSlice(), p.Bytes()[28:32])
	p.Release()
}

// socket opens a socket of the kernel's at the other end, bound to hostIP and
// port, with a timeout on everything that blocks.
func (h *host) socket(kind int, port int) int {
	h.t.Helper()
	fd := -1
	require.NoError(h.t, link.InNamespace(h.theirs, func() (err error) {
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
	}))
	h.t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// toUs sends a datagram of the kernel's to our port.
func toUs(t *testing.T, fd, port int, data string) {
	t.Helper()
	require.NoError(t, unix.Sendto(fd, []byte(data), 0, &unix.SockaddrInet4{Addr: ourIP.As4(), Port: port}))
}

func text(p *nic.Packet) string { return strings.TrimRight(string(p.Bytes()[42:]), "\x00") }

// recvfrom is the system call, again if a signal ended it: with a timeout set it
// is not restarted (signal(7)).
func recvfrom(fd int, buf []byte, flags int) (n int, from unix.Sockaddr, err error) {
	for {
		if n, from, err = unix.Recvfrom(fd, buf, flags); err != unix.EINTR {
			return n, from, err
		}
	}
}
