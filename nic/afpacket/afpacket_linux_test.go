package afpacket

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

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
	h.meet()
	echo := append([]byte{8, 0, 0, 0, 0, 7, 0, 1}, "are you there?"...)
	binary.BigEndian.PutUint16(echo[2:], ^sum(echo))
	h.send(0, nic.Meta{}, h.ipv4(unix.IPPROTO_ICMP, echo))
	p := h.await("an echo reply", func(p *nic.Packet) bool { return isIPv4(p, unix.IPPROTO_ICMP) && p.Bytes()[34] == 0 })
	require.Equal(t, "are you there?", string(p.Bytes()[42:]))
	p.Release()
	s := nic.DeviceStats(h.dev)
	require.EqualValues(t, 2, s.TxPackets)
	require.EqualValues(t, 42+56, s.TxBytes)
	require.GreaterOrEqual(t, s.RxPackets, uint64(2))
}

// TestSleepingPollerIsWokenForEachFrame: a lost wake-up makes await give up.
func TestSleepingPollerIsWokenForEachFrame(t *testing.T) {
	h := openHost(t, Config{})
	fd := h.socket(unix.SOCK_DGRAM, 7777)
	h.meet()
	var sending sync.WaitGroup
	next := make(chan struct{})
	sending.Go(func() {
		for range next {
			if err := unix.Sendto(fd, []byte("hello"), 0, &unix.SockaddrInet4{Addr: ourIP.As4(), Port: 5000}); err != nil {
				t.Error(err)
			}
		}
	})
	for range 300 {
		next <- struct{}{} // it runs while we fall asleep
		h.await("a datagram", isUDP).Release()
	}
	close(next)
	sending.Wait()

	// And one that surely sleeps.
	q := h.dev.queues[0]
	for drain(q); !q.Arm(); drain(q) {
	}
	before := q.Stats().Wakes
	toUs(t, fd, 5000, "wake up")
	require.Eventually(t, func() bool { return q.Stats().Wakes > before }, patience, time.Millisecond)
	drain(q)
}

func TestKernelCompletesPartialChecksums(t *testing.T) {
	for _, features := range []string{"on", "off"} {
		t.Run("tx-"+features, func(t *testing.T) {
			h := cable(t)
			sh(t, h.ours, "ethtool -K fnb tx "+features)
			h.open(Config{})
			fd := h.socket(unix.SOCK_DGRAM, 7777)
			h.meet()
			h.send(0, udpPartial, h.udp(5000, 7777, "partial"))
			// In parts, with the headers in the first, as Alloc may give them.
			frame := h.udp(5000, 7777, "in parts")
			q := h.dev.queues[0]
			p := h.packet(q, udpPartial, frame[:42])
			p.Append(h.packet(q, nic.Meta{}, frame[42:]))
			require.Equal(t, 1, q.Send([]*nic.Packet{p}))
			q.Kick()
			buf := make([]byte, 100)
			for _, want := range []string{"partial", "in parts"} {
				n, _, err := recvfrom(fd, buf, 0)
				require.NoError(t, err)
				require.Equal(t, want, string(buf[:n]))
			}
		})
	}
}

func TestFramesSayWhatTheirChecksumIs(t *testing.T) {
	for _, features := range []string{"on", "off"} {
		t.Run("tx-"+features, func(t *testing.T) {
			h := cable(t)
			sh(t, h.theirs, "ethtool -K fna tx "+features)
			h.open(Config{})
			fd := h.socket(unix.SOCK_DGRAM, 7777)
			h.meet()
			toUs(t, fd, 5000, "hello")
			p := h.await("a datagram", isUDP)
			defer p.Release()
			if features == "on" {
				require.Equal(t, nic.ChecksumPartial, p.Checksum)
				require.EqualValues(t, 34, p.ChecksumStart)
				require.EqualValues(t, 6, p.ChecksumOffset)
				full, at, ok := p.CompleteChecksum()
				require.True(t, ok)
				binary.BigEndian.PutUint16(p.Bytes()[at:], full)
			} else {
				require.NotEqual(t, nic.ChecksumPartial, p.Checksum)
			}
			require.EqualValues(t, 0xffff, sum(pseudo(unix.IPPROTO_UDP, 13), p.Bytes()[34:47]), "it is right when complete")
		})
	}
}

