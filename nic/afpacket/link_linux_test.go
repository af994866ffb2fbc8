package afpacket

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
)

// links collects what Notify tells.
func (h *host) links() func() nic.Link {
	changes := make(chan nic.Link, 16)
	h.dev.Notify(func(l nic.Link) { changes <- l })
	return func() nic.Link {
		h.t.Helper()
		select {
		case l := <-changes:
			return l
		case <-time.After(patience):
			h.t.Fatal("no notification")
			return nic.Link{}
		}
	}
}

func TestLinkFollowsTheInterface(t *testing.T) {
	for name, cfg := range map[string]Config{"one queue": {}, "several queues": {Queues: 2}} {
		t.Run(name, func(t *testing.T) {
			h := openHost(t, cfg)
			next := h.links()
			h.meet()
			sh(t, h.ours, "ip link set fnb mtu 1400")
			require.Equal(t, nic.Link{Up: true, MTU: 1400}, next())
			require.Equal(t, 1400, h.dev.Info().MTU)
			sh(t, h.ours, "ip link set fnb mtu 9000; ip link set fnb mtu 1500")
			for next().MTU != 1500 {
			}

			sh(t, h.ours, "ip link set fnb down")
			require.Equal(t, nic.Link{MTU: 1500}, next())
			dropped := nic.DeviceStats(h.dev).TxDropped
			h.send(0, nic.Meta{}, arp())
			require.Equal(t, dropped+1, nic.DeviceStats(h.dev).TxDropped)
			sh(t, h.ours, "ip link set fnb up")
			for !next().Up {
			}
			h.meet()

			// The cable pulled at the other end.
			sh(t, h.theirs, "ip link set fna down")
			require.False(t, next().Up)
			sh(t, h.theirs, "ip link set fna up")
			for !next().Up {
			}
			h.meet()
		})
	}
}

func TestFramesOfALargerMTUThanAtTheStartArrive(t *testing.T) {
	h := openHost(t, Config{})
	next := h.links()
	sh(t, h.ours, "ip link set fnb mtu 9000")
	sh(t, h.theirs, "ip link set fna mtu 9000")
	for next().MTU != 9000 {
	}
	fd := h.socket(unix.SOCK_DGRAM, 7777)
	h.meet()
	big := string(make([]byte, 8000)) + "the end"
	toUs(t, fd, 5000, big)
	p := h.await("a jumbo frame", isUDP)
	require.Equal(t, 42+len(big), p.FrameLen())
	end := make([]byte, 7)
	require.Equal(t, 7, p.CopyTo(end, 42+8000))
	require.Equal(t, "the end", string(end))
	p.Release()
	h.send(0, udpPartial, h.udp(5000, 7777, big))
	buf := make([]byte, 9000)
	n, _, err := recvfrom(fd, buf, 0)
	require.NoError(t, err)
	require.Equal(t, big, string(buf[:n]))
}

func TestInterfaceThatIsGoneIsDeadForGood(t *testing.T) {
	for name, end := range map[string]func(h *host){
		"deleted":           func(h *host) { sh(t, h.ours, "ip link delete fnb") },
		"its peer deleted":  func(h *host) { sh(t, h.theirs, "ip link delete fna") },
		"moved away":        func(h *host) { sh(t, h.ours, "ip link set fnb netns "+h.theirs) },
		"address changed":   func(h *host) { sh(t, h.ours, "ip link set fnb address 02:00:00:00:00:33") },
		"asked after delay": func(h *host) { sh(t, h.ours, "ip link delete fnb"); h.dev.Ask() },
	} {
		t.Run(name, func(t *testing.T) {
			h := openHost(t, Config{Queues: 2})
			h.t = t
			next := h.links()
			h.meet()
			for _, q := range h.dev.queues {
				drain(q)
				q.Arm()
			}
			end(h)
			l := next()
			for l.Err == nil {
				l = next()
			}
			require.False(t, l.Up)
			require.ErrorContains(t, l.Err, "afpacket: fnb")
			q := h.dev.queues[0]
			drain(q)
			require.True(t, q.Arm(), "there is nothing to come")
			dropped := q.Stats().TxDropped
			h.send(0, nic.Meta{}, make([]byte, 60))
			require.Equal(t, dropped+1, q.Stats().TxDropped)
			require.NoError(t, h.dev.Close())
		})
	}
}

func TestCloseWithPacketsHeldAndPollersAsleep(t *testing.T) {
	before := runtime.NumGoroutine()
	h := openHost(t, Config{Queues: 3})
	fd := h.socket(unix.SOCK_DGRAM, 7777)
	h.meet()
	toUs(t, fd, 5000, "held")
	p := h.await("a datagram", isUDP)
	q := h.dev.queues[0]
	require.Equal(t, 1, q.Send([]*nic.Packet{h.packet(q, nic.Meta{}, arp())}), "and nobody kicks")
	for _, q := range h.dev.queues {
		for drain(q); !q.Arm(); drain(q) {
		}
	}
	runtime.Gosched()
	require.NoError(t, h.dev.Close())
	require.ErrorIs(t, h.dev.Close(), nic.ErrClosed)
	require.ErrorIs(t, h.dev.Link().Err, nic.ErrClosed)
	require.Equal(t, 1, h.dev.InUse())
	require.Equal(t, "held", text(p), "it stays readable")
	p.Release()
	var one [1]*nic.Packet
	require.Zero(t, q.Recv(one[:]))
	require.True(t, q.Arm())
	dropped := q.Stats().TxDropped
	require.NotZero(t, dropped, "what nobody kicked")
	h.send(0, nic.Meta{}, make([]byte, 60))
	require.Equal(t, dropped+1, q.Stats().TxDropped)
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
