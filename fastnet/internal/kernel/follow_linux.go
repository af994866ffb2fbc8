package kernel

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// maxWanted bounds the neighbours that wait to be asked for: who wants one that
// is left out asks again.
const maxWanted = 1024

// Follower follows one interface. All methods may be called from any goroutine.
type Follower struct {
	handler Handler
	index   int

	mu     sync.Mutex // of requests: one at a time on the handle's socket
	handle *netlink.Handle
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
		f.asking, err = nl.GetNetlinkSocketAt(here, here, unix.NETLINK_ROUTE)
	}
	if err == nil {
		f.asking.SetReceiveTimeout(&unix.Timeval{Sec: 5})
		f.index, err = indexOf(f.handle, name)
	}
	if err == nil {
		f.state, err = readState(f.handle, f.index)
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
	if f.asking != nil {
		f.asking.Close()
		f.asking = nil
	}
}

// Changes come in bursts, as one of an address with its routes. The state is read
// when they have paused for a moment, or have not for a longer one.
const (
	pause   = 2 * time.Millisecond
	longest = 100 * time.Millisecond
)

// follow reads what the kernel tells until the follower is closed or the interface
// is gone.
func (f *Follower) follow() {
	var dirty, routing bool // the state, and routes elsewhere
	var since time.Time
	for {
		wait := unix.Timeval{}
		if dirty {
			wait = unix.NsecToTimeval(int64(pause))
		}
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
		case errors.Is(err, unix.ENOBUFS):
			// Messages are lost (netlink(7)): everything is read anew; neighbours
			// are asked for again as they age.
			dirty, routing = true, true
		case err != nil:
			time.Sleep(10 * time.Millisecond)
			dirty, routing = true, true
		case from.Pid == nl.PidKernel:
			for i := range msgs {
				r, ours := f.message(&msgs[i])
				routing = routing || r
				if ours && !dirty {
					dirty, since = true, time.Now()
				}
			}
		}
		switch {
		case dirty && (err != nil || time.Since(since) > longest):
			if !f.reread(routing) {
				return
			}
			dirty, routing = false, false
		case routing && !dirty:
			f.call(f.handler.Routing)
			routing = false
		}
	}
}

// message looks at one message: does it change routing decisions, and may the
// interface's state be another.
func (f *Follower) message(m *syscall.NetlinkMessage) (routing, ours bool) {
	switch m.Header.Type {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		if len(m.Data) < unix.SizeofIfInfomsg {
			return
		}
		index := int(int32(nl.NativeEndian().Uint32(m.Data[4:])))
		return true, index == f.index
	case unix.RTM_NEWADDR, unix.RTM_DELADDR, unix.RTM_NEWROUTE, unix.RTM_DELROUTE, unix.RTM_NEWRULE, unix.RTM_DELRULE:
		return true, true
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

// reread asks for the whole state and tells the handler. It returns false if the
// interface is gone.
func (f *Follower) reread(routing bool) bool {
	f.mu.Lock()
	if f.handle == nil {
		f.mu.Unlock()
		return false
	}
	s, err := readState(f.handle, f.index)
	f.mu.Unlock()
	if _, ok := errors.AsType[netlink.LinkNotFoundError](err); ok || errors.Is(err, unix.ENODEV) {
		f.call(f.handler.Routing) // nothing leads out of it any more
		if f.handler.Gone != nil {
			f.handler.Gone(errGone)
		}
		return false
	}
	if err == nil {
		f.stateMu.Lock()
		same := f.state.Equal(&s)
		f.state = s
		f.stateMu.Unlock()
		if !same && f.handler.Changed != nil {
			f.handler.Changed(s)
		}
	}
	if routing {
		f.call(f.handler.Routing) // after Changed: who asks again finds the new addresses
	}
	return true
}

func (f *Follower) call(fn func()) {
	if fn != nil {
		fn()
	}
}

// Resolve makes the kernel find a neighbour's address, or confirm the one that it
// has; the handler hears of it. It does not wait.
func (f *Follower) Resolve(a netip.Addr) {
	f.wantMu.Lock()
	if len(f.wanted) < maxWanted {
		f.wanted[a] = struct{}{}
	}
	f.wantMu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// resolve does what Resolve asks for.
func (f *Follower) resolve() {
	for {
		select {
		case <-f.done:
			return
		case <-f.wake:
		}
		f.wantMu.Lock()
		wanted := f.wanted
		f.wanted = make(map[netip.Addr]struct{})
		f.wantMu.Unlock()
		for a := range wanted {
			f.use(a)
		}
	}
}

// use tells the kernel that a neighbour is about to be used, which makes it ask or
// confirm as if it sent a packet itself (NTF_USE, rtnetlink(7)), and passes on what
// it knows already: of that no event would tell.
func (f *Follower) use(a netip.Addr) {
	f.mu.Lock()
	if f.handle == nil {
		f.mu.Unlock()
		return
	}
	err := f.handle.NeighSet(&netlink.Neigh{LinkIndex: f.index, IP: net.IP(a.AsSlice()), Flags: netlink.NTF_USE})
	var n *netlink.Neigh
	if err == nil {
		n, err = getNeighbor(f.asking, f.index, a)
	}
	f.mu.Unlock()
	if err != nil || n == nil || f.handler.Neighbor == nil {
		return
	}
	if at, mac, s, ok := neighborOf(n); ok && s == Known {
		f.handler.Neighbor(at, mac, s)
	}
}

// getNeighbor asks for one neighbour (RTM_GETNEIGH without NLM_F_DUMP, Linux 5.0).
func getNeighbor(socket *nl.NetlinkSocket, index int, a netip.Addr) (*netlink.Neigh, error) {
	family := netlink.FAMILY_V4
	if a.Is6() {
		family = netlink.FAMILY_V6
	}
	req := nl.NewNetlinkRequest(unix.RTM_GETNEIGH, 0)
	req.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: socket, Seq: req.Seq}}
	req.AddData(&netlink.Ndmsg{Family: uint8(family), Index: uint32(index)})
	req.AddData(nl.NewRtAttr(netlink.NDA_DST, a.AsSlice()))
	msgs, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWNEIGH)
	if err != nil || len(msgs) == 0 {
		return nil, err
	}
	return netlink.NeighDeserialize(msgs[0])
}
