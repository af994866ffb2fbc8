package fastnet

import (
	"context"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/fastnet-go/fastnet/dialer"
	"github.com/fastnet-go/fastnet/internal/defect"
	"github.com/fastnet-go/fastnet/stack"
)

// Dialer has the options of a dial: the fields of net.Dialer, with the same
// meaning. Its methods use the default network; Network.DialWith uses another
// one. Names are looked up with Resolver or, if that is nil, as Network.Resolver
// says. The addresses of a name are tried as Happy Eyeballs version 2 (RFC 8305)
// says, the families in turns, FallbackDelay apart; with a negative FallbackDelay
// one after the other, with equal shares of the time. The Resolver is asked for both
// families of a name at once; a dial begins with IPv6 addresses as soon as they are
// there, with IPv4 ones 50 ms later if IPv6 has not answered (section 3), and what comes
// later takes its turn; but for one with a LocalAddr, and with single-request in
// /etc/resolv.conf, which ask once and wait for both.
//
// For a socket of the stack's, Control and ControlContext work as ListenConfig's.
type Dialer net.Dialer

// Dial connects to address through the default network.
func Dial(network, address string) (Conn, error) {
	var d Dialer
	return d.Dial(network, address)
}

// DialTimeout is Dial with a limit of its time, name resolution included.
func DialTimeout(network, address string, timeout time.Duration) (Conn, error) {
	d := Dialer{Timeout: timeout}
	return d.Dial(network, address)
}

