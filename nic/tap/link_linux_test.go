package tap

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/internal/link"
)

func TestLinkFollowsTheKernelsEnd(t *testing.T) {
	h := openHost(t, Config{})
	changes := make(chan nic.Link, 16)
	h.dev.Notify(func(l nic.Link) { changes <- l })
	next := func() nic.Link {
		t.Helper()
		select {
		case l := <-changes:
			return l
		case <-time.After(patience):
			t.Fatal("no notification")
			return nic.Link{}
		}
	}
	h.meet()
	index := linkIndex(t, h.ns, h.dev.info.Name)
	rtnl(t, h.ns, func(n *link.Socket) error { return n.SetMTU(index, 1400) })
	require.Equal(t, nic.Link{Up: true, MTU: 1400}, next())
	require.Equal(t, 1400, h.dev.Info().MTU)
	rtnl(t, h.ns, func(n *link.Socket) error { return n.SetUp(index, false) })
	require.Equal(t, nic.Link{MTU: 1400}, next())
	h.send(0, udpPartial, h.udp(1, 2, "nobody there"))
	require.EqualValues(t, 1, h.dev.queues[0].Stats().TxDropped)
	rtnl(t, h.ns, func(n *link.Socket) error { return n.SetUp(index, true) })
	require.Equal(t, nic.Link{Up: true, MTU: 1400}, next())
	h.meet()

	// Had the announcement been lost, asking would have the same effect.
	h.dev.Change(func(l *nic.Link) { l.MTU = 1 })
	require.Equal(t, 1, next().MTU)
	h.dev.Ask()
	require.Equal(t, nic.Link{Up: true, MTU: 1400}, next())

	h.dev.Notify(nil)
	rtnl(t, h.ns, func(n *link.Socket) error { return n.SetMTU(index, 1500) })
	require.Eventually(t, func() bool { return h.dev.Link().MTU == 1500 }, patience, time.Millisecond)
	require.Empty(t, changes)
}

func TestDeviceDeletedUnderUsIsDeadForGood(t *testing.T) {
	h := openHost(t, Config{})
	dead := make(chan nic.Link, 4)
	h.dev.Notify(func(l nic.Link) {
		if l.Err != nil {
			dead <- l
		}
	})
	h.meet()
	q := h.dev.queues[0]
	drain(q)
	q.Arm()
	index := linkIndex(t, h.ns, h.dev.info.Name)
	rtnl(t, h.ns, func(n *link.Socket) error { return n.Delete(index) })
	select {
	case l := <-dead:
		require.False(t, l.Up)
		require.ErrorContains(t, l.Err, "is gone")
	case <-time.After(patience):
		t.Fatal("nobody noticed")
	}
	require.Error(t, h.dev.Link().Err)
	drain(q)
	require.True(t, q.Arm(), "there is nothing to come")
	h.send(0, nic.Meta{}, make([]byte, 60))
	require.EqualValues(t, 1, q.Stats().TxDropped)
	require.NoError(t, h.dev.Close())
}

func TestCloseEndsASleepingQueue(t *testing.T) {
	before := runtime.NumGoroutine()
	h := openHost(t, Config{Queues: 3})
	for _, q := range h.dev.queues {
		for drain(q); !q.Arm(); drain(q) {
		}
	}
	runtime.Gosched()
	require.NoError(t, h.dev.Close())
	require.ErrorIs(t, h.dev.Close(), nic.ErrClosed)
	require.ErrorIs(t, h.dev.Link().Err, nic.ErrClosed)
	q := h.dev.queues[0]
	var one [1]*nic.Packet
	require.Zero(t, q.Recv(one[:]))
	require.True(t, q.Arm())
	h.send(0, nic.Meta{}, make([]byte, 60))
	require.EqualValues(t, 1, q.Stats().TxDropped)
	// The test's own threads may take a moment to end.
	for end := time.Now().Add(patience); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		require.True(t, time.Now().Before(end), "goroutines are left")
	}
}

func TestCloseDuringTraffic(t *testing.T) {
	h := openHost(t, Config{})
	h.meet()
	frame := h.udp(5000, 7777, "x")
	q := h.dev.queues[0]
	stop := make(chan struct{})
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if p := q.Alloc(len(frame)); p != nil {
					p.Meta = udpPartial
					copy(p.Extend(len(frame)), frame)
					if q.Send([]*nic.Packet{p}) == 0 {
						p.Release()
					}
					q.Kick()
				}
			}
		})
	}
	all.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				drain(q)
				q.Arm()
			}
		}
	})
	time.Sleep(5 * time.Millisecond)
	require.NoError(t, h.dev.Close())
	close(stop)
	all.Wait()
}
