package steer

import (
	"time"

	"github.com/fastnet-go/fastnet/nic/afxdp"
)

// A port may have connections of the kernel's as the filter begins to take it: its
// own listener on the port was there first, or the process served by the kernel
// until it got the interface. They stay the kernel's.

// exceptionTime is how often it is looked whether they have ended.
const exceptionTime = 2 * time.Second

// strangerTime is for how long at most the stack does not reset what it does not know
// on a new port: a connection that the kernel makes while the port is added is seen at
// a second look, or at a third one where its SYN had passed the filter but waited for
// a processor, and what its peer sent in between is sent again. It ends with the third
// look; a machine that stands still may make that late.
const strangerTime = 30 * time.Second

// passageTime is for how long the stack does not reset what it does not know after a
// port was given back: a SYN may have passed the filter before and be worked off after
// the stack's listener is gone. Sent again it finds whoever has the port then.
const passageTime = 5 * time.Second

// hold keeps the stack from resetting what it does not know for a while at least.
// calls is held.
func (s *Steering) hold(d time.Duration) {
	if until := time.Now().Add(d); until.After(s.quiet) {
		s.quiet = until
	}
	if len(s.fresh) == 0 { // or it is held for longer
		s.stack.HoldResets(time.Until(s.quiet))
	}
}

// addPort makes the filter take a port but for the kernel's connections there.
// calls is held.
func (s *Steering) addPort(p afxdp.Port) error {
	if p.Protocol == TCP {
		s.watch(p.Port)
		s.except(p.Port)
		defer s.except(p.Port)
	}
	return s.filter.AddPort(p)
}

// watch has connections of the kernel's on a port be looked for a few times more, and
// keeps the stack from resetting what it does not know until then. calls is held.
func (s *Steering) watch(port uint16) {
	s.stack.HoldResets(strangerTime)
	s.fresh[port] = 2 // the next may be at once
}

// except leaves the kernel's connections on a port to it, as many as can be had, and
// returns the error if that may not be all. calls is held.
func (s *Steering) except(port uint16) error {
	x, ok := s.filter.(Excepter)
	if !ok || s.kernels == nil {
		return nil
	}
	flows, err := s.kernels(port)
	for _, f := range flows {
		_, there := s.excepted[f]
		if !there && !s.stack.HasTCPFlow(f.Local, f.Remote) && x.ExceptFlow(f) == nil {
			s.excepted[f] = struct{}{}
		}
	}
	return err
}

// isOpen reports whether the filter takes a TCP port on some address.
func (s *Steering) isOpen(port uint16) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.ports {
		if p.Protocol == TCP && p.Port == port {
			return s.filter != nil
		}
	}
	return false
}

// unexcept ends an exception, unless the stack has the tuple itself by now. calls
// is held.
func (s *Steering) unexcept(f afxdp.Flow) {
	delete(s.excepted, f)
	s.mu.Lock()
	_, ours := s.flows[f]
	s.mu.Unlock()
	if !ours {
		s.filter.RemoveFlow(f)
	}
}

// settleExceptions ends those of connections that the kernel has no more. Where it
// cannot be asked for the moment all stay. The peer may connect again by the same port
// just then, to the kernel still: so it is looked for such connections as when a port
// is added.
func (s *Steering) settleExceptions() {
	s.calls.Lock()
	defer s.calls.Unlock()
	last := false
	for port, looks := range s.fresh {
		if s.isOpen(port) && s.except(port) != nil {
			continue // nobody has looked
		}
		if s.fresh[port] = looks - 1; looks == 1 {
			delete(s.fresh, port)
			last = true
		}
	}
	if last && len(s.fresh) == 0 {
		s.stack.HoldResets(max(0, time.Until(s.quiet)))
	}
	if len(s.excepted) == 0 {
		return
	}
	alive, unknown := make(map[uint16]map[afxdp.Flow]bool), make(map[uint16]bool)
	ended := make(map[uint16]bool)
	for f := range s.excepted {
		port := f.Local.Port()
		if alive[port] == nil {
			alive[port] = make(map[afxdp.Flow]bool)
			flows, err := s.kernels(port)
			for _, k := range flows {
				alive[port][k] = true
			}
			if err != nil {
				unknown[port] = true
			}
		}
		if !alive[port][f] && !unknown[port] {
			if !ended[port] {
				ended[port] = true
				s.watch(port)
			}
			s.unexcept(f)
		}
	}
	for port := range ended {
		s.except(port)
	}
}