// Dial connects to address.
func (d *Dialer) Dial(network, address string) (Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialContext connects to address unless ctx ends before.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (Conn, error) {
	n, err := defaultNetwork()
	if err != nil {
		return nil, &OpError{Op: "dial", Net: network, Err: err}
	}
	return n.DialWith(ctx, d, network, address)
}

// MultipathTCP reports whether connections of the kernel's will use MPTCP.
func (d *Dialer) MultipathTCP() bool { return (*net.Dialer)(d).MultipathTCP() }

// SetMultipathTCP makes connections of the kernel's use MPTCP, or not. The
// stack has none.
func (d *Dialer) SetMultipathTCP(use bool) { (*net.Dialer)(d).SetMultipathTCP(use) }

// Dial connects to address.
func (n *Network) Dial(network, address string) (Conn, error) {
	return n.DialWith(context.Background(), new(Dialer), network, address)
}

// DialTimeout is Dial with a limit of its time, name resolution included.
func (n *Network) DialTimeout(network, address string, timeout time.Duration) (Conn, error) {
	return n.DialWith(context.Background(), &Dialer{Timeout: timeout}, network, address)
}

// DialContext connects to address unless ctx ends before: what http.Transport
// takes as its DialContext.
func (n *Network) DialContext(ctx context.Context, network, address string) (Conn, error) {
	return n.DialWith(ctx, new(Dialer), network, address)
}

// DialWith connects to address with the options of d.
func (n *Network) DialWith(ctx context.Context, d *Dialer, network, address string) (Conn, error) {
	tcp, udp := stackNetwork(network)
	if _, icmp := icmpNetwork(network); icmp && n.host != nil {
		return n.dialICMP(ctx, d, network, address)
	}
	if n.host == nil || !tcp && !udp {
		if err := n.fallback(network); err != nil {
			return nil, &OpError{Op: "dial", Net: network, Err: err}
		}
		c, err := (*net.Dialer)(d).DialContext(ctx, network, address)
		return wrapConn(c), err
	}
	ctx, cancel := dialer.Context(ctx, d.Timeout, d.Deadline, d.Cancel)
	defer cancel()
	r := d.Resolver
	if r == nil {
		r = n.Resolver()
	}
	addrs, more, end, err := n.candidates(ctx, d, r, network, address)
	defer end()
	if err != nil {
		return nil, &OpError{Op: "dial", Net: network, Err: err}
	}
	hooks := hooksOf(ctx)
	attempt := func(ctx context.Context, ra Addr) (Conn, error) {
		if err := ctx.Err(); err != nil {
			return nil, d.failed(network, ra, netError("connect", err))
		}
		if hooks.start != nil {
			hooks.start(network, ra.String())
		}
		c, err := n.dialOne(ctx, d, network, ra)
		if err != nil {
			c, err = nil, d.failed(network, ra, err)
			if defect.On(defect.TypedNil) {
				c = (*TCPConn)(nil)
			}
		}
		if hooks.done != nil {
			hooks.done(network, ra.String(), err)
		}
		return c, err
	}
	if udp || d.FallbackDelay < 0 {
		return dialer.Serial(ctx, addrs, attempt, func(ra Addr, err error) error {
			return d.failed(network, ra, netError("connect", err))
		})
	}
	delay := d.FallbackDelay
	if delay == 0 {
		delay = dialer.DefaultDelay
	}
	return dialer.Race(ctx, addrs, more, delay, attempt, func(c Conn) { c.Close() })
}

func (d *Dialer) failed(network string, ra Addr, err error) error {
	return &OpError{Op: "dial", Net: network, Source: d.LocalAddr, Addr: ra, Err: err}
}

// dialOne connects to one address. The error is the one inside the OpError.
func (n *Network) dialOne(ctx context.Context, d *Dialer, network string, ra Addr) (Conn, error) {
	switch ra := ra.(type) {
	case *TCPAddr:
		la, _ := d.LocalAddr.(*TCPAddr)
		c, err := n.dialTCP(ctx, d, network, la, ra)
		if err != nil {
			return nil, err // an untyped nil
		}
		return c, nil
	default:
		la, _ := d.LocalAddr.(*UDPAddr)
		c, err := n.dialUDP(ctx, d, network, la, ra.(*UDPAddr))
		if err != nil {
			return nil, err
		}
		return c, nil
	}
}

// dialAddrs checks the two ends of a connection as package net and the kernel
// do, and returns what the stack is to be given. A local address that is not
// valid, or has no port, is for the stack to choose.
func (n *Network) dialAddrs(network string, laddr, raddr endpoint) (f family, local, remote netip.AddrPort, err error) {
	f = dialFamily(network, laddr, raddr)
	v6only := network[len(network)-1] == '6'
	if laddr.set {
		if local, err = laddr.addrPort(f, "bind"); err != nil {
			return
		}
		if v6only && local.Addr().Is4In6() {
			return f, local, remote, os.NewSyscallError("bind", syscall.EINVAL)
		}
	}
	if remote, err = raddr.addrPort(f, "connect"); err != nil {
		return
	}
	remote = toLocal(remote)
	mixed := local.IsValid() && !local.Addr().IsUnspecified() && local.Addr().Unmap().Is4() != remote.Addr().Unmap().Is4()
	if mixed && !n.owns(local.Addr().Unmap()) {
		return f, local, remote, os.NewSyscallError("bind", syscall.EADDRNOTAVAIL)
	}
	if mixed && local.Addr().Is4In6() {
		// Bound to an IPv4 address the socket has become one for IPv4.
		return f, local, remote, os.NewSyscallError("connect", syscall.EAFNOSUPPORT)
	}
	if v6only && remote.Addr().Is4In6() || mixed {
		return f, local, remote, os.NewSyscallError("connect", syscall.ENETUNREACH)
	}
	if local.Addr().IsUnspecified() {
		local = netip.AddrPortFrom(netip.Addr{}, local.Port())
	}
	return f, unmap(local), unmap(remote), nil
}

// dialPlan is what the stack is given for a dial.
type dialPlan struct {
	family        family
	local, remote netip.AddrPort
	src           netip.Addr // the address to dial from on a shared interface
	kernel        bool       // the dial is the kernel's
}

// planDial decides who dials, and checks the addresses of a dial that is the stack's:
// those of the kernel's it checks itself.
func (n *Network) planDial(network string, laddr, raddr endpoint) (p dialPlan, err error) {
	var bad error
	p.family, p.local, p.remote, bad = n.dialAddrs(network, laddr, raddr)
	p.kernel, err = n.byKernel(network, p.remote.Addr())
	if n.shared != nil && !p.kernel && err == nil && bad == nil {
		p.src, p.kernel, err = n.dialsByKernel(network, p.local, p.remote)
	}
	if err == nil && !p.kernel {
		err = bad
	}
	return p, err
}

// dialError tells the bind from the connect of which package net's dial
// consists: the stack's is one call.
func dialError(err error, local endpoint) error {
	if local.set && !defect.On(defect.BindErrorIsConnect) && (err == syscall.EADDRINUSE || err == syscall.EADDRNOTAVAIL || err == syscall.EACCES) {
		return netError("bind", err)
	}
	return netError("connect", err)
}

func (n *Network) dialTCP(ctx context.Context, d *Dialer, network string, laddr, raddr *TCPAddr) (*TCPConn, error) {
	l := tcpEndpoint(laddr)
	p, err := n.planDial(network, l, tcpEndpoint(raddr))
	if err != nil {
		return nil, err
	}
	if p.kernel {
		return n.dialTCPByKernel(ctx, d, network, laddr, raddr)
	}
	set, err := d.controlDial(ctx, network, opAddr(laddr), raddr)
	if err != nil {
		return nil, err
	}
	o := stack.TCPOptions{KeepAlive: initialKeepAlive(d.KeepAlive, d.KeepAliveConfig)}
	set.tcp(&o, d.KeepAlive < 0 && !d.KeepAliveConfig.Enable)
	if n.shared != nil {
		s, taken, err := n.shared.dialTCP(ctx, p.src, p.remote, o)
		switch {
		case !taken:
			if err := n.notDialled(network, err); err != nil {
				return nil, err
			}
			return n.dialTCPByKernel(ctx, d, network, laddr, raddr)
		case err != nil:
			return nil, dialError(err, l)
		}
		set.inherit(s)
		return newTCPConn(s, network, p.family, o.KeepAlive), nil
	}
	s, err := n.host.DialTCP(ctx, p.local, p.remote, o)
	for try := 0; try < 2 && err == nil && p.local.Port() == 0 && selfConnected(s); try++ {
		s.Close()
		s, err = n.host.DialTCP(ctx, p.local, p.remote, o)
	}
	if err != nil {
		return nil, dialError(err, l)
	}
	set.inherit(s)
	return newTCPConn(s, network, p.family, o.KeepAlive), nil
}

func (n *Network) dialUDP(ctx context.Context, d *Dialer, network string, laddr, raddr *UDPAddr) (*UDPConn, error) {
	l := udpEndpoint(laddr)
	p, err := n.planDial(network, l, udpEndpoint(raddr))
	if err != nil {
		return nil, err
	}
	if p.kernel {
		return n.dialUDPByKernel(ctx, d, network, laddr, raddr)
	}
	set, err := d.controlDial(ctx, network, opAddr(laddr), raddr)
	if err != nil {
		return nil, err
	}
	var o stack.UDPOptions
	if err := set.udp(n, p.family, &o); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, netError("connect", err)
	}
	if n.shared != nil {
		s, u, taken, err := n.shared.dialUDP(p.src, p.remote, o)
		switch {
		case !taken:
			if err := n.notDialled(network, err); err != nil {
				return nil, err
			}
			return n.dialUDPByKernel(ctx, d, network, laddr, raddr)
		case err != nil:
			return nil, dialError(err, l)
		}
		c := n.newUDPConn(s, network, p.family, set.v6(network == "udp6"), true, set)
		c.shared = u
		return c, nil
	}
	s, err := n.host.DialUDP(p.local, p.remote, o)
	if err != nil {
		return nil, dialError(err, l)
	}
	return n.newUDPConn(s, network, p.family, set.v6(network == "udp6"), true, set), nil
}

