package stack

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/wire"
)

// kickedQueue is a queue whose packets leave when it is kicked: it counts them.
type kickedQueue struct {
	nic.Queue
	sent, left int
}

func (q *kickedQueue) Send(pkts []*nic.Packet) int {
	n := q.Queue.Send(pkts)
	q.sent += n
	return n
}

func (q *kickedQueue) Kick() {
	q.left = q.sent
	q.Queue.Kick()
}

// The resets that Close sends leave although the worker that was awake, and was to kick
// the device, has the queue no more by then.
func TestResetsOfCloseLeave(t *testing.T) {
	s := newStallLab(t, wire.Config{})
	q := &kickedQueue{Queue: s.dev.Queue}
	s.dev.Queue = q
	require.NoError(t, s.host.Close())
	require.Equal(t, 1, q.sent)
	require.Equal(t, 1, q.left)
}
