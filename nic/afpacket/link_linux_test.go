package afpacket

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/internal/nictest"
	"github.com/fastnet-go/fastnet/nic"
)

func TestLinkFollowsTheInterface(t *testing.T) {
	for name, cfg := range map[string]Config{"one queue": {}, "several queues": {Queues: 2}} {
		t.Run(name, func(t *testing.T) {
			h := openHost(t, cfg)
			next := h.Links(make(chan nic.Link, 16))
			h.Meet()
			h.Ours.Shell(t, "ip link set fnb mtu 1400")
			require.Equal(t, nic.Link{Up: true, MTU: 1400}, next())
			require.Equal(t, 1400, h.dev.Info().MTU)
			h.Ours.Shell(t, "ip link set fnb mtu 9000; ip link set fnb mtu 1500")
			for next().MTU != 1500 {
			}

			h.Ours.Shell(t, "ip link set fnb down")
			require.Equal(t, nic.Link{MTU: 1500}, next())
			dropped := nic.DeviceStats(h.dev).TxDropped
			h.Send(0, nic.Meta{}, h.ARP())
			require.Equal(t, dropped+1, nic.DeviceStats(h.dev).TxDropped)
			h.Ours.Shell(t, "ip link set fnb up")
			for !next().Up {
			}
			h.Meet()

			// The cable pulled at the other end.
			h.Theirs.Shell(t, "ip link set fna down")
			require.False(t, next().Up)
			h.Theirs.Shell(t, "ip link set fna up")
			for !next().Up {
			}
			h.Meet()
		})
	}
}

func TestFramesOfALargerMTUThanAtTheStartArrive(t *testing.T) {
	h := openHost(t, Config{})
	next := h.Links(make(chan nic.Link, 16))
	h.Ours.Shell(t, "ip link set fnb mtu 9000")
	h.Theirs.Shell(t, "ip link set fna mtu 9000")
	for next().MTU != 9000 {
	}
	fd := h.Socket(unix.SOCK_DGRAM, 7777)
	h.Meet()
	big := string(make([]byte, 8000)) + "the end"
	nictest.ToUs(t, fd, 5000, big)
	p := h.Await("a jumbo frame", nictest.IsUDP)
	require.Equal(t, 42+len(big), p.FrameLen())
	end := make([]byte, 7)
	require.Equal(t, 7, p.CopyTo(end, 42+8000))
	require.Equal(t, "the end", string(end))
	p.Release()
	h.Send(0, nictest.UDPPartial, h.UDP(5000, 7777, big))
	got, _ := nictest.Received(t, fd)
	require.Equal(t, big, got)
}

func TestInterfaceThatIsGoneIsDeadForGood(t *testing.T) {
	for name, end := range map[string]func(h *host){
		"deleted":           func(h *host) { h.Ours.Shell(t, "ip link delete fnb") },
		"its peer deleted":  func(h *host) { h.Theirs.Shell(t, "ip link delete fna") },
		"moved away":        func(h *host) { h.Ours.Shell(t, "ip link set fnb netns "+string(h.Theirs)) },
		"address changed":   func(h *host) { h.Ours.Shell(t, "ip link set fnb address 02:00:00:00:00:33") },
		"asked after delay": func(h *host) { h.Ours.Shell(t, "ip link delete fnb"); h.dev.Ask() },
	} {
		t.Run(name, func(t *testing.T) {
			h := openHost(t, Config{Queues: 2})
			next := h.Links(make(chan nic.Link, 16))
			h.Meet()
			for _, q := range h.Queues() {
				nictest.Drain(q)
				q.Arm()
			}
			end(h)
			l := next()
			for l.Err == nil {
				l = next()
			}
			require.False(t, l.Up)
			require.ErrorContains(t, l.Err, "afpacket: fnb")
			q := h.Queue(0)
			nictest.Drain(q)
			require.True(t, q.Arm(), "there is nothing to come")
			dropped := q.Stats().TxDropped
			h.Send(0, nic.Meta{}, make([]byte, 60))
			require.Equal(t, dropped+1, q.Stats().TxDropped)
			require.NoError(t, h.dev.Close())
		})
	}
}

func TestCloseWithPacketsHeldAndPollersAsleep(t *testing.T) {
	before := runtime.NumGoroutine()
	h := openHost(t, Config{Queues: 3})
	fd := h.Socket(unix.SOCK_DGRAM, 7777)
	h.Meet()
	nictest.ToUs(t, fd, 5000, "held")
	p := h.Await("a datagram", nictest.IsUDP)
	q := h.Queue(0)
	require.Equal(t, 1, q.Send([]*nic.Packet{h.Packet(q, nic.Meta{}, h.ARP())}), "and nobody kicks")
	for _, q := range h.Queues() {
		nictest.Sleep(q)
	}
	runtime.Gosched()
	h.IsQuietOnceClosed()
	require.EqualValues(t, 2, q.Stats().TxDropped, "one of them is what nobody kicked")
	require.Equal(t, 1, h.dev.InUse())
	require.Equal(t, "held", nictest.Text(p), "it stays readable")
	p.Release()
	nictest.NoneLeft(t, before)
}

func TestCloseDuringTraffic(t *testing.T) { openHost(t, Config{}).ClosesDuringTraffic() }
