package afpacket

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/internal/nictest"
	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/internal/link"
)

func TestKernelAnswersARPAndEcho(t *testing.T) {
	h := openHost(t, Config{})
	info := h.dev.Info()
	require.Equal(t, "fnb", info.Name)
	require.Equal(t, "afpacket", info.Driver)
	require.Equal(t, nic.Link{Up: true, MTU: 1500}, h.dev.Link())
	require.False(t, info.Offloads.Has(nic.RxBarePartial), "each packet says what its checksum is")
	h.AnswersARPAndEcho()
}

func TestSleepingPollerIsWokenForEachFrame(t *testing.T) {
	openHost(t, Config{}).WakesASleeperForEachFrame()
}

func TestKernelCompletesPartialChecksums(t *testing.T) {
	for _, features := range []string{"on", "off"} {
		t.Run("tx-"+features, func(t *testing.T) {
			h := cable(t)
			h.Ours.Shell(t, "ethtool -K fnb tx "+features)
			h.open(Config{})
			h.CompletesPartialChecksums()
		})
	}
}

func TestFramesSayWhatTheirChecksumIs(t *testing.T) {
	for features, want := range map[string][]nic.Checksum{"on": {nic.ChecksumPartial}, "off": {nic.ChecksumNone, nic.ChecksumVerified}} {
		t.Run("tx-"+features, func(t *testing.T) {
			h := cable(t)
			h.Theirs.Shell(t, "ethtool -K fna tx "+features)
			h.open(Config{})
			h.SaysWhatTheChecksumIs(want...)
		})
	}
}

func TestFilterKeepsTheKernelsTrafficFromUs(t *testing.T) {
	h := cable(t)
	h.Ours.Shell(t, "ip address add 10.77.0.9/24 dev fnb")
	h.open(Config{})
	fd := h.Socket(unix.SOCK_DGRAM, 7777)
	h.Meet()
	nictest.ToUs(t, fd, 5000, "before")
	p := h.Await("a datagram", nictest.IsUDP)
	frame := append([]byte{}, p.Bytes()...)
	p.Release()
	nictest.Drain(h.Queue(0))

	// To the kernel's address on the same interface.
	for range 50 {
		require.NoError(t, unix.Sendto(fd, []byte("x"), 0, &unix.SockaddrInet4{Addr: [4]byte{10, 77, 0, 9}, Port: 9}))
	}
	// To ours, but on VLAN 5, whose tag the kernel takes off; and with a tag that
	// is only a priority. And for another machine, as in promiscuous mode.
	tagged := func(tag byte) []byte {
		return append(append(append([]byte{}, frame[:12]...), 0x81, 0, tag&0xf0, tag&0x0f), frame[12:]...)
	}
	another := append([]byte{}, frame...)
	another[5]++
	h.rawFrames(tagged(5), tagged(0x60), another)
	nictest.ToUs(t, fd, 5000, "after")
	for _, want := range []string{"before", "after"} {
		p := h.Await(want, func(p *nic.Packet) bool {
			if !nictest.IsUDP(p) { // the kernels ask for each other, which is for all
				require.EqualValues(t, unix.ETH_P_ARP, binary.BigEndian.Uint16(p.Bytes()[12:]), "% x", p.Bytes())
				return false
			}
			return true
		})
		require.Equal(t, want, nictest.Text(p))
		require.Equal(t, h.OurMAC, nic.MAC(p.Bytes()[:6]))
		p.Release()
	}
}

// rawFrames sends frames from the other end, as they are.
func (h *host) rawFrames(frames ...[]byte) {
	h.t.Helper()
	require.NoError(h.t, h.Theirs.Do(func() error {
		n, err := link.Open()
		if err != nil {
			return err
		}
		defer n.Close()
		s, err := n.Get("fna")
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		for _, f := range frames {
			if err := unix.Sendto(fd, f, 0, &unix.SockaddrLinklayer{Ifindex: int(s.Index)}); err != nil {
				return err
			}
		}
		return nil
	}))
}

func TestMACAddressOfOurOwn(t *testing.T) {
	h := cable(t)
	h.Ours.Shell(t, "ip address add 10.77.0.9/24 dev fnb; sysctl -qw net.ipv4.conf.fnb.forwarding=1")
	_, err := open(h.config(Config{}))
	require.ErrorContains(t, err, "afpacket: fnb: the kernel forwards packets (sysctl net.ipv4.conf.fnb.forwarding), those for 10.77.0.2 too: give the stack a MAC address of its own")
	own := nic.MAC{0x02, 0, 0, 0, 0, 0x99}
	h.open(Config{MAC: own})
	require.Equal(t, own, h.dev.Info().MAC)
	fd := h.Socket(unix.SOCK_DGRAM, 7777)
	h.Meet()
	nictest.ToUs(t, fd, 5000, "hello")
	p := h.Await("a datagram", nictest.IsUDP)
	require.Equal(t, own, nic.MAC(p.Bytes()[:6]))
	p.Release()
	// Each answers for its own address, with its own.
	require.NoError(t, unix.Sendto(fd, []byte("x"), 0, &unix.SockaddrInet4{Addr: [4]byte{10, 77, 0, 9}, Port: 9}))
	shared := sharedMAC(t, h)
	require.Eventually(t, func() bool {
		return strings.Contains(h.Theirs.Shell(t, "ip neigh show 10.77.0.9"), "lladdr "+shared)
	}, nictest.Patience, 10*time.Millisecond)
	require.Contains(t, h.Theirs.Shell(t, "ip neigh show 10.77.0.2"), "lladdr 02:00:00:00:00:99")
}

