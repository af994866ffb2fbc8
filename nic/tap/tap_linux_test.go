package tap

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/internal/nictest"
	"github.com/fastnet-go/fastnet/nic"
)

func TestKernelAnswersARPAndEcho(t *testing.T) {
	h := openHost(t, Config{Name: "fast0"})
	require.Equal(t, "fast0", h.dev.Info().Name)
	require.Equal(t, nic.Link{Up: true, MTU: 1500}, h.dev.Link())
	h.AnswersARPAndEcho()
}

func TestSleepingPollerIsWokenForEachFrame(t *testing.T) {
	openHost(t, Config{}).WakesASleeperForEachFrame()
}

func TestIPv6AddressOfTheKernelsEndIsUsableAtOnce(t *testing.T) {
	h := openHost(t, Config{HostAddrs: []netip.Prefix{netip.MustParsePrefix("fd77::1/64")}, MTU: 9000})
	require.Equal(t, nic.Link{Up: true, MTU: 9000}, h.dev.Link())
	require.NoError(t, h.Kernel.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Bind(fd, &unix.SockaddrInet6{Addr: netip.MustParseAddr("fd77::1").As16()})
	}))
}

func TestKernelCompletesPartialChecksums(t *testing.T) {
	h := openHost(t, Config{})
	require.True(t, h.dev.Info().Offloads.Has(nic.TxChecksum|nic.RxChecksum))
	h.CompletesPartialChecksums()
}

func TestFramesOfTheKernelSayWhatTheirChecksumIs(t *testing.T) {
	for off, want := range map[bool]nic.Checksum{false: nic.ChecksumPartial, true: nic.ChecksumNone} {
		t.Run(fmt.Sprintf("NoOffload=%v", off), func(t *testing.T) {
			h := openHost(t, Config{NoOffload: off})
			if off {
				require.Zero(t, h.dev.Info().Offloads)
			}
			h.SaysWhatTheChecksumIs(want)
		})
	}
}

func TestSuperSegmentsCrossBothWays(t *testing.T) {
	h := openHost(t, Config{})
	if !h.dev.Info().Offloads.Has(nic.TSO4 | nic.TSO6 | nic.LRO) {
		t.Skip("this kernel has no segmentation offload on TAP")
	}
	require.Greater(t, h.CarriesSuperSegments(30000), 1514, "the kernel left the cutting to us")
}

func TestAllQueuesCarryFrames(t *testing.T) {
	h := openHost(t, Config{Queues: 2})
	require.Len(t, h.dev.Queues(), 2)
	fd := h.Socket(unix.SOCK_DGRAM, 7777)
	h.Meet()
	before := h.Queue(0).Stats().TxPackets
	for i := range 20 {
		p := h.EchoOn(i%2, uint16(5000+i), fmt.Sprint("datagram ", i), fd)
		require.Less(t, p.Queue, uint16(2))
		p.Release()
	}
	require.EqualValues(t, 10, h.Queue(0).Stats().TxPackets-before)
	require.EqualValues(t, 10, h.Queue(1).Stats().TxPackets)
}

func TestFramesTooLargeForTheLinkAreDropped(t *testing.T) {
	h := openHost(t, Config{})
	h.Send(0, nic.Meta{}, make([]byte, 18+1500+1))
	h.Send(0, nic.Meta{Checksum: nic.ChecksumPartial, ChecksumStart: 60}, make([]byte, 60))
	require.EqualValues(t, 2, h.Queue(0).Stats().TxDropped)
	require.Nil(t, h.Queue(0).Alloc(70000))
	require.EqualValues(t, 1, h.Queue(0).Stats().NoBuffer)
}

func TestExhaustedPoolDropsFramesAndRecovers(t *testing.T) {
	h := openHost(t, Config{Pool: 8})
	fd := h.Socket(unix.SOCK_DGRAM, 7777)
	h.Meet()
	q := h.Queue(0)
	for range 50 {
		nictest.ToUs(t, fd, 5000, "hello")
	}
	var pkts [64]*nic.Packet
	n := q.Recv(pkts[:])
	if !viaVhost { // with it the kernel keeps what there is no room for
		require.Equal(t, 8, n)
		require.NotZero(t, q.Stats().RxDropped)
	}
	for _, p := range pkts[:n] {
		p.Release()
	}
	nictest.Drain(q)
	h.Meet()
}

func TestSleeperIsWokenWhenABufferIsFree(t *testing.T) {
	h := openHost(t, Config{Pool: 8})
	h.Meet()
	q := h.Queue(0)
	var all [10]*nic.Packet
	require.Equal(t, 8, q.AllocBatch(all[:], 60))
	require.Nil(t, q.Alloc(60))
	large := q.Alloc(60000)
	require.NotNil(t, large, "it has buffers of its own")
	nictest.Sleep(q)
	before := q.Stats().Wakes
	large.Release()
	require.Equal(t, before, q.Stats().Wakes, "not the one that is wanted")
	all[0].Release()
	require.Equal(t, before+1, q.Stats().Wakes)
	require.False(t, q.Arm(), "what is there is known only now")
	require.Equal(t, 0, q.AllocBatch(all[:0], 60))
	for _, p := range all[1:8] {
		p.Release()
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) { openHost(t, Config{}).AllocatesNothing() }

// TestFullRingMakesSendWait: by vhost-net. Nothing is lost before the kernel's
// thread has it, the order is kept, and the sender sleeps until it is woken.
func TestFullRingMakesSendWait(t *testing.T) {
	if !viaVhost {
		t.Skip("a descriptor has no ring: compat_test/vm/run.sh runs this by vhost-net")
	}
	h := openHost(t, Config{})
	fd := h.Socket(unix.SOCK_DGRAM, 7777)
	require.NoError(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20))
	h.Meet()
	q := h.Queue(0)
	before := q.Stats().TxPackets
	const n = 3000
	timeout := time.After(6 * nictest.Patience)
	slept := 0
	for i := range n {
		slept += h.SendPatiently(nictest.UDPPartial, h.UDP(5000, 7777, fmt.Sprint(i)), timeout)
	}
	q.Kick()
	for i := range n {
		got, _ := nictest.Received(t, fd)
		require.Equal(t, fmt.Sprint(i), got)
	}
	s := q.Stats()
	require.EqualValues(t, n, s.TxPackets-before)
	require.NotZero(t, s.TxFull)
	t.Logf("%d packets, slept %d times, %d kicks", n, slept, s.Kicks)
}

// TestForeignMemoryIsCopied: a part that is not in the device's memory, which is
// all that the kernel's thread can reach.
func TestForeignMemoryIsCopied(t *testing.T) {
	h := openHost(t, Config{})
	fd := h.Socket(unix.SOCK_DGRAM, 7777)
	h.Meet()
	pool, err := nic.NewPool(nic.PoolConfig{})
	require.NoError(t, err)
	frame := h.UDP(5000, 7777, "from elsewhere")
	p := h.Packet(h.Queue(0), nictest.UDPPartial, frame[:42])
	rest := pool.Get()
	copy(rest.Extend(len(frame)-42), frame[42:])
	p.Append(rest)
	require.Equal(t, 1, h.Queue(0).Send([]*nic.Packet{p}))
	h.Queue(0).Kick()
	got, _ := nictest.Received(t, fd)
	require.Equal(t, "from elsewhere", got)
	require.Zero(t, pool.InUse())
}
