package stack

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/stack/neighbor"
	"github.com/fastnet-go/fastnet/stack/route"
	"github.com/fastnet-go/fastnet/stack/timer"
)

// InterfaceConfig says how a host uses a device.
type InterfaceConfig struct {
	Name  string         // default the device's
	Addrs []netip.Prefix // addresses with the length of their subnet's prefix
	MTU   int            // bytes; default and at most the device's

	// NoLinkLocal leaves out the IPv6 link-local address that an interface with
	// IPv6 has else: somebody else has it on the link.
	NoLinkLocal bool

	// Resolve, if not nil, says that neighbours are found by somebody else: the
	// interface sends no ARP and no neighbour discovery of its own and answers
	// none. It is called with the address of a neighbour that is not known or
	// has aged, repeatedly while it is wanted, with locks held: it returns at
	// once and calls nothing of the host's. The answer is Interface.SetNeighbor.
	Resolve func(addr netip.Addr)

	// Failed, if not nil, says that somebody else has the addresses too. A SYN that
	// nobody here takes is not refused then: sent again it may find him. Failed is
	// called when the device has failed for good and the connections over it have
	// been ended; listeners and unconnected UDP sockets go on for what else comes
	// to them, where they would end without it.
	Failed func(err error)
}

// InterfaceInfo describes an interface of a host.
type InterfaceInfo struct {
	Index    int // from 1; 1 is loopback
	Name     string
	MAC      nic.MAC
	MTU      int
	Up       bool
	Loopback bool
	Addrs    []netip.Prefix
	Device   nic.Info
	Stats    nic.QueueStats
}

// Interface is a device with its addresses on a host.
type Interface struct {
	host     *Host
	index    int
	name     string
	dev      nic.Device
	mac      atomic.Pointer[nic.MAC]
	offloads nic.Offloads
	maxSend  int // largest frame with TSO
	loopback bool
	spread   spread // over queues, by the device
	queues   []*queue
	maxMTU   int // configured
	mtu      atomic.Int32
	up       atomic.Bool

	addrs   atomic.Pointer[[]netip.Prefix]
	resolve func(netip.Addr) // InterfaceConfig.Resolve
	failed  func(error)      // InterfaceConfig.Failed

	groups groups

	// Neighbours: ARP's and ND's addresses are apart by their family.
	neighbors *neighbor.Cache[*nic.Packet]
	neighTime timer.Timer
	neighMu   sync.Mutex // held while actions are carried out
	actions   []neighbor.Action[*nic.Packet]
}

// Attach gives the host an interface on dev. Its addresses are the host's from
// then on. The device must not be used by anybody else.
func (h *Host) Attach(dev nic.Device, cfg InterfaceConfig) (*Interface, error) {
	return h.attach(dev, cfg, false)
}

func (h *Host) attach(dev nic.Device, cfg InterfaceConfig, loopback bool) (*Interface, error) {
	info := dev.Info()
	setDefault(&cfg.Name, info.Name)
	setDefault(&cfg.MTU, info.MTU)
	if cfg.MTU > info.MTU || cfg.MTU < 68 {
		return nil, fmt.Errorf("stack: interface %s: an MTU of %d: the device takes 68 to %d", cfg.Name, cfg.MTU, info.MTU)
	}
	i := &Interface{
		host: h, name: cfg.Name, dev: dev, offloads: info.Offloads,
		maxSend: info.MaxSend, loopback: loopback, resolve: cfg.Resolve, failed: cfg.Failed,
		spread: spread{key: info.HashKey, table: info.HashTable},
	}
	i.mac.Store(&info.MAC)
	i.maxMTU = cfg.MTU
	i.mtu.Store(int32(cfg.MTU))
	i.neighTime.Init(i, 0)
	i.groups.init(i)
	i.neighbors = neighbor.New[*nic.Packet](neighbor.Config{Rand: h.random})
	addrs, has6, err := i.checkAddrs(cfg.Addrs)
	if err != nil {
		return nil, err
	}
	i.addrs.Store(&addrs)
	if ll := linkLocal(info.MAC); has6 && !loopback && !cfg.NoLinkLocal && !i.hasAddr(ll) {
		addrs = append(addrs, netip.PrefixFrom(ll, 64))
		i.addrs.Store(&addrs)
	}

	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed.Load() {
		return nil, ErrClosed
	}
	for _, o := range h.interfaces() {
		if o.name == i.name {
			return nil, fmt.Errorf("stack: the host already has an interface named %s", i.name)
		}
	}
	locals := make(map[netip.Addr]*Interface)
	for a, o := range h.locals.Load().byAddr {
		locals[a] = o
	}
	i.index = len(h.interfaces()) + 1
	for _, p := range addrs {
		if o := locals[p.Addr()]; o != nil && !isLinkLocal(p.Addr()) {
			return nil, fmt.Errorf("stack: interface %s: the address %s is on %s already", i.name, p.Addr(), o.name)
		}
		locals[p.Addr()] = i
	}
	for _, p := range addrs {
		err := h.routes.Add(route.Route{Prefix: p.Masked(), Ifindex: i.index})
		if err != nil && !errors.Is(err, route.ErrExists) { // two addresses of a subnet
			h.routes.RemoveInterface(i.index)
			return nil, err
		}
	}
	for n, q := range dev.Queues() {
		i.queues = append(i.queues, newQueue(i, n, q))
	}
	dev.Notify(i.setLink) // first: a change after Link has answered must not be missed
	i.setLink(dev.Link())
	list := append([]*Interface(nil), h.interfaces()...)
	list = append(list, i)
	h.locals.Store(newLocalAddrs(locals))
	h.ifaces.Store(&list)
	if h.poller != nil {
		h.poller.assign(i)
	}
	return i, nil
}

