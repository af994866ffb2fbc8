package stack

import "time"

// Peek copies what has arrived to b, at least a byte, and leaves it to be read.
// Its errors are Read's; if it is not to wait, ErrWouldBlock is that there is
// nothing yet.
func (c *TCPConn) Peek(b []byte, wait bool) (int, error) { return c.peek(&c.rq.holder, b, wait) }

func (c *TCPConn) peek(by *holder, b []byte, wait bool) (int, error) {
	r := &c.rq
	r.mu.Lock()
	defer r.mu.Unlock()
	if !wait && r.status(by) == nil && r.bytes == 0 && r.end == nil && !r.shut {
		return 0, ErrWouldBlock
	}
	if err := c.awaitReadable(by); err != nil {
		return 0, err
	}
	n := 0
	for p := r.head; p != nil && n < len(b); p = p.Link() {
		n += copy(b[n:], p.Bytes())
	}
	if r.spill != nil {
		n += copy(b[n:], *r.spill)
	}
	return n, nil
}

// SetUserTimeout sets how long data may stay unacknowledged, and a probe without
// an answer, before the connection ends with ETIMEDOUT (RFC 5482); 0 is no limit
// of its own.
func (c *TCPConn) SetUserTimeout(d time.Duration) error {
	return c.set(func(time.Duration) {
		c.core.SetUserTimeout(d)
		c.arm()
	})
}
