package stack

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/fastnet-go/fastnet/internal/defect"
)

// udpTable finds UDP sockets. Look-ups read a snapshot.
type udpTable struct {
	mu   sync.Mutex
	snap atomic.Pointer[udpSockets]
	host *Host
}

type udpSockets struct {
	bound     map[binding][]*UDPConn
	connected map[tuple]*UDPConn
}

func (t *udpTable) init(h *Host) {
	t.host = h
	t.snap.Store(&udpSockets{})
}

// lookup returns the socket for a datagram: a connected one, else the one bound
// to its address, else a wildcard's.
func (t *udpTable) lookup(k *tuple) *UDPConn {
	s := t.snap.Load()
	if u := s.connected[*k]; u != nil {
		return u
	}
	if defect.On(defect.ConnectedHearsAll) {
		for _, u := range s.connected {
			if u.bind.port == k.localPort {
				return u
			}
		}
	}
	for _, b := range k.bindings() {
		switch us := s.bound[b]; {
		case len(us) == 0:
		case us[0].opts.ReusePort:
			return us[k.hash(&t.host.flows.key)%uint64(len(us))]
		default:
			return us[len(us)-1]
		}
	}
	return nil
}

// each calls f for the sockets that get a datagram to a group or by broadcast:
// all that are bound to its address or a wildcard.
func (t *udpTable) each(k *tuple, f func(*UDPConn)) {
	s := t.snap.Load()
	if u := s.connected[*k]; u != nil {
		f(u)
	}
	for _, b := range k.bindings() {
		for _, u := range s.bound[b] {
			f(u)
		}
	}
}

// shares reports whether two sockets may be bound to the same address.
func (u *UDPConn) shares(o *UDPConn) bool {
	return u.opts.ReusePort && o.opts.ReusePort || u.opts.ReuseAddr && o.opts.ReuseAddr
}

// add enters u, unless another has its address. With port 0 it finds one.
func (t *udpTable) add(u *UDPConn) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.snap.Load()
	others := func(yield func(binding) bool) {
		for o, us := range s.bound {
			if slices.ContainsFunc(us, func(o *UDPConn) bool { return !u.shares(o) }) && !yield(o) {
				return
			}
		}
		for _, o := range s.connected {
			if !u.shares(o) && !yield(o.bind) {
				return
			}
		}
	}
	if err := t.host.ports.bind(&u.bind, others); err != nil {
		return err
	}
	n := &udpSockets{bound: maps.Clone(s.bound), connected: maps.Clone(s.connected)}
	if u.remote.IsValid() {
		u.key.localPort = u.bind.port
		if n.connected == nil {
			n.connected = make(map[tuple]*UDPConn)
		}
		n.connected[u.key] = u
	} else {
		if n.bound == nil {
			n.bound = make(map[binding][]*UDPConn)
		}
		n.bound[u.bind] = append(slices.Clone(n.bound[u.bind]), u)
	}
	t.snap.Store(n)
	return nil
}

func (t *udpTable) remove(u *UDPConn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.snap.Load()
	n := &udpSockets{bound: maps.Clone(s.bound), connected: maps.Clone(s.connected)}
	if u.remote.IsValid() {
		if n.connected[u.key] == u {
			delete(n.connected, u.key)
		}
	} else {
		rest := slices.DeleteFunc(slices.Clone(n.bound[u.bind]), func(o *UDPConn) bool { return o == u })
		if len(rest) == 0 {
			delete(n.bound, u.bind)
		} else {
			n.bound[u.bind] = rest
		}
	}
	t.snap.Store(n)
}

func (t *udpTable) all() []*UDPConn {
	s := t.snap.Load()
	var all []*UDPConn
	for _, us := range s.bound {
		all = append(all, us...)
	}
	for _, u := range s.connected {
		all = append(all, u)
	}
	return all
}

// softError passes an ICMP error to the socket that sent what it quotes. As in
// Linux a socket that is not connected does not hear of it.
func (t *udpTable) softError(k *tuple, errno syscall.Errno, hard bool) {
	if u := t.snap.Load().connected[*k]; u != nil && hard && !defect.On(defect.RefusalLost) {
		u.fail(errno)
	}
}
