package steer

import (
	"time"

	"github.com/fastnet-go/fastnet/nic/afxdp"
)

// A connection may end while packets of its peer's are on their way: it is reset,
// or a dial is given up. Its entry stays for a while, so that the stack answers
// them (RFC 9293 section 3.10.7.1) and not the kernel. There is a limit to their
// number, so that connections that are opened and reset do not fill the filter.

const (
	// lateTime is longer than a packet is on its way, and than a peer that has
	// not got the reset waits before it sends again the first few times. It is
	// short of TIME-WAIT: where the listener is gone, the peer may connect by the
	// same port to whoever in the kernel has the listener's by then.
	lateTime = 10 * time.Second
	mostLate = 4096
)

// late is the flows whose entries stay for late packets, oldest first.
type late struct {
	waiting map[afxdp.Flow]*lateFlow
	list    []*lateFlow // those too that waiting has no more
}

type lateFlow struct {
	flow  afxdp.Flow
	until time.Time
}

func newLate() late { return late{waiting: make(map[afxdp.Flow]*lateFlow)} }

func (l *late) any() bool { return len(l.waiting) > 0 }

// cancel takes off the list a flow whose entry is wanted for more.
func (l *late) cancel(f afxdp.Flow) { delete(l.waiting, f) }

// oldest takes the first off the list; ok is whether its entry still waits for
// nothing but late packets.
func (l *late) oldest() (f afxdp.Flow, ok bool) {
	first := l.list[0]
	l.list = l.list[1:]
	if ok = l.waiting[first.flow] == first; ok {
		delete(l.waiting, first.flow)
	}
	return first.flow, ok
}

// keepLate keeps the entry of a flow that is over, and lets the oldest of those go
// if they are too many. calls is held.
func (s *Steering) keepLate(f afxdp.Flow) {
	w := &lateFlow{f, time.Now().Add(lateTime)}
	s.late.waiting[f] = w
	s.late.list = append(s.late.list, w)
	if len(s.late.list) > mostLate {
		s.endLate()
	}
}

// endLate lets the oldest go, and reports whether an entry went. calls is held.
func (s *Steering) endLate() bool {
	f, ok := s.late.oldest()
	if ok = ok && s.over(f); ok {
		s.remove(f)
	}
	return ok
}

// settleLate removes the entries that have waited long enough.
func (s *Steering) settleLate(now time.Time) {
	s.calls.Lock()
	defer s.calls.Unlock()
	for len(s.late.list) > 0 && !s.late.list[0].until.After(now) {
		s.endLate()
	}
}

// dropLate makes room in the filter. calls is held.
func (s *Steering) dropLate() {
	const many = 64
	for n := 0; n < many && len(s.late.list) > 0; {
		if s.endLate() {
			n++
		}
	}
}
