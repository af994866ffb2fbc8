package fastnet

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/fastnet-go/fastnet/dialer"
	"github.com/fastnet-go/fastnet/stack"
)

// icmpNetwork reports whether network is one of raw IP that the stack serves,
// and its family.
func icmpNetwork(network string) (v6, ok bool) {
	ip, proto, _ := strings.Cut(network, ":")
	switch strings.ToLower(proto) {
	case "icmp", "1":
		return false, ip == "ip" || ip == "ip4"
	case "ipv6-icmp", "58":
		return true, ip == "ip" || ip == "ip6"
	}
	return false, false
}

// servesICMP reports whether a raw socket of the family for an address is the
// stack's.
func (n *Network) servesICMP(v6 bool, addrs ...*IPAddr) bool {
	if n.host == nil || n.shared != nil { // ICMP is the kernel's where its address is
		return false
	}
	for _, a := range addrs {
		if a == nil || len(a.IP) == 0 {
			continue
		}
		ip, ok := netip.AddrFromSlice(a.IP)
		if !ok || n.onKernel(ip) || ip.Unmap().Is6() != v6 && !(v6 && ip.Unmap().IsUnspecified()) {
			return false
		}
	}
	return true
}

// stackIP makes a what the stack is given; no address is not valid.
func stackIP(a *IPAddr) netip.Addr {
	if a == nil {
		return netip.Addr{}
	}
	ip, _ := netip.AddrFromSlice(a.IP)
	return ip.Unmap().WithZone(a.Zone)
}

// kernelIP makes a what package net's Dialer.DialIP is given, in the form that a
// has: RemoteAddr shows it, since the kernel tells no peer of a raw socket. ok is
// false if a is neither an address nor none.
func kernelIP(a *IPAddr) (ip netip.Addr, ok bool) {
	if a == nil || len(a.IP) == 0 {
		return netip.Addr{}, true
	}
	ip, ok = netip.AddrFromSlice(a.IP)
	return ip.WithZone(a.Zone), ok
}

// DialIP is net.DialIP. ICMP is the stack's, see IPConn; other protocols are the
// kernel's.
func DialIP(network string, laddr, raddr *IPAddr) (*IPConn, error) {
	return new(Dialer).dialIPAddr(context.Background(), network, laddr, raddr)
}

// ListenIP is net.ListenIP. ICMP is the stack's, see IPConn; other protocols are
// the kernel's.
func ListenIP(network string, laddr *IPAddr) (*IPConn, error) {
	n, err := defaultNetwork()
	if err != nil {
		return nil, &OpError{Op: "listen", Net: network, Addr: opAddr(laddr), Err: err}
	}
	return n.ListenIP(network, laddr)
}

// DialIP is net.Dialer.DialIP. ICMP is the stack's, see IPConn; other protocols are
// the kernel's.
func (d *Dialer) DialIP(ctx context.Context, network string, laddr netip.Addr, raddr netip.Addr) (*IPConn, error) {
	la, ra := ipAddr(laddr), ipAddr(raddr)
	return d.dialIPAddr(ctx, network, la, ra)
}

func (d *Dialer) dialIPAddr(ctx context.Context, network string, laddr, raddr *IPAddr) (*IPConn, error) {
	n, err := defaultNetwork()
	if err != nil {
		return nil, &OpError{Op: "dial", Net: network, Source: opAddr(laddr), Addr: opAddr(raddr), Err: err}
	}
	ctx, cancel := dialer.Context(ctx, d.Timeout, d.Deadline, d.Cancel)
	defer cancel()
	return n.dialIP(ctx, d, network, laddr, raddr)
}

// dialIP returns the whole error.
func (n *Network) dialIP(ctx context.Context, d *Dialer, network string, laddr, raddr *IPAddr) (*IPConn, error) {
	failed := func(err error) error {
		return &OpError{Op: "dial", Net: network, Source: opAddr(laddr), Addr: opAddr(raddr), Err: err}
	}
	v6, icmp := icmpNetwork(network)
	if raddr == nil || !icmp || !n.servesICMP(v6, laddr, raddr) {
		if raddr != nil {
			if err := n.rawFallback(network, raddr); err != nil {
				return nil, failed(err)
			}
		}
		la, laOK := kernelIP(laddr)
		ra, raOK := kernelIP(raddr)
		if raddr == nil || !laOK || !raOK {
			c, err := net.DialIP(network, laddr, raddr) // which says what is wrong
			return wrapIPConn(c), err
		}
		kd := net.Dialer(*d)
		c, err := kd.DialIP(unhooked(ctx), network, la, ra)
		if err != nil {
			return nil, failed(inner(c, err))
		}
		return wrapIPConn(c), nil
	}
	if err := ctx.Err(); err != nil {
		return nil, failed(netError("connect", err))
	}
	set, err := d.controlDial(ctx, network, opAddr(laddr), raddr)
	if err != nil {
		return nil, failed(err)
	}
	o, err := set.icmp(n, v6)
	if err != nil {
		return nil, failed(err)
	}
	remote := stackIP(raddr)
	if !remote.IsValid() {
		if remote = netip.IPv4Unspecified(); v6 {
			remote = netip.IPv6Unspecified()
		}
	}
	s, err := n.host.DialICMP(stackIP(laddr), remote, o)
	if err != nil {
		return nil, failed(dialError(err, endpoint{set: laddr != nil}))
	}
	name, _, _ := strings.Cut(network, ":")
	c := newIPConn(s, name, v6, set)
	c.raddr = &IPAddr{IP: slices.Clone(raddr.IP), Zone: raddr.Zone} // as package net's, in the form that it was given
	return c, nil
}

