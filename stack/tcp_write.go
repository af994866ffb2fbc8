package stack

import (
	"io"
	"slices"
	"syscall"

	"github.com/fastnet-go/fastnet/internal/defect"
)

const errBrokenPipe = syscall.EPIPE

var errEOF = io.EOF

// writeQueue is where writers wait. What they wrote is in the state machine's
// send buffer. All is under the connection's lock.
type writeQueue struct {
	waits   waitList
	conn    *TCPConn
	writing bool // a Write waits for room: another must not come between its bytes
	shut    bool // CloseWrite was called
	ended   bool // the last holder has closed it
	holder       // the TCPConn; others are its TCPHandles
}

func (w *writeQueue) init(c *TCPConn) {
	w.conn = c
	w.holder.init()
}

func (w *writeQueue) wake() { w.waits.wakeAll() }

// wait sleeps until there is news. The connection's lock is released meanwhile.
func (w *writeQueue) wait() { w.waits.wait(w.conn.host, (*connLocker)(w.conn)) }

// status is why nothing can be written by a holder, or nil.
func (w *writeQueue) status(by *holder) error {
	switch {
	case by.closed || w.ended:
		return ErrClosed
	case by.expired:
		return errDeadline
	case w.conn.sendErr != nil:
		if !w.conn.established {
			return w.conn.sendErr
		}
		return w.conn.once(w.conn.sendErr, errBrokenPipe)
	case w.shut, defect.On(defect.FirstWriteFails) && w.conn.rq.end == errEOF:
		return errBrokenPipe
	}
	return nil
}

// once returns err the first time that a call reports why the connection ended,
// and then after that: as in Linux, Read and Write share one report.
func (c *TCPConn) once(err, then error) error {
	if defect.On(defect.ResetIsTold) {
		return err
	}
	if err == errEOF || err == errBrokenPipe || err == ErrClosed || !c.reported.Swap(true) {
		return err
	}
	return then
}

// Write queues all of b for transmission. It blocks while the send buffer is
// full. It returns before the peer has the bytes; an error after that is the
// next call's.
func (c *TCPConn) Write(b []byte) (int, error) { return c.writeBy(&c.wq.holder, b) }

func (c *TCPConn) writeBy(by *holder, b []byte) (int, error) {
	c.lock()
	n, err := 0, c.wq.turn(by)
	if err == nil {
		n, err = c.write(by, b)
	}
	c.unlock()
	return n, err
}

// WriteBuffers writes the buffers one behind the other, as one run of segments.
func (c *TCPConn) WriteBuffers(bufs [][]byte) (int64, error) {
	return c.writeBuffers(&c.wq.holder, bufs)
}

func (c *TCPConn) writeBuffers(by *holder, bufs [][]byte) (int64, error) {
	c.lock()
	defer c.unlock()
	if !slices.ContainsFunc(bufs, func(b []byte) bool { return len(b) > 0 }) {
		// Package net makes no system call, which could fail, for no bytes.
		switch {
		case by.closed || c.wq.ended:
			return 0, ErrClosed
		case by.expired:
			return 0, errDeadline
		}
		return 0, nil
	}
	if err := c.wq.turn(by); err != nil {
		return 0, err
	}
	var total int64
	for i, b := range bufs {
		// What fits goes into the send buffer before segments are made of it.
		if n := c.core.Write(b); i < len(bufs)-1 && n == len(b) {
			total += int64(n)
			continue
		} else {
			c.output(c.host.now())
			total += int64(n)
			b = b[n:]
		}
		if len(b) == 0 {
			continue
		}
		n, err := c.write(by, b)
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// turn waits until no other Write is halfway, and returns why nothing can be
// written, or nil.
func (w *writeQueue) turn(by *holder) error {
	for {
		if err := w.status(by); err != nil || !w.writing {
			return err
		}
		w.wait()
	}
}

// write is Write with the lock held and its turn come.
func (c *TCPConn) write(by *holder, b []byte) (int, error) {
	n := 0
	for {
		if k := c.core.Write(b[n:]); k > 0 {
			n += k
			c.output(c.host.now())
		}
		if n == len(b) {
			c.wq.wake() // those whose turn it may be
			return n, nil
		}
		c.wq.writing = true
		c.wq.wait()
		c.wq.writing = false
		if err := c.wq.status(by); err != nil {
			c.wq.wake()
			return n, err
		}
	}
}

// TryWrite is Write that returns early, with ErrWouldBlock if nothing fits,
// instead of waiting.
func (c *TCPConn) TryWrite(b []byte) (int, error) {
	c.lock()
	defer c.unlock()
	if err := c.wq.status(&c.wq.holder); err != nil {
		return 0, err
	}
	if c.wq.writing {
		return 0, ErrWouldBlock
	}
	n := c.core.Write(b)
	if n > 0 {
		c.output(c.host.now())
	} else if len(b) > 0 {
		return 0, ErrWouldBlock
	}
	return n, nil
}
