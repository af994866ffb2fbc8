package stack

import "github.com/fastnet-go/fastnet/nic"

// queueFull and queueArmed are in queue.state: a bit, and what is added to count.
const (
	queueFull  uint32 = 1
	queueArmed uint32 = 2
)

// isFull reports whether anything waits for the device to have room again.
func (q *queue) isFull() bool { return q.state.Load()&queueFull != 0 }

// arm asks for a wake-up when there is something to do for the poller, who is about
// to sleep. It returns false if there is.
func (q *queue) arm() bool {
	q.state.Add(queueArmed)
	return q.dev.Arm() && !q.again.Swap(false)
}

// transmit passes packets to the device. They are the queue's from then on.
func (q *queue) transmit(pkts []*nic.Packet) {
	seen := q.state.Load()
	if seen&queueFull == 0 {
		n := q.dev.Send(pkts)
		if n == len(pkts) {
			return
		}
		pkts = pkts[n:]
	}
	q.txMu.Lock()
	defer q.txMu.Unlock()
	for _, p := range pkts {
		if q.host.closed.Load() {
			q.host.drop(p, DropClosed)
			continue
		}
		if len(q.overflow) >= maxOverflow {
			q.host.drop(p, DropTransmitQueue)
			continue
		}
		q.overflow = append(q.overflow, p)
	}
	q.setFull(seen)
}

// stall makes c's output go on when the device has room again. seen is the state
// before the look that found no room. c is locked.
func (q *queue) stall(c *TCPConn, seen uint32) {
	if c.stalled {
		return
	}
	c.stalled = true
	q.txMu.Lock()
	q.stalled = append(q.stalled, c)
	q.setFull(seen)
	q.txMu.Unlock()
}

// setFull is called with txMu held, by who found no room after it had seen the
// state given.
//
// A device that fell short owes a wake-up once it is armed, and the poller looks at
// a queue that is full before it arms it. But whoever comes here may have been
// interrupted since the device fell short: the poller has armed it meanwhile, was
// told that there is room again, and found nothing that waits for it; or has
// emptied what the look at the state was about. Nobody owes a wake-up then, so the
// poller must look once more before it sleeps. Where others wait already that is
// seen to.
func (q *queue) setFull(seen uint32) {
	state := q.state.Or(queueFull)
	if state&queueFull != 0 {
		return
	}
	if state != seen {
		q.again.Store(true)
	}
	q.retryAt = q.host.now() + stallTimeout
	q.wake() // it may have armed the device before that fell short
}

// retry sends what the device refused before, and lets stalled connections go
// on. It returns how many packets it moved.
func (q *queue) retry() int {
	q.txMu.Lock()
	n := 0
	for len(q.overflow) > 0 {
		k := q.dev.Send(q.overflow[:min(burst, len(q.overflow))])
		if k == 0 {
			break
		}
		n += k
		clear(q.overflow[:k])
		q.overflow = q.overflow[k:]
	}
	if n > 0 {
		q.kickWanted.Store(true)
	}
	q.retryAt = Never
	if len(q.overflow) > 0 {
		q.retryAt = q.host.now() + stallTimeout
		q.txMu.Unlock()
		return n
	}
	q.overflow = nil
	stalled := q.stalled
	q.stalled = nil
	q.state.And(^queueFull)
	q.txMu.Unlock()
	for _, c := range stalled {
		c.signal(pendingResume)
	}
	return n
}

// kick tells the device to send. While a poller is awake it does that, once for
// many packets.
func (q *queue) kick() {
	q.lull.interrupt()
	w := q.worker.Load()
	if w == nil {
		q.dev.Kick()
		return
	}
	if !q.kickWanted.Load() {
		q.kickWanted.Store(true)
	}
	if w.parked.Load() {
		q.kickNow()
	}
}

// kickNow carries out a kick that was asked for.
func (q *queue) kickNow() bool {
	if q.kickWanted.Load() && q.kickWanted.Swap(false) {
		q.dev.Kick()
		return true
	}
	return false
}

// shutTransmit releases what waits for the device. The host is closed.
func (q *queue) shutTransmit() {
	q.txMu.Lock()
	for _, p := range q.overflow {
		q.host.drop(p, DropClosed)
	}
	q.overflow = nil
	q.stalled = nil
	q.txMu.Unlock()
}
