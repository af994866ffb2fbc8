package fastnet

import (
	"io"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fastnet-go/fastnet/stack"
)

// A socket of the stack's may have several of this package's types on it, and Files:
// what File and FileConn make, which in the kernel dup(2) does. The first has the
// stack's socket itself, the others a handle each, by which they read, write, have
// deadlines and are closed.

// held is what a type has for that. The zero value is the first one's.
type held[H any] struct {
	handle H // nil: the socket itself

	mu     sync.Mutex
	closed atomic.Bool
	share  *sharing // not nil: there may be others
}

// isOpen runs set, unless this holder is closed: the socket may have others still.
func (h *held[H]) isOpen(set func() error) error {
	if h.closed.Load() {
		return stack.ErrClosed
	}
	return set()
}

// attach returns what a holder has in common with others, of which there are to be
// some. mu is held.
func (h *held[H]) attach() *sharing {
	if h.share == nil {
		h.share = &sharing{conns: 1, ever: 1}
	}
	return h.share
}

// attached is what it has in common with others, or nil.
func (h *held[H]) attached() *sharing {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.share
}

// close closes the holder by end.
func (h *held[H]) close(end func() error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	err := end()
	if !h.closed.Swap(true) && h.share != nil {
		h.share.leave()
	}
	return err
}

func (c *TCPConn) read(b []byte) (int, error) {
	if c.handle != nil {
		return c.handle.Read(b)
	}
	return c.stack.Read(b)
}

// afterFiles waits until what was written to Files of the connection has been sent on
// by it: whoever writes to a socket of the kernel's, it is in the order of the calls.
func (c *TCPConn) afterFiles() error {
	s := c.files.Load()
	for s != nil && !s.passedOn() {
		var err error // closed, or the deadline has passed
		if c.handle != nil {
			_, err = c.handle.Write(nil)
		} else {
			_, err = c.stack.Write(nil)
		}
		if err != nil {
			return err
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}

// closeWrite ends what the peer is sent after what was written to Files, and does not
// wait for that.
func (c *TCPConn) closeWrite() error {
	s := c.files.Load()
	if s == nil || s.passedOn() {
		return c.stack.CloseWrite()
	}
	go func() {
		for !s.passedOn() { // it is, too, when the connection has come to its end
			time.Sleep(time.Millisecond)
		}
		c.stack.CloseWrite()
	}()
	return nil
}

func (c *TCPConn) write(b []byte) (int, error) {
	if err := c.afterFiles(); err != nil {
		return 0, err
	}
	if c.handle != nil {
		return c.handle.Write(b)
	}
	return c.stack.Write(b)
}

func (c *TCPConn) writeBuffers(bufs [][]byte) (int64, error) {
	if err := c.afterFiles(); err != nil {
		return 0, err
	}
	if c.handle != nil {
		return c.handle.WriteBuffers(bufs)
	}
	return c.stack.WriteBuffers(bufs)
}

func (c *TCPConn) fill(r io.Reader, large bool) (n int64, readErr, writeErr error) {
	if err := c.afterFiles(); err != nil {
		return 0, nil, err
	}
	if c.handle != nil {
		return c.handle.Fill(r, large)
	}
	return c.stack.Fill(r, large)
}

func (c *TCPConn) forward(write func([][]byte) (int64, error)) (n int64, readErr, writeErr error) {
	if c.handle != nil {
		return c.handle.Forward(write)
	}
	return c.stack.Forward(write)
}

func (c *TCPConn) peek(b []byte, wait bool) (int, error) {
	if c.handle != nil {
		return c.handle.Peek(b, wait)
	}
	return c.stack.Peek(b, wait)
}

// deadlines is what handles and sockets have alike.
type deadlines interface {
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
	Close() error
}

func setDeadline(o deadlines, t time.Time) error {
	if err := o.SetReadDeadline(t); err != nil {
		return err
	}
	return o.SetWriteDeadline(t)
}

// setReadDeadline is called by net/http for each request.
func (c *TCPConn) setReadDeadline(t time.Time) error {
	if c.handle != nil {
		return c.handle.SetReadDeadline(t)
	}
	return c.stack.SetReadDeadline(t)
}

func (c *TCPConn) setWriteDeadline(t time.Time) error {
	if c.handle != nil {
		return c.handle.SetWriteDeadline(t)
	}
	return c.stack.SetWriteDeadline(t)
}

// holder is what c's deadlines are set and c is closed by.
func (c *TCPConn) holder() deadlines {
	if c.handle != nil {
		return c.handle
	}
	return c.stack
}

func (c *UDPConn) holder() deadlines {
	if c.handle != nil {
		return c.handle
	}
	return c.stack
}

func (c *IPConn) holder() deadlines {
	if c.handle != nil {
		return c.handle
	}
	return c.stack
}

func (c *UDPConn) read(b []byte) (int, error) {
	if c.handle != nil {
		return c.handle.Read(b)
	}
	return c.stack.Read(b)
}

func (c *UDPConn) readFrom(b []byte) (n, full int, from netip.AddrPort, err error) {
	if c.handle != nil {
		n, full, from, _, err = c.handle.ReadMsg(b)
		return
	}
	return c.stack.ReadFrom(b)
}

func (c *UDPConn) readMsg(b []byte) (n, full int, from netip.AddrPort, info stack.DatagramInfo, err error) {
	if c.handle != nil {
		return c.handle.ReadMsg(b)
	}
	return c.stack.ReadMsg(b)
}

func (c *UDPConn) write(b []byte) (int, error) {
	if c.handle != nil {
		return c.handle.Write(b)
	}
	return c.stack.Write(b)
}

func (c *UDPConn) writeTo(b []byte, dst netip.AddrPort) (int, error) {
	if c.handle != nil {
		return c.handle.WriteTo(b, dst)
	}
	return c.stack.WriteTo(b, dst)
}

func (c *UDPConn) sendMsg(b []byte, dst netip.AddrPort, o stack.SendOptions) (int, error) {
	if c.handle != nil {
		return c.handle.WriteMsg(b, dst, o)
	}
	return c.stack.WriteMsg(b, dst, o)
}

func (c *IPConn) readMsg(b []byte) (n, full int, from netip.Addr, info stack.DatagramInfo, err error) {
	if c.handle != nil {
		return c.handle.ReadMsg(b)
	}
	return c.stack.ReadMsg(b)
}

func (c *IPConn) sendMsg(b []byte, dst netip.Addr, o stack.SendOptions) (int, error) {
	if c.handle != nil {
		return c.handle.WriteMsg(b, dst, o)
	}
	return c.stack.WriteMsg(b, dst, o)
}

// acceptor is what handles on listeners and listeners have alike.
type acceptor interface {
	Accept() (*stack.TCPConn, error)
	SetDeadline(time.Time) error
	Close() error
}

func (l *TCPListener) holder() acceptor {
	if l.handle != nil {
		return l.handle
	}
	return l.stack
}
