package fastnet

import (
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"github.com/fastnet-go/fastnet/fastnet/internal/kernel"
	"github.com/fastnet-go/fastnet/fastnet/internal/steer"
	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/afxdp"
)

// changed takes over what the kernel has configured: what the follower knows by
// now, so that of two calls at the same time neither puts back an older state.
func (x *xdp) changed(kernel.State) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.iface == nil {
		return
	}
	s := x.follower.State()
	warn := func(what string, err error) {
		if err != nil && !errors.Is(err, nic.ErrClosed) {
			x.n.log.Warn("fastnet: a change of the kernel's configuration cannot be followed", slog.String("interface", s.Name), slog.String("what", what), slog.Any("error", err))
		}
	}
	// What the filter takes is known in the stack before.
	warn("addresses", x.iface.SetAddrs(s.Addrs))
	warn("routes", x.iface.SetRoutes(s.Routes))
	warn("addresses", x.readdress(s.Addrs))
	var addrs [][]netip.Prefix
	for _, i := range x.n.host.Interfaces() {
		addrs = append(addrs, i.Addrs)
	}
	x.n.ifaceAddrs.Store(&addrs)
}

// absence is how long a connection may live on an address that the kernel has no
// more: longer than it takes to time out (tcp(7), tcp_retries2).
const absence = 20 * time.Minute

// readdress has the filter take what it is to take when the kernel has addrs. Of an
// address that is gone these are the connections on it, as long as there are any: it
// often comes back, as when an interface is configured anew, and the kernel would
// have it before the filter, and reset them. Until then the stack is as deaf on it as
// the kernel would be. What else comes to it is the kernel's, which may have it on
// another interface. mu is held.
func (x *xdp) readdress(addrs []netip.Prefix) error {
	known, arrives := x.known(addrs)
	x.addrs = known
	gone := func(a netip.Addr) bool { return !known[a].IsZero() }
	return x.n.shared.steer.Readdress(gone, arrives, func(pinned bool) error {
		var list []afxdp.Address
		for a := range known {
			mode := afxdp.Shared
			if pinned && gone(a) {
				mode = afxdp.FlowsOnly
			}
			list = append(list, afxdp.Address{Addr: a, Mode: mode})
		}
		return x.filter.SetAddresses(list)
	})
}

// known returns the addresses that the filter is to know, and since when the kernel
// has one no more; and whether there is one that it has again, or for the first time.
// mu is held.
func (x *xdp) known(addrs []netip.Prefix) (known map[netip.Addr]time.Time, arrives bool) {
	now := time.Now()
	known = make(map[netip.Addr]time.Time)
	for _, a := range addrs {
		known[a.Addr()] = time.Time{}
		since, there := x.addrs[a.Addr()]
		arrives = arrives || !there || !since.IsZero()
	}
	var inUse map[netip.Addr]bool
	missing := false
	for a, since := range x.addrs {
		if _, there := known[a]; there {
			continue
		}
		if inUse == nil {
			inUse = make(map[netip.Addr]bool)
			x.n.host.TCPFlows(0, func(local, _ netip.AddrPort) { inUse[local.Addr()] = true })
		}
		if since.IsZero() {
			since = now
		}
		if inUse[a] && now.Sub(since) < absence {
			known[a], missing = since, true
		}
	}
	if x.again != nil {
		x.again.Stop()
		x.again = nil
	}
	if missing {
		x.again = time.AfterFunc(time.Minute, func() { x.changed(kernel.State{}) })
	}
	return known, arrives
}

// neighbor takes over what the kernel says of a neighbour.
func (x *xdp) neighbor(a netip.Addr, mac [6]byte, s kernel.NeighborState) {
	x.mu.Lock()
	iface := x.iface
	x.mu.Unlock()
	switch {
	case iface == nil:
	case s == kernel.Known:
		iface.SetNeighbor(a, mac)
	default:
		iface.LoseNeighbor(a, s == kernel.Failed)
	}
}

func (x *xdp) routing() {
	x.mu.Lock()
	sh := x.n.shared
	x.mu.Unlock()
	if sh != nil {
		sh.ways.forget()
	}
}

// kernelFlows lists the kernel's connections on a port that come by the interface.
func (x *xdp) kernelFlows(port uint16) (flows []afxdp.Flow, err error) {
	state := x.follower.State()
	err = kernel.TCPFlows(port, func(local, remote netip.AddrPort) {
		if state.Has(local.Addr()) && !state.Has(remote.Addr()) {
			flows = append(flows, afxdp.Flow{Protocol: steer.TCP, Local: local, Remote: remote})
		}
	})
	return flows, err
}
