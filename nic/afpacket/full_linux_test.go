package afpacket

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/internal/netlab"
	"github.com/fastnet-go/fastnet/internal/nictest"
	"github.com/fastnet-go/fastnet/nic"
)

// slowCable has a queueing discipline at our end that passes few frames on.
func slowCable(t *testing.T, how string) *host {
	t.Helper()
	netlab.NeedTools(t, "tc")
	h := cable(t)
	h.Ours.Shell(t, "tc qdisc add dev fnb root tbf "+how)
	return h
}

// TestFullSocketMakesSendWait: behind a queueing discipline that is slow, and slower
// than any sender at first, the socket's buffer fills, then our ring; then Send falls
// short and the sender sleeps until it is woken. Nothing is lost, and the order is kept.
func TestFullSocketMakesSendWait(t *testing.T) {
	h := slowCable(t, "rate 400kbit burst 4kb limit 4mb")
	h.open(Config{Buffer: 1 << 16})
	fd := h.Socket(unix.SOCK_DGRAM, 7777)
	require.NoError(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20))
	h.Meet()
	q := h.Queue(0)
	before := q.Stats().TxPackets
	const n = 800
	slept := 0
	timeout := time.After(nictest.Patience)
	for i := range n {
		times := h.SendPatiently(nictest.UDPPartial, h.UDP(5000, 7777, fmt.Sprintf("%-1000d", i)), timeout)
		if slept == 0 && times > 0 {
			h.Ours.Shell(t, "tc qdisc change dev fnb root tbf rate 40mbit burst 4kb limit 4mb")
		}
		slept += times
		q.Kick()
	}
	for i := range n {
		got, _ := nictest.Received(t, fd)
		require.Equal(t, fmt.Sprintf("%-1000d", i), got)
	}
	s := q.Stats()
	require.EqualValues(t, n, s.TxPackets-before)
	require.Zero(t, s.TxDropped)
	require.NotZero(t, s.TxFull)
	require.NotZero(t, slept)
}

func TestCloseWithAFullSocket(t *testing.T) {
	h := slowCable(t, "rate 100kbit burst 4kb limit 4mb")
	h.open(Config{Buffer: 1 << 16})
	q := h.Queue(0)
	frame := append(h.ARP(), make([]byte, 1000)...)
	for {
		p := h.Packet(q, nic.Meta{}, frame)
		if q.Send([]*nic.Packet{p}) == 0 {
			p.Release()
			break
		}
	}
	require.NoError(t, h.dev.Close())
	require.Zero(t, h.dev.InUse())
	require.NotZero(t, q.Stats().TxDropped)
	h.Ours.Shell(t, "tc qdisc del dev fnb root")
}

// TestBypassedQueueingDisciplineIsNotAsked: the same slow interface.
func TestBypassedQueueingDisciplineIsNotAsked(t *testing.T) {
	h := slowCable(t, "rate 100kbit burst 2kb limit 3kb")
	h.open(Config{QdiscBypass: true})
	fd := h.Socket(unix.SOCK_DGRAM, 7777)
	h.Meet()
	for i := range 100 {
		h.Send(0, nictest.UDPPartial, h.UDP(5000, 7777, fmt.Sprintf("%-1000d", i)))
		got, _ := nictest.Received(t, fd)
		require.Equal(t, fmt.Sprintf("%-1000d", i), got)
	}
	require.Zero(t, h.Queue(0).Stats().TxDropped)
}
