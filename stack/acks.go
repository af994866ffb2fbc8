package stack

import (
	"sync"
	"sync/atomic"
	"time"
)

// A delayed ACK waits for data to ride on until the poller is idle: it costs
// nothing then, and the peer has it long before a timer would send it. But the
// goroutine that will answer may only just have been woken. So the ACK of a
// connection that has answered before is held on to for ackPatience, for which the
// poller sleeps at the most, and only then goes alone.
//
// A peer may send the rest of a request only when it has the ACK of its beginning
// (RFC 896), and would be slowed down by the wait. So a wait that was in vain is
// the last for ackLesson answers to come.
const (
	ackPatience = 2 * time.Millisecond
	ackLesson   = 16
)

// delayedAcks are a queue's connections with a delayed ACK.
type delayedAcks struct {
	mu   sync.Mutex
	list []*TCPConn
	swap []*TCPConn
	any  atomic.Bool // some came since the latest flush
	held atomic.Bool // it has left some to wait on
}

// add puts c on the list. c is locked.
func (a *delayedAcks) add(c *TCPConn, news *atomic.Bool) {
	a.mu.Lock()
	a.list = append(a.list, c)
	a.mu.Unlock()
	if !news.Load() {
		news.Store(true)
	}
}

// delayAck puts c on the list of those whose acknowledgement may wait for data
// to ride on, until the poller is idle. c is locked.
func (q *queue) delayAck(c *TCPConn) {
	if !c.ackQueued {
		c.ackQueued = true
		q.acks.add(c, &q.acks.any)
	}
}

// flushAcks sends the acknowledgements that still wait: work is pendingAck, or
// pendingRest for those whose wait is over. It returns how many connections it
// looked at.
func (q *queue) flushAcks(work uint32) int {
	a := &q.acks
	if !a.any.Load() && !a.held.Load() {
		return 0
	}
	a.mu.Lock()
	acks := a.list
	a.list = a.swap[:0]
	a.swap = nil
	a.any.Store(false)
	a.held.Store(false)
	a.mu.Unlock()
	for i, c := range acks {
		acks[i] = nil
		c.signal(work)
	}
	a.mu.Lock()
	a.swap = acks[:0]
	a.mu.Unlock()
	return len(acks)
}

// holdAck reports whether the connection's delayed ACK is to wait on, as the
// poller is about to sleep. It learns from what has become of the one before. The
// lock is held.
//
// Mostly it is the poller itself that asks. If a writer had the lock it is the
// writer, a moment later, and the poller may sleep already: longer than
// ackPatience, but not beyond the state machine's own deadline for the ACK, whose
// timer was armed as the segment came. The same holds if the path has moved to
// another queue meanwhile, on whose list the connection goes.
func (c *TCPConn) holdAck(now time.Duration) bool {
	if !c.ackQueued {
		return false
	}
	rode := c.core.AckRode()
	since, waits := c.core.AckWaiting()
	switch {
	case !waits:
		if rode {
			c.ackRides = min(c.ackRides+1, 1)
		}
	case c.ackRides > 0 && now-since < ackPatience:
		q := c.path.q
		q.acks.add(c, &q.acks.held)
		return true
	case c.ackRides > 0:
		c.ackRides = -ackLesson
	}
	return false
}
