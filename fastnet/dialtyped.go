package fastnet

import (
	"context"
	"net"
	"net/netip"

	"github.com/fastnet-go/fastnet/dialer"
)

// DialTCP connects to raddr through the default network. A nil laddr is chosen;
// an unspecified raddr is the local system.
func DialTCP(network string, laddr, raddr *TCPAddr) (*TCPConn, error) {
	n, err := defaultNetwork()
	if err != nil {
		return nil, &OpError{Op: "dial", Net: network, Source: opAddr(laddr), Addr: opAddr(raddr), Err: err}
	}
	return n.DialTCP(network, laddr, raddr)
}

// DialUDP connects a UDP socket of the default network with raddr.
func DialUDP(network string, laddr, raddr *UDPAddr) (*UDPConn, error) {
	n, err := defaultNetwork()
	if err != nil {
		return nil, &OpError{Op: "dial", Net: network, Source: opAddr(laddr), Addr: opAddr(raddr), Err: err}
	}
	return n.DialUDP(network, laddr, raddr)
}

// DialTCP connects to raddr. A nil laddr is chosen; an unspecified raddr is the
// local system.
func (n *Network) DialTCP(network string, laddr, raddr *TCPAddr) (*TCPConn, error) {
	return n.dialTCPAddr(context.Background(), new(Dialer), network, laddr, raddr)
}

// DialUDP connects a UDP socket with raddr.
func (n *Network) DialUDP(network string, laddr, raddr *UDPAddr) (*UDPConn, error) {
	return n.dialUDPAddr(context.Background(), new(Dialer), network, laddr, raddr)
}

func (n *Network) dialTCPAddr(ctx context.Context, d *Dialer, network string, laddr, raddr *TCPAddr) (*TCPConn, error) {
	failed := func(err error) error {
		return &OpError{Op: "dial", Net: network, Source: opAddr(laddr), Addr: opAddr(raddr), Err: err}
	}
	if tcp, _ := stackNetwork(network); !tcp {
		return nil, failed(UnknownNetworkError(network))
	}
	if raddr == nil {
		return nil, failed(errMissingAddress)
	}
	c, err := n.dialTCP(ctx, d, network, laddr, raddr)
	if err != nil {
		return nil, failed(err)
	}
	return c, nil
}

func (n *Network) dialUDPAddr(ctx context.Context, d *Dialer, network string, laddr, raddr *UDPAddr) (*UDPConn, error) {
	failed := func(err error) error {
		return &OpError{Op: "dial", Net: network, Source: opAddr(laddr), Addr: opAddr(raddr), Err: err}
	}
	if _, udp := stackNetwork(network); !udp {
		return nil, failed(UnknownNetworkError(network))
	}
	if raddr == nil {
		return nil, failed(errMissingAddress)
	}
	c, err := n.dialUDP(ctx, d, network, laddr, raddr)
	if err != nil {
		return nil, failed(err)
	}
	return c, nil
}

// DialTCP connects to raddr unless ctx ends before.
func (d *Dialer) DialTCP(ctx context.Context, network string, laddr netip.AddrPort, raddr netip.AddrPort) (*TCPConn, error) {
	ctx, cancel := dialer.Context(ctx, d.Timeout, d.Deadline, d.Cancel)
	defer cancel()
	la, ra := TCPAddrFromAddrPort(laddr), TCPAddrFromAddrPort(raddr)
	n, err := defaultNetwork()
	if err != nil {
		return nil, &OpError{Op: "dial", Net: network, Source: la, Addr: ra, Err: err}
	}
	return n.dialTCPAddr(ctx, d, network, la, ra)
}

// DialUDP connects a UDP socket with raddr.
func (d *Dialer) DialUDP(ctx context.Context, network string, laddr netip.AddrPort, raddr netip.AddrPort) (*UDPConn, error) {
	ctx, cancel := dialer.Context(ctx, d.Timeout, d.Deadline, d.Cancel)
	defer cancel()
	la, ra := UDPAddrFromAddrPort(laddr), UDPAddrFromAddrPort(raddr)
	n, err := defaultNetwork()
	if err != nil {
		return nil, &OpError{Op: "dial", Net: network, Source: la, Addr: ra, Err: err}
	}
	return n.dialUDPAddr(ctx, d, network, la, ra)
}

// DialUnix is net.Dialer.DialUnix: unix sockets are the kernel's.
func (d *Dialer) DialUnix(ctx context.Context, network string, laddr *UnixAddr, raddr *UnixAddr) (*UnixConn, error) {
	if err := kernelOnly(network); err != nil {
		return nil, &OpError{Op: "dial", Net: network, Source: opAddr(laddr), Addr: opAddr(raddr), Err: err}
	}
	return (*net.Dialer)(d).DialUnix(ctx, network, laddr, raddr)
}
