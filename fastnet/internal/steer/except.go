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

// strangerTime is for how long the stack does not reset what it does not know on a
// new port: a connection that the kernel makes while the port is added is seen at a
// second look, or at a third one where its SYN had passed the filter but waited for
// a processor, and what its peer sent in between is sent again.
const strangerTime = 2 * exceptionTime

// addPort makes the filter take a port but for the kernel's connections there.
// calls is held.
func (s *Steering) addPort(p afxdp.Port) error {
	if p.Protocol == TCP {
		s.stack.HoldResets(strangerTime)
		s.fresh[p.Port] = 2 // the next may be at once
		s.except(p.Port)
		defer s.except(p.Port)
	}
	return s.filter.AddPort(p)
}

// except leaves the kernel's connections on a port to it. calls is held.
func (s *Steering) except(port uint16) {
	x, ok := s.filter.(Excepter)
	if !ok || s.kernels == nil {
		return
	}
	flows, _ := s.kernels(port) // as many as can be had
	for _, f := range flows {
		_, there := s.excepted[f]
		if !there && !s.stack.HasTCPFlow(f.Local, f.Remote) && x.ExceptFlow(f) == nil {
			s.excepted[f] = struct{}{}
		}
	}
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
// cannot be asked for the moment all stay.
func (s *Steering) settleExceptions() {
	s.calls.Lock()
	defer s.calls.Unlock()
	for port, looks := range s.fresh {
		if s.isOpen(port) {
			s.except(port)
		}
		if s.fresh[port] = looks - 1; looks == 1 {
			delete(s.fresh, port)
		}
	}
	if len(s.excepted) == 0 {
		return
	}
	alive, unknown := make(map[uint16]map[afxdp.Flow]bool), make(map[uint16]bool)
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
			s.unexcept(f)
		}
	}
}
