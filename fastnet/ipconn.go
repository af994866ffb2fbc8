package fastnet

import (
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/fastnet-go/fastnet/stack"
)

// IPConn is a raw IP socket: one of the stack's for ICMP ("ip4:icmp" and
// "ip6:ipv6-icmp"), or one of the kernel's, as for all other protocols. Its methods
// are those of net.IPConn and return the same errors.
//
// A socket of the stack's needs no privilege. It gets a copy of every message that
// the host receives, echo requests that the host answers itself and neighbour
// discovery among them, and no oob: oobn is 0, and sending any is EINVAL. Only a
// Control function needs the privilege that the kernel wants for a raw socket: its
// shadow is one (see ListenConfig). As with the kernel's, Read and ReadMsgIP return
// the IPv4 header too, ReadFrom does not, and the checksum of ICMPv6 is filled in.
type IPConn struct {
	stack  *stack.ICMPConn
	kernel *net.IPConn // if stack is nil

	net          string // "ip4", for errors
	laddr, raddr *IPAddr
	shadow       shadow // for SyscallConn
	held[*stack.ICMPHandle]
}

var (
	_ Conn         = (*IPConn)(nil)
	_ PacketConn   = (*IPConn)(nil)
	_ syscall.Conn = (*IPConn)(nil)
)

// newIPConn wraps a socket of the stack's that is not connected.
func newIPConn(s *stack.ICMPConn, network string, v6 bool, set socketOptions) *IPConn {
	local := s.LocalAddr()
	if !local.IsValid() {
		if local = netip.IPv4Unspecified(); v6 {
			local = netip.IPv6Unspecified()
		}
	}
	return &IPConn{stack: s, net: network, laddr: ipAddr(local), shadow: shadow{made: &set}}
}

func ipAddr(a netip.Addr) *IPAddr { return &IPAddr{IP: a.AsSlice(), Zone: a.Zone()} }

func (c *IPConn) ok() bool { return c != nil && (c.stack != nil || c.kernel != nil) }

func (c *IPConn) opError(op, call string, addr Addr, err error) error {
	return &OpError{Op: op, Net: c.net, Source: c.laddr, Addr: addr, Err: netError(call, err)}
}

func (c *IPConn) setError(call string, err error) error {
	if err == nil {
		return nil
	}
	return &OpError{Op: "set", Net: c.net, Addr: c.laddr, Err: netError(call, err)}
}

// Read reads a packet: over IPv4 with its header.
func (c *IPConn) Read(b []byte) (int, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.Read(b)
	}
	n, _, _, _, err := c.readMsg(b)
	if err != nil {
		err = c.opError("read", "read", opAddr(c.raddr), err)
	}
	return n, err
}

// ReadFromIP reads a message, without an IP header, and tells where it came from.
func (c *IPConn) ReadFromIP(b []byte) (int, *IPAddr, error) {
	if !c.ok() {
		return 0, nil, syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.ReadFromIP(b)
	}
	n, _, from, _, err := c.readMsg(b)
	if err != nil {
		return n, nil, c.opError("read", "recvfrom", opAddr(c.raddr), err)
	}
	if from.Is4() {
		n = cutHeader(b, n)
	}
	return n, ipAddr(from), nil
}

// cutHeader removes the IPv4 header from the n bytes in b. What does not hold one
// stays, as in package net.
func cutHeader(b []byte, n int) int {
	const least = 20
	if n < least || b[0]>>4 != 4 {
		return n
	}
	l := int(b[0]&0xf) * 4
	if l < least || l > n {
		return n
	}
	return copy(b, b[l:n])
}

// ReadFrom is ReadFromIP; the Addr is an *IPAddr.
func (c *IPConn) ReadFrom(b []byte) (int, Addr, error) {
	n, addr, err := c.ReadFromIP(b)
	return n, opAddr(addr), err
}

// ReadMsgIP reads a packet, over IPv4 with its header, and its flags.
func (c *IPConn) ReadMsgIP(b, oob []byte) (n, oobn, flags int, addr *IPAddr, err error) {
	if !c.ok() {
		return 0, 0, 0, nil, syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.ReadMsgIP(b, oob)
	}
	n, full, from, _, err := c.readMsg(b)
	if err != nil {
		return n, 0, 0, nil, c.opError("read", "recvmsg", opAddr(c.raddr), err)
	}
	if full > n {
		flags = msgTrunc
	}
	return n, 0, flags, ipAddr(from), nil
}

// Write sends a message to the address that the socket is connected to.
func (c *IPConn) Write(b []byte) (int, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.Write(b)
	}
	n, err := c.sendMsg(b, netip.Addr{}, stack.SendOptions{TOS: -1})
	if err != nil {
		err = c.opError("write", "write", opAddr(c.raddr), err)
	}
	return n, err
}

