package fastnet

import (
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fastnet-go/fastnet/listener"
	"github.com/fastnet-go/fastnet/stack"
)

// TCPListener is a TCP listener: in the stack, in the kernel, or in both, and
// then Accept returns the connections of both. Its methods are those of
// net.TCPListener and return the same errors.
type TCPListener struct {
	stack  *stack.TCPListener      // nil: the kernel only
	merged *listener.TCP[*TCPConn] // not nil: both
	half   *net.TCPListener        // of merged, the kernel's
	kernel *net.TCPListener        // if stack is nil
	owner  *Network

	accepting atomic.Int32 // calls of the kernel's Accept, if stack is nil
	lent      atomic.Bool  // the kernel's socket may be another process's, too

	net       string
	family    family
	keepAlive stack.KeepAlive
	set       socketOptions // by Control, of accepted connections too
	unshare   func()        // gives the port back, on a shared interface
	parted    sync.Once     // from the port: see leavesPort
	laddr     storedAddr[TCPAddr]
	shadow    shadow // for SyscallConn
	held[*stack.ListenerHandle]
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
		l.accepting.Add(1) // until it is on the books: see leave
		defer l.accepting.Add(-1)
		return kernelListener{l.kernel, l.owner}.Accept()
	}
	var s *stack.TCPConn
	var k *TCPConn
	var err error
	if l.merged == nil {
		s, err = l.holder().Accept()
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
		return k, nil
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
		l.leave()
	}
	var err error
	if l.merged == nil {
		err = l.close(l.holder().Close)
	} else {
		err = l.close(l.merged.Close)
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
	return netError("set", l.holder().SetDeadline(t))
}

// File returns a descriptor of the listener, for which the caller is responsible;
// closing either does not affect the other. Of a listener that is in the kernel, too,
// it is that half, which a child may inherit, non-blocking as it is: FileListener there
// listens on it, and in its stack (see there). In this process the stack's half ends with the last listener of
// it, and FileListener begins it anew.
//
// Of a listener of the stack's alone it stands for that, on Linux: the listener goes on
// until the File, too, and all copies of it are closed, and FileListener makes another
// one of any of these, in this process; in a child it returns an error that says so.
// Elsewhere the error is ENOTSUP, for which errors.Is(err, errors.ErrUnsupported) holds.
func (l *TCPListener) File() (f *os.File, err error) {
	if !l.ok() {
		return nil, syscall.EINVAL
	}
	l.lent.Store(true)
	if l.stack == nil {
		return l.kernel.File()
	}
	return l.file()
}

// SyscallConn is as TCPConn.SyscallConn; Read and Write of what it returns fail.
func (l *TCPListener) SyscallConn() (syscall.RawConn, error) {
	if !l.ok() {
		return nil, syscall.EINVAL
	}
	if l.stack == nil {
		l.lent.Store(true) // who has the descriptor may hand it on
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

// kernelListener is the kernel's half of a merged listener. What it accepts is on the
// network's books at once: Shutdown counts on them.
type kernelListener struct {
	*net.TCPListener
	n *Network
}

func (k kernelListener) Accept() (*TCPConn, error) {
	c, err := k.AcceptTCP()
	if err != nil {
		return nil, err
	}
	return k.n.accepted(c), nil
}
