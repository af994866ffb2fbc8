package fastnet

import (
	"net/netip"
	"syscall"

	"github.com/fastnet-go/fastnet/internal/defect"
)

// msgTrunc is the flag with which ReadMsgUDP tells that a datagram was longer
// than the buffer (MSG_TRUNC of Linux).
const msgTrunc = 0x20

// Read reads a datagram; what does not fit into b is lost.
func (c *UDPConn) Read(b []byte) (int, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.Read(b)
	}
	n, err := c.read(b)
	if err != nil {
		err = c.opError("read", "read", c.remote(), err)
	}
	return n, err
}

// ReadFromUDP reads a datagram and tells where it came from.
func (c *UDPConn) ReadFromUDP(b []byte) (n int, addr *UDPAddr, err error) {
	// Small enough to be inlined, so that the address need not escape.
	return c.readFromUDP(b, &UDPAddr{})
}

func (c *UDPConn) readFromUDP(b []byte, addr *UDPAddr) (int, *UDPAddr, error) {
	if !c.ok() {
		return 0, nil, syscall.EINVAL
	}
	if c.stack == nil {
		n, a, err := c.kernel.ReadFromUDP(b)
		if a == nil {
			return n, nil, err
		}
		*addr = *a
		return n, addr, err
	}
	n, _, src, err := c.readFrom(b)
	if err != nil {
		return n, nil, c.opError("read", "recvfrom", c.remote(), err)
	}
	if c.family == inet4 {
		ip := src.Addr().As4()
		*addr = UDPAddr{IP: ip[:], Port: int(src.Port())}
	} else {
		ip := src.Addr().As16()
		*addr = UDPAddr{IP: ip[:], Port: int(src.Port()), Zone: src.Addr().Zone()}
	}
	if defect.On(defect.ZoneLost) {
		addr.Zone = ""
	}
	if defect.On(defect.SourceNil) {
		return n, nil, nil
	}
	return n, addr, nil
}

// ReadFrom reads a datagram and tells where it came from, a *UDPAddr.
func (c *UDPConn) ReadFrom(b []byte) (int, Addr, error) {
	n, addr, err := c.readFromUDP(b, &UDPAddr{})
	if addr == nil {
		return n, nil, err
	}
	return n, addr, err
}

// ReadFromUDPAddrPort reads a datagram and tells where it came from. It does
// not allocate. On a socket bound to an unspecified address, IPv4 addresses
// are IPv4-mapped IPv6 ones.
func (c *UDPConn) ReadFromUDPAddrPort(b []byte) (n int, addr netip.AddrPort, err error) {
	if !c.ok() {
		return 0, netip.AddrPort{}, syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.ReadFromUDPAddrPort(b)
	}
	n, _, addr, err = c.readFrom(b)
	if err != nil {
		return n, netip.AddrPort{}, c.opError("read", "recvfrom", c.remote(), err)
	}
	return n, c.family.mapTo(addr), nil
}

// ReadMsgUDP reads a datagram with its flags and control messages: on Linux
// those that a Control function has asked for with IP_PKTINFO, IPV6_RECVPKTINFO,
// IP_RECVTOS, IPV6_RECVTCLASS (ECN is in both), IP_RECVTTL and IPV6_RECVHOPLIMIT,
// in the kernel's format. Interface indexes are those of function Interfaces. A
// message that does not fit is left out, where the kernel cuts it.
func (c *UDPConn) ReadMsgUDP(b, oob []byte) (n, oobn, flags int, addr *UDPAddr, err error) {
	var ap netip.AddrPort
	n, oobn, flags, ap, err = c.ReadMsgUDPAddrPort(b, oob)
	if ap.IsValid() {
		addr = UDPAddrFromAddrPort(ap)
	}
	return
}

// ReadMsgUDPAddrPort is ReadMsgUDP with another type of address.
func (c *UDPConn) ReadMsgUDPAddrPort(b, oob []byte) (n, oobn, flags int, addr netip.AddrPort, err error) {
	if !c.ok() {
		return 0, 0, 0, netip.AddrPort{}, syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.ReadMsgUDPAddrPort(b, oob)
	}
	n, full, src, info, err := c.readMsg(b)
	if err != nil {
		// Package net returns the family's zero address with an error.
		none := netip.IPv4Unspecified()
		if c.family == inet6 {
			none = netip.IPv6Unspecified()
		}
		return n, 0, 0, netip.AddrPortFrom(none, 0), c.opError("read", "recvmsg", c.remote(), err)
	}
	if c.oobFlags() != 0 {
		oobn, flags = c.putControl(oob, &info)
	}
	if full > n {
		flags |= msgTrunc
	}
	return n, oobn, flags, c.family.mapTo(src), nil
}
