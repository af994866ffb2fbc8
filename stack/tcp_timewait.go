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

	mu    sync.Mutex
	list  []*timeWait
	first int // index of the oldest
	live  int
}

func (t *timeWaits) init(h *Host) {
	t.host = h
	t.timer.Init(t, 0)
}

// add makes the record of c, whose lock is held, and puts it in the flow table
// in c's place.
func (t *timeWaits) add(c *TCPConn, now time.Duration) *timeWait {
	h := t.host
	tw := &timeWait{core: c.core.TimeWait(), key: c.key}
	old := h.flows.lookup(&c.key)
	if old == nil || old.conn != c || !h.flows.insert(&flow{key: c.key, timeWait: tw}, old) {
		return nil
	}
	when := tw.core.Deadline()
	t.mu.Lock()
	var evicted *timeWait
	if t.live >= h.cfg.MaxTimeWait {
		evicted = t.oldest()
	}
	t.list = append(t.list, tw)
	t.live++
	t.mu.Unlock()
	if evicted != nil {
		h.flows.remove(&evicted.key, nil, evicted)
	}
	h.arm(&t.timer, when)
	return tw
}

// oldest takes the oldest record off the list. t.mu is held.
func (t *timeWaits) oldest() *timeWait {
	for t.first < len(t.list) {
		tw := t.list[t.first]
		t.list[t.first] = nil
		t.first++
		if t.first > 1024 && t.first > len(t.list)/2 {
			t.list = append([]*timeWait(nil), t.list[t.first:]...)
			t.first = 0
		}
		if !tw.gone {
			tw.gone = true
			t.live--
			return tw
		}
	}
	t.list, t.first = t.list[:0], 0
	return nil
}

// replaced takes a record off the books that is out of the flow table already.
func (t *timeWaits) replaced(tw *timeWait) {
	t.mu.Lock()
	if !tw.gone {
		tw.gone = true
		t.live--
	}
	t.mu.Unlock()
}

// Expire removes the records whose time is over.
func (t *timeWaits) Expire(_ int, now time.Duration) {
	for {
		t.mu.Lock()
		if t.first == len(t.list) {
			t.list, t.first = t.list[:0], 0
			t.mu.Unlock()
			return
		}
		tw := t.list[t.first]
		if !tw.gone {
			tw.mu.Lock()
			when := tw.core.Deadline()
			tw.mu.Unlock()
			if when > now {
				t.mu.Unlock()
				t.host.arm(&t.timer, when)
				return
			}
		}
		tw = t.oldest()
		t.mu.Unlock()
		if tw != nil {
			t.host.flows.remove(&tw.key, nil, tw)
		}
	}
}

func (t *timeWaits) clear() {
	t.mu.Lock()
	t.list, t.first, t.live = nil, 0, 0
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
	case tcp.TimeWaitAck, tcp.TimeWaitRestart:
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
