package kernel

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Follower follows one interface. All methods may be called from any goroutine.
type Follower struct {
	handler Handler
	index   int

	mu     sync.Mutex // of requests: one at a time on the handle's socket
	handle *netlink.Handle
	routes *netlink.Handle   // for lists of routes, which the kernel filters if it is asked strictly (Linux 4.20)
	asking *nl.NetlinkSocket // for the one request that a Handle has not
	events *nl.NetlinkSocket

	stateMu sync.Mutex
	state   State

	wantMu sync.Mutex
	wanted map[netip.Addr]struct{} // neighbours to be resolved
	wake   chan struct{}           // one is there
	done   chan struct{}
	closed sync.Once
	wg     sync.WaitGroup
}

// errGone is what Gone gets.
var errGone = errors.New("the interface does not exist any more")

// Follow begins to follow an interface of the calling thread's network
// namespace. The handler is called from before Follow returns on, but not for the
// state that State returns then. ErrNoInterface is in the error if there is no
// such interface.
func Follow(name string, handler Handler) (*Follower, error) {
	f := &Follower{
		handler: handler, wanted: make(map[netip.Addr]struct{}),
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	var err error
	// Subscribed before the first look, so that no change is missed.
	f.events, err = nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_NEIGH, unix.RTNLGRP_IPV4_IFADDR,
		unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV4_RULE, rtnlgrpIPv6Rule)
	if err != nil {
		return nil, fmt.Errorf("netlink: %w", err)
	}
	f.events.SetReceiveBufferSize(1<<20, false) // a route daemon's burst; if it is lost all is read anew
	if f.handle, err = netlink.NewHandle(unix.NETLINK_ROUTE); err == nil {
		// A kernel that does not answer must not hold anybody for ever.
		f.handle.SetSocketTimeout(5 * time.Second)
		f.routes, err = netlink.NewHandle(unix.NETLINK_ROUTE)
	}
	if err == nil {
		f.routes.SetSocketTimeout(5 * time.Second)
		_ = f.routes.SetStrictCheck(true)
		f.asking, err = nl.GetNetlinkSocketAt(here, here, unix.NETLINK_ROUTE)
	}
	if err == nil {
		f.asking.SetReceiveTimeout(&unix.Timeval{Sec: 5})
		f.index, err = indexOf(f.handle, name)
	}
	if err == nil {
		f.state, err = readLink(f.handle, f.index)
	}
	if err == nil {
		f.state.Routes, _, err = readRoutes(f.routes, f.index)
	}
	if err != nil {
		f.release()
		return nil, err
	}
	f.wg.Go(f.follow)
	f.wg.Go(f.resolve)
	return f, nil
}

// here is the thread's own network namespace, for package nl.
const here = -1

// rtnlgrpIPv6Rule is RTNLGRP_IPV6_RULE of linux/rtnetlink.h.
const rtnlgrpIPv6Rule = 19

// ErrNoInterface is that there is no interface of a name.
var ErrNoInterface = errors.New("no such interface")

