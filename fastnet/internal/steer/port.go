package steer

import (
	"net/netip"

	"github.com/fastnet-go/fastnet/nic/afxdp"
)

// OpenPort makes the filter take a port, which a listener of the stack's has. Each
// OpenPort wants a ClosePort.
func (s *Steering) OpenPort(p afxdp.Port) error {
	s.calls.Lock()
	defer s.calls.Unlock()
	s.mu.Lock()
	s.ports[p]++
	first := s.ports[p] == 1
	s.mu.Unlock()
	if !first || s.filter == nil {
		return nil
	}
	if err := s.addPort(p); err != nil {
		s.mu.Lock()
		s.drop(p)
		s.mu.Unlock()
		return err
	}
	return nil
}

// drop counts a listener less. mu is held.
func (s *Steering) drop(p afxdp.Port) (last bool) {
	if s.ports[p]--; s.ports[p] == 0 {
		delete(s.ports, p)
		return true
	}
	return false
}

// ClosePort gives a port back to the kernel once nobody else listens on it. The
// connections that live on it, or are in TIME-WAIT, get entries of their own
// before. drain is called when most of them have theirs: from then on the stack
// opens no new ones, so that none is missed.
//
// Where the filter has no room for all of them the port stays with the stack
// until enough have ended.
func (s *Steering) ClosePort(p afxdp.Port, drain func()) {
	s.calls.Lock()
	defer s.calls.Unlock()
	s.mu.Lock()
	last := s.drop(p)
	closing := s.closing
	s.mu.Unlock()
	if closing || !last {
		return
	}
	if s.filter == nil {
		drain()
		return
	}
	s.pin(p)
	drain()
	s.giveBack(p)
}

// giveBack removes a port whose connections all have entries. calls is held.
func (s *Steering) giveBack(p afxdp.Port) {
	if p.Protocol == TCP {
		s.hold(passageTime)
	}
	if !s.pin(p) {
		s.mu.Lock()
		s.linger[p] = struct{}{}
		s.mu.Unlock()
		return
	}
	s.mu.Lock()
	delete(s.linger, p)
	s.mu.Unlock()
	s.filter.RemovePort(p)
	for f := range s.excepted {
		if !s.takes(f) {
			s.unexcept(f)
		}
	}
}

// takes reports whether the filter takes a flow by its port, but for an exception.
func (s *Steering) takes(f afxdp.Flow) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	is := func(p afxdp.Port) bool {
		return p.Protocol == f.Protocol && p.Port == f.Local.Port() && covers(p.Addr, f.Local.Addr())
	}
	for p := range s.ports {
		if is(p) {
			return true
		}
	}
	for p := range s.linger {
		if is(p) {
			return true
		}
	}
	return false
}

// pin gives each connection of a port an entry of its own. It reports whether all
// of them have one. calls is held.
func (s *Steering) pin(p afxdp.Port) bool {
	if p.Protocol != TCP {
		return true
	}
	var all []afxdp.Flow
	s.stack.TCPFlows(p.Port, func(local, remote netip.AddrPort) {
		if covers(p.Addr, local.Addr()) {
			all = append(all, afxdp.Flow{Protocol: TCP, Local: local, Remote: remote})
		}
	})
	return s.pinEach(all)
}

// pinEach gives each of the stack's connections an entry, and reports whether all of
// them have one. calls is held.
func (s *Steering) pinEach(all []afxdp.Flow) bool {
	ok := true
	for _, f := range all {
		if err := s.add(f, 0); err != nil {
			ok = false
			continue
		}
		if !s.stack.HasTCPFlow(f.Local, f.Remote) { // ended meanwhile, unnoticed
			s.look(f, true)
		}
	}
	return ok
}

// covers reports whether a port open on address a takes packets for local.
func covers(a, local netip.Addr) bool {
	return !a.IsValid() || a == local || a.IsUnspecified() && a.Is4() == local.Is4()
}

// settlePorts tries again to give back ports for whose connections there was no
// room.
func (s *Steering) settlePorts() {
	s.calls.Lock()
	defer s.calls.Unlock()
	s.mu.Lock()
	var all []afxdp.Port
	for p := range s.linger {
		if s.ports[p] > 0 { // listened on again
			delete(s.linger, p)
		} else {
			all = append(all, p)
		}
	}
	s.mu.Unlock()
	for _, p := range all {
		s.giveBack(p)
	}
}