// sharedMAC is the interface's own address.
func sharedMAC(t *testing.T, h *host) string {
	t.Helper()
	return strings.Fields(h.Ours.Shell(t, "ip -br link show fnb"))[2]
}

func TestFlowsAreSpreadOverTheQueues(t *testing.T) {
	h := openHost(t, Config{Queues: 3})
	require.Len(t, h.dev.Queues(), 3)
	fd := h.Socket(unix.SOCK_DGRAM, 7777)
	h.Meet()
	before := nic.DeviceStats(h.dev).TxPackets
	home := map[int]uint16{}
	used := map[uint16]bool{}
	for i := range 200 { // so many that each queue surely has some
		port := 5000 + i%100
		p := h.EchoOn(i%3, uint16(port), fmt.Sprint("datagram ", i), fd)
		if q, ok := home[port]; ok {
			require.Equal(t, q, p.Queue, "a flow stays on its queue")
		}
		home[port], used[p.Queue] = p.Queue, true
		p.Release()
		for _, q := range h.Queues() {
			require.Zero(t, nictest.Drain(q), "each datagram comes once")
		}
	}
	require.Len(t, used, 3)
	require.EqualValues(t, 200, nic.DeviceStats(h.dev).TxPackets-before)
}

func TestBurstCrossesInOrder(t *testing.T) {
	h := openHost(t, Config{})
	fd := h.Socket(unix.SOCK_DGRAM, 7777)
	h.Meet()
	q := h.Queue(0)
	before := q.Stats()
	var pkts []*nic.Packet
	for i := range 100 {
		pkts = append(pkts, h.Packet(q, nictest.UDPPartial, h.UDP(5000, 7777, fmt.Sprint(i))))
		if i == 50 { // one that cannot be sent does not stop the others
			pkts = append(pkts, h.Packet(q, nic.Meta{}, make([]byte, 1700)))
		}
	}
	require.Equal(t, 101, q.Send(pkts))
	require.Equal(t, before.TxPackets, q.Stats().TxPackets, "Send gathers, Kick sends")
	q.Kick()
	for i := range 100 {
		got, _ := nictest.Received(t, fd)
		require.Equal(t, fmt.Sprint(i), got)
		nictest.ToUs(t, fd, 5000, fmt.Sprint(i))
	}
	for i := range 100 {
		p := h.Await("a datagram", nictest.IsUDP)
		require.Equal(t, fmt.Sprint(i), nictest.Text(p))
		p.Release()
	}
	s := q.Stats()
	require.EqualValues(t, 100, s.TxPackets-before.TxPackets)
	require.EqualValues(t, 1, s.TxDropped)
}

func TestFramesThatCannotBeSentAreDropped(t *testing.T) {
	h := openHost(t, Config{NoOffload: true})
	require.False(t, h.dev.Info().Offloads.Has(nic.TxChecksum))
	h.Send(0, nic.Meta{}, make([]byte, 18+1500+1))
	h.Send(0, nic.Meta{Checksum: nic.ChecksumPartial, ChecksumStart: 60}, make([]byte, 60))
	h.Send(0, nic.Meta{}, make([]byte, 13))
	require.EqualValues(t, 3, h.Queue(0).Stats().TxDropped)
	require.Nil(t, h.Queue(0).Alloc(70000))
	require.EqualValues(t, 1, h.Queue(0).Stats().NoBuffer)
}

func TestExhaustedPoolDropsFramesAndRecovers(t *testing.T) {
	h := openHost(t, Config{Pool: 64})
	fd := h.Socket(unix.SOCK_DGRAM, 7777)
	h.Meet()
	q := h.Queue(0)
	for range 200 {
		nictest.ToUs(t, fd, 5000, "hello")
	}
	var held []*nic.Packet
	var pkts [32]*nic.Packet
	for range 20 {
		held = append(held, pkts[:q.Recv(pkts[:])]...)
	}
	require.LessOrEqual(t, len(held), 64)
	require.NotZero(t, q.Stats().RxDropped)
	for _, p := range held {
		p.Release()
	}
	nictest.Drain(q)
	h.Meet()
}

func TestKernelsDropsAreCounted(t *testing.T) {
	h := openHost(t, Config{Buffer: 1 << 16})
	fd := h.Socket(unix.SOCK_DGRAM, 7777)
	h.Meet()
	before := nic.DeviceStats(h.dev)
	for range 1000 {
		nictest.ToUs(t, fd, 5000, "too many at a time")
	}
	q := h.Queue(0)
	got, seen, now := 0, uint64(0), q.Stats()
	for end := time.Now().Add(nictest.Patience); seen < 1000; time.Sleep(time.Millisecond) { // the last may be on their way
		require.True(t, time.Now().Before(end), "%d of 1000", seen)
		got += nictest.Drain(q)
		now = q.Stats()
		seen = now.RxPackets + now.RxDropped - before.RxPackets - before.RxDropped
	}
	require.Less(t, got, 1000)
	require.LessOrEqual(t, seen, uint64(1100), "the kernel may ask for us by ARP as well")
	require.Equal(t, now.RxDropped, q.Stats().RxDropped, "once")
}

func TestSleeperIsWokenWhenABufferIsFree(t *testing.T) {
	h := openHost(t, Config{Pool: 64})
	h.Meet()
	q := h.Queue(0)
	all := make([]*nic.Packet, 100)
	n := q.AllocBatch(all, 60)
	require.Less(t, n, 100)
	require.Nil(t, q.Alloc(60))
	nictest.Sleep(q)
	before := q.Stats().Wakes
	all[0].Release()
	require.Equal(t, before+1, q.Stats().Wakes)
	require.False(t, q.Arm(), "what is there is known only now")
	for _, p := range all[1:n] {
		p.Release()
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) { openHost(t, Config{}).AllocatesNothing() }
