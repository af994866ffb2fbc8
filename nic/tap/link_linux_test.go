package tap

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/internal/nictest"
	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/internal/link"
)

func TestLinkFollowsTheKernelsEnd(t *testing.T) {
	h := openHost(t, Config{})
	changes := make(chan nic.Link, 16)
	next := h.Links(changes)
	h.Meet()
	index := linkIndex(t, h.Kernel, h.dev.Info().Name)
	rtnl(t, h.Kernel, func(n *link.Socket) error { return n.SetMTU(index, 1400) })
	require.Equal(t, nic.Link{Up: true, MTU: 1400}, next())
	require.Equal(t, 1400, h.dev.Info().MTU)
	rtnl(t, h.Kernel, func(n *link.Socket) error { return n.SetUp(index, false) })
	require.Equal(t, nic.Link{MTU: 1400}, next())
	h.Send(0, nictest.UDPPartial, h.UDP(1, 2, "nobody there"))
	require.EqualValues(t, 1, h.Queue(0).Stats().TxDropped)
	rtnl(t, h.Kernel, func(n *link.Socket) error { return n.SetUp(index, true) })
	require.Equal(t, nic.Link{Up: true, MTU: 1400}, next())
	h.Meet()

	// Had the announcement been lost, asking would have the same effect.
	h.dev.Change(func(l *nic.Link) { l.MTU = 1 })
	require.Equal(t, 1, next().MTU)
	h.dev.Ask()
	require.Equal(t, nic.Link{Up: true, MTU: 1400}, next())

	h.dev.Notify(nil)
	rtnl(t, h.Kernel, func(n *link.Socket) error { return n.SetMTU(index, 1500) })
	require.Eventually(t, func() bool { return h.dev.Link().MTU == 1500 }, nictest.Patience, time.Millisecond)
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
	h.Meet()
	q := h.Queue(0)
	nictest.Drain(q)
	q.Arm()
	index := linkIndex(t, h.Kernel, h.dev.Info().Name)
	rtnl(t, h.Kernel, func(n *link.Socket) error { return n.Delete(index) })
	select {
	case l := <-dead:
		require.False(t, l.Up)
		require.ErrorContains(t, l.Err, "is gone")
	case <-time.After(nictest.Patience):
		t.Fatal("nobody noticed")
	}
	require.Error(t, h.dev.Link().Err)
	nictest.Drain(q)
	require.True(t, q.Arm(), "there is nothing to come")
	h.Send(0, nic.Meta{}, make([]byte, 60))
	require.EqualValues(t, 1, q.Stats().TxDropped)
	require.NoError(t, h.dev.Close())
}

func TestCloseEndsASleepingQueue(t *testing.T) {
	before := runtime.NumGoroutine()
	h := openHost(t, Config{Queues: 3})
	for _, q := range h.Queues() {
		nictest.Sleep(q)
	}
	runtime.Gosched()
	h.IsQuietOnceClosed()
	nictest.NoneLeft(t, before)
}

func TestCloseDuringTraffic(t *testing.T) { openHost(t, Config{}).ClosesDuringTraffic() }
