package fdbased

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/internal/link"
	"github.com/fastnet-go/fastnet/nic/internal/vnet"
)

const patience = 10 * time.Second

// testQueue receives what the other end of a pair of sockets sends.
type testQueue struct {
	Queue
	slots  []Slot
	beyond int
	other  int
	woken  chan struct{}
}

func (q *testQueue) Send(pkts []*nic.Packet) int {
	q.Drop(pkts)
	return len(pkts)
}

func (q *testQueue) Kick() {}

func (q *testQueue) read(fd uintptr) {
	for q.Wanted() > 0 {
		if q.Post(q.slots, q.beyond) == 0 {
			if q.Discard(fd) != nil {
				return
			}
			continue
		}
		s := &q.slots[0]
		var iov [][]byte
		iov = append(iov, s.Header[:])
		for _, p := range s.parts {
			if p != nil {
				iov = append(iov, p.Buffer()[p.Headroom():])
			}
		}
		n, err := unix.Readv(int(fd), iov)
		if err != nil {
			return
		}
		p := s.Take(n - vnet.HeaderSize)
		q.Deliver(p, p.FrameLen())
	}
}

// send sends the other end's frame of size bytes.
func (q *testQueue) send(t *testing.T, size int) {
	t.Helper()
	require.NoError(t, unix.Send(q.other, make([]byte, vnet.HeaderSize+size), 0))
}

func newTestDevice(t *testing.T, cfg BufferConfig, beyond int) (*Device, *testQueue) {
	t.Helper()
	d := &Device{About: nic.Info{Name: "test"}}
	q := &testQueue{beyond: beyond, woken: make(chan struct{}, 16)}
	err := d.Open("", func() ([]int, error) {
		var err error
		d.Follower, err = link.NewFollower()
		require.NoError(t, err)
		d.Set("test", 0, nic.Link{Up: true, MTU: 1500})
		cfg.MTU, cfg.Freed = 1500, d.Freed
		require.NoError(t, d.MakeBuffers(cfg))
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		q.other = fds[1]
		return fds[:1], nil
	}, "socket", func(i int, file *os.File) Endpoint {
		q.Init(d, i, file)
		q.slots = q.MakeSlots(1)
		q.Read = q.read
		q.SetWake(func() { q.woken <- struct{}{} })
		return q
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		unix.Close(q.other)
		if err := d.Close(); err != nil {
			require.ErrorIs(t, err, nic.ErrClosed)
		}
		require.Zero(t, d.InUse(), "buffers are left")
	})
	return d, q
}

func (q *testQueue) awaitWake(t *testing.T) {
	t.Helper()
	select {
	case <-q.woken:
	case <-time.After(patience):
		t.Fatal("nobody was woken")
	}
}

func TestArmedQueueWakesOnce(t *testing.T) {
	_, q := newTestDevice(t, BufferConfig{Small: 64}, 0)
	var pkts [4]*nic.Packet
	for range 100 {
		require.True(t, q.Arm())
		q.send(t, 60)
		q.awaitWake(t)
		require.Equal(t, 1, q.Recv(pkts[:]))
		pkts[0].Release()
	}
	q.send(t, 60)
	require.False(t, q.Arm(), "there is something already")
	require.Empty(t, q.woken)
	s := q.Stats()
	require.EqualValues(t, 100, s.Wakes)
	require.EqualValues(t, 100, s.RxPackets)
	require.EqualValues(t, 100*60, s.RxBytes)
}

func TestWakeUpsThatTheDriverOwes(t *testing.T) {
	_, q := newTestDevice(t, BufferConfig{Small: 64}, 0)
	owed := true
	q.Owed = func() bool { return owed }
	require.False(t, q.Arm())
	owed = false
	require.True(t, q.Arm())
	q.Wake()
	q.Wake()
	q.awaitWake(t)
	require.Empty(t, q.woken)
}

func TestSleeperIsWokenWhenABufferIsFree(t *testing.T) {
	_, q := newTestDevice(t, BufferConfig{Small: 4, Super: true}, 0)
	all := make([]*nic.Packet, 6)
	require.Equal(t, 4, q.AllocBatch(all, 100))
	large := q.Alloc(10000)
	require.NotNil(t, large)
	require.True(t, q.Arm())
	large.Release()
	require.Empty(t, q.woken, "that is not what was short")
	all[0].Release()
	q.awaitWake(t)

	reclaimed := 0
	q.Reclaim = func() {
		reclaimed++
		all[1].Release()
	}
	all[0] = q.Alloc(100)
	require.Zero(t, reclaimed)
	all[1] = q.Alloc(100)
	require.NotNil(t, all[1])
	require.Equal(t, 1, reclaimed)
	q.Reclaim = nil
	for _, p := range all[:4] {
		p.Release()
	}
	require.Nil(t, q.Alloc(70000))
	require.EqualValues(t, 2, q.Stats().NoBuffer)
}

// TestSlotsKeepWhatAFrameDidNotNeed: a small frame takes one buffer, a large one
// as many as it fills, and what was taken beyond is used for the next.
func TestSlotsKeepWhatAFrameDidNotNeed(t *testing.T) {
	d, q := newTestDevice(t, BufferConfig{Small: 64, Large: 16}, 3)
	var pkts [1]*nic.Packet
	receive := func(size, parts int) {
		t.Helper()
		q.send(t, size)
		require.Equal(t, 1, q.Recv(pkts[:]))
		p := pkts[0]
		require.Equal(t, size, p.FrameLen())
		for n := 0; p != nil; p = p.Next() {
			n++
			require.LessOrEqual(t, n, parts)
		}
	}
	receive(60, 1)
	require.Equal(t, 1, d.InUse())
	require.Equal(t, 4, d.RxSmall.InUse(), "three are ready for the next")
	require.Equal(t, Spill, d.RxLarge.InUse())
	pkts[0].Release()
	small, large := d.RxSmall.Room(), d.RxLarge.Room()
	receive(small, 1)
	pkts[0].Release()
	receive(small+1, 2)
	pkts[0].Release()
	receive(small+2*large, 3)
	require.Equal(t, 3, d.InUse())
	pkts[0].Release()
	require.Zero(t, d.InUse())
}

func TestWithoutABufferFramesAreDiscarded(t *testing.T) {
	_, q := newTestDevice(t, BufferConfig{Small: 2}, 0)
	var pkts [8]*nic.Packet
	for range 5 {
		q.send(t, 60)
	}
	n := q.Recv(pkts[:])
	require.Equal(t, 2, n)
	require.EqualValues(t, 3, q.Stats().RxDropped)
	for _, p := range pkts[:n] {
		p.Release()
	}
	q.send(t, 60)
	require.Equal(t, 1, q.Recv(pkts[:]))
	pkts[0].Release()
}

func TestClosedDeviceIsQuiet(t *testing.T) {
	d, q := newTestDevice(t, BufferConfig{Small: 64}, 7)
	var pkts [1]*nic.Packet
	q.send(t, 60)
	require.Equal(t, 1, q.Recv(pkts[:]))
	require.True(t, q.Arm())
	require.NoError(t, d.Close(), "though the waiter sleeps")
	require.ErrorIs(t, d.Close(), nic.ErrClosed)
	require.Equal(t, 1, d.InUse())
	pkts[0].Release()
	require.Zero(t, q.Recv(pkts[:]))
	require.True(t, q.Arm())
}
