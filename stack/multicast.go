package stack

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/stack/header"
	"github.com/fastnet-go/fastnet/stack/timer"
)

// Multicast groups: which a host is a member of on which interface, what it
// tells the routers and switches of that (igmp.go, mld.go), and which sockets
// get what comes to a group. Sources are not filtered: a membership is always
// for a group from anybody (EXCLUDE mode with an empty list, RFC 3376).
//
// Nothing is told of the groups that neighbour discovery uses (the
// solicited-node addresses): the device takes all multicast, and a switch that
// snoops MLD must let those through.

// Constants of RFC 3376 section 8 and RFC 3810 section 9: the same.
const (
	robustness       = 2                 // how often a change is told
	reportInterval   = time.Second       // within which it is told again
	olderQuerierTime = 260 * time.Second // for which an older router is believed to be there
)

// membership is a group that a socket has joined.
type membership struct {
	iface *Interface
	group netip.Addr
}

// groups are those of an interface.
type groups struct {
	iface   *Interface
	joined  atomic.Pointer[map[netip.Addr]struct{}] // for the packet path
	timer   timer.Timer
	mu      sync.Mutex
	members map[netip.Addr]*member
	older4  time.Duration // until when a router of IGMPv2 is about
	older6  time.Duration // the same of MLDv1
}

// member is the state of a group: those that were left stay until that is told.
type member struct {
	refs    int           // sockets; 0: left
	tell    int           // how often the change is still to be told
	changes time.Duration // when next
	answer  time.Duration // when a query is to be answered; Never: not
}

func (g *groups) init(i *Interface) {
	g.iface = i
	g.members = make(map[netip.Addr]*member)
	g.joined.Store(&map[netip.Addr]struct{}{})
	g.timer.Init(g, 0)
}

// silent reports whether nothing is told of a group: the interface is loopback,
// or it is the group of all hosts, or one that never leaves the host (RFC 3376
// section 6, RFC 3810 section 6).
func (g *groups) silent(a netip.Addr) bool {
	return g.iface.loopback || allHosts(a) || a.Is6() && a.As16()[1]&0xf <= 1
}

// allHosts reports whether a is a group that every host is a member of.
func allHosts(a netip.Addr) bool {
	return a == allHosts4 || a == allNodes6
}

var (
	allHosts4 = netip.AddrFrom4([4]byte{224, 0, 0, 1})
	allNodes6 = netip.IPv6LinkLocalAllNodes()
)

func (g *groups) has(a netip.Addr) bool {
	_, ok := (*g.joined.Load())[a]
	return ok
}

// publish makes what the packet path reads. g.mu is held.
func (g *groups) publish() {
	joined := make(map[netip.Addr]struct{})
	for a, m := range g.members {
		if m.refs > 0 {
			joined[a] = struct{}{}
		}
	}
	g.joined.Store(&joined)
}

func (g *groups) join(a netip.Addr, now time.Duration) {
	g.mu.Lock()
	m := g.members[a]
	if m == nil {
		m = &member{answer: Never, changes: Never}
		g.members[a] = m
	}
	m.refs++
	first := m.refs == 1
	if first {
		g.publish()
		g.changed(a, m, now)
	}
	g.mu.Unlock()
	if first {
		g.Expire(0, now)
	}
}

func (g *groups) leave(a netip.Addr, now time.Duration) {
	g.mu.Lock()
	m := g.members[a]
	if m == nil || m.refs == 0 {
		g.mu.Unlock()
		return
	}
	m.refs--
	last := m.refs == 0
	if last {
		m.answer = Never
		g.publish()
		g.changed(a, m, now)
	}
	g.mu.Unlock()
	if last {
		g.Expire(0, now)
	}
}

// changed begins to tell of a join or leave. g.mu is held.
func (g *groups) changed(a netip.Addr, m *member, now time.Duration) {
	m.tell, m.changes = robustness, now
	if g.silent(a) || g.iface.host.closed.Load() {
		m.tell, m.changes = 0, Never
		if m.refs == 0 {
			delete(g.members, a)
		}
	}
}

