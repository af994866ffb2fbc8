package steer

import (
	"net/netip"

	"github.com/fastnet-go/fastnet/nic/afxdp"
)

// add makes the entry of a flow, unless it is there, and holds it n times more.
// calls is held.
func (s *Steering) add(f afxdp.Flow, n int) error {
	s.late.cancel(f)
	s.mu.Lock()
	_, known := s.flows[f]
	s.flows[f] += n // before the system call: Ended must find it
	s.entries.Store(int64(len(s.flows)))
	s.mu.Unlock()
	if known {
		return nil
	}
	err := s.filter.AddFlow(f)
	if err != nil && s.late.any() {
		// It may be full: those who wait go first.
		s.dropLate()
		err = s.filter.AddFlow(f)
	}
	if err != nil {
		s.mu.Lock()
		s.forget(f)
		s.mu.Unlock()
		return err
	}
	return nil
}

// forget takes a flow off the books. mu is held.
func (s *Steering) forget(f afxdp.Flow) {
	delete(s.flows, f)
	delete(s.ended, f)
	s.entries.Store(int64(len(s.flows)))
}

// Hold makes the filter take a flow that is about to be opened, and keeps it until
// Release. It returns ErrNoFilter where there is no filter yet, or the filter's
// error: it is full.
func (s *Steering) Hold(f afxdp.Flow) error {
	s.calls.Lock()
	defer s.calls.Unlock()
	if s.filter == nil {
		return ErrNoFilter
	}
	return s.add(f, 1)
}

// Release ends a Hold. The entry goes when nothing is left of the flow, and for TCP
// a while later; for UDP, now.
func (s *Steering) Release(f afxdp.Flow) {
	s.mu.Lock()
	if n, ok := s.flows[f]; ok && n > 0 {
		s.flows[f] = n - 1
	}
	s.mu.Unlock()
	if f.Protocol != TCP || !s.stack.HasTCPFlow(f.Local, f.Remote) {
		s.look(f, f.Protocol == TCP)
	}
}

// Ended says that nothing is left of a TCP connection; waited, that it was in
// TIME-WAIT, or its peer begins another one by the same port, to whoever listens now:
// so nothing of its peer's is on the way any more. It never waits
// itself: what is to be done about it the Steering's goroutine does. What there is
// to do is a subset of the filter's entries, so it is bounded as they are.
func (s *Steering) Ended(local, remote netip.AddrPort, waited bool) {
	if s.entries.Load() == 0 {
		return
	}
	s.look(afxdp.Flow{Protocol: TCP, Local: local, Remote: remote}, !waited)
}

// look makes the goroutine look whether a flow's entry is wanted still. late is
// whether packets of its peer's may come yet.
func (s *Steering) look(f afxdp.Flow, late bool) {
	s.mu.Lock()
	_, known := s.flows[f]
	if known {
		s.ended[f] = s.ended[f] || late
	}
	s.mu.Unlock()
	if known {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// settle removes the entry of a flow that is over, now or a while later.
func (s *Steering) settle(f afxdp.Flow) {
	s.calls.Lock()
	defer s.calls.Unlock()
	s.mu.Lock()
	late := s.ended[f]
	delete(s.ended, f)
	s.mu.Unlock()
	switch {
	case !s.over(f):
	case late:
		s.keepLate(f)
	default: // nothing is late any more, if something was
		s.late.cancel(f)
		s.remove(f)
	}
}

// over reports whether a flow has an entry that nobody needs but for late packets.
// Whoever opens one with the same tuple holds the entry first. calls is held.
func (s *Steering) over(f afxdp.Flow) bool {
	s.mu.Lock()
	holds, known := s.flows[f]
	s.mu.Unlock()
	return known && holds == 0 && (f.Protocol != TCP || !s.stack.HasTCPFlow(f.Local, f.Remote))
}

// remove removes the entry of a flow. calls is held.
func (s *Steering) remove(f afxdp.Flow) {
	s.mu.Lock()
	s.forget(f)
	s.mu.Unlock()
	if _, theirs := s.excepted[f]; !theirs { // or the tuple is the kernel's by now
		s.filter.RemoveFlow(f)
	}
}