// WriteToIP sends a message to addr.
func (c *IPConn) WriteToIP(b []byte, addr *IPAddr) (int, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.WriteToIP(b, addr)
	}
	return c.write("sendto", b, addr)
}

func (c *IPConn) write(call string, b []byte, addr *IPAddr) (int, error) {
	dst, err := c.destination(addr)
	if err == nil {
		var n int
		if n, err = c.sendMsg(b, dst, stack.SendOptions{TOS: -1}); err == nil {
			return n, nil
		}
	}
	return 0, c.opError("write", call, opAddr(addr), err)
}

// destination checks addr as package net does.
func (c *IPConn) destination(addr *IPAddr) (netip.Addr, error) {
	switch {
	case c.raddr != nil:
		return netip.Addr{}, ErrWriteToConnected
	case addr == nil:
		return netip.Addr{}, errMissingAddress
	}
	f := inet4
	if len(c.laddr.IP) == IPv6len {
		f = inet6
	}
	ap, err := endpoint{ip: addr.IP, zone: addr.Zone, set: true}.addrPort(f, "sendto")
	return unmap(toLocal(ap)).Addr(), err
}

// WriteTo is WriteToIP; addr is an *IPAddr.
func (c *IPConn) WriteTo(b []byte, addr Addr) (int, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	a, ok := addr.(*IPAddr)
	if !ok {
		if c.stack == nil {
			return c.kernel.WriteTo(b, addr)
		}
		return 0, &OpError{Op: "write", Net: c.net, Source: c.laddr, Addr: addr, Err: syscall.EINVAL}
	}
	return c.WriteToIP(b, a)
}

// WriteMsgIP sends a message to addr.
func (c *IPConn) WriteMsgIP(b, oob []byte, addr *IPAddr) (n, oobn int, err error) {
	if !c.ok() {
		return 0, 0, syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.WriteMsgIP(b, oob, addr)
	}
	if len(oob) > 0 {
		return 0, 0, c.opError("write", "sendmsg", opAddr(addr), syscall.EINVAL)
	}
	n, err = c.write("sendmsg", b, addr)
	return n, 0, err
}

// Close closes the socket. Calls that wait return net.ErrClosed.
func (c *IPConn) Close() error {
	if !c.ok() {
		return syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.Close()
	}
	c.shadow.close()
	if err := c.close(c.holder().Close); err != nil {
		return c.opError("close", "close", opAddr(c.raddr), err)
	}
	return nil
}

// LocalAddr returns the local address, an *IPAddr: do not modify it.
func (c *IPConn) LocalAddr() Addr {
	if !c.ok() {
		return nil
	}
	if c.stack == nil {
		return c.kernel.LocalAddr()
	}
	return c.laddr
}

// RemoteAddr returns the peer's address, an *IPAddr, or nil on a socket that is
// not connected.
func (c *IPConn) RemoteAddr() Addr {
	if !c.ok() {
		return nil
	}
	if c.stack == nil {
		return c.kernel.RemoteAddr()
	}
	return opAddr(c.raddr)
}

// SetDeadline sets the read and write deadlines.
func (c *IPConn) SetDeadline(t time.Time) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.SetDeadline(t)
	}
	return c.setError("set", setDeadline(c.holder(), t))
}

// SetReadDeadline sets the deadline of the reading methods.
func (c *IPConn) SetReadDeadline(t time.Time) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.SetReadDeadline(t)
	}
	return c.setError("set", c.holder().SetReadDeadline(t))
}

// SetWriteDeadline sets the deadline of the writing methods.
func (c *IPConn) SetWriteDeadline(t time.Time) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.SetWriteDeadline(t)
	}
	return c.setError("set", c.holder().SetWriteDeadline(t))
}

// SetReadBuffer sets the size of the receive buffer, in bytes.
func (c *IPConn) SetReadBuffer(bytes int) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.SetReadBuffer(bytes)
	}
	return c.setError("setsockopt", c.isOpen(func() error { return c.stack.SetReadBuffer(bytes) }))
}

// SetWriteBuffer sets the size of the send buffer, in bytes.
func (c *IPConn) SetWriteBuffer(bytes int) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.SetWriteBuffer(bytes)
	}
	return c.setError("setsockopt", c.isOpen(func() error { return c.stack.SetWriteBuffer(bytes) }))
}

// File is as UDPConn.File.
func (c *IPConn) File() (f *os.File, err error) {
	if !c.ok() {
		return nil, syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.File()
	}
	return c.file()
}

// SyscallConn is as UDPConn.SyscallConn, but without control messages.
func (c *IPConn) SyscallConn() (syscall.RawConn, error) {
	if !c.ok() {
		return nil, syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.SyscallConn()
	}
	return c.rawConn()
}

// Stack returns the stack's socket, or nil for one of the kernel's.
func (c *IPConn) Stack() *stack.ICMPConn {
	if c == nil {
		return nil
	}
	return c.stack
}