// queried answers a query within limit, about one group or, if that is
// unspecified, about all of a's family (RFC 3376 section 5.2). older says that
// the router speaks the version before.
func (g *groups) queried(a netip.Addr, limit time.Duration, older bool, now time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if older && a.Is4() {
		g.older4 = now + olderQuerierTime
	} else if older {
		g.older6 = now + olderQuerierTime
	}
	for b, m := range g.members {
		if m.refs == 0 || g.silent(b) || b.Is4() != a.Is4() || !a.IsUnspecified() && a != b {
			continue
		}
		at := now + time.Duration(g.iface.host.random()%uint64(max(limit, time.Millisecond)))
		m.answer = min(m.answer, at)
		g.iface.host.arm(&g.timer, m.answer)
	}
}

// overheard stops an answer, as another member has given it: with the older
// versions one of them is enough (RFC 2236 section 3, RFC 2710 section 4).
func (g *groups) overheard(a netip.Addr, now time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if m := g.members[a]; m != nil && now < g.older(a) {
		m.answer = Never
	}
}

// older is until when a router of the older version is about.
func (g *groups) older(a netip.Addr) time.Duration {
	if a.Is4() {
		return g.older4
	}
	return g.older6
}

// Expire sends what is due. It is called by the timer wheel too.
func (g *groups) Expire(_ int, now time.Duration) {
	var pkts []*nic.Packet
	g.mu.Lock()
	next := Never
	addrs := make([]netip.Addr, 0, len(g.members))
	for a := range g.members {
		addrs = append(addrs, a)
	}
	slices.SortFunc(addrs, netip.Addr.Compare) // so that a simulation can be replayed
	for _, a := range addrs {
		m := g.members[a]
		older := now < g.older(a)
		if m.tell > 0 && m.changes <= now {
			pkts = append(pkts, g.report(a, change(m.refs > 0), older))
			m.tell--
			m.changes = Never
			if m.tell > 0 && (m.refs > 0 || !older) {
				m.changes = now + 1 + time.Duration(g.iface.host.random()%uint64(reportInterval))
			} else {
				m.tell = 0
			}
		}
		if m.answer <= now {
			pkts = append(pkts, g.report(a, isMember, older))
			m.answer = Never
		}
		if m.refs == 0 && m.tell == 0 {
			delete(g.members, a)
			continue
		}
		next = min(next, m.changes, m.answer)
	}
	g.iface.host.arm(&g.timer, next)
	g.mu.Unlock()
	for _, p := range pkts {
		if p == nil {
			g.iface.host.count.drops[DropNoBuffer].Add(1)
			continue
		}
		q := g.iface.queues[0]
		q.transmit([]*nic.Packet{p})
		q.kick()
	}
}

// What a record says of a group, in both protocols (RFC 3376 section 4.2.12, RFC
// 3810 section 5.2.12).
const (
	isMember    = 2 // MODE_IS_EXCLUDE: a member, from any source
	hasLeft     = 3 // CHANGE_TO_INCLUDE_MODE, of no source
	hasJoined   = 4 // CHANGE_TO_EXCLUDE_MODE, of no source
	routerAlert = 4 // length of the IPv4 option (RFC 2113)
)

func change(joined bool) uint8 {
	if joined {
		return hasJoined
	}
	return hasLeft
}

// report builds what tells of a group, or nil if there is no buffer.
func (g *groups) report(a netip.Addr, record uint8, older bool) *nic.Packet {
	if a.Is4() {
		return g.report4(a, record, older)
	}
	return g.report6(a, record, older)
}

// memberOf reports whether what comes to the group a by the queue's interface is
// for this host. By loopback comes what the host itself sends to its groups.
func (q *queue) memberOf(a netip.Addr) bool {
	if !a.IsMulticast() {
		return false
	}
	if allHosts(a) || q.iface.groups.has(a) {
		return true
	}
	if q.iface.loopback {
		for _, i := range q.host.interfaces() {
			if i.groups.has(a) {
				return true
			}
		}
	}
	return false
}

