package fastnet

import (
	"net/netip"
	"syscall"

	"github.com/fastnet-go/fastnet/internal/defect"
	"github.com/fastnet-go/fastnet/stack"
)

// addrPortAddr is the Addr of errors about a netip.AddrPort.
type addrPortAddr struct{ netip.AddrPort }

func (addrPortAddr) Network() string { return "udp" }

// Write sends a datagram to the address that the socket is connected to.
func (c *UDPConn) Write(b []byte) (int, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.Write(b)
	}
	n, err := c.write(b)
	if err != nil {
		err = c.opError("write", "write", c.remote(), err)
	}
	return n, err
}

// WriteToUDP sends a datagram to addr.
func (c *UDPConn) WriteToUDP(b []byte, addr *UDPAddr) (int, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.WriteToUDP(b, addr)
	}
	dst, err := c.destination(addr, "sendto")
	if err == nil {
		var n int
		if n, err = c.send("sendto", b, dst); err == nil {
			return n, nil
		}
	}
	return 0, c.opError("write", "sendto", opAddr(addr), err)
}

// WriteTo sends a datagram to addr, which is a *UDPAddr.
func (c *UDPConn) WriteTo(b []byte, addr Addr) (int, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	a, ok := addr.(*UDPAddr)
	if !ok {
		if c.stack == nil {
			return c.kernel.WriteTo(b, addr)
		}
		return 0, &OpError{Op: "write", Net: c.net, Source: &c.laddr.addr, Addr: addr, Err: syscall.EINVAL}
	}
	return c.WriteToUDP(b, a)
}

// WriteToUDPAddrPort sends a datagram to addr. It does not allocate.
func (c *UDPConn) WriteToUDPAddrPort(b []byte, addr netip.AddrPort) (int, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.WriteToUDPAddrPort(b, addr)
	}
	dst, err := c.destinationAddrPort(addr)
	if err == nil {
		var n int
		if n, err = c.send("sendto", b, dst); err == nil {
			return n, nil
		}
	}
	return 0, c.opError("write", "sendto", addrPortAddr{addr}, err)
}

// WriteMsgUDP sends a datagram to addr, or on a connected socket, with a nil
// addr, to its peer. On Linux oob may hold IP_PKTINFO, IPV6_PKTINFO (source address
// and interface), IP_TOS, IPV6_TCLASS (ECN included), IP_TTL and IPV6_HOPLIMIT;
// anything else is EINVAL.
func (c *UDPConn) WriteMsgUDP(b, oob []byte, addr *UDPAddr) (n, oobn int, err error) {
	if !c.ok() {
		return 0, 0, syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.WriteMsgUDP(b, oob, addr)
	}
	if c.connected && addr == nil {
		n, err = c.writeMsg(b, oob, netip.AddrPort{})
	} else {
		var dst netip.AddrPort
		if dst, err = c.destination(addr, "sendmsg"); err == nil {
			n, err = c.writeMsg(b, oob, dst)
		}
	}
	if err != nil {
		err = c.opError("write", "sendmsg", opAddr(addr), err)
	}
	if err == nil {
		oobn = len(oob)
	}
	return n, oobn, err
}

// WriteMsgUDPAddrPort is WriteMsgUDP with another type of address; no address
// is one that is not valid.
func (c *UDPConn) WriteMsgUDPAddrPort(b, oob []byte, addr netip.AddrPort) (n, oobn int, err error) {
	if !c.ok() {
		return 0, 0, syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.WriteMsgUDPAddrPort(b, oob, addr)
	}
	if c.connected && !addr.IsValid() {
		n, err = c.writeMsg(b, oob, netip.AddrPort{})
	} else {
		var dst netip.AddrPort
		if dst, err = c.destinationAddrPort(addr); err == nil {
			n, err = c.writeMsg(b, oob, dst)
		}
	}
	if err != nil {
		err = c.opError("write", "sendmsg", addrPortAddr{addr}, err)
	}
	if err == nil {
		oobn = len(oob)
	}
	return n, oobn, err
}

func (c *UDPConn) writeMsg(b, oob []byte, dst netip.AddrPort) (int, error) {
	if len(oob) == 0 && dst.IsValid() {
		return c.send("sendmsg", b, dst)
	}
	if c.v6only && dst.Addr().Is4In6() {
		return 0, netError("sendmsg", syscall.ENETUNREACH)
	}
	o := stack.SendOptions{TOS: -1}
	if dst.IsValid() {
		dst = unmap(toLocal(dst))
		if c.shared != nil {
			if n, err, ours := c.shared.sendMsg(b, oob, dst); !ours {
				return n, err
			}
		}
	}
	if len(oob) > 0 {
		to := dst.Addr()
		if !dst.IsValid() {
			to = c.stack.RemoteAddr().Addr()
		}
		var err error
		if o, err = c.parseControl(oob, to.Is4()); err != nil {
			return 0, netError("sendmsg", err)
		}
	}
	n, err := c.sendMsg(b, dst, o)
	return n, netError("sendmsg", err)
}

// send sends a datagram to an address as the socket's family has it.
func (c *UDPConn) send(call string, b []byte, dst netip.AddrPort) (int, error) {
	if c.v6only && dst.Addr().Is4In6() {
		return 0, netError(call, syscall.ENETUNREACH)
	}
	dst = unmap(toLocal(dst))
	if c.shared != nil {
		return c.shared.send(c, b, dst)
	}
	return c.writeTo(b, dst)
}

// destination checks addr as package net does and makes it one of the socket's
// family.
func (c *UDPConn) destination(addr *UDPAddr, call string) (netip.AddrPort, error) {
	if c.connected && !defect.On(defect.WriteToConnected) {
		return netip.AddrPort{}, ErrWriteToConnected
	}
	if addr == nil {
		return netip.AddrPort{}, errMissingAddress
	}
	return udpEndpoint(addr).addrPort(c.family, call)
}

// destinationAddrPort is destination for the other type of address.
func (c *UDPConn) destinationAddrPort(addr netip.AddrPort) (netip.AddrPort, error) {
	if c.connected {
		return netip.AddrPort{}, ErrWriteToConnected
	}
	if !addr.IsValid() {
		return netip.AddrPort{}, errMissingAddress
	}
	if a := addr.Addr(); c.family == inet4 && !a.Is4() {
		if !a.Is4In6() {
			return netip.AddrPort{}, &AddrError{Err: "non-IPv4 address", Addr: a.String()}
		}
		return unmap(addr), nil
	}
	return c.family.mapTo(addr), nil
}