// ListenIP opens a raw socket on laddr; nil is any address.
func (n *Network) ListenIP(network string, laddr *IPAddr) (*IPConn, error) {
	return n.listenIP(context.Background(), new(ListenConfig), network, laddr)
}

func (n *Network) listenIP(ctx context.Context, lc *ListenConfig, network string, laddr *IPAddr) (*IPConn, error) {
	failed := func(err error) error {
		return &OpError{Op: "listen", Net: network, Addr: opAddr(laddr), Err: err}
	}
	v6, icmp := icmpNetwork(network)
	if !icmp || !n.servesICMP(v6, laddr) {
		if err := n.rawFallback(network, laddr); err != nil {
			return nil, failed(err)
		}
		if lc.Control != nil {
			c, err := (*net.ListenConfig)(lc).ListenPacket(ctx, network, text(laddr))
			if err != nil {
				return nil, err
			}
			return wrapIPConn(c.(*net.IPConn)), nil
		}
		c, err := net.ListenIP(network, laddr)
		return wrapIPConn(c), err
	}
	if laddr == nil {
		laddr = &IPAddr{}
	}
	set, err := lc.controlListener(ctx, network, laddr)
	if err != nil {
		return nil, failed(err)
	}
	o, err := set.icmp(n, v6)
	if err != nil {
		return nil, failed(err)
	}
	s, err := n.host.ListenICMP(v6, stackIP(laddr), o)
	if err != nil {
		return nil, failed(netError("bind", err))
	}
	name, _, _ := strings.Cut(network, ":")
	return newIPConn(s, name, v6, set), nil
}

// text is the address as package net parses it; none is any address.
func text(a *IPAddr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

// icmp makes what a Control function has set the options of an ICMP socket, which
// shares those of UDP that it can have.
func (o *socketOptions) icmp(n *Network, v6 bool) (u stack.UDPOptions, err error) {
	if o.oob != 0 {
		return u, errOption("that control messages are to be received", "an ICMP socket of the stack's has none")
	}
	f := inet4
	if v6 {
		f = inet6
	}
	err = o.udp(n, f, &u)
	return u, err
}

// rawFallback is fallback for a raw socket, which for a loopback address of the
// kernel's is none.
func (n *Network) rawFallback(network string, a *IPAddr) error {
	if ip := stackIP(a); ip.IsValid() && n.onKernel(ip) {
		return nil
	}
	return n.fallback(network)
}

// dialICMP dials a name or an address of an ICMP network.
func (n *Network) dialICMP(ctx context.Context, d *Dialer, network, address string) (Conn, error) {
	ctx, cancel := dialer.Context(ctx, d.Timeout, d.Deadline, d.Cancel)
	defer cancel()
	r := d.Resolver
	if r == nil {
		r = n.Resolver()
	}
	ra, err := n.resolveIP(unhooked(ctx), r, network, address, true)
	if err != nil {
		return nil, &OpError{Op: "dial", Net: network, Err: err}
	}
	la, ok := d.LocalAddr.(*IPAddr)
	if d.LocalAddr != nil && !ok {
		err := &AddrError{Err: "mismatched local address type", Addr: d.LocalAddr.String()}
		return nil, &OpError{Op: "dial", Net: network, Err: err}
	}
	c, err := n.dialIP(ctx, d, network, la, ra)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// listenICMP is ListenIP on a name or an address.
func (n *Network) listenICMP(ctx context.Context, lc *ListenConfig, network, address string) (PacketConn, error) {
	la, err := n.resolveIP(ctx, n.Resolver(), network, address, false)
	if err != nil {
		return nil, &OpError{Op: "listen", Net: network, Err: err}
	}
	c, err := n.listenIP(ctx, lc, network, la)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// resolveIP returns an address that address stands for, of the network's family.
func (n *Network) resolveIP(ctx context.Context, r *Resolver, network, address string, dial bool) (*IPAddr, error) {
	switch {
	case address == "" && dial:
		return nil, errMissingAddress
	case address == "":
		return &IPAddr{}, nil
	}
	family := "ip4"
	if v6, _ := icmpNetwork(network); v6 {
		family = "ip6"
	}
	ips, err := dialer.Resolve(ctx, r, family, address)
	if err != nil {
		return nil, err
	}
	if len(ips) == 0 {
		return nil, &AddrError{Err: errNoSuitable, Addr: address}
	}
	if dial {
		n.sortDestinations(ips)
	}
	return &IPAddr{IP: ipAddr(ips[0]).IP.To16(), Zone: ips[0].Zone()}, nil
}

// wrapIPConn makes a socket of package net's, or nil, one of ours.
func wrapIPConn(c *net.IPConn) *IPConn {
	if c == nil {
		return nil
	}
	return &IPConn{kernel: c}
}
