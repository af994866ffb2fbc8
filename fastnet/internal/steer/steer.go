// Package steer keeps what a packet filter takes from the kernel in step with the
// sockets of the stack: a port while somebody listens on it, and a connection,
// by an entry of its own, for as long as anything is left of it, its TIME-WAIT
// included. A packet of a connection that the filter does not take reaches the
// kernel, which knows nothing of it and resets it.
package steer

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fastnet-go/fastnet/nic/afxdp"
)

// Filter is what a Steering keeps in step: *afxdp.Filter. Each call may be a system
// call, so none is made by who polls the network.
type Filter interface {
	AddPort(afxdp.Port) error
	RemovePort(afxdp.Port) error
	AddFlow(afxdp.Flow) error
	RemoveFlow(afxdp.Flow) error
}

// Excepter is a Filter that can leave the packets of a single connection to the
// kernel although their port is taken. RemoveFlow ends that.
type Excepter interface {
	ExceptFlow(afxdp.Flow) error
}

// Protocol numbers of a Port or Flow.
const (
	TCP = 6
	UDP = 17
)

// Stack is what is asked of the stack: *stack.Host.
type Stack interface {
	// HasTCPFlow reports whether anything is left of a connection.
	HasTCPFlow(local, remote netip.AddrPort) bool
	// TCPFlows visits the connections with a local port.
	TCPFlows(port uint16, visit func(local, remote netip.AddrPort))
	// HoldResets keeps the stack from resetting what it does not know.
	HoldResets(time.Duration)
}

// Steering tells a Filter what to take. All methods may be called from any
// goroutine, but only Ended by one that must not wait.
type Steering struct {
	stack Stack
	wake  chan struct{}
	done  chan struct{}
	idle  chan struct{} // closed when the goroutine has ended

	calls  sync.Mutex // held during system calls; mu is taken inside
	filter Filter     // under calls; nil: there is none yet

	mu      sync.Mutex              // held for moments
	flows   map[afxdp.Flow]int      // with an entry in the filter; how often held
	ended   map[afxdp.Flow]bool     // of flows: something of the tuple has ended; whether late packets may come
	ports   map[afxdp.Port]int      // listeners
	linger  map[afxdp.Port]struct{} // closed, but with connections that have no entry
	closing bool                    // all will end at once

	kernels  func(port uint16) ([]afxdp.Flow, error) // under calls; see New
	excepted map[afxdp.Flow]struct{}                 // under calls: the kernel's connections on ports of ours
	fresh    map[uint16]int                          // under calls: TCP ports added a moment ago, and how often to look for exceptions
	quiet    time.Time                               // under calls: until then the stack resets nothing in any case
	late     late                                    // under calls: flows that are over, but for packets on their way
	entries  atomic.Int64                            // len(flows), for Ended
}

// New returns a Steering that tells filter, which may be nil until SetFilter.
// kernels, if not nil, lists the connections that the kernel has on a port, and on
// an address that the filter takes. Close ends the Steering's goroutine.
func New(filter Filter, stack Stack, kernels func(port uint16) ([]afxdp.Flow, error)) *Steering {
	s := &Steering{
		stack: stack, filter: filter, kernels: kernels, excepted: make(map[afxdp.Flow]struct{}), fresh: make(map[uint16]int),
		wake: make(chan struct{}, 1), done: make(chan struct{}), idle: make(chan struct{}),
		flows: make(map[afxdp.Flow]int), ended: make(map[afxdp.Flow]bool),
		ports: make(map[afxdp.Port]int), linger: make(map[afxdp.Port]struct{}), late: newLate(),
	}
	go s.run()
	return s
}

// SetFilter gives the filter, and tells it of the ports that are open already.
func (s *Steering) SetFilter(f Filter) error {
	s.calls.Lock()
	defer s.calls.Unlock()
	s.mu.Lock()
	var open []afxdp.Port
	for p := range s.ports {
		open = append(open, p)
	}
	s.mu.Unlock()
	s.filter = f
	for _, p := range open {
		if err := s.addPort(p); err != nil {
			s.filter = nil
			return err
		}
	}
	return nil
}

// Close ends the goroutine. The filter is left as it is: it goes with its device.
func (s *Steering) Close() {
	close(s.done)
	<-s.idle
}

// Closing says that the filter goes soon, and with it all that it takes: a port
// that is closed from now on is left to that.
func (s *Steering) Closing() {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
}

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
	s.hold(passageTime)
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
		if f.Local.Port() == p.Port {
			s.unexcept(f)
		}
	}
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
// TIME-WAIT, so that nothing of its peer's is on the way any more. It never waits
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

func (s *Steering) run() {
	defer close(s.idle)
	look := time.NewTicker(exceptionTime)
	defer look.Stop()
	for {
		select {
		case <-s.done:
			return
		case <-look.C:
			s.settleExceptions()
			s.settleLate(time.Now())
			s.settlePorts()
			continue
		case <-s.wake:
		}
		s.mu.Lock()
		var all []afxdp.Flow
		for f := range s.ended {
			all = append(all, f)
		}
		s.mu.Unlock()
		for _, f := range all {
			s.settle(f)
		}
		s.settlePorts()
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
	case !s.late.has(f):
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

// Flows returns how many flows have an entry of their own.
func (s *Steering) Flows() int { return int(s.entries.Load()) }
