package stack

import "time"

// The timers of a connection, by the id that Expire gets.
const (
	timerTCP = iota
	timerProbe
	timerRead
	timerWrite
)

// arm sees to it that Tick is called when the state machine's deadline passes.
func (c *TCPConn) arm() {
	if c.gone {
		return
	}
	when := c.core.Deadline()
	if c.lingerUntil != 0 {
		when = min(when, c.lingerUntil)
	}
	if when != Never {
		c.host.arm(&c.timer, when)
	}
	if !c.probe.Queued() {
		c.armProbe()
	}
}

// armProbe queues the timer of the tail loss probe. It wakes nobody: a poller that
// sleeps while data is in flight sleeps for maxPark at the most, which is sooner than
// the retransmission timer, and to wake it would cost a Write more than anything else.
func (c *TCPConn) armProbe() {
	if when := c.core.ProbeDeadline(); when != Never {
		c.host.wheel.Arm(&c.probe, when)
	}
}

// Expire is called by the host's timer wheel.
func (c *TCPConn) Expire(id int, now time.Duration) {
	switch id {
	case timerTCP, timerProbe:
		c.signal(pendingTimer)
	case timerRead:
		c.rq.expire(&c.rq.holder, c.host, now)
	case timerWrite:
		c.wq.expire(&c.wq.holder, now)
	}
}
