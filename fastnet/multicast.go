package fastnet

import (
	"net"
	"net/netip"
	"os"
	"syscall"

	"github.com/fastnet-go/fastnet/stack"
)

// groupBinding is where a socket is bound that asks for a group's address: as
// package net does, to the wildcard address, so that one socket may join
// several groups and several sockets the same.
func groupBinding(group netip.AddrPort) netip.AddrPort {
	if group.Addr().Is4() {
		return netip.AddrPortFrom(netip.IPv4Unspecified(), group.Port())
	}
	return netip.AddrPortFrom(netip.IPv6Unspecified(), group.Port())
}

// ListenMulticastUDP listens in the default network for what comes to the group
// gaddr on the interface ifi; nil is the first interface that is not loopback.
// The host tells the routers and switches of its membership by IGMP version 3
// and MLD version 2, or the version before where a router speaks that, until
// the socket is closed.
//
// As with package net, other sockets may listen at the same address and port, a
// datagram goes to all of them, and what the socket itself sends to a group is
// not received by this host. An ifi that is not one of the default network's
// (see Interfaces) is the kernel's, and so is the socket then.
func ListenMulticastUDP(network string, ifi *Interface, gaddr *UDPAddr) (*UDPConn, error) {
	n, err := defaultNetwork()
	if err != nil {
		return nil, &OpError{Op: "listen", Net: network, Addr: opAddr(gaddr), Err: err}
	}
	return n.ListenMulticastUDP(network, ifi, gaddr)
}

// ListenMulticastUDP is function ListenMulticastUDP in the network n.
func (n *Network) ListenMulticastUDP(network string, ifi *Interface, gaddr *UDPAddr) (*UDPConn, error) {
	failed := func(err error) error {
		return &OpError{Op: "listen", Net: network, Addr: opAddr(gaddr), Err: err}
	}
	_, udp := stackNetwork(network)
	index, ours := 0, true
	if ifi != nil && n.host != nil {
		index, ours = n.stackIndex(ifi.Index)
	}
	if n.shared != nil {
		ours = false // the kernel has the groups, and tells the routers
	}
	if n.host == nil || !udp || gaddr == nil || gaddr.IP == nil || !ours {
		if n.host != nil && !ours {
			if err := n.fallback("multicast " + network); err != nil {
				return nil, failed(err)
			}
		}
		c, err := net.ListenMulticastUDP(network, ifi, gaddr)
		if err != nil {
			return nil, err
		}
		return &UDPConn{kernel: c}, nil
	}
	c, err := n.listenGroup(network, index, gaddr)
	if err != nil {
		return nil, failed(err)
	}
	return c, nil
}

// listenGroup joins a group. The error is the one inside the OpError.
func (n *Network) listenGroup(network string, index int, gaddr *UDPAddr) (*UDPConn, error) {
	f, v6only, group, err := listenAddr(network, udpEndpoint(gaddr))
	if f == inet4 && gaddr.IP.To4() == nil {
		return nil, os.NewSyscallError("setsockopt", syscall.ENOPROTOOPT)
	}
	if err != nil {
		return nil, err
	}
	o := stack.UDPOptions{V6Only: v6only, MulticastInterface: index, NoMulticastLoop: true}
	local := group
	if group.Addr().IsMulticast() {
		local, o.ReuseAddr = groupBinding(group), true
	}
	s, err := n.host.ListenUDP(local, o)
	if err != nil {
		return nil, netError("bind", err)
	}
	if err := s.JoinGroup(index, group.Addr()); err != nil {
		s.Close()
		if errno, ok := err.(syscall.Errno); ok {
			return nil, os.NewSyscallError("setsockopt", errno)
		}
		return nil, netError("setsockopt", err)
	}
	return n.newUDPConn(s, network, f, v6only, false, socketOptions{reuseAddr: true}), nil
}
