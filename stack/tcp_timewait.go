package stack

import (
	"sync"
	"time"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/stack/tcp"
	"github.com/fastnet-go/fastnet/stack/timer"
)

// timeWaits keeps the records of connections in TIME-WAIT, oldest first: all
// wait equally long. A busy server closes more connections than it has memory
// for, so there is a limit, over which the oldest goes (as in Linux, which does
// without TIME-WAIT then).
type timeWaits struct {
	host  *Host
	timer timer.Timer

	mu             sync.Mutex
	oldest, newest *timeWait
	n              int
	closed         bool
}

func (t *timeWaits) init(h *Host) {
	t.host = h
	t.timer.Init(t, 0)
}

// add makes the record of c, whose lock is held, and puts it in the flow table
// in c's place. It returns nil if that could not be.
func (t *timeWaits) add(c *TCPConn, now time.Duration) *timeWait {
	h := t.host
	tw := &timeWait{core: c.core.TimeWait()}
	tw.entry.key, tw.entry.timeWait = c.key, tw
	old := h.flows.lookup(&c.key)
	if old == nil || old.conn != c || !h.flows.insert(&tw.entry, old) {
		return nil
	}
	when := tw.core.Deadline()
	t.mu.Lock()
	var evicted *timeWait
	switch {
	case t.closed:
		evicted = tw
	case t.n >= h.cfg.MaxTimeWait:
		evicted = t.oldest
		t.unlink(evicted)
		fallthrough
	default:
		t.link(tw)
		h.arm(&t.timer, when)
	}
	t.mu.Unlock()
	if evicted != nil {
		h.flows.remove(&evicted.entry.key, nil, evicted)
	}
	return tw
}

// link puts a record at the end of the list.
func (t *timeWaits) link(tw *timeWait) {
	tw.listed = true
	tw.prev, tw.next = t.newest, nil
	if t.newest == nil {
		t.oldest = tw
	} else {
		t.newest.next = tw
	}
	t.newest = tw
	t.n++
}

// unlink takes a record off the list, if it is there.
func (t *timeWaits) unlink(tw *timeWait) {
	if !tw.listed {
		return
	}
	if tw.prev == nil {
		t.oldest = tw.next
	} else {
		tw.prev.next = tw.next
	}
	if tw.next == nil {
		t.newest = tw.prev
	} else {
		tw.next.prev = tw.prev
	}
	tw.listed, tw.prev, tw.next = false, nil, nil
	t.n--
}

// replaced takes a record off the books that is out of the flow table already.
func (t *timeWaits) replaced(tw *timeWait) {
	t.mu.Lock()
	t.unlink(tw)
	t.mu.Unlock()
}

// restarted moves a record whose time begins anew behind the others.
func (t *timeWaits) restarted(tw *timeWait) {
	t.mu.Lock()
	if tw.listed {
		t.unlink(tw)
		t.link(tw)
	}
	t.mu.Unlock()
}

// Expire removes the records whose time is over.
func (t *timeWaits) Expire(_ int, now time.Duration) {
	for {
		t.mu.Lock()
		tw := t.oldest
		if tw == nil || t.closed {
			t.mu.Unlock()
			return
		}
		tw.mu.Lock()
		when := tw.core.Deadline()
		tw.mu.Unlock()
		if when > now {
			t.host.arm(&t.timer, when)
			t.mu.Unlock()
			return
		}
		t.unlink(tw)
		t.mu.Unlock()
		t.host.flows.remove(&tw.entry.key, nil, tw)
	}
}

// close forgets all records.
func (t *timeWaits) close() {
	t.mu.Lock()
	t.closed = true
	for t.oldest != nil {
		t.unlink(t.oldest)
	}
	t.mu.Unlock()
	t.host.wheel.Stop(&t.timer)
}

// reusable reports whether a connection to the same peer may take the place of
// f: a record whose timestamps let the peer tell old from new (RFC 6191), after
// a second, as in Linux.
func (t *timeWaits) reusable(f *flow) bool {
	tw := f.timeWait
	if tw == nil {
		return false
	}
	tw.mu.Lock()
	defer tw.mu.Unlock()
	return tw.core.Reusable(t.host.now())
}

// receiveTimeWait takes a segment for a connection in TIME-WAIT.
func (q *queue) receiveTimeWait(p *nic.Packet, f *flow, now time.Duration) {
	h := q.host
	var seg tcp.Segment
	if _, ok := parseSegment(p.Bytes(), &seg); !ok {
		h.drop(p, DropTCPHeader)
		return
	}
	tw := f.timeWait
	tw.mu.Lock()
	verdict := tw.core.Input(&seg, now)
	var ack tcp.Segment
	if verdict == tcp.TimeWaitAck || verdict == tcp.TimeWaitRestart {
		tw.core.Ack(&ack, now)
	}
	tw.mu.Unlock()
	k := f.key
	switch verdict {
	case tcp.TimeWaitRestart:
		h.twList.restarted(tw)
		h.sendSegment(q, &k, &ack, now)
	case tcp.TimeWaitAck:
		h.sendSegment(q, &k, &ack, now)
	case tcp.TimeWaitReopen:
		q.receiveUnknown(p, &k, f, now)
		return
	case tcp.TimeWaitClosed:
		h.flows.remove(&k, nil, tw)
		h.twList.replaced(tw)
		q.receiveUnknown(p, &k, nil, now)
		return
	}
	p.Release()
}
