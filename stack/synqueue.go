package stack

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fastnet-go/fastnet/stack/tcp"
	"github.com/fastnet-go/fastnet/stack/timer"
)

const (
	// synackTimeout is the first wait for the answer to a SYN-ACK; each further
	// one is twice as long (RFC 6298 section 5.5).
	synackTimeout = time.Second
	// synackRetries is how often a SYN-ACK is sent again: as Linux's
	// net.ipv4.tcp_synack_retries, so that a handshake may take 63 s. With the
	// SYN queue more than half full it is fewRetries, which is 7 s.
	synackRetries = 5
	fewRetries    = 2
	// maxSpare is how many records wait for the next handshakes.
	maxSpare = 64
	// leastSYNQueue is what a listener may have half open however small its
	// backlog is: a record is cheaper than what a cookie loses.
	leastSYNQueue = 128
	// defaultHalfOpen bounds the memory of all listeners' SYN queues, at some 400
	// bytes each.
	defaultHalfOpen = 16 << 10
	// cookieRace is for how long after a cookie was sent data may come before the
	// ACK that brings it back: some retransmission timeouts.
	cookieRace = 10 * time.Second
)

// synQueue keeps the half-open connections of all listeners: small records
// instead of connections, few enough for a flood of SYNs to be harmless (RFC 4987
// section 3). Those beyond the bound are answered by cookies, and not kept.
type synQueue struct {
	host  *Host
	timer timer.Timer
	n     atomic.Int32 // of records: a segment of no connection need not look if it is 0

	mu      sync.Mutex
	records map[tuple]*halfOpen
	levels  [synackRetries + 1]halfOpenList // by the SYN-ACKs sent again: each waits equally long
	spare   *halfOpen                       // for the next: by next, nSpare of them
	nSpare  int
	cookies tcp.Cookies
	baked   time.Duration // when the latest cookie was sent; 0: never
	closed  bool
}

// halfOpen is a connection whose SYN-ACK is not acknowledged. It is under the
// mutex of the SYN queue.
type halfOpen struct {
	key        tuple
	listener   *TCPListener
	q          *queue // where the SYN came from
	path       path   // back
	core       tcp.Request
	due        time.Duration // of the next SYN-ACK
	complete   bool          // it becomes a connection just now
	prev, next *halfOpen
}

// halfOpenList is in the order of due.
type halfOpenList struct{ first, last *halfOpen }

func (l *halfOpenList) push(r *halfOpen) {
	r.prev, r.next = l.last, nil
	if l.last == nil {
		l.first = r
	} else {
		l.last.next = r
	}
	l.last = r
}

func (l *halfOpenList) remove(r *halfOpen) {
	if r.prev == nil {
		l.first = r.next
	} else {
		r.prev.next = r.next
	}
	if r.next == nil {
		l.last = r.prev
	} else {
		r.next.prev = r.prev
	}
	r.prev, r.next = nil, nil
}

func (s *synQueue) init(h *Host) {
	s.host = h
	s.records = make(map[tuple]*halfOpen)
	s.cookies.Init(h.random)
	s.timer.Init(s, 0)
}

// add keeps a request of l's, whose answer takes the path pa, and reports whether
// it did: not if there are too many, unless force, or if the listener has been
// closed or drained.
func (s *synQueue) add(q *queue, k *tuple, l *TCPListener, pa *path, req *tcp.Request, force bool, now time.Duration) (kept, closed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || l.isClosed() || l.draining.Load() || s.records[*k] != nil { // another queue was faster
		return false, true
	}
	if !force && (len(s.records) >= s.host.cfg.MaxHalfOpen || l.halfOpen >= max(l.opts.Backlog, leastSYNQueue)) {
		return false, false
	}
	r := s.spare
	if r == nil {
		r = new(halfOpen)
	} else {
		s.spare = r.next
		s.nSpare--
	}
	r.key, r.listener, r.q, r.path, r.core = *k, l, q, *pa, *req
	s.records[r.key] = r
	s.n.Store(int32(len(s.records)))
	l.halfOpen++
	s.wait(r, now)
	return true, false
}

// wait puts r behind those that wait equally long.
func (s *synQueue) wait(r *halfOpen, now time.Duration) {
	n := r.core.Timeouts()
	r.due = now + synackTimeout<<n
	s.levels[n].push(r)
	s.host.arm(&s.timer, r.due)
}

