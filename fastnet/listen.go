package fastnet

import (
	"context"
	"net"
	"net/netip"
	"os"
	"syscall"

	"github.com/fastnet-go/fastnet/listener"
	"github.com/fastnet-go/fastnet/stack"
)

// ListenConfig has the options of a listener: the fields of net.ListenConfig,
// with the same meaning. Its methods use the default network;
// Network.ListenWith and ListenPacketWith use another one.
//
// For a socket of the stack's, Control gets a shadow: a socket of the kernel's of
// the same family and type, that is never bound, reserves no port, and is closed
// when Control has returned; a RawConn that it keeps works no longer. Options
// that Control has changed become the stack socket's (Linux only):
//
//   - SO_REUSEPORT, SO_RCVBUF and SO_SNDBUF (as large as the kernel allows: its
//     net.core.rmem_max and wmem_max), IP_TOS, IPV6_TCLASS, IP_TTL,
//     IPV6_UNICAST_HOPS, IPV6_V6ONLY;
//   - for TCP, SO_LINGER, TCP_USER_TIMEOUT and, with a negative KeepAlive,
//     SO_KEEPALIVE, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT. TCP_NODELAY is package
//     net's to set, after Control: use TCPConn.SetNoDelay. A listener listens for
//     connections in TIME-WAIT's place with or without SO_REUSEADDR;
//   - for UDP, SO_REUSEADDR, SO_BROADCAST, the control
//     messages that ReadMsgUDP tells of, and of multicast IP_MULTICAST_TTL (not 0),
//     IP_MULTICAST_LOOP, and their like for IPv6, and IPV6_MULTICAST_IF.
//
// Any other option that it has changed is refused, by an error that names it and
// for which errors.Is(err, errors.ErrUnsupported) holds: SO_BINDTODEVICE, SO_MARK,
// TCP_FASTOPEN, TCP_CONGESTION, IP_TRANSPARENT and so on. What the kernel does not
// tell afterwards has no effect, unnoticed: memberships of groups (use
// ListenMulticastUDP), socket filters, TCP-MD5 keys.
//
// For a socket that is both in the stack and in the kernel Control is called once,
// with the kernel's own, which is no shadow; what it sets is the stack's too, and the
// kernel's uses no MPTCP then.
// SetMultipathTCP is accepted and has no effect on sockets of the stack's.
type ListenConfig net.ListenConfig

// Listen listens on address in the default network.
func Listen(network, address string) (Listener, error) {
	var lc ListenConfig
	return lc.Listen(context.Background(), network, address)
}

// ListenPacket opens a packet socket on address in the default network.
func ListenPacket(network, address string) (PacketConn, error) {
	var lc ListenConfig
	return lc.ListenPacket(context.Background(), network, address)
}

// ListenTCP listens on laddr in the default network.
func ListenTCP(network string, laddr *TCPAddr) (*TCPListener, error) {
	n, err := defaultNetwork()
	if err != nil {
		return nil, &OpError{Op: "listen", Net: network, Addr: opAddr(laddr), Err: err}
	}
	return n.ListenTCP(network, laddr)
}

// ListenUDP opens a UDP socket on laddr in the default network.
func ListenUDP(network string, laddr *UDPAddr) (*UDPConn, error) {
	n, err := defaultNetwork()
	if err != nil {
		return nil, &OpError{Op: "listen", Net: network, Addr: opAddr(laddr), Err: err}
	}
	return n.ListenUDP(network, laddr)
}

// Listen listens on address. ctx is for name resolution only.
func (lc *ListenConfig) Listen(ctx context.Context, network, address string) (Listener, error) {
	n, err := defaultNetwork()
	if err != nil {
		return nil, &OpError{Op: "listen", Net: network, Err: err}
	}
	return n.ListenWith(ctx, lc, network, address)
}

// ListenPacket opens a packet socket on address. ctx is for name resolution
// only.
func (lc *ListenConfig) ListenPacket(ctx context.Context, network, address string) (PacketConn, error) {
	n, err := defaultNetwork()
	if err != nil {
		return nil, &OpError{Op: "listen", Net: network, Err: err}
	}
	return n.ListenPacketWith(ctx, lc, network, address)
}

// MultipathTCP reports whether listeners of the kernel's will use MPTCP.
func (lc *ListenConfig) MultipathTCP() bool { return (*net.ListenConfig)(lc).MultipathTCP() }

// SetMultipathTCP makes listeners of the kernel's use MPTCP, or not. The stack
// has none.
func (lc *ListenConfig) SetMultipathTCP(use bool) { (*net.ListenConfig)(lc).SetMultipathTCP(use) }

// Listen listens on address.
func (n *Network) Listen(network, address string) (Listener, error) {
	return n.ListenWith(context.Background(), new(ListenConfig), network, address)
}

// ListenPacket opens a packet socket on address.
func (n *Network) ListenPacket(network, address string) (PacketConn, error) {
	return n.ListenPacketWith(context.Background(), new(ListenConfig), network, address)
}

