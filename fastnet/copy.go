package fastnet

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"

	"github.com/fastnet-go/fastnet/internal/defect"
	"github.com/fastnet-go/fastnet/stack"
)

// copyBufferSize is one super-segment's worth of payload.
const copyBufferSize = 64 << 10

var copyBuffers = sync.Pool{New: func() any { return new([copyBufferSize]byte) }}

// writerOnly and readerOnly hide the methods with which io.Copy would call us
// again.
type (
	writerOnly struct{ io.Writer }
	readerOnly struct{ io.Reader }
)

// ReadFrom sends what it reads from r, until io.EOF. On a connection of the stack's r
// reads into the send buffer itself.
func (c *TCPConn) ReadFrom(r io.Reader) (int64, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	if c.stack == nil {
		return kernelReadFrom(c.kernel, r)
	}
	if defect.On(defect.ReadFromDropsTheRest) {
		r = io.LimitReader(r, copyBufferSize-1)
	}
	limited, _ := r.(*io.LimitedReader) // of one with a length, such as a file of net/http's, as much is expected
	n, readErr, err := c.fill(r, limited != nil && limited.N > stack.SmallRead)
	if err != nil {
		err = c.opError("write", "write", err)
	} else if readErr != io.EOF {
		err = readErr
	}
	if err != nil {
		err = c.opError("readfrom", "read", err)
	}
	return n, err
}

// WriteTo writes what the peer sends to w, until io.EOF.
func (c *TCPConn) WriteTo(w io.Writer) (int64, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	if to, ok := w.(*TCPConn); ok && to.ok() && to.stack == nil {
		w = to.kernel // which splice and writev know
	}
	if c.stack == nil {
		return c.kernel.WriteTo(w)
	}
	n, err := c.writeTo(w)
	if err != nil {
		err = c.opError("writeto", "write", err)
	}
	return n, err
}

// writeTo hands w the bytes where they were received, in as many packets, without
// copying them; but for a file, to which each Write is a system call, and for a
// writer that reads into its own memory.
func (c *TCPConn) writeTo(w io.Writer) (n int64, err error) {
	write := func(bufs [][]byte) (n int64, err error) {
		for _, b := range bufs {
			k, err := w.Write(b)
			n += int64(k)
			if err != nil || k < len(b) {
				return n, err
			}
		}
		return n, nil
	}
	switch w := w.(type) {
	case *TCPConn:
		if !w.ok() {
			return 0, syscall.EINVAL
		}
		write = func(bufs [][]byte) (int64, error) {
			n, err := w.writeBuffers(bufs)
			if err != nil {
				err = w.opError("write", "write", err)
			}
			return n, err
		}
	case *net.TCPConn, *net.UnixConn:
		write = func(bufs [][]byte) (int64, error) { return (*net.Buffers)(&bufs).WriteTo(w) }
	case *os.File:
		buf := copyBuffers.Get().(*[copyBufferSize]byte)
		defer copyBuffers.Put(buf)
		return io.CopyBuffer(writerOnly{w}, readerOnly{c}, buf[:])
	case io.ReaderFrom:
		return w.ReadFrom(readerOnly{c})
	}
	n, readErr, err := c.forward(write)
	if readErr != nil {
		err = c.opError("read", "read", readErr)
	}
	return n, err
}

// kernelReadFrom shows package net the kernel's socket in r, if there is one,
// so that it can splice.
func kernelReadFrom(c *net.TCPConn, r io.Reader) (int64, error) {
	switch r := r.(type) {
	case *TCPConn:
		if r.ok() && r.stack == nil {
			return c.ReadFrom(r.kernel)
		}
	case *io.LimitedReader:
		if from, ok := r.R.(*TCPConn); ok && from.ok() && from.stack == nil {
			limited := &io.LimitedReader{R: from.kernel, N: r.N}
			n, err := c.ReadFrom(limited)
			r.N = limited.N
			return n, err
		}
	}
	return c.ReadFrom(r)
}

// Buffers contains zero or more runs of bytes to write. On a connection of the
// stack's they become one run of segments.
type Buffers net.Buffers

var (
	_ io.WriterTo = (*Buffers)(nil)
	_ io.Reader   = (*Buffers)(nil)
)

// WriteTo writes the buffers to w. It modifies v and its elements, but not
// their bytes.
func (v *Buffers) WriteTo(w io.Writer) (n int64, err error) {
	c, ok := w.(*TCPConn)
	if !ok {
		return (*net.Buffers)(v).WriteTo(w)
	}
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	if c.stack == nil {
		return (*net.Buffers)(v).WriteTo(c.kernel)
	}
	if defect.On(defect.BuffersTwice) {
		c.writeBuffers(*v)
	}
	n, err = c.writeBuffers(*v)
	if n > 0 {
		v.consume(n)
	}
	if err != nil {
		err = c.opError("writev", "writev", err)
	}
	return n, err
}

// Read reads from the buffers, and modifies v as WriteTo does.
func (v *Buffers) Read(p []byte) (n int, err error) { return (*net.Buffers)(v).Read(p) }

// consume drops the first n bytes, and the empty buffers behind them.
func (v *Buffers) consume(n int64) {
	for len(*v) > 0 {
		first := int64(len((*v)[0]))
		if first > n {
			(*v)[0] = (*v)[0][n:]
			return
		}
		n -= first
		(*v)[0] = nil
		*v = (*v)[1:]
	}
}