func TestFilterKeepsTheKernelsTrafficFromUs(t *testing.T) {
	h := cable(t)
	sh(t, h.ours, "ip address add 10.77.0.9/24 dev fnb")
	h.open(Config{})
	fd := h.socket(unix.SOCK_DGRAM, 7777)
	h.meet()
	toUs(t, fd, 5000, "before")
	p := h.await("a datagram", isUDP)
	frame := append([]byte{}, p.Bytes()...)
	p.Release()
	drain(h.dev.queues[0])
	before := nic.DeviceStats(h.dev).RxPackets

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
	toUs(t, fd, 5000, "after")
	for _, want := range []string{"before", "after"} {
		p := h.await(want, isUDP)
		require.Equal(t, want, text(p))
		p.Release()
	}
	// The kernels ask for each other by ARP, which is for all.
	require.LessOrEqual(t, nic.DeviceStats(h.dev).RxPackets-before, uint64(6))
}

// rawFrames sends frames from the other end, as they are.
func (h *host) rawFrames(frames ...[]byte) {
	h.t.Helper()
	require.NoError(h.t, link.InNamespace(h.theirs, func() error {
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
	sh(t, h.ours, "ip address add 10.77.0.9/24 dev fnb; sysctl -qw net.ipv4.conf.fnb.forwarding=1")
	_, err := open(h.config(Config{}))
	require.ErrorContains(t, err, "afpacket: fnb: the kernel forwards packets (sysctl net.ipv4.conf.fnb.forwarding), those for 10.77.0.2 too: give the stack a MAC address of its own")
	own := nic.MAC{0x02, 0, 0, 0, 0, 0x99}
	h.open(Config{MAC: own})
	require.Equal(t, own, h.dev.Info().MAC)
	fd := h.socket(unix.SOCK_DGRAM, 7777)
	h.meet()
	toUs(t, fd, 5000, "hello")
	p := h.await("a datagram", isUDP)
	require.Equal(t, own, nic.MAC(p.Bytes()[:6]))
	p.Release()
	// Each answers for its own address, with its own.
	require.NoError(t, unix.Sendto(fd, []byte("x"), 0, &unix.SockaddrInet4{Addr: [4]byte{10, 77, 0, 9}, Port: 9}))
	shared := sharedMAC(t, h)
	require.Eventually(t, func() bool {
		return strings.Contains(sh(t, h.theirs, "ip neigh show 10.77.0.9"), "lladdr "+shared)
	}, patience, 10*time.Millisecond)
	require.Contains(t, sh(t, h.theirs, "ip neigh show 10.77.0.2"), "lladdr 02:00:00:00:00:99")
}

// sharedMAC is the interface's own address.
func sharedMAC(t *testing.T, h *host) string {
	t.Helper()
	return strings.Fields(sh(t, h.ours, "ip -br link show fnb"))[2]
}

func TestFlowsAreSpreadOverTheQueues(t *testing.T) {
	h := openHost(t, Config{Queues: 3})
	require.Len(t, h.dev.Queues(), 3)
	fd := h.socket(unix.SOCK_DGRAM, 7777)
	h.meet()
	buf := make([]byte, 100)
	home := map[int]uint16{}
	used := map[uint16]bool{}
	for i := range 60 {
		port := 5000 + i%20
		data := fmt.Sprint("datagram ", i)
		h.send(i%3, udpPartial, h.udp(uint16(port), 7777, data))
		n, from, err := recvfrom(fd, buf, 0)
		require.NoError(t, err)
		require.Equal(t, data, string(buf[:n]))
		require.NoError(t, unix.Sendto(fd, buf[:n], 0, from))
		p := h.await("its echo", isUDP)
		require.Equal(t, data, text(p))
		if q, ok := home[port]; ok {
			require.Equal(t, q, p.Queue, "a flow stays on its queue")
		}
		home[port], used[p.Queue] = p.Queue, true
		p.Release()
		for _, q := range h.dev.queues {
			require.Zero(t, drain(q), "each frame comes once")
		}
	}
	require.Len(t, used, 3)
	require.EqualValues(t, 61, nic.DeviceStats(h.dev).TxPackets)
}

func TestBurstCrossesInOrder(t *testing.T) {
	h := openHost(t, Config{})
	fd := h.socket(unix.SOCK_DGRAM, 7777)
	h.meet()
	q := h.dev.queues[0]
	buf := make([]byte, 100)
	var pkts []*nic.Packet
	for i := range 100 {
		pkts = append(pkts, h.packet(q, udpPartial, h.udp(5000, 7777, fmt.Sprint(i))))
		if i == 50 { // one that cannot be sent does not stop the others
			pkts = append(pkts, h.packet(q, nic.Meta{}, make([]byte, 1700)))
		}
	}
	require.Equal(t, 101, q.Send(pkts))
	require.EqualValues(t, 1, q.Stats().TxPackets, "Send gathers, Kick sends")
	q.Kick()
	for i := range 100 {
		n, _, err := recvfrom(fd, buf, 0)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(i), string(buf[:n]))
		toUs(t, fd, 5000, fmt.Sprint(i))
	}
	for i := range 100 {
		p := h.await("a datagram", isUDP)
		require.Equal(t, fmt.Sprint(i), text(p))
		p.Release()
	}
	s := q.Stats()
	require.EqualValues(t, 101, s.TxPackets)
	require.EqualValues(t, 1, s.TxDropped)
}

func TestFramesThatCannotBeSentAreDropped(t *testing.T) {
	h := openHost(t, Config{NoOffload: true})
	require.False(t, h.dev.Info().Offloads.Has(nic.TxChecksum))
	h.send(0, nic.Meta{}, make([]byte, 18+1500+1))
	h.send(0, nic.Meta{Checksum: nic.ChecksumPartial, ChecksumStart: 60}, make([]byte, 60))
	h.send(0, nic.Meta{}, make([]byte, 13))
	require.EqualValues(t, 3, h.dev.queues[0].Stats().TxDropped)
	require.Nil(t, h.dev.queues[0].Alloc(70000))
	require.EqualValues(t, 1, h.dev.queues[0].Stats().NoBuffer)
}

func TestExhaustedPoolDropsFramesAndRecovers(t *testing.T) {
	h := openHost(t, Config{Pool: 64})
	fd := h.socket(unix.SOCK_DGRAM, 7777)
	h.meet()
	q := h.dev.queues[0]
	for range 200 {
		toUs(t, fd, 5000, "hello")
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
	drain(q)
	h.meet()
}

func TestKernelsDropsAreCounted(t *testing.T) {
	h := openHost(t, Config{Buffer: 1 << 16})
	fd := h.socket(unix.SOCK_DGRAM, 7777)
	h.meet()
	before := nic.DeviceStats(h.dev)
	for range 1000 {
		toUs(t, fd, 5000, "too many at a time")
	}
	q := h.dev.queues[0]
	time.Sleep(10 * time.Millisecond)
	got := drain(q)
	require.Less(t, got, 1000)
	now := q.Stats()
	seen := now.RxPackets + now.RxDropped - before.RxPackets - before.RxDropped
	require.GreaterOrEqual(t, seen, uint64(1000))
	require.LessOrEqual(t, seen, uint64(1004), "the kernel may ask for us by ARP as well")
	require.Equal(t, now.RxDropped, q.Stats().RxDropped, "once")
}

func TestSleeperIsWokenWhenABufferIsFree(t *testing.T) {
	h := openHost(t, Config{Pool: 64})
	h.meet()
	q := h.dev.queues[0]
	all := make([]*nic.Packet, 100)
	n := q.AllocBatch(all, 60)
	require.Less(t, n, 100)
	require.Nil(t, q.Alloc(60))
	for drain(q); !q.Arm(); drain(q) {
	}
	before := q.Stats().Wakes
	all[0].Release()
	require.Equal(t, before+1, q.Stats().Wakes)
	require.False(t, q.Arm(), "what is there is known only now")
	for _, p := range all[1:n] {
		p.Release()
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	h := openHost(t, Config{})
	h.meet()
	q := h.dev.queues[0]
	question := arp()
	pkts := make([]*nic.Packet, 8)
	round := func() {
		p := q.Alloc(len(question))
		copy(p.Extend(len(question)), question)
		pkts[0] = p
		q.Send(pkts[:1])
		q.Kick()
		for _, p := range pkts[:q.Recv(pkts)] {
			p.Release()
		}
		q.Arm()
	}
	for range 100 {
		round()
	}
	require.Zero(t, testing.AllocsPerRun(200, round))
}
