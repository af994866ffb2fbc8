package stack

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/wire"
)

// resting is a connection of a host whose poller is the test: each sleep that it
// would begin is over at once.
type resting struct {
	*labConn
	worker *worker
}

func newResting(t *testing.T) *resting {
	l := newLab(t, wire.Config{})
	c := &resting{labConn: l.accept(l.listen("10.0.0.1:80"), addrPort("10.0.0.2:5000"))}
	c.worker = manualWorker(t, l)
	c.rest()
	return c
}

// manualWorker is the goroutine of l's poller, which the test is.
func manualWorker(t *testing.T, l *lab) *worker {
	p := &Poller{hosts: make(map[*Host]struct{})}
	w := &worker{poller: p, begun: true, wakeup: make(chan struct{}, 1), clock: l.host.now}
	w.queues.Store(&[]*queue{})
	w.hosts.Store(&[]*Host{})
	p.workers = []*worker{w}
	require.NoError(t, p.Add(l.host))
	return w
}

// rest does what there is to do, and returns what was sent until the poller sleeps
// and for how long that would be.
func (c *resting) rest() ([]frame, time.Duration) {
	c.Helper()
	wait := time.Duration(0)
	for rounds := 0; wait == 0; rounds++ {
		require.Less(c, rounds, 100, "the poller does not come to rest")
		for c.worker.work() > 0 {
		}
		wait = c.worker.park()
		c.worker.parked.Store(false)
	}
	c.collect()
	fs := c.frames
	c.frames = nil
	for _, f := range fs {
		c.advance(f)
	}
	return fs, wait
}

// asked is told something.
func (c *resting) asked() ([]frame, time.Duration) {
	c.Helper()
	c.send(psh|ack, "question")
	return c.rest()
}

// acked checks that an ACK alone was sent.
func (c *resting) acked(fs []frame) {
	c.Helper()
	require.Len(c, fs, 1)
	require.Equal(c, ack, fs[0].Flags())
	require.Empty(c, fs[0].data)
	require.Equal(c, uint32(c.snd), fs[0].Ack())
}

// answers checks that an answer carries the ACK, alone.
func (c *resting) answers() {
	c.Helper()
	_, err := c.conn.Write([]byte("answer"))
	require.NoError(c, err)
	fs, wait := c.rest()
	require.Len(c, fs, 1)
	require.Equal(c, "answer", string(fs[0].data))
	require.Equal(c, uint32(c.snd), fs[0].Ack())
	require.Greater(c, wait, ackPatience, "no ACK waits")
}

// Once a connection has answered, the ACK of what it is told waits for the answer
// while the poller sleeps, but not for long.
func TestDelayedAckWaitsForTheAnswer(t *testing.T) {
	c := newResting(t)
	fs, wait := c.asked()
	c.acked(fs) // who knows whether it will answer
	require.Greater(t, wait, ackPatience)
	c.send(psh|ack, "question")
	c.worker.work()
	c.answers()
	for range 3 {
		fs, wait = c.asked()
		require.Empty(t, fs)
		require.LessOrEqual(t, wait, ackPatience)
		c.now += ackPatience / 2
		fs, wait = c.rest() // something else has woken the poller
		require.Empty(t, fs)
		require.LessOrEqual(t, wait, ackPatience)
		c.answers()
	}
	fs, _ = c.asked()
	require.Empty(t, fs)
	c.now += ackPatience
	fs, wait = c.rest()
	c.acked(fs)
	require.Greater(t, wait, ackPatience)
}

// A peer that sends its questions in two segments, the second when the first is
// acknowledged (RFC 896), waits for the ACK once in many questions.
func TestDelayedAckThatWasWaitedForInVain(t *testing.T) {
	c := newResting(t)
	waits := 0
	const questions = 10 * ackLesson
	for range questions {
		fs, _ := c.asked()
		if len(fs) == 0 {
			waits++
			c.now += ackPatience
			fs, _ = c.rest()
		}
		c.acked(fs)
		c.send(psh|ack, "rest of it")
		c.worker.work()
		c.answers()
	}
	require.Positive(t, waits)
	require.LessOrEqual(t, waits, questions/ackLesson)
}

// A connection that leaves with an ACK waiting on is no trouble.
func TestConnectionEndsWhileItsAckWaits(t *testing.T) {
	c := newResting(t)
	c.send(psh|ack, "question")
	c.worker.work()
	c.answers()
	fs, _ := c.asked()
	require.Empty(t, fs)
	c.send(rst|ack, "")
	c.rest()
	c.now += ackPatience
	fs, wait := c.rest()
	require.Empty(t, fs)
	require.Greater(t, wait, ackPatience)
}
