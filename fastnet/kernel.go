package fastnet

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"

	"github.com/fastnet-go/fastnet/internal/defect"
)

// onKernel reports whether a's traffic is the kernel's by the network's rule
// for loopback addresses.
func (n *Network) onKernel(a netip.Addr) bool {
	return n.kernelLoopback && a.Unmap().IsLoopback()
}

// fallback counts a call that goes to package net although a stack is there,
// because the stack cannot serve it, and logs the first of each kind and reason. With
// Config.Require it returns an error instead. What package net will refuse
// anyway, and everything in a network without a stack, is no fallback.
func (n *Network) fallback(what string) error {
	kind, _, _ := strings.Cut(what, ":") // "ip4:tcp"
	reason := ""
	switch kind {
	case "unix", "unixgram", "unixpacket":
		reason = "the stack has none"
	case "ip", "ip4", "ip6":
		reason = "of raw sockets the stack has those for ICMP only"
	case "descriptor":
		reason = "a descriptor is the kernel's"
	case "multicast udp", "multicast udp4", "multicast udp6":
		reason = "the interface is not one of the network's"
	default:
		return nil
	}
	if n.host == nil {
		return nil
	}
	return n.fallbackFor(kind, reason)
}

// fallbackFor is fallback of a kind of sockets for a reason.
func (n *Network) fallbackFor(kind, reason string) error {
	if n.cfg.Require && !defect.On(defect.RequireIgnored) {
		return fmt.Errorf("fastnet: %s sockets are served by the kernel only (%s), and require=true forbids that: do without, or set require=false", kind, reason)
	}
	n.mu.Lock()
	n.fallbacks[kind]++
	told := n.told[kind+reason]
	if !told {
		if n.told == nil {
			n.told = make(map[string]bool)
		}
		n.told[kind+reason] = true
	}
	n.mu.Unlock()
	if !told && !defect.On(defect.FallbackUnlogged) {
		n.log.Warn("fastnet: served by the kernel, not by the stack",
			slog.String("network", n.cfg.Name), slog.String("what", kind), slog.String("reason", reason))
	}
	return nil
}

// kernelOnly is fallback for the package's functions.
func kernelOnly(what string) error {
	n, err := defaultNetwork()
	if err != nil {
		return err
	}
	return n.fallback(what)
}

// wrapConn makes a connection of package net's one of ours, where we have a
// type for it.
func wrapConn(c Conn) Conn {
	switch c := c.(type) {
	case *net.TCPConn:
		return &TCPConn{kernel: c}
	case *net.UDPConn:
		return &UDPConn{kernel: c}
	case *net.IPConn:
		return &IPConn{kernel: c}
	}
	return c
}

func wrapPacketConn(c PacketConn) PacketConn {
	switch c := c.(type) {
	case *net.UDPConn:
		return &UDPConn{kernel: c}
	case *net.IPConn:
		return &IPConn{kernel: c}
	}
	return c
}

// wrapListener is wrapConn of a listener, which the network closes as its own.
func (n *Network) wrapListener(l Listener) (Listener, error) {
	k, ok := l.(*net.TCPListener)
	if !ok {
		return l, nil
	}
	if n.handsOver() {
		n.leaveToOthers(k)
	}
	t, err := n.own(&TCPListener{kernel: k})
	if err != nil {
		return nil, &OpError{Op: "listen", Net: k.Addr().Network(), Addr: k.Addr(), Err: err}
	}
	return t, nil
}

// DialUnix is net.DialUnix: unix sockets are the kernel's.
func DialUnix(network string, laddr, raddr *UnixAddr) (*UnixConn, error) {
	if err := kernelOnly(network); err != nil {
		return nil, &OpError{Op: "dial", Net: network, Source: opAddr(laddr), Addr: opAddr(raddr), Err: err}
	}
	return net.DialUnix(network, laddr, raddr)
}

// ListenUnix is net.ListenUnix: unix sockets are the kernel's.
func ListenUnix(network string, laddr *UnixAddr) (*UnixListener, error) {
	if err := kernelOnly(network); err != nil {
		return nil, &OpError{Op: "listen", Net: network, Addr: opAddr(laddr), Err: err}
	}
	return net.ListenUnix(network, laddr)
}

// ListenUnixgram is net.ListenUnixgram: unix sockets are the kernel's.
func ListenUnixgram(network string, laddr *UnixAddr) (*UnixConn, error) {
	if err := kernelOnly(network); err != nil {
		return nil, &OpError{Op: "listen", Net: network, Addr: opAddr(laddr), Err: err}
	}
	return net.ListenUnixgram(network, laddr)
}