func indexOf(h *netlink.Handle, name string) (int, error) {
	link, err := h.LinkByName(name)
	if _, ok := errors.AsType[netlink.LinkNotFoundError](err); ok {
		return 0, fmt.Errorf("%s: %w", name, ErrNoInterface)
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return link.Attrs().Index, nil
}

// State returns the interface's present state.
func (f *Follower) State() State {
	f.stateMu.Lock()
	defer f.stateMu.Unlock()
	return f.state
}

// Close ends the calls of the handler: none is under way when it has returned. The
// handler must not call it.
func (f *Follower) Close() {
	f.closed.Do(func() {
		close(f.done)
		f.events.Close()
		f.wg.Wait()
		f.release()
	})
}

func (f *Follower) release() {
	if f.events != nil {
		f.events.Close()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.handle != nil {
		f.handle.Close()
		f.handle = nil
	}
	if f.routes != nil {
		f.routes.Close()
		f.routes = nil
	}
	if f.asking != nil {
		f.asking.Close()
		f.asking = nil
	}
}

// follow reads what the kernel tells until the follower is closed or the interface
// is gone.
func (f *Follower) follow() {
	var p pending
	for {
		wait := unix.NsecToTimeval(int64(p.wait(time.Now())))
		f.events.SetReceiveTimeout(&wait)
		msgs, from, err := f.events.Receive()
		select {
		case <-f.done:
			return
		default:
		}
		switch {
		case errors.Is(err, os.ErrClosed):
			return
		case errors.Is(err, unix.EAGAIN): // a pause
		case err != nil:
			// Messages are lost (ENOBUFS, netlink(7)): everything is read anew;
			// neighbours are asked for again as they age.
			if !errors.Is(err, unix.ENOBUFS) {
				time.Sleep(10 * time.Millisecond)
			}
			p.add(time.Now(), changes{true, true, true})
		case from.Pid == nl.PidKernel:
			for i := range msgs {
				p.add(time.Now(), f.message(&msgs[i]))
			}
		}
		if due := p.due(time.Now(), err != nil); due != (changes{}) && !f.reread(&p, due) {
			return
		}
	}
}

// message looks at one message: what may be another now.
func (f *Follower) message(m *syscall.NetlinkMessage) (c changes) {
	ours := func(at int) bool {
		return len(m.Data) >= at+4 && int(int32(nl.NativeEndian().Uint32(m.Data[at:]))) == f.index
	}
	switch m.Header.Type {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		// Routes go with a link that goes down, unsaid.
		return changes{link: ours(4), routes: ours(4), routing: true}
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		return changes{link: ours(4), routes: ours(4), routing: true}
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		return changes{routes: m.Header.Flags&unix.NLM_F_REPLACE != 0 || mayLeaveBy(m.Data, f.index), routing: true}
	case unix.RTM_NEWRULE, unix.RTM_DELRULE:
		return changes{routing: true}
	case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
		if len(m.Data) < unix.SizeofNdMsg {
			return
		}
		n, err := netlink.NeighDeserialize(m.Data)
		if err != nil || n.LinkIndex != f.index || f.handler.Neighbor == nil {
			return
		}
		a, mac, s, ok := neighborOf(n)
		switch {
		case m.Header.Type == unix.RTM_DELNEIGH && a.IsValid():
			f.handler.Neighbor(a, [6]byte{}, Forgotten)
		case ok:
			f.handler.Neighbor(a, mac, s)
		}
	}
	return
}

// mayLeaveBy reports whether a route may be one of an interface's: it is not the
// kernel's own of an address, and names no other interface alone.
func mayLeaveBy(message []byte, index int) bool {
	if len(message) < unix.SizeofRtMsg || message[4] == unix.RT_TABLE_LOCAL {
		return false
	}
	attrs := attributes(message[unix.SizeofRtMsg:])
	oif, ok := attrs[unix.RTA_OIF]
	return !ok || len(oif) != 4 || int(nl.NativeEndian().Uint32(oif)) == index
}

// reread asks for what is due and tells the handler. What cannot be had for the
// moment is asked for again. It returns false if the interface is gone.
func (f *Follower) reread(p *pending, due changes) bool {
	f.mu.Lock()
	if f.handle == nil {
		f.mu.Unlock()
		return false
	}
	s := f.State()
	var err error
	if due.link {
		routes := s.Routes
		s, err = readLink(f.handle, f.index)
		s.Routes = routes
	}
	if err == nil && due.routes {
		began := time.Now()
		whole := false
		s.Routes, whole, err = readRoutes(f.routes, f.index)
		p.listed(began, time.Now(), whole)
	}
	f.mu.Unlock()
	if _, ok := errors.AsType[netlink.LinkNotFoundError](err); ok || errors.Is(err, unix.ENODEV) {
		f.call(f.handler.Routing) // nothing leads out of it any more
		if f.handler.Gone != nil {
			f.handler.Gone(errGone)
		}
		return false
	}
	if err != nil {
		p.failed(time.Now(), due)
		return true
	}
	f.stateMu.Lock()
	same := f.state.Equal(&s)
	f.state = s
	f.stateMu.Unlock()
	if !same && f.handler.Changed != nil {
		f.handler.Changed(s)
	}
	if due.routing {
		f.call(f.handler.Routing) // after Changed: who asks again finds the new addresses
	}
	return true
}

func (f *Follower) call(fn func()) {
	if fn != nil {
		fn()
	}
}
