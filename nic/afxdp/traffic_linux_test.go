package afxdp

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic"
)

func TestCloseDuringTraffic(t *testing.T) {
	l := newLab(t, 2)
	raw := l.raw()
	frame := l.udp(ourIP.As4(), 7, make([]byte, 100))
	for range 5 {
		h := l.open(Config{Ring: 64, Frames: 512})
		h.exclusive()
		var stop atomic.Bool
		var all sync.WaitGroup
		all.Go(func() {
			for !stop.Load() {
				_, _ = write(raw, frame)
			}
		})
		held := make(chan *nic.Packet, 100)
		for _, q := range h.dev.Queues() {
			all.Go(func() { // polls, and keeps some
				var pkts [16]*nic.Packet
				for !stop.Load() {
					n := q.Recv(pkts[:])
					for _, p := range pkts[:n] {
						select {
						case held <- p:
						default:
							p.Release()
						}
					}
					if n == 0 && !q.Pending() && q.Arm() {
						select {
						case <-h.woken:
						case <-time.After(time.Millisecond):
						}
					}
				}
			})
			for range 2 {
				all.Go(func() {
					for !stop.Load() {
						p := q.Alloc(60)
						if p == nil {
							continue
						}
						copy(p.Extend(60), l.frame(l.peer, l.ourMAC, "traffic"))
						if q.Send([]*nic.Packet{p}) == 0 {
							p.Release()
						}
						q.Kick()
						q.Stats()
					}
				})
			}
		}
		require.Eventually(t, func() bool {
			n := nic.DeviceStats(h.dev)
			return n.RxPackets > 100 && n.TxPackets > 100
		}, patience, tick)
		require.NoError(t, h.dev.Close())
		stop.Store(true)
		all.Wait()
		close(held)
		for p := range held {
			p.Release()
		}
		require.Zero(t, h.dev.InUse())
	}
}
