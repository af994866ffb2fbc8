package stack

import (
	"io"

	"github.com/fastnet-go/fastnet/stack/tcp"
)

// SmallRead is the least that tells Fill of more to come, bytes.
const SmallRead = tcp.SmallLoan

// Fill sends what r reads, until its error, io.EOF too, or one of the connection's.
// r reads into memory of the send buffer's, without the connection's lock, so that
// other Writes go on while it blocks. It is given 32 KiB after a read of SmallRead or
// more, or at first if large is true, and else SmallRead: the buffer of a connection
// that waits for little is small. A reader that breaks io.Reader's contract and
// keeps its buffer may change what is sent.
func (c *TCPConn) Fill(r io.Reader, large bool) (written int64, readErr, writeErr error) {
	return c.fill(&c.wq.holder, r, large)
}

func (c *TCPConn) fill(by *holder, r io.Reader, large bool) (written int64, readErr, writeErr error) {
	for readErr == nil && writeErr == nil {
		var n int
		n, large, readErr, writeErr = c.fillOnce(by, r, large)
		written += int64(n)
	}
	return written, readErr, writeErr
}

// fillOnce is one read of a Fill. more is whether the next is to be a large one.
func (c *TCPConn) fillOnce(by *holder, r io.Reader, large bool) (written int, more bool, readErr, writeErr error) {
	loan := c.host.chunks.Borrow(uint8(c.key.remotePort), large)
	defer loan.Release() // if r panics, too
	n, readErr := r.Read(loan.Bytes())
	if n > 0 {
		written, writeErr = c.writeLoan(by, &loan, n)
	}
	return written, n >= SmallRead, readErr, writeErr
}

// writeLoan is Write of the first n bytes of l.
func (c *TCPConn) writeLoan(by *holder, l *tcp.Loan, n int) (int, error) {
	b := l.Bytes()[:n]
	c.lock()
	defer c.unlock()
	if err := c.wq.turn(by); err != nil {
		return 0, err
	}
	k := c.core.WriteLoan(l, n)
	if k > 0 {
		c.output(c.host.now())
	}
	if k < n {
		m, err := c.write(by, b[k:])
		return k + m, err
	}
	c.wq.wake() // those whose turn it may be
	return n, nil
}
