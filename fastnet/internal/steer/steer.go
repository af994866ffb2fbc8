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

// Flows returns how many flows have an entry of their own.
func (s *Steering) Flows() int { return int(s.entries.Load()) }
