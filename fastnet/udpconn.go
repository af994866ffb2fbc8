package fastnet

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fastnet-go/fastnet/stack"
)

// UDPConn is a UDP socket: one of the stack's, or one of the kernel's. Its
// methods are those of net.UDPConn and return the same errors.
type UDPConn struct {
	stack  *stack.UDPConn
	kernel *net.UDPConn // if stack is nil

	net       string // "udp", "udp4" or "udp6", for errors
	family    family
	v6only    bool
	connected bool
	owner     *Network
	oob       atomic.Uint32 // oobFlags: what ReadMsgUDP tells
	laddr     storedAddr[UDPAddr]
	raddr     storedAddr[UDPAddr]
	shared    *sharedUDP // on an interface shared with the kernel
	left      sync.Once  // has given it up
	shadow    shadow     // for SyscallConn
	held[*stack.UDPHandle]
}

var (
	_ Conn         = (*UDPConn)(nil)
	_ PacketConn   = (*UDPConn)(nil)
	_ syscall.Conn = (*UDPConn)(nil)
)

// newUDPConn wraps a socket of the stack's.
func (n *Network) newUDPConn(s *stack.UDPConn, network string, f family, v6only, connected bool, set socketOptions) *UDPConn {
	c := &UDPConn{stack: s, owner: n, net: network, family: f, v6only: v6only, connected: connected}
	c.oob.Store(uint32(set.oob))
	c.shadow.made = &set
	storeUDP(&c.laddr, f, s.LocalAddr())
	if connected {
		storeUDP(&c.raddr, f, s.RemoteAddr())
	}
	return c
}

func (c *UDPConn) oobFlags() oobFlags { return oobFlags(c.oob.Load()) }

func (c *UDPConn) ok() bool { return c != nil && (c.stack != nil || c.kernel != nil) }

// remote is the peer's address, or a nil Addr.
func (c *UDPConn) remote() Addr {
	if !c.connected {
		return nil
	}
	return &c.raddr.addr
}

// opError wraps an error of the stack's as package net's methods do.
func (c *UDPConn) opError(op, call string, addr Addr, err error) error {
	return &OpError{Op: op, Net: c.net, Source: &c.laddr.addr, Addr: addr, Err: netError(call, err)}
}

func (c *UDPConn) setError(call string, err error) error {
	if err == nil {
		return nil
	}
	return &OpError{Op: "set", Net: c.net, Addr: &c.laddr.addr, Err: netError(call, err)}
}

// Close closes the socket. Calls that wait return net.ErrClosed.
func (c *UDPConn) Close() error {
	if !c.ok() {
		return syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.Close()
	}
	err := c.close(c.holder().Close) // fails if the network was closed before
	c.shadow.close()
	if c.shared != nil {
		c.left.Do(c.shared.close)
	}
	if err != nil {
		return c.opError("close", "close", c.remote(), err)
	}
	return nil
}

// LocalAddr returns the local address, a *UDPAddr, always the same one: do not
// modify it.
func (c *UDPConn) LocalAddr() Addr {
	if !c.ok() {
		return nil
	}
	if c.stack == nil {
		return c.kernel.LocalAddr()
	}
	return &c.laddr.addr
}

// RemoteAddr returns the peer's address, a *UDPAddr, always the same one, or
// nil on a socket that is not connected.
func (c *UDPConn) RemoteAddr() Addr {
	if !c.ok() {
		return nil
	}
	if c.stack == nil {
		return c.kernel.RemoteAddr()
	}
	return c.remote()
}

// SetDeadline sets the read and write deadlines.
func (c *UDPConn) SetDeadline(t time.Time) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.SetDeadline(t)
	}
	c.shared.each(func(k *net.UDPConn) error { return k.SetWriteDeadline(t) })
	return c.setError("set", setDeadline(c.holder(), t))
}

// SetReadDeadline sets the deadline of the reading methods.
func (c *UDPConn) SetReadDeadline(t time.Time) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.SetReadDeadline(t)
	}
	return c.setError("set", c.holder().SetReadDeadline(t))
}

// SetWriteDeadline sets the deadline of the writing methods.
func (c *UDPConn) SetWriteDeadline(t time.Time) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.SetWriteDeadline(t)
	}
	c.shared.each(func(k *net.UDPConn) error { return k.SetWriteDeadline(t) })
	return c.setError("set", c.holder().SetWriteDeadline(t))
}

// SetReadBuffer sets the size of the receive buffer, in bytes.
func (c *UDPConn) SetReadBuffer(bytes int) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.SetReadBuffer(bytes)
	}
	c.shared.each(func(k *net.UDPConn) error { return k.SetReadBuffer(bytes) })
	return c.setError("setsockopt", c.isOpen(func() error { return c.stack.SetReadBuffer(bytes) }))
}

// SetWriteBuffer sets the size of the send buffer, in bytes.
func (c *UDPConn) SetWriteBuffer(bytes int) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.SetWriteBuffer(bytes)
	}
	c.shared.each(func(k *net.UDPConn) error { return k.SetWriteBuffer(bytes) })
	return c.setError("setsockopt", c.isOpen(func() error { return c.stack.SetWriteBuffer(bytes) }))
}

// File is as TCPConn.File, but what the File of a socket of the stack's carries is
// nothing: reading finds the end, and what is written is lost, with a word in the log.
// It is good for FilePacketConn and FileConn in this process; in a child these are told
// so by an error.
func (c *UDPConn) File() (f *os.File, err error) {
	if !c.ok() {
		return nil, syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.File()
	}
	return c.file()
}

// SyscallConn returns what sets options of the socket, as golang.org/x/net/ipv4 and
// ipv6 do. For a socket of the stack's, on Linux, Control of what it returns runs
// its function with a shadow's descriptor (see ListenConfig): the control messages
// that ReadMsgUDP is to return (IP_PKTINFO, IP_RECVTOS, IP_RECVTTL and those of
// IPv6), what the headers of its packets say (IP_TOS, IP_TTL, IP_MULTICAST_TTL,
// IP_MULTICAST_LOOP and those of IPv6) and SO_RCVBUF become the socket's, and
// another option is an error that names it. Its Read and Write fail with ENOTSUP: no
// socket of the kernel's that a program may make has datagrams whose source is another
// host's address. So ipv4.PacketConn sets options, but its ReadFrom, ReadBatch and
// WriteBatch, which call recvmsg(2) and the like, fail; use UDPConn's ReadMsgUDP and
// WriteMsgUDP. A program that does that if it can, as quic-go, is to be given the
// socket in a struct{ net.PacketConn }, which hides this method; without, quic-go's
// Listen fails as it sets IP_MTU_DISCOVER.
// Elsewhere SyscallConn itself fails with ENOTSUP.
func (c *UDPConn) SyscallConn() (syscall.RawConn, error) {
	if !c.ok() {
		return nil, syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.SyscallConn()
	}
	return c.rawConn()
}

// Stack returns the stack's socket, or nil for one of the kernel's.
func (c *UDPConn) Stack() *stack.UDPConn {
	if c == nil {
		return nil
	}
	return c.stack
}
