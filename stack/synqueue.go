package stack

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/stack/header"
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
// closed.
func (s *synQueue) add(q *queue, k *tuple, l *TCPListener, pa *path, req *tcp.Request, force bool, now time.Duration) (kept, closed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || l.isClosed() || s.records[*k] != nil { // another queue was faster
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

// bake turns req, which is not kept, into a cookie's, and reports whether it
// could.
func (s *synQueue) bake(req *tcp.Request, local, remote netip.AddrPort, now time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
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
// peers are told.
func (s *synQueue) drop(l *TCPListener) {
	now := s.host.now()
	s.mu.Lock()
	var mine []*halfOpen
	for level := range s.levels {
		for r := s.levels[level].first; r != nil; {
			next := r.next
			if r.listener == l {
				s.forget(r)
				mine = append(mine, r)
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

// receiveHalfOpen takes a segment if it is of a half-open connection.
func (q *queue) receiveHalfOpen(p *nic.Packet, k *tuple, seg *tcp.Segment, now time.Duration) bool {
	h := q.host
	s := &h.synq
	if s.n.Load() == 0 {
		return false
	}
	s.mu.Lock()
	r := s.records[*k]
	if r == nil {
		s.mu.Unlock()
		return false
	}
	if r.complete { // on another queue; the peer sends this again
		s.mu.Unlock()
		h.drop(p, DropBacklog)
		return true
	}
	l := r.listener
	var answer tcp.Segment
	reply := true
	switch r.core.Input(seg, now) {
	case tcp.RequestDrop:
		reply = false
	case tcp.RequestSYNACK:
		h.count.retransmits.Add(1)
		r.core.SYNACK(&answer, now)
	case tcp.RequestACK:
		r.core.ACK(&answer, now)
	case tcp.RequestReset:
		answer, reply = tcp.ResetFor(seg)
		if reply = reply && h.limiter.allowReset(now); reply {
			h.count.resetsSent.Add(1)
		}
	case tcp.RequestEnd:
		s.forget(r)
		s.recycle(r)
		reply = false
	case tcp.RequestAccept:
		if why, ok := l.takes(); !ok {
			// As in Linux the ACK is dropped, and what it brought is not
			// acknowledged: the peer sends that again, or our SYN-ACK makes
			// it send its ACK again.
			s.mu.Unlock()
			h.drop(p, why)
			return true
		}
		pa := r.path
		if r.q != q || !pa.current() {
			var err error
			if pa, err = h.pathBack(q, k); err != nil {
				// The link is down, say, and will come back. The record
				// stays: for the peer the connection is established, and
				// without it what the peer sends next would be reset.
				s.mu.Unlock()
				h.drop(p, DropNoRoute)
				return true
			}
		}
		r.complete = true
		req := r.core
		s.mu.Unlock()
		l.establish(q, p, k, &pa, &req, r, now)
		return true
	}
	s.mu.Unlock()
	if reply {
		l.reply(q, k, &answer, now)
	}
	p.Release()
	return true
}

// receiveCookie takes a segment that came to l, if it may bring a cookie back.
func (l *TCPListener) receiveCookie(q *queue, p *nic.Packet, k *tuple, seg *tcp.Segment, now time.Duration) bool {
	h := l.host
	if seg.Flags&(header.TCPFlagSYN|header.TCPFlagACK|header.TCPFlagRST) != header.TCPFlagACK {
		return false
	}
	local, remote := k.addrPorts()
	var req tcp.Request
	s := &h.synq
	s.mu.Lock()
	// Without cookies out there is nothing to guess.
	if s.baked == 0 || now-s.baked > tcp.CookieLife {
		s.mu.Unlock()
		return false
	}
	recent := now-s.baked < cookieRace
	pa, err := h.pathBack(q, k)
	if err != nil { // there may be one when the peer sends this again
		s.mu.Unlock()
		h.drop(p, DropNoRoute)
		return true
	}
	init := pa.tcpInit(0, pa.tsOffset(&h.secret))
	verdict := s.cookies.Check(&req, l.config, &init, seg, local, remote, now)
	s.mu.Unlock()
	switch verdict {
	case tcp.CookieValid:
		h.count.cookiesValid.Add(1)
		h.limitOffer(&req)
	case tcp.CookieExpired:
		h.count.cookiesExpired.Add(1)
		return false
	default:
		h.count.cookiesInvalid.Add(1)
		if !l.draining.Load() && !recent || len(seg.Payload) == 0 && seg.Flags&header.TCPFlagFIN == 0 {
			return false
		}
		// It may have overtaken the segment that brings the cookie. A RST would
		// end the connection; the peer sends this again.
		h.drop(p, DropCookie)
		return true
	}
	if req.Input(seg, now) != tcp.RequestAccept {
		return false
	}
	if why, ok := l.takes(); !ok {
		h.drop(p, why)
		return true
	}
	l.establish(q, p, k, &pa, &req, nil, now)
	return true
}
