package fastnet

import (
	"net"
	"net/netip"
	"os"
	"syscall"

	"github.com/fastnet-go/fastnet/internal/defect"
)

// family is the address family that package net would give a socket. The stack
// has no such thing, but it shows: addresses of an AF_INET6 socket that carries
// IPv4 come out as IPv4-mapped ones.
type family uint8

const (
	inet4 family = 4
	inet6 family = 6
)

// endpoint is a *TCPAddr or a *UDPAddr; set tells that it was not nil.
type endpoint struct {
	ip   IP
	port int
	zone string
	set  bool
}

func tcpEndpoint(a *TCPAddr) endpoint {
	if a == nil {
		return endpoint{}
	}
	return endpoint{a.IP, a.Port, a.Zone, true}
}

func udpEndpoint(a *UDPAddr) endpoint {
	if a == nil {
		return endpoint{}
	}
	return endpoint{a.IP, a.Port, a.Zone, true}
}

// wildcard reports whether e stands for any address.
func (e endpoint) wildcard() bool { return len(e.ip) == 0 || e.ip.IsUnspecified() }

// is4 reports whether package net counts e as an IPv4 address; no address is one.
func (e endpoint) is4() bool { return len(e.ip) <= IPv4len || e.ip.To4() != nil }

// listenFamily is the family of a socket that listens on laddr, and whether it
// takes IPv6 only: a wildcard address of "tcp" or "udp" means both families.
func listenFamily(network string, laddr endpoint) (f family, v6only bool) {
	switch network[len(network)-1] {
	case '4':
		return inet4, false
	case '6':
		return inet6, true
	}
	if laddr.wildcard() || !laddr.is4() {
		return inet6, false
	}
	return inet4, false
}

// dialFamily is the family of a socket that connects laddr with raddr.
func dialFamily(network string, laddr, raddr endpoint) family {
	switch network[len(network)-1] {
	case '4':
		return inet4
	case '6':
		return inet6
	}
	if laddr.is4() && raddr.is4() {
		return inet4
	}
	return inet6
}

// addrPort makes e an address for a socket of family f: IPv4 is mapped on an
// inet6 one, as the kernel sees it, and no address becomes the family's
// unspecified one. call is the system call that would refuse a wrong port.
func (e endpoint) addrPort(f family, call string) (netip.AddrPort, error) {
	var addr netip.Addr
	switch {
	case f == inet4 && len(e.ip) == 0:
		addr = netip.IPv4Unspecified()
	case f == inet4:
		ip4 := e.ip.To4()
		if ip4 == nil {
			return netip.AddrPort{}, &AddrError{Err: "non-IPv4 address", Addr: e.ip.String()}
		}
		addr = netip.AddrFrom4([4]byte(ip4))
	case len(e.ip) == 0 || e.ip.Equal(net.IPv4zero):
		addr = netip.IPv6Unspecified()
	default:
		ip6 := e.ip.To16()
		if ip6 == nil {
			return netip.AddrPort{}, &AddrError{Err: "non-IPv6 address", Addr: e.ip.String()}
		}
		addr = netip.AddrFrom16([16]byte(ip6))
		if e.zone != "" && !addr.Is4In6() {
			addr = addr.WithZone(e.zone)
		}
	}
	if (e.port < 0 || e.port > 65535) && !defect.On(defect.LargePortTruncated) {
		return netip.AddrPort{}, os.NewSyscallError(call, syscall.EINVAL)
	}
	return netip.AddrPortFrom(addr, uint16(e.port)), nil
}

// unmap makes a the address that the stack knows: it maps nothing.
func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// toLocal replaces an unspecified destination by the loopback address of its
// family: package net documents that the local system is meant.
func toLocal(a netip.AddrPort) netip.AddrPort {
	switch a.Addr() {
	case netip.IPv4Unspecified():
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), a.Port())
	case netip.IPv6Unspecified():
		return netip.AddrPortFrom(netip.IPv6Loopback(), a.Port())
	}
	return a
}

// mapTo makes a, of the stack's, an address as a socket of family f shows it.
func (f family) mapTo(a netip.AddrPort) netip.AddrPort {
	if f == inet6 && a.Addr().Is4() && !defect.On(defect.FormOfAddress) {
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr().As16()), a.Port())
	}
	return a
}

// ipOf writes a's address to buf, as a socket of family f shows it, and returns
// the part of buf that it takes.
func (f family) ipOf(a netip.Addr, buf *[16]byte) IP {
	if f == inet4 {
		b := a.As4()
		copy(buf[:], b[:])
		return buf[:4:4]
	}
	if !a.IsValid() {
		a = netip.IPv6Unspecified()
	}
	*buf = a.As16()
	return buf[:]
}

// storedAddr is an address in one piece with its bytes, inside a socket.
type storedAddr[A any] struct {
	addr  A
	bytes [16]byte
}

func storeTCP(s *storedAddr[TCPAddr], f family, a netip.AddrPort) {
	s.addr = TCPAddr{IP: f.ipOf(a.Addr(), &s.bytes), Port: int(a.Port()), Zone: a.Addr().Zone()}
}

func storeUDP(s *storedAddr[UDPAddr], f family, a netip.AddrPort) {
	s.addr = UDPAddr{IP: f.ipOf(a.Addr(), &s.bytes), Port: int(a.Port()), Zone: a.Addr().Zone()}
}