// ListenWith listens on address with the options of lc.
func (n *Network) ListenWith(ctx context.Context, lc *ListenConfig, network, address string) (Listener, error) {
	tcp, udp := stackNetwork(network)
	if n.host == nil || !tcp && !udp {
		if err := n.fallback(network); err != nil {
			return nil, &OpError{Op: "listen", Net: network, Err: err}
		}
		if tcp && n.handsOver() {
			lc = reusingPort(lc)
		}
		l, err := (*net.ListenConfig)(lc).Listen(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return n.wrapListener(l)
	}
	addrs, err := n.resolve(ctx, n.Resolver(), network, address, false, nil)
	if err != nil {
		return nil, &OpError{Op: "listen", Net: network, Err: err}
	}
	la, ok := first4(addrs).(*TCPAddr)
	if !ok {
		err := &AddrError{Err: "unexpected address type", Addr: address}
		return nil, &OpError{Op: "listen", Net: network, Addr: first4(addrs), Err: err}
	}
	l, err := n.listenTCP(ctx, lc, network, la)
	if err != nil {
		return nil, &OpError{Op: "listen", Net: network, Addr: la, Err: err}
	}
	return l, nil
}

// ListenPacketWith opens a packet socket on address with the options of lc.
func (n *Network) ListenPacketWith(ctx context.Context, lc *ListenConfig, network, address string) (PacketConn, error) {
	tcp, udp := stackNetwork(network)
	if _, icmp := icmpNetwork(network); icmp && n.host != nil {
		return n.listenICMP(ctx, lc, network, address)
	}
	if n.host == nil || !tcp && !udp {
		if err := n.fallback(network); err != nil {
			return nil, &OpError{Op: "listen", Net: network, Err: err}
		}
		if udp && n.handsOver() {
			lc = reusingPort(lc)
		}
		c, err := (*net.ListenConfig)(lc).ListenPacket(ctx, network, address)
		return wrapPacketConn(c), err
	}
	addrs, err := n.resolve(ctx, n.Resolver(), network, address, false, nil)
	if err != nil {
		return nil, &OpError{Op: "listen", Net: network, Err: err}
	}
	la, ok := first4(addrs).(*UDPAddr)
	if !ok {
		err := &AddrError{Err: "unexpected address type", Addr: address}
		return nil, &OpError{Op: "listen", Net: network, Addr: first4(addrs), Err: err}
	}
	c, err := n.listenUDP(ctx, lc, network, la)
	if err != nil {
		return nil, &OpError{Op: "listen", Net: network, Addr: la, Err: err}
	}
	return c, nil
}

// ListenTCP listens on laddr; nil is any address and port.
func (n *Network) ListenTCP(network string, laddr *TCPAddr) (*TCPListener, error) {
	failed := func(err error) error {
		return &OpError{Op: "listen", Net: network, Addr: opAddr(laddr), Err: err}
	}
	if tcp, _ := stackNetwork(network); !tcp {
		return nil, failed(UnknownNetworkError(network))
	}
	if laddr == nil {
		laddr = &TCPAddr{}
	}
	l, err := n.listenTCP(context.Background(), new(ListenConfig), network, laddr)
	if err != nil {
		return nil, failed(err)
	}
	return l, nil
}

// ListenUDP opens a UDP socket on laddr; nil is any address and port.
func (n *Network) ListenUDP(network string, laddr *UDPAddr) (*UDPConn, error) {
	failed := func(err error) error {
		return &OpError{Op: "listen", Net: network, Addr: opAddr(laddr), Err: err}
	}
	if _, udp := stackNetwork(network); !udp {
		return nil, failed(UnknownNetworkError(network))
	}
	if laddr == nil {
		laddr = &UDPAddr{}
	}
	c, err := n.listenUDP(context.Background(), new(ListenConfig), network, laddr)
	if err != nil {
		return nil, failed(err)
	}
	return c, nil
}

// listenAddr checks the address of a listener as package net and the kernel do
// and returns what the stack is to be given.
func listenAddr(network string, laddr endpoint) (f family, v6only bool, local netip.AddrPort, err error) {
	f, v6only = listenFamily(network, laddr)
	if local, err = laddr.addrPort(f, "bind"); err != nil {
		return
	}
	if v6only && local.Addr().Is4In6() {
		err = os.NewSyscallError("bind", syscall.EINVAL)
	}
	return f, v6only, unmap(local), err
}

// listenTCP opens a listener. The error is the one inside the OpError.
func (n *Network) listenTCP(ctx context.Context, lc *ListenConfig, network string, laddr *TCPAddr) (*TCPListener, error) {
	f, v6only, local, err := listenAddr(network, tcpEndpoint(laddr))
	kernel, forbidden := n.listensByKernel(network, local, err)
	if forbidden != nil {
		return nil, forbidden
	}
	if kernel {
		l, err := n.listenKernel(ctx, lc, network, laddr)
		if err != nil {
			return nil, err
		}
		return n.own(&TCPListener{kernel: l})
	}
	if err != nil {
		return nil, err
	}
	l := &TCPListener{net: network, family: f}
	merged := n.kernelLoopback && local.Addr().IsUnspecified()
	if n.shared != nil || merged {
		lc = lc.observed(&l.set)
	} else if l.set, err = lc.controlListener(ctx, network, laddr); err != nil {
		return nil, err
	}
	open := func(a netip.AddrPort) (*stack.TCPListener, error) { // after Control
		o := stack.ListenOptions{
			Backlog: n.cfg.Backlog,
			V6Only:  l.set.v6(v6only),
			// On a shared interface the kernel says which addresses there are.
			FreeBind: n.shared != nil,
			TCP:      stack.TCPOptions{KeepAlive: initialKeepAlive(lc.KeepAlive, lc.KeepAliveConfig)},
		}
		l.set.tcp(&o.TCP, lc.KeepAlive < 0 && !lc.KeepAliveConfig.Enable)
		o.ReusePort, l.keepAlive = o.TCP.ReusePort, o.TCP.KeepAlive
		s, err := n.host.ListenTCP(a, o)
		return s, netError("bind", err)
	}
	switch {
	case n.shared != nil:
		if err := n.listenShared(ctx, lc, network, laddr, local, v6only, l, open); err != nil {
			return nil, err
		}
	case merged:
		var k listener.Kernel[*TCPConn]
		l.stack, k, err = listener.ListenBoth(local, func() (listener.Kernel[*TCPConn], uint16, error) {
			k, err := n.listenKernel(ctx, lc, network, laddr)
			if err != nil {
				return nil, 0, err
			}
			return kernelListener{k, n}, uint16(k.Addr().(*net.TCPAddr).Port), nil
		}, open)
		if err != nil {
			return nil, err
		}
		l.half = k.(kernelListener).TCPListener
		l.merged = listener.Merge(l.stack, k, n.acceptFailed)
	default:
		if l.stack, err = open(local); err != nil {
			return nil, err
		}
	}
	storeTCP(&l.laddr, f, l.stack.Addr())
	return n.own(l)
}

// listenKernel listens through package net, whose error it takes out of its
// OpError.
func (n *Network) listenKernel(ctx context.Context, lc *ListenConfig, network string, laddr *TCPAddr) (*net.TCPListener, error) {
	if n.handsOver() {
		lc = reusingPort(lc)
	}
	l, err := (*net.ListenConfig)(lc).Listen(ctx, network, laddr.String())
	if err != nil {
		return nil, inner(l, err)
	}
	k := l.(*net.TCPListener)
	if n.handsOver() {
		n.leaveToOthers(k)
	}
	return k, nil
}

// listenUDP opens a UDP socket. The error is the one inside the OpError.
func (n *Network) listenUDP(ctx context.Context, lc *ListenConfig, network string, laddr *UDPAddr) (*UDPConn, error) {
	f, v6only, local, err := listenAddr(network, udpEndpoint(laddr))
	kernel, forbidden := n.listensByKernel(network, local, err)
	if forbidden != nil {
		return nil, forbidden
	}
	if kernel {
		if n.handsOver() {
			lc = reusingPort(lc)
		}
		c, err := (*net.ListenConfig)(lc).ListenPacket(ctx, network, laddr.String())
		if err != nil {
			return nil, inner(c, err)
		}
		return &UDPConn{kernel: c.(*net.UDPConn)}, nil
	}
	if err != nil {
		return nil, err
	}
	var set socketOptions
	var k *net.UDPConn // the kernel's, on an interface that it shares
	if n.shared != nil {
		lc = lc.observed(&set)
		if n.handsOver() {
			lc = reusingPort(lc)
		}
		c, err := (*net.ListenConfig)(lc).ListenPacket(ctx, network, laddr.String())
		if err != nil {
			return nil, inner(c, err)
		}
		k = c.(*net.UDPConn)
	} else if set, err = lc.controlListener(ctx, network, laddr); err != nil {
		return nil, err
	}
	v6only = set.v6(v6only)
	o := stack.UDPOptions{V6Only: v6only, FreeBind: k != nil} // the kernel has just said that the address is there
	if local.Addr().IsMulticast() {
		local, o.ReuseAddr = groupBinding(local), true
	}
	if err := set.udp(n, f, &o); err != nil {
		if k != nil {
			k.Close()
		}
		return nil, err
	}
	if k != nil {
		s, u, err := n.shared.listenUDP(n, k, local, o)
		if err != nil {
			return nil, err
		}
		c := n.newUDPConn(s, network, f, v6only, false, set)
		c.shared = u
		return c, nil
	}
	s, err := n.host.ListenUDP(local, o)
	if err != nil {
		return nil, netError("bind", err)
	}
	return n.newUDPConn(s, network, f, v6only, false, set), nil
}
