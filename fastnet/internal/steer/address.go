package steer

import (
	"net/netip"

	"github.com/fastnet-go/fastnet/nic/afxdp"
)

// Readdress has change alter the addresses that the filter takes.
//
// The stack's TCP connections on an address that leaves get entries of their own
// before, so that of the address flows alone need be taken from then on: what else
// comes to it is the kernel's, which may have it elsewhere. pinned is whether all
// of them have one: the filter may have no room. The stack must not open new
// connections on such an address any more.
//
// Where arrives is set, change brings an address that the filter took nothing or
// only flows of. The kernel may have connections on it, to ports that the filter
// takes: they stay the kernel's, by an exception each.
func (s *Steering) Readdress(leaves func(netip.Addr) bool, arrives bool, change func(pinned bool) error) error {
	s.calls.Lock()
	defer s.calls.Unlock()
	if s.filter == nil {
		return change(false)
	}
	pinned := s.pinAll(leaves)
	if !arrives {
		return change(pinned)
	}
	ports := s.openTCP()
	for p := range ports {
		s.watch(p)
		s.except(p)
	}
	err := change(pinned)
	for p := range ports {
		s.except(p)
	}
	return err
}

// openTCP returns the TCP ports that the filter takes on some address.
func (s *Steering) openTCP() map[uint16]struct{} {
	ports := make(map[uint16]struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.ports {
		if p.Protocol == TCP {
			ports[p.Port] = struct{}{}
		}
	}
	return ports
}

// pinAll gives each connection on an address that leaves an entry of its own. It
// reports whether all of them have one. calls is held.
func (s *Steering) pinAll(leaves func(netip.Addr) bool) bool {
	var all []afxdp.Flow
	s.stack.TCPFlows(0, func(local, remote netip.AddrPort) {
		if leaves(local.Addr()) {
			all = append(all, afxdp.Flow{Protocol: TCP, Local: local, Remote: remote})
		}
	})
	return s.pinEach(all)
}
