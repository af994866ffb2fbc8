package stack

import (
	"github.com/fastnet-go/fastnet/nic"
)

// A connection's lock is a mutex with a backlog. The poller must not wait for a
// writer, so it only tries the lock; what it could not do it leaves in pending,
// and who holds the lock does it before letting go.
const (
	pendingInput  = 1 << iota // packets are on the backlog
	pendingAck                // the delayed ACK may go
	pendingResume             // the device has room again
	pendingTimer              // the timer expired
	pendingICMP               // an ICMP error is in icmp
	pendingRest               // the poller goes to sleep: the delayed ACK may go, or wait on
)

// maxBacklog bounds the packets that wait for a connection's lock. A writer
// holds it for some microseconds.
const maxBacklog = 512

func (c *TCPConn) lock() { c.mu.Lock() }

// unlock does what others left to the holder, and releases the lock.
func (c *TCPConn) unlock() {
	for {
		for c.pending.Load() != 0 {
			c.work(c.pending.Swap(0))
		}
		c.mu.Unlock()
		// Work that came after the last look is ours, unless somebody else
		// has the lock already.
		if c.pending.Load() == 0 || !c.mu.TryLock() {
			return
		}
	}
}

// signal leaves work to the holder of the lock, or does it at once.
func (c *TCPConn) signal(work uint32) {
	c.pending.Or(work)
	if c.mu.TryLock() {
		c.unlock()
	}
}

// pushBacklog puts a packet on the backlog. It is the packet's owner from then on.
func (c *TCPConn) pushBacklog(p *nic.Packet) {
	c.backlogMu.Lock()
	if c.backlogLen >= maxBacklog {
		c.backlogMu.Unlock()
		c.host.drop(p, DropBacklog)
		return
	}
	if c.backlogTail == nil {
		c.backlogHead = p
	} else {
		c.backlogTail.SetLink(p)
	}
	c.backlogTail = p
	c.backlogLen++
	c.backlogMu.Unlock()
	c.signal(pendingInput)
}

// takeBacklog empties the backlog and returns its packets, linked.
func (c *TCPConn) takeBacklog() *nic.Packet {
	c.backlogMu.Lock()
	p := c.backlogHead
	c.backlogHead, c.backlogTail, c.backlogLen = nil, nil, 0
	c.backlogMu.Unlock()
	return p
}

// work does what pending says. The lock is held.
func (c *TCPConn) work(pending uint32) {
	now := c.host.now()
	if pending&pendingInput != 0 {
		for p := c.takeBacklog(); p != nil; {
			next := p.Link()
			p.SetLink(nil)
			c.input(p, now)
			p = next
		}
	}
	if pending&pendingICMP != 0 {
		c.takeReport(now)
	}
	if pending&pendingTimer != 0 {
		c.events(c.core.Tick(now), now)
		if c.lingerUntil != 0 && now >= c.lingerUntil {
			c.lingerUntil = 0
			c.endLinger(now)
		}
		c.wantOutput = true
	}
	if pending&pendingAck != 0 || pending&pendingRest != 0 && !c.holdAck(now) {
		c.ackQueued = false
		c.core.FlushAck()
		c.wantOutput = true
	}
	if pending&pendingResume != 0 {
		c.stalled = false
		c.wantOutput = true
	}
	c.afterInput(now)
}

// connLocker makes the connection's lock a sync.Locker, for waitList.wait.
type connLocker TCPConn

func (l *connLocker) Lock()   { (*TCPConn)(l).lock() }
func (l *connLocker) Unlock() { (*TCPConn)(l).unlock() }
