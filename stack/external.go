package stack

import (
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/stack/route"
)

// What is here serves an interface that somebody else configures: addresses and
// routes that change while the host runs, and neighbours that are found elsewhere.
// All of it may be called from any goroutine.

// addresses returns the interface's addresses: not to be modified.
func (i *Interface) addresses() []netip.Prefix { return *i.addrs.Load() }

// hwAddr is the interface's Ethernet address.
func (i *Interface) hwAddr() nic.MAC { return *i.mac.Load() }

// checkAddrs returns what an interface keeps of addrs, and whether IPv6 is among
// them.
func (i *Interface) checkAddrs(addrs []netip.Prefix) (kept []netip.Prefix, has6 bool, err error) {
	kept = make([]netip.Prefix, 0, len(addrs)+1)
	for _, p := range addrs {
		if !p.IsValid() || p.Addr().IsUnspecified() || p.Addr().IsMulticast() || p.Addr().Is4In6() {
			return nil, false, fmt.Errorf("stack: interface %s: %s is not an address that a host can have", i.name, p)
		}
		if p.Addr().Is6() && i.maxMTU < 1280 {
			return nil, false, fmt.Errorf("stack: interface %s: IPv6 needs an MTU of 1280 (RFC 8200 section 5), this has %d", i.name, i.maxMTU)
		}
		has6 = has6 || p.Addr().Is6()
		kept = append(kept, netip.PrefixFrom(p.Addr().WithZone(""), p.Bits()))
	}
	return kept, has6, nil
}

// SetAddrs replaces the interface's addresses, and with them the routes to their
// subnets. A connection on an address that is gone finds no way out any more,
// as in Linux: it goes on if the address comes back before it times out. Sockets
// that are bound to it stay; new ones get EADDRNOTAVAIL.
func (i *Interface) SetAddrs(addrs []netip.Prefix) error {
	kept, _, err := i.checkAddrs(addrs)
	if err != nil {
		return err
	}
	h := i.host
	h.mu.Lock()
	defer h.mu.Unlock()
	locals := make(map[netip.Addr]*Interface)
	for a, o := range h.locals.Load().byAddr {
		if o != i {
			locals[a] = o
		}
	}
	for _, p := range kept {
		if o := locals[p.Addr()]; o != nil && !isLinkLocal(p.Addr()) {
			return fmt.Errorf("stack: interface %s: the address %s is on %s already", i.name, p.Addr(), o.name)
		}
		locals[p.Addr()] = i
	}
	var routes []route.Route
	onLink := func(r route.Route) bool {
		return !r.Gateway.IsValid() && slices.ContainsFunc(i.addresses(), func(p netip.Prefix) bool { return p.Masked() == r.Prefix })
	}
	for _, r := range h.routes.Routes() {
		if r.Ifindex == i.index && !onLink(r) {
			routes = append(routes, r)
		}
	}
	for _, p := range kept {
		routes = append(routes, route.Route{Prefix: p.Masked()})
	}
	if err := h.routes.SetInterface(i.index, routes); err != nil {
		return err
	}
	i.addrs.Store(&kept)
	h.locals.Store(newLocalAddrs(locals))
	h.pathMTUs.gen.Add(1) // paths look again
	return nil
}

// SetRoutes replaces all routes through the interface, those to its subnets
// included, in one step. The routes' Ifindex is not looked at. The error names
// those that cannot be; the others are there.
func (i *Interface) SetRoutes(routes []route.Route) error {
	return i.host.routes.SetInterface(i.index, routes)
}

// SetMAC changes the interface's Ethernet address, which the device has changed
// already.
func (i *Interface) SetMAC(mac nic.MAC) {
	i.mac.Store(&mac)
	i.host.pathMTUs.gen.Add(1) // connections make their headers anew
}

// SetNeighbor tells the Ethernet address of a neighbour, which takes effect at
// once and counts as a proof that it can be reached. A neighbour that nothing is
// to be sent to is not kept.
func (i *Interface) SetNeighbor(a netip.Addr, mac nic.MAC) {
	now := i.host.now()
	i.neighbors.Set(a, mac, now)
	i.host.carryOut(i, now)
}

// LoseNeighbor says that a neighbour does not answer, or, if it is merely
// forgotten, that it is to be asked for again before more is sent to it. With
// failed what waits for it is dropped, with EHOSTUNREACH for who sent it.
func (i *Interface) LoseNeighbor(a netip.Addr, failed bool) {
	now := i.host.now()
	i.neighbors.Lose(a, failed, now)
	i.host.carryOut(i, now)
}

