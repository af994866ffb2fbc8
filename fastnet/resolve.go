package fastnet

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/fastnet-go/fastnet/dialer"
	"github.com/fastnet-go/fastnet/internal/defect"
)

// errNoSuitable is what package net says of a name or hint of the wrong family.
const errNoSuitable = "no suitable address found"

// stackNetwork reports whether network is one that the stack serves.
func stackNetwork(network string) (tcp, udp bool) {
	switch network {
	case "tcp", "tcp4", "tcp6":
		return true, false
	case "udp", "udp4", "udp6":
		return false, true
	}
	return false, false
}

// resolve returns the addresses that address stands for, at least one, for a
// dial in the order in which to try them: *TCPAddr for the tcp networks, *UDPAddr
// for the udp ones. hint is a Dialer's local address. The errors are those of package net, which
// has no exported function for this.
func (n *Network) resolve(ctx context.Context, r *Resolver, network, address string, dial bool, hint Addr) ([]Addr, error) {
	if dial && address == "" {
		return nil, errMissingAddress
	}
	var host string
	var port int
	if address != "" {
		h, service, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		if port, err = r.LookupPort(ctx, network, service); err != nil {
			return nil, err
		}
		host = h
	}
	tcp, _ := stackNetwork(network)
	newAddr := func(ip IP, zone string) Addr {
		if tcp {
			return &TCPAddr{IP: ip, Port: port, Zone: zone}
		}
		return &UDPAddr{IP: ip, Port: port, Zone: zone}
	}
	var addrs []Addr
	if host == "" {
		addrs = []Addr{newAddr(nil, "")}
	} else {
		literal, notLiteral := netip.ParseAddr(host)
		var names *lengths
		var resolver dialer.Resolver // a literal needs none
		if notLiteral != nil {
			names = &lengths{Resolver: r}
			resolver = names
		}
		ips, err := dialer.Resolve(ctx, resolver, network, host)
		if err != nil {
			return nil, err
		}
		switch {
		case notLiteral != nil && dial:
			n.sortDestinations(ips)
		case literal == netip.IPv6Unspecified() && network[len(network)-1] != '6':
			// Package net falls back to 0.0.0.0 where "::" cannot be dialled.
			ips = append(ips, netip.IPv4Unspecified())
		}
		if len(ips) == 0 {
			return nil, &AddrError{Err: errNoSuitable, Addr: host}
		}
		for _, ip := range ips {
			addrs = append(addrs, newAddr(names.of(ip), ip.Zone()))
		}
	}
	if !dial || hint == nil || defect.On(defect.HintIgnored) {
		return addrs, nil
	}
	return matchHint(addrs, hint)
}

// lengths notes which addresses of a name package net's resolver has in 4 bytes:
// those of name servers are, those of /etc/hosts and literals are not. It shows
// in the addresses of errors.
type lengths struct {
	*Resolver
	mu    sync.Mutex
	short []netip.Addr
}

func (l *lengths) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	addrs, err := l.Resolver.LookupNetIP(ctx, network, host)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range addrs {
		if a.Is4() {
			l.short = append(l.short, a)
		}
	}
	return addrs, err
}

func (l *lengths) of(a netip.Addr) IP {
	if l != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		if slices.Contains(l.short, a) {
			return a.AsSlice()
		}
	}
	return IP(a.AsSlice()).To16()
}

// matchHint drops the addresses of another family than the local address's.
func matchHint(addrs []Addr, hint Addr) ([]Addr, error) {
	local := endpointOf(hint)
	fit := addrs[:0]
	for _, a := range addrs {
		if a.Network() != hint.Network() {
			return nil, &AddrError{Err: "mismatched local address type", Addr: hint.String()}
		}
		remote := endpointOf(a)
		if local.wildcard() || remote.wildcard() || sameFamily(local.ip, remote.ip) {
			fit = append(fit, a)
		}
	}
	if len(fit) == 0 {
		return nil, &AddrError{Err: errNoSuitable, Addr: hint.String()}
	}
	return fit, nil
}

func sameFamily(a, b IP) bool { return (a.To4() != nil) == (b.To4() != nil) }

// endpointOf takes an Addr apart; what is no TCP or UDP address is empty.
func endpointOf(a Addr) endpoint {
	switch a := a.(type) {
	case *TCPAddr:
		return tcpEndpoint(a)
	case *UDPAddr:
		return udpEndpoint(a)
	}
	return endpoint{}
}

func is4(a Addr) bool {
	e := endpointOf(a)
	return len(e.ip) > 0 && e.ip.To4() != nil
}

// first4 is the address to listen on: package net prefers IPv4.
func first4(addrs []Addr) Addr {
	for _, a := range addrs {
		if is4(a) {
			return a
		}
	}
	return addrs[0]
}
