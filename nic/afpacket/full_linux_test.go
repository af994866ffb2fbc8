package afpacket

import (
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
)

// TestFullSocketMakesSendWait: behind a queueing discipline that is slow the
// socket's buffer fills, then our ring; then Send falls short and the sender
// sleeps until it is woken. Nothing is lost, and the order is kept.
func TestFullSocketMakesSendWait(t *testing.T) {
	h := cable(t)
	if _, err := exec.LookPath("tc"); err != nil {
		t.Skip("no tc here, with which the interface is made slow (Debian: apt-get install iproute2)")
	}
	sh(t, h.ours, "tc qdisc add dev fnb root tbf rate 40mbit burst 4kb limit 4mb")
	h.open(Config{Buffer: 1 << 16})
	fd := h.socket(unix.SOCK_DGRAM, 7777)
	require.NoError(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20))
	h.meet()
	q := h.dev.queues[0]
	const n = 800
	slept := 0
	timeout := time.After(patience)
	for i := 0; i < n; {
		p := h.packet(q, udpPartial, h.udp(5000, 7777, fmt.Sprintf("%-1000d", i)))
		for q.Send([]*nic.Packet{p}) == 0 {
			q.Kick()
			drain(q)
			if !q.Arm() {
				continue
			}
			slept++
			select {
			case <-h.woken:
			case <-timeout:
				t.Fatalf("asleep for good with %d of %d sent", i, n)
			}
		}
		q.Kick()
		i++
	}
	buf := make([]byte, 2000)
	for i := range n {
		size, _, err := recvfrom(fd, buf, 0)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("%-1000d", i), string(buf[:size]))
	}
	s := q.Stats()
	require.EqualValues(t, n+1, s.TxPackets)
	require.Zero(t, s.TxDropped)
	require.NotZero(t, s.TxFull)
	require.NotZero(t, slept)
}

func TestCloseWithAFullSocket(t *testing.T) {
	h := cable(t)
	if _, err := exec.LookPath("tc"); err != nil {
		t.Skip("no tc here, with which the interface is made slow (Debian: apt-get install iproute2)")
	}
	sh(t, h.ours, "tc qdisc add dev fnb root tbf rate 100kbit burst 4kb limit 4mb")
	h.open(Config{Buffer: 1 << 16})
	q := h.dev.queues[0]
	frame := append(arp(), make([]byte, 1000)...)
	for {
		p := h.packet(q, nic.Meta{}, frame)
		if q.Send([]*nic.Packet{p}) == 0 {
			p.Release()
			break
		}
	}
	require.NoError(t, h.dev.Close())
	require.Zero(t, h.dev.InUse())
	require.NotZero(t, q.Stats().TxDropped)
	sh(t, h.ours, "tc qdisc del dev fnb root")
}

// TestBypassedQueueingDisciplineIsNotAsked: the same slow interface.
func TestBypassedQueueingDisciplineIsNotAsked(t *testing.T) {
	h := cable(t)
	if _, err := exec.LookPath("tc"); err != nil {
		t.Skip("no tc here, with which the interface is made slow (Debian: apt-get install iproute2)")
	}
	sh(t, h.ours, "tc qdisc add dev fnb root tbf rate 100kbit burst 2kb limit 3kb")
	h.open(Config{QdiscBypass: true})
	fd := h.socket(unix.SOCK_DGRAM, 7777)
	h.meet()
	buf := make([]byte, 2000)
	for i := range 100 {
		h.send(0, udpPartial, h.udp(5000, 7777, fmt.Sprintf("%-1000d", i)))
		size, _, err := recvfrom(fd, buf, 0)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("%-1000d", i), string(buf[:size]))
	}
	require.Zero(t, h.dev.queues[0].Stats().TxDropped)
}
