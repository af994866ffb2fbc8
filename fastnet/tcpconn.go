package fastnet

import (
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"weak"

	"github.com/fastnet-go/fastnet/internal/defect"
	"github.com/fastnet-go/fastnet/stack"
)

// TCPConn is a TCP connection: a socket of the stack's, or one of the kernel's.
// Its methods are those of net.TCPConn and return the same errors.
type TCPConn struct {
	stack  *stack.TCPConn
	kernel *net.TCPConn // if stack is nil
	conns  *kernelConns // not nil: has the kernel's on its books

	net   string // "tcp", "tcp4" or "tcp6", for errors
	laddr storedAddr[TCPAddr]
	raddr storedAddr[TCPAddr]

	keepAliveMu sync.Mutex
	keepAlive   stack.KeepAlive // as last set

	shadow shadow // for SyscallConn
	held[*stack.TCPHandle]
	files atomic.Pointer[sharing] // not nil: there may be Files
}

var (
	_ Conn          = (*TCPConn)(nil)
	_ io.ReaderFrom = (*TCPConn)(nil)
	_ io.WriterTo   = (*TCPConn)(nil)
	_ syscall.Conn  = (*TCPConn)(nil)
)

// newTCPConn wraps a connection of the stack's. Its options are set already.
func newTCPConn(s *stack.TCPConn, network string, f family, k stack.KeepAlive) *TCPConn {
	c := &TCPConn{stack: s, net: network, keepAlive: k}
	storeTCP(&c.laddr, f, s.LocalAddr())
	storeTCP(&c.raddr, f, s.RemoteAddr())
	return c
}

func (c *TCPConn) ok() bool { return c != nil && (c.stack != nil || c.kernel != nil) }

// opError wraps an error of the stack's, if it is one, as package net's methods do;
// call is the system call they would have made.
func (c *TCPConn) opError(op, call string, err error) error {
	if err == nil {
		return nil
	}
	if defect.On(defect.SourceMissing) {
		return &OpError{Op: op, Net: c.net, Addr: &c.raddr.addr, Err: netError(call, err)}
	}
	return &OpError{Op: op, Net: c.net, Source: &c.laddr.addr, Addr: &c.raddr.addr, Err: netError(call, err)}
}

// setError is opError for the methods that package net has on every Conn,
// which name the local address only.
func (c *TCPConn) setError(call string, err error) error {
	if err == nil {
		return nil
	}
	return &OpError{Op: "set", Net: c.net, Addr: &c.laddr.addr, Err: netError(call, err)}
}

// Read reads data that the peer has sent.
func (c *TCPConn) Read(b []byte) (int, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.Read(b)
	}
	n, err := c.read(b)
	if err != nil && err != io.EOF {
		err = c.opError("read", "read", err)
	}
	return n, err
}

// Write sends b to the peer.
func (c *TCPConn) Write(b []byte) (int, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.Write(b)
	}
	n, err := c.write(b)
	if err != nil {
		err = c.opError("write", "write", err)
	}
	return n, err
}

// Close closes the connection. Calls that wait return net.ErrClosed.
func (c *TCPConn) Close() error {
	if !c.ok() {
		return syscall.EINVAL
	}
	if c.stack == nil {
		if c.conns != nil {
			c.conns.remove(weak.Make(c))
		}
		return c.kernel.Close()
	}
	if err := c.close(c.holder().Close); err != nil {
		return c.opError("close", "close", err)
	}
	c.shadow.close()
	return nil
}

// CloseRead shuts down the reading side.
func (c *TCPConn) CloseRead() error {
	if !c.ok() {
		return syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.CloseRead()
	}
	return c.opError("close", "shutdown", c.isOpen(c.stack.CloseRead))
}

// CloseWrite shuts down the writing side: the peer reads io.EOF after what was
// written.
func (c *TCPConn) CloseWrite() error {
	if !c.ok() {
		return syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.CloseWrite()
	}
	return c.opError("close", "shutdown", c.isOpen(c.closeWrite))
}

// LocalAddr returns the local address, a *TCPAddr, always the same one: do not
// modify it.
func (c *TCPConn) LocalAddr() Addr {
	if !c.ok() {
		return nil
	}
	if c.stack == nil {
		return c.kernel.LocalAddr()
	}
	return &c.laddr.addr
}

// RemoteAddr returns the peer's address, a *TCPAddr, always the same one: do
// not modify it.
func (c *TCPConn) RemoteAddr() Addr {
	if !c.ok() {
		return nil
	}
	if defect.On(defect.AddrMissing) {
		return nil
	}
	if c.stack == nil {
		return c.kernel.RemoteAddr()
	}
	return &c.raddr.addr
}