// loops reports whether a datagram to a group or broadcast address, sent on p,
// is for this host too.
func (u *UDPConn) loops(p *path) bool {
	if p.iface.loopback {
		return false // it comes back anyway
	}
	if !p.dst.IsMulticast() {
		return true
	}
	return !u.opts.NoMulticastLoop && (allHosts(p.dst) || p.iface.groups.has(p.dst))
}

// JoinGroup makes the host a member of a group on the interface of the index
// given, 0 for the first that is not loopback, until the socket leaves it or is
// closed. As in Linux every socket bound to the group or the wildcard address
// then gets what comes to the group and its port. Errors: EINVAL if group is
// none, ENODEV if there is no such interface, EADDRINUSE if the socket has
// joined it already, ErrClosed.
func (u *UDPConn) JoinGroup(index int, group netip.Addr) error {
	group = group.Unmap().WithZone("")
	if !group.IsMulticast() {
		return errInvalid
	}
	i := u.host.groupInterface(index)
	if i == nil {
		return syscall.ENODEV
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	m := membership{i, group}
	switch {
	case u.ended:
		return ErrClosed
	case slices.Contains(u.joined, m):
		return syscall.EADDRINUSE
	}
	u.joined = append(u.joined, m)
	i.groups.join(group, u.host.now())
	return nil
}

// LeaveGroup ends a membership of the socket. Errors: EADDRNOTAVAIL if it has
// none, and those of JoinGroup.
func (u *UDPConn) LeaveGroup(index int, group netip.Addr) error {
	group = group.Unmap().WithZone("")
	i := u.host.groupInterface(index)
	if i == nil {
		return syscall.ENODEV
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ended {
		return ErrClosed
	}
	at := slices.Index(u.joined, membership{i, group})
	if at < 0 {
		return syscall.EADDRNOTAVAIL
	}
	u.joined = slices.Delete(u.joined, at, at+1)
	i.groups.leave(group, u.host.now())
	return nil
}

// groupInterface is the interface with an index, or for 0 the first that is not
// loopback, or loopback where there is no other.
func (h *Host) groupInterface(index int) *Interface {
	all := h.interfaces()
	switch {
	case index < 0 || index > len(all):
		return nil
	case index > 0:
		return all[index-1]
	}
	if i := h.scopeInterface(netip.Addr{}, netip.Addr{}); i != nil {
		return i
	}
	return h.loop
}

// receiveGroup passes a datagram of n bytes, its header included, to all sockets
// that what comes to a group or by broadcast is for.
func (q *queue) receiveGroup(p *nic.Packet, n int, k *tuple, from netip.Addr, info *DatagramInfo) {
	h := q.host
	if info.To.IsMulticast() && !q.memberOf(info.To) {
		h.drop(p, DropNotLocal)
		return
	}
	q.endDatagrams() // what came before it is first
	src := netip.AddrPortFrom(from, k.remotePort)
	p.Trim(n)
	p.TrimFront(header.UDPLen)
	var last *UDPConn
	h.udp.each(k, func(u *UDPConn) {
		if last != nil {
			if c := h.copyOf(p); c != nil {
				last.push(c, src, info)
			}
		}
		last = u
	})
	if last == nil {
		h.drop(p, DropNoPort)
		return
	}
	last.push(p, src, info)
}

// copyOf copies a packet's bytes into one of the host's, nil if there is none.
func (h *Host) copyOf(p *nic.Packet) *nic.Packet {
	pool := h.held
	if p.Len() > pool.Room() {
		pool = h.big
	}
	c := pool.Get()
	if c == nil {
		h.count.drops[DropNoBuffer].Add(1)
		return nil
	}
	copy(c.Extend(p.Len()), p.Bytes())
	return c
}
