package fastnet

import (
	"context"
	"net"
	"net/netip"
)

// What carries no socket is package net's own.
type (
	Addr                = net.Addr
	AddrError           = net.AddrError
	Conn                = net.Conn
	DNSConfigError      = net.DNSConfigError
	DNSError            = net.DNSError
	Error               = net.Error
	Flags               = net.Flags
	HardwareAddr        = net.HardwareAddr
	IP                  = net.IP
	IPAddr              = net.IPAddr
	IPMask              = net.IPMask
	IPNet               = net.IPNet
	Interface           = net.Interface
	InvalidAddrError    = net.InvalidAddrError
	KeepAliveConfig     = net.KeepAliveConfig
	Listener            = net.Listener
	MX                  = net.MX
	NS                  = net.NS
	OpError             = net.OpError
	PacketConn          = net.PacketConn
	ParseError          = net.ParseError
	Resolver            = net.Resolver
	SRV                 = net.SRV
	TCPAddr             = net.TCPAddr
	UDPAddr             = net.UDPAddr
	UnixAddr            = net.UnixAddr
	UnknownNetworkError = net.UnknownNetworkError
)

// Sockets that only the kernel has.
type (
	UnixConn     = net.UnixConn
	UnixListener = net.UnixListener
)

// Lengths of IP addresses, in bytes.
const (
	IPv4len = net.IPv4len
	IPv6len = net.IPv6len
)

// Flags of an Interface.
const (
	FlagUp           = net.FlagUp
	FlagBroadcast    = net.FlagBroadcast
	FlagLoopback     = net.FlagLoopback
	FlagPointToPoint = net.FlagPointToPoint
	FlagMulticast    = net.FlagMulticast
	FlagRunning      = net.FlagRunning
)

// Well-known addresses, and the values of package net's errors.
var (
	IPv4bcast     = net.IPv4bcast
	IPv4allsys    = net.IPv4allsys
	IPv4allrouter = net.IPv4allrouter
	IPv4zero      = net.IPv4zero

	IPv6zero                   = net.IPv6zero
	IPv6unspecified            = net.IPv6unspecified
	IPv6loopback               = net.IPv6loopback
	IPv6interfacelocalallnodes = net.IPv6interfacelocalallnodes
	IPv6linklocalallnodes      = net.IPv6linklocalallnodes
	IPv6linklocalallrouters    = net.IPv6linklocalallrouters

	ErrClosed           = net.ErrClosed
	ErrWriteToConnected = net.ErrWriteToConnected
)

// CIDRMask is net.CIDRMask.
func CIDRMask(ones, bits int) IPMask { return net.CIDRMask(ones, bits) }

// IPv4 is net.IPv4.
func IPv4(a, b, c, d byte) IP { return net.IPv4(a, b, c, d) }

// IPv4Mask is net.IPv4Mask.
func IPv4Mask(a, b, c, d byte) IPMask { return net.IPv4Mask(a, b, c, d) }

// ParseIP is net.ParseIP.
func ParseIP(s string) IP { return net.ParseIP(s) }

// ParseCIDR is net.ParseCIDR.
func ParseCIDR(s string) (IP, *IPNet, error) { return net.ParseCIDR(s) }

// ParseMAC is net.ParseMAC.
func ParseMAC(s string) (hw HardwareAddr, err error) { return net.ParseMAC(s) }

// JoinHostPort is net.JoinHostPort.
func JoinHostPort(host, port string) string { return net.JoinHostPort(host, port) }

// SplitHostPort is net.SplitHostPort.
func SplitHostPort(hostport string) (host, port string, err error) {
	return net.SplitHostPort(hostport)
}

// TCPAddrFromAddrPort is net.TCPAddrFromAddrPort.
func TCPAddrFromAddrPort(addr netip.AddrPort) *TCPAddr { return net.TCPAddrFromAddrPort(addr) }

// UDPAddrFromAddrPort is net.UDPAddrFromAddrPort.
func UDPAddrFromAddrPort(addr netip.AddrPort) *UDPAddr { return net.UDPAddrFromAddrPort(addr) }

// ResolveUnixAddr is net.ResolveUnixAddr.
func ResolveUnixAddr(network, address string) (*UnixAddr, error) {
	return net.ResolveUnixAddr(network, address)
}

// Pipe is net.Pipe.
func Pipe() (Conn, Conn) { return net.Pipe() }

// LookupAddr is net.LookupAddr, with DefaultResolver.
func LookupAddr(addr string) (names []string, err error) {
	return DefaultResolver.LookupAddr(context.Background(), addr)
}

// LookupCNAME is net.LookupCNAME, with DefaultResolver.
func LookupCNAME(host string) (cname string, err error) {
	return DefaultResolver.LookupCNAME(context.Background(), host)
}

// LookupHost is net.LookupHost, with DefaultResolver.
func LookupHost(host string) (addrs []string, err error) {
	return DefaultResolver.LookupHost(context.Background(), host)
}

// LookupIP is net.LookupIP, with DefaultResolver.
func LookupIP(host string) ([]IP, error) {
	addrs, err := DefaultResolver.LookupIPAddr(context.Background(), host)
	if err != nil {
		return nil, err
	}
	ips := make([]IP, len(addrs))
	for i, a := range addrs {
		ips[i] = a.IP
	}
	return ips, nil
}

// LookupMX is net.LookupMX, with DefaultResolver.
func LookupMX(name string) ([]*MX, error) {
	return DefaultResolver.LookupMX(context.Background(), name)
}

// LookupNS is net.LookupNS, with DefaultResolver.
func LookupNS(name string) ([]*NS, error) {
	return DefaultResolver.LookupNS(context.Background(), name)
}

// LookupPort is net.LookupPort, with DefaultResolver.
func LookupPort(network, service string) (port int, err error) {
	return DefaultResolver.LookupPort(context.Background(), network, service)
}

// LookupSRV is net.LookupSRV, with DefaultResolver.
func LookupSRV(service, proto, name string) (cname string, addrs []*SRV, err error) {
	return DefaultResolver.LookupSRV(context.Background(), service, proto, name)
}

// LookupTXT is net.LookupTXT, with DefaultResolver.
func LookupTXT(name string) ([]string, error) {
	return DefaultResolver.LookupTXT(context.Background(), name)
}
