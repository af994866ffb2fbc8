package fastnet

import (
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/fastnet-go/fastnet/listener"
	"github.com/fastnet-go/fastnet/stack"
)

// TCPListener is a TCP listener: in the stack, in the kernel, or in both, and
// then Accept returns the connections of both. Its methods are those of
// net.TCPListener and return the same errors.
type TCPListener struct {
	stack  *stack.TCPListener          // nil: the kernel only
	merged *listener.TCP[*net.TCPConn] // not nil: both
	kernel *net.TCPListener            // if stack is nil
	owner  *Network

	net       string
	family    family
	keepAlive stack.KeepAlive
	set       socketOptions // by Control, of accepted connections too
	unshare   func()        // gives the port back, on a shared interface
	laddr     storedAddr[TCPAddr]
	shadow    shadow // for SyscallConn
}

var (
	_ Listener     = (*TCPListener)(nil)
	_ syscall.Conn = (*TCPListener)(nil)
	_ io.Closer    = (*TCPListener)(nil)
)

func (l *TCPListener) ok() bool { return l != nil && (l.stack != nil || l.kernel != nil) }

func (l *TCPListener) opError(op, call string, err error) error {
	return &OpError{Op: op, Net: l.net, Addr: &l.laddr.addr, Err: netError(call, err)}
}

// AcceptTCP waits for the next connection.
func (l *TCPListener) AcceptTCP() (*TCPConn, error) {
	if !l.ok() {
		return nil, syscall.EINVAL
	}
	if l.stack == nil {
		c, err := l.kernel.AcceptTCP()
		if err != nil {
			return nil, err
		}
		return &TCPConn{kernel: c}, nil
	}
	var s *stack.TCPConn
	var k *net.TCPConn
	var err error
	if l.merged == nil {
		s, err = l.stack.Accept()
	} else {
		s, k, err = l.merged.Accept()
	}
	switch {
	case err != nil:
		if _, ok := err.(*OpError); ok {
			return nil, err // the kernel's
		}
		return nil, l.opError("accept", "accept", err)
	case s == nil:
		return &TCPConn{kernel: k}, nil
	}
	l.set.inherit(s)
	return newTCPConn(s, l.net, l.family, l.keepAlive), nil
}

// Accept waits for the next connection, a *TCPConn.
func (l *TCPListener) Accept() (Conn, error) {
	c, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Close stops listening. Calls of Accept that wait return net.ErrClosed;
// connections that were not accepted are reset.
func (l *TCPListener) Close() error {
	if !l.ok() {
		return syscall.EINVAL
	}
	l.owner.forget(l)
	if l.stack == nil {
		return l.kernel.Close()
	}
	l.shadow.close()
	if l.unshare != nil {
		l.unshare()
	}
	var err error
	if l.merged == nil {
		err = l.stack.Close()
	} else {
		err = l.merged.Close()
	}
	if err != nil {
		return l.opError("close", "close", err)
	}
	return nil
}

// Addr returns the address listened on, a *TCPAddr, always the same one: do
// not modify it.
func (l *TCPListener) Addr() Addr {
	if l.stack == nil {
		return l.kernel.Addr()
	}
	return &l.laddr.addr
}

// SetDeadline sets the deadline of Accept, for calls that wait too.
func (l *TCPListener) SetDeadline(t time.Time) error {
	if !l.ok() {
		return syscall.EINVAL
	}
	switch {
	case l.stack == nil:
		return l.kernel.SetDeadline(t)
	case l.merged != nil:
		return netError("set", l.merged.SetDeadline(t))
	}
	return netError("set", l.stack.SetDeadline(t))
}

// File is as TCPConn.File.
func (l *TCPListener) File() (f *os.File, err error) {
	if !l.ok() {
		return nil, syscall.EINVAL
	}
	if l.stack == nil {
		return l.kernel.File()
	}
	return nil, l.opError("file", "dup", errNoDescriptor)
}

// SyscallConn is as TCPConn.SyscallConn; Read and Write of what it returns fail.
func (l *TCPListener) SyscallConn() (syscall.RawConn, error) {
	if !l.ok() {
		return nil, syscall.EINVAL
	}
	if l.stack == nil {
		return l.kernel.SyscallConn()
	}
	return l.rawConn()
}

// Stack returns the stack's listener, or nil when only the kernel listens.
func (l *TCPListener) Stack() *stack.TCPListener {
	if l == nil {
		return nil
	}
	return l.stack
}

// kernelListener is the kernel's half of a merged listener.
type kernelListener struct{ *net.TCPListener }

func (k kernelListener) Accept() (*net.TCPConn, error) { return k.AcceptTCP() }