// SetDeadline sets the read and write deadlines.
func (c *TCPConn) SetDeadline(t time.Time) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.SetDeadline(t)
	}
	return c.setError("set", setDeadline(c.holder(), t))
}

// SetReadDeadline sets the deadline of Read, for one that waits too.
func (c *TCPConn) SetReadDeadline(t time.Time) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.SetReadDeadline(t)
	}
	return c.setError("set", c.setReadDeadline(t))
}

// SetWriteDeadline sets the deadline of Write, for one that waits too.
func (c *TCPConn) SetWriteDeadline(t time.Time) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.SetWriteDeadline(t)
	}
	return c.setError("set", c.setWriteDeadline(t))
}

// SetReadBuffer sets the size of the receive buffer, in bytes.
func (c *TCPConn) SetReadBuffer(bytes int) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.SetReadBuffer(bytes)
	}
	return c.setError("setsockopt", c.isOpen(func() error { return c.stack.SetReadBuffer(bytes) }))
}

// SetWriteBuffer sets the size of the send buffer, in bytes.
func (c *TCPConn) SetWriteBuffer(bytes int) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.SetWriteBuffer(bytes)
	}
	return c.setError("setsockopt", c.isOpen(func() error { return c.stack.SetWriteBuffer(bytes) }))
}

// SetLinger sets what Close does with data that is not acknowledged yet: with
// sec 0 it is discarded and the connection reset, else it is sent in the
// background. Close never blocks.
func (c *TCPConn) SetLinger(sec int) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.SetLinger(sec)
	}
	return c.opError("set", "setsockopt", c.isOpen(func() error { return c.stack.SetLinger(sec) }))
}

// SetNoDelay switches Nagle's algorithm off (true, the default) or on.
func (c *TCPConn) SetNoDelay(noDelay bool) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.SetNoDelay(noDelay)
	}
	return c.opError("set", "setsockopt", c.isOpen(func() error { return c.stack.SetNoDelay(noDelay) }))
}

// MultipathTCP reports whether the connection uses MPTCP; the stack has none.
func (c *TCPConn) MultipathTCP() (bool, error) {
	if !c.ok() {
		return false, syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.MultipathTCP()
	}
	return false, nil
}

// File returns a descriptor of the connection, for which the caller is responsible;
// closing either does not affect the other. That of a connection of the stack's stands
// for it, on Linux: the connection stays open until the File, too, and all copies of it
// are closed, and FileConn makes another connection of any of these, in this process.
// What is written to the File is sent, in order with what connections write before and
// after. Reading it waits until the connections of this
// process are closed (c, and what FileConn has returned), for these would lose what the
// File reads: so a child to which a connection is handed on serves it once the program
// has closed its own. For all other system calls the File is a unix socket: it has no
// options of TCP's or IP's (EOPNOTSUPP) and no addresses; use SyscallConn for options.
//
// Elsewhere the error is ENOTSUP, for which errors.Is(err, errors.ErrUnsupported) holds.
func (c *TCPConn) File() (f *os.File, err error) {
	if !c.ok() {
		return nil, syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.File()
	}
	return c.file()
}

// SyscallConn returns what sets options of the connection and reads and writes it
// with system calls. A connection of the stack's has no descriptor for that. On
// Linux Control of what it returns runs its function with that of a shadow (see
// ListenConfig), and what was set becomes the connection's: buffers, linger,
// keep-alive, TCP_NODELAY, TCP_USER_TIMEOUT; another option is an error that names
// it. Read and Write run theirs with one end of a pair of unix sockets that stands
// for the connection meanwhile: right for looking whether the peer has hung up, as
// drivers of databases do, slow for data. Elsewhere it fails as File does.
func (c *TCPConn) SyscallConn() (syscall.RawConn, error) {
	if !c.ok() {
		return nil, syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.SyscallConn()
	}
	return c.rawConn()
}

// Stack returns the stack's socket, or nil for a connection of the kernel's:
// for statistics, and for what package net's API has no word for.
func (c *TCPConn) Stack() *stack.TCPConn {
	if c == nil {
		return nil
	}
	return c.stack
}

// selfConnected reports whether s is connected to itself: a simultaneous open
// that happens when the port chosen is the one dialled.
func selfConnected(s *stack.TCPConn) bool {
	return s.LocalAddr() == s.RemoteAddr()
}