func (n *Network) dialTCPByKernel(ctx context.Context, d *Dialer, network string, laddr, raddr *TCPAddr) (*TCPConn, error) {
	c, err := n.dialKernel(ctx, d, network, opAddr(laddr), raddr)
	if err != nil {
		return nil, err
	}
	return &TCPConn{kernel: c.(*net.TCPConn)}, nil
}

func (n *Network) dialUDPByKernel(ctx context.Context, d *Dialer, network string, laddr, raddr *UDPAddr) (*UDPConn, error) {
	c, err := n.dialKernel(ctx, d, network, opAddr(laddr), raddr)
	if err != nil {
		return nil, err
	}
	return &UDPConn{kernel: c.(*net.UDPConn)}, nil
}

// dialKernel connects through package net, whose error it takes out of its
// OpError.
func (n *Network) dialKernel(ctx context.Context, d *Dialer, network string, laddr, raddr Addr) (Conn, error) {
	kd := net.Dialer(*d)
	kd.LocalAddr = laddr
	//lint:ignore SA1019 package net's API has Cancel, and ctx stands for it here
	kd.Timeout, kd.Deadline, kd.Cancel = 0, time.Time{}, nil
	c, err := kd.DialContext(unhooked(ctx), network, raddr.String())
	if err != nil {
		return nil, inner(c, err)
	}
	return c, nil
}
