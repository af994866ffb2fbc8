package main

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// memoryTransport connects goroutines through a ring of bytes, with one lock
// and one copy on each side. No network can be faster under the same
// application, so it shows how much of a workload is the application.
type memoryTransport struct {
	listener *memoryListener
}

func openMemory() (Transport, error) { return &memoryTransport{}, nil }

func (t *memoryTransport) Listen() (net.Listener, error) {
	t.listener = &memoryListener{conns: make(chan net.Conn, 128), closed: make(chan struct{})}
	return t.listener, nil
}

func (t *memoryTransport) Dial() (net.Conn, error) {
	select {
	case <-t.listener.closed: // looked at first: the queue may have room
		return nil, net.ErrClosed
	default:
	}
	up, down := newByteRing(), newByteRing()
	select {
	case t.listener.conns <- &memoryConn{in: up, out: down}:
		return &memoryConn{in: down, out: up}, nil
	case <-t.listener.closed:
		return nil, net.ErrClosed
	}
}

func (t *memoryTransport) Packets() uint64 { return 0 }
func (t *memoryTransport) Close() error    { return nil }

type memoryListener struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *memoryListener) Addr() net.Addr { return memoryAddr }

var memoryAddr = net.TCPAddrFromAddrPort(netip.MustParseAddrPort("10.0.0.1:80"))

// memoryConn is one end of a connection: it reads one ring and writes the
// other.
type memoryConn struct {
	in, out *byteRing
	once    sync.Once
}

func (c *memoryConn) Read(b []byte) (int, error)  { return c.in.read(b) }
func (c *memoryConn) Write(b []byte) (int, error) { return c.out.write(b) }

func (c *memoryConn) Close() error {
	err := net.ErrClosed
	c.once.Do(func() {
		c.in.closeReader()
		c.out.closeWriter()
		err = nil
	})
	return err
}

func (c *memoryConn) LocalAddr() net.Addr  { return memoryAddr }
func (c *memoryConn) RemoteAddr() net.Addr { return memoryAddr }

func (c *memoryConn) SetReadDeadline(t time.Time) error { return c.in.setReadDeadline(t) }

func (c *memoryConn) SetWriteDeadline(t time.Time) error {
	if !t.IsZero() {
		return errors.ErrUnsupported // nothing here asks for one
	}
	return nil
}

func (c *memoryConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// ringSize is what a ring holds: small enough that 64 busy connections stay
// in the processor's cache.
const ringSize = 16 << 10

var ringBuffers = sync.Pool{New: func() any { return new([ringSize]byte) }}

// byteRing is one direction of a connection.
type byteRing struct {
	mu                 sync.Mutex
	readable, writable sync.Cond
	buf                *[ringSize]byte
	start, length      int
	readerClosed       bool
	writerClosed       bool
	expired            bool // the read deadline has passed
	timer              *time.Timer
}

func newByteRing() *byteRing {
	r := &byteRing{buf: ringBuffers.Get().(*[ringSize]byte)}
	r.readable.L, r.writable.L = &r.mu, &r.mu
	return r
}

func (r *byteRing) write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	written := 0
	for len(b) > 0 {
		for !r.readerClosed && !r.writerClosed && r.length == ringSize {
			r.writable.Wait()
		}
		if r.writerClosed {
			return written, net.ErrClosed
		}
		if r.readerClosed {
			return written, io.ErrClosedPipe
		}
		end := (r.start + r.length) % ringSize
		n := copy(r.buf[end:min(ringSize, end+ringSize-r.length)], b)
		b = b[n:]
		written += n
		r.length += n
		r.readable.Signal()
	}
	return written, nil
}

func (r *byteRing) read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		if r.readerClosed {
			return 0, net.ErrClosed
		}
		if r.expired {
			return 0, os.ErrDeadlineExceeded
		}
		if r.length > 0 {
			break
		}
		if r.writerClosed {
			return 0, io.EOF
		}
		r.readable.Wait()
	}
	read := 0
	for r.length > 0 && read < len(b) {
		n := copy(b[read:], r.buf[r.start:min(ringSize, r.start+r.length)])
		r.start = (r.start + n) % ringSize
		r.length -= n
		read += n
	}
	r.writable.Signal()
	return read, nil
}

func (r *byteRing) closeReader() { r.close(&r.readerClosed) }
func (r *byteRing) closeWriter() { r.close(&r.writerClosed) }

func (r *byteRing) close(side *bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*side = true
	if r.readerClosed && r.writerClosed {
		ringBuffers.Put(r.buf)
		r.buf, r.length = nil, 0
	}
	r.readable.Broadcast()
	r.writable.Broadcast()
}

// setReadDeadline is cheap for the two values that net/http sets around each
// request: one long past, and zero.
func (r *byteRing) setReadDeadline(t time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
	r.expired = false
	if t.IsZero() {
		return nil
	}
	if wait := time.Until(t); wait > 0 {
		var timer *time.Timer
		timer = time.AfterFunc(wait, func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.timer == timer {
				r.expired = true
				r.readable.Broadcast()
			}
		})
		r.timer = timer
		return nil
	}
	r.expired = true
	r.readable.Broadcast()
	return nil
}