// completed takes r off the books, whose connection is in the flow table by now:
// a segment on another queue finds one or the other.
func (s *synQueue) completed(r *halfOpen) {
	s.mu.Lock()
	if s.records[r.key] == r {
		s.remove(r)
		s.recycle(r)
	}
	s.mu.Unlock()
}

// forget is remove of what has not become a connection and will not.
func (s *synQueue) forget(r *halfOpen) {
	s.remove(r)
	if ended := s.host.flows.ended; ended != nil {
		ended(&r.key, false)
	}
}

// visit calls visit with the key of each with a local port, 0 standing for all.
func (s *synQueue) visit(port uint16, visit func(*tuple)) {
	if s.n.Load() == 0 {
		return
	}
	s.mu.Lock()
	var all []tuple
	for k := range s.records {
		if port == 0 || k.localPort == port {
			all = append(all, k)
		}
	}
	s.mu.Unlock()
	for i := range all {
		visit(&all[i])
	}
}

// has reports whether one is there.
func (s *synQueue) has(k *tuple) bool {
	if s.n.Load() == 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.records[*k] != nil
}

// remove takes r off the books.
func (s *synQueue) remove(r *halfOpen) {
	s.levels[r.core.Timeouts()].remove(r)
	delete(s.records, r.key)
	s.n.Store(int32(len(s.records)))
	r.listener.halfOpen--
}

// recycle keeps a record that nobody looks at any more.
func (s *synQueue) recycle(r *halfOpen) {
	if s.nSpare < maxSpare {
		*r = halfOpen{next: s.spare}
		s.spare = r
		s.nSpare++
	}
}

// bake turns a request of l's, which is not kept, into a cookie's, and reports
// whether it could.
func (s *synQueue) bake(l *TCPListener, req *tcp.Request, local, remote netip.AddrPort, now time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.draining.Load() {
		return false
	}
	s.baked = now
	return s.cookies.Make(req, local, remote, now)
}

// Expire sends SYN-ACKs again, and forgets those that were sent often enough.
func (s *synQueue) Expire(_ int, now time.Duration) {
	var batch [16]struct {
		q   *queue
		k   tuple
		l   *TCPListener
		seg tcp.Segment
	}
	for more := true; more; {
		n := 0
		s.mu.Lock()
		if more = false; s.closed {
			s.mu.Unlock()
			return
		}
		retries := synackRetries
		if len(s.records) > s.host.cfg.MaxHalfOpen/2 {
			retries = fewRetries
		}
		next := Never
		for level := range s.levels {
			list := &s.levels[level]
			for r := list.first; r != nil && r.due <= now; r = list.first {
				if n == len(batch) {
					more = true
					break
				}
				if level >= retries || level >= fewRetries && 2*r.listener.halfOpen > max(r.listener.opts.Backlog, leastSYNQueue) {
					s.forget(r)
					if !r.complete {
						s.recycle(r)
					}
					s.host.count.synTimeouts.Add(1)
					continue
				}
				list.remove(r)
				r.core.TimedOut()
				s.wait(r, now)
				b := &batch[n]
				b.q, b.k, b.l = r.q, r.key, r.listener
				r.core.SYNACK(&b.seg, now)
				n++
			}
			if list.first != nil {
				next = min(next, list.first.due)
			}
		}
		if next != Never {
			s.host.arm(&s.timer, next)
		}
		s.mu.Unlock()
		for i := range batch[:n] {
			b := &batch[i]
			s.host.count.retransmits.Add(1)
			b.l.reply(b.q, &b.k, &b.seg, now)
		}
	}
}

// drop gives up the half-open connections of a listener that is closed; their
// peers are told. On an interface that is somebody else's too they are not: a peer
// that has no SYN-ACK yet would take it for a refusal, and ask no more, where another
// one may listen by now.
func (s *synQueue) drop(l *TCPListener) {
	now := s.host.now()
	s.mu.Lock()
	var mine []*halfOpen
	for level := range s.levels {
		for r := s.levels[level].first; r != nil; {
			next := r.next
			if r.listener == l {
				s.forget(r)
				if !r.q.iface.shared() {
					mine = append(mine, r)
				}
			}
			r = next
		}
	}
	s.mu.Unlock()
	for _, r := range mine {
		var seg tcp.Segment
		r.core.Reset(&seg)
		l.reply(r.q, &r.key, &seg, now)
	}
}

func (s *synQueue) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.host.wheel.Stop(&s.timer)
}
