package stack

import (
	"time"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/stack/header"
	"github.com/fastnet-go/fastnet/stack/tcp"
)

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