// linkLocal makes the link-local address of a MAC (RFC 4291 appendix A).
func linkLocal(m nic.MAC) netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 8: m[0] ^ 2, 9: m[1], 10: m[2], 11: 0xff, 12: 0xfe, 13: m[3], 14: m[4], 15: m[5]})
}

// setLink follows the device's link. It takes no lock of the stack's, as the
// driver calls it with its own held.
func (i *Interface) setLink(l nic.Link) {
	i.up.Store(l.Up)
	if l.MTU > 0 {
		i.mtu.Store(int32(min(l.MTU, i.maxMTU)))
	}
	if l.Err != nil {
		i.host.log.Error("interface failed", "interface", i.name, "error", l.Err)
		go i.host.interfaceFailed(i, l.Err)
	}
}

// interfaceFailed ends what can no longer work, so that no call waits for a
// device that is gone.
func (h *Host) interfaceFailed(i *Interface, err error) {
	h.flows.all(func(f *flow) {
		if f.conn != nil && f.conn.usesInterface(i) {
			f.conn.abort(errNetDown)
		}
	})
	for _, u := range h.udp.all() {
		if h.bindingDead(u.bind) && (i.failed == nil || u.remote.IsValid()) {
			u.kill(errNetDown)
		}
	}
	if i.failed != nil {
		i.failed(err)
		return
	}
	for _, l := range h.listeners.all() {
		if h.bindingDead(l.bind) {
			l.kill(errNetDown)
		}
	}
}

// bindingDead reports whether nothing from another host can reach a socket any
// more: its address's device is dead, or those of all interfaces.
func (h *Host) bindingDead(b binding) bool {
	wildcard := b.addr == any4 || b.addr == any6
	dead := false
	for _, i := range h.interfaces() {
		if wildcard && !i.loopback || !wildcard && i.hasAddr(fromAddr(b.addr)) {
			if i.dev.Link().Err == nil {
				return false
			}
			dead = true
		}
	}
	return dead // an address of no interface, of 127.0.0.0/8 or a group's, is not
}

func (i *Interface) info() InterfaceInfo {
	return InterfaceInfo{
		Index: i.index, Name: i.name, MAC: i.hwAddr(), MTU: int(i.mtu.Load()), Up: i.up.Load(),
		Loopback: i.loopback, Addrs: i.addresses(), Device: i.dev.Info(), Stats: nic.DeviceStats(i.dev),
	}
}

// Info describes the interface.
func (i *Interface) Info() InterfaceInfo { return i.info() }

// Neighbors returns what the interface knows of its neighbours.
func (i *Interface) Neighbors() []neighbor.Info { return i.neighbors.Snapshot() }

// hasAddr reports whether a is one of the interface's addresses.
func (i *Interface) hasAddr(a netip.Addr) bool {
	for _, p := range i.addresses() {
		if p.Addr() == a {
			return true
		}
	}
	return false
}

// isBroadcast reports whether a is the broadcast address of one of the
// interface's IPv4 subnets, or the limited one (RFC 1122 section 3.2.1.3).
func (i *Interface) isBroadcast(a netip.Addr) bool {
	if !a.Is4() {
		return false
	}
	if a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return true
	}
	for _, p := range i.addresses() {
		if p.Addr().Is4() && p.Bits() < 31 && p.Contains(a) {
			b, host := a.As4(), 32-p.Bits()
			v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
			if v|^(uint32(1)<<host-1) == ^uint32(0) {
				return true
			}
		}
	}
	return false
}

// shut takes the interface out of use as its host closes.
func (i *Interface) shut() {
	i.up.Store(false)
	for _, q := range i.queues {
		q.shutReceive() // a reader may still poll
	}
	i.flushNeighbors()
	i.host.wheel.Stop(&i.neighTime)
	i.host.wheel.Stop(&i.groups.timer)
	for _, q := range i.queues {
		q.shutTransmit()
	}
}

// Expire is the neighbour cache's timer.
func (i *Interface) Expire(_ int, now time.Duration) { i.host.carryOut(i, now) }

// shared reports whether somebody else has the interface's addresses, too.
func (i *Interface) shared() bool { return i.failed != nil }