// addrPorts returns the two ends of a tuple, without zones.
func (t *tuple) addrPorts() (local, remote netip.AddrPort) {
	return netip.AddrPortFrom(fromAddr(t.local), t.localPort), netip.AddrPortFrom(fromAddr(t.remote), t.remotePort)
}

// TCPFlows calls visit with the two ends, without zones, of each TCP connection
// with the local port, of those in TIME-WAIT, and of half-open ones, but for those
// whose state is in a SYN cookie; port 0 stands for all. One may be visited twice.
func (h *Host) TCPFlows(port uint16, visit func(local, remote netip.AddrPort)) {
	// These first: what becomes a connection meanwhile is among the others then.
	h.synq.visit(port, func(k *tuple) { visit(k.addrPorts()) })
	h.flows.all(func(f *flow) {
		if port == 0 || f.key.localPort == port {
			visit(f.key.addrPorts())
		}
	})
}

// HasTCPFlow reports whether there is a TCP connection between two ends, half-open,
// unless its state is in a SYN cookie, and TIME-WAIT included. Zones are not looked
// at.
func (h *Host) HasTCPFlow(local, remote netip.AddrPort) bool {
	k := tuple{
		local: toAddr(local.Addr().Unmap()), remote: toAddr(remote.Addr().Unmap()),
		localPort: local.Port(), remotePort: remote.Port(),
	}
	// In the order in which a connection goes from one to the other.
	has := func() bool { return h.synq.has(&k) || h.flows.lookup(&k) != nil }
	if !isLinkLocal(remote.Addr()) {
		return has()
	}
	for _, i := range h.interfaces() {
		if k.scope = uint32(i.index); has() {
			return true
		}
	}
	return false
}

// Drain makes the listener drop SYNs, silently, so that their senders try again:
// the port is about to be somebody else's. Connections that have begun go on, and
// Accept returns them. None begins once Drain has returned.
func (l *TCPListener) Drain() {
	s := &l.host.synq
	s.mu.Lock() // a SYN that is worked off just now has its record, or gets none
	l.draining.Store(true)
	s.mu.Unlock()
}

// Waiting is how many connections Accept would return without waiting.
func (l *TCPListener) Waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue)
}

// Deliver queues a datagram that has come to the socket another way: by the
// kernel's socket of the same port. It is dropped, and counted, if the buffer is
// full.
func (u *UDPConn) Deliver(b []byte, from netip.AddrPort, info DatagramInfo) {
	h := u.host
	pool := h.held
	if len(b) > pool.Room() {
		pool = h.big
	}
	p := pool.Get()
	if p == nil || len(b) > p.Tailroom() {
		if p != nil {
			p.Release()
		}
		h.count.drops[DropNoBuffer].Add(1)
		return
	}
	copy(p.Extend(len(b)), b)
	u.push(p, from, &info)
}

// HasRoute reports whether packets to dst would leave by an interface: it is another
// host's, and there is a route.
func (h *Host) HasRoute(dst netip.Addr) bool {
	if dst = dst.Unmap().WithZone(""); !dst.IsValid() || dst.IsLoopback() || h.isLocal(dst) {
		return false
	}
	_, ok := h.routes.Lookup(dst)
	return ok
}

// gone reports whether src is no address of the host's any more. Nothing may be
// sent from it (RFC 1122 section 3.3.4.2).
func (h *Host) gone(src netip.Addr) bool {
	return src.IsValid() && !src.IsMulticast() && !src.IsUnspecified() && !h.isLocal(src)
}

var errSourceGone = syscall.EINVAL // as Linux: ip_route_output_key

// OpenConnections returns how many TCP connections there are, TIME-WAIT not
// counted, and how many handshakes have begun that others began. Of these some may
// be complete, but not on their listener's accept queue yet.
func (h *Host) OpenConnections() (connections, halfOpen int) {
	halfOpen = int(h.synq.n.Load()) // in the order in which one goes from one to the other
	halfOpen += int(h.establishing.Load())
	return int(h.sockets.Load()), halfOpen
}

// HoldResets makes the host drop segments of no connection, without a RST, for a
// while: they may be somebody else's, who has the address too and will get them
// when they are sent again.
func (h *Host) HoldResets(d time.Duration) { h.resetsFrom.Store(int64(h.now() + d)) }
