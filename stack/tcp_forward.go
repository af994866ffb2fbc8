package stack

import (
	"io"
	"sync"

	"github.com/fastnet-go/fastnet/nic"
)

// A Forward takes so many packets, and about so many bytes, off the receive queue
// at a time: they are the device's buffers, which a slow writer must not keep from
// it.
const (
	forwardPackets = 64
	forwardBytes   = 64 << 10
)

// forwarding is what a Forward has taken off the receive queue.
type forwarding struct {
	packets [forwardPackets + 1]*nic.Packet // one more: nil for what has spilled
	bufs    [forwardPackets + 1][]byte
	n       int // of bufs
}

var forwardings = sync.Pool{New: func() any { return new(forwarding) }}

// take moves packets from r to f, and returns how many bytes they hold.
func (f *forwarding) take(r *receiveQueue) int {
	n := 0
	for f.n < forwardPackets && n < forwardBytes && r.head != nil {
		p := r.head
		r.head = p.Link()
		p.SetLink(nil)
		r.packets--
		r.mem -= int32(p.BufferSize())
		f.packets[f.n], f.bufs[f.n] = p, p.Bytes()
		f.n++
		n += p.Len()
	}
	if r.head == nil {
		r.tail = nil
		if r.spill != nil && n < forwardBytes {
			f.bufs[f.n] = *r.spill
			f.n++
			n += len(*r.spill)
			r.mem -= int32(len(*r.spill))
			r.spill = nil
		}
	}
	r.took(n)
	return n
}

// release gives the packets back to their device.
func (f *forwarding) release() {
	for i := range f.n {
		f.packets[i].Release()
		f.packets[i], f.bufs[i] = nil, nil
	}
	f.n = 0
}

// Forward calls write with what arrives, until the peer's FIN, without copying it:
// the slices are the received packets themselves, and write must not keep them. It
// returns how many bytes were written, and the error of reading or of write, which
// ends it; write's is io.ErrShortWrite if it takes less without saying why.
func (c *TCPConn) Forward(write func(bufs [][]byte) (int64, error)) (written int64, readErr, writeErr error) {
	return c.forward(&c.rq.holder, write)
}

func (c *TCPConn) forward(by *holder, write func(bufs [][]byte) (int64, error)) (written int64, readErr, writeErr error) {
	f := forwardings.Get().(*forwarding)
	defer func() {
		f.release() // what a write that panicked was given: f is another connection's next
		forwardings.Put(f)
	}()
	for {
		n, err := c.takeInto(by, f)
		if err == io.EOF {
			return written, nil, nil
		} else if err != nil {
			return written, err, nil
		}
		m, err := write(f.bufs[:f.n])
		f.release()
		written += m
		if err == nil && m < int64(n) {
			err = io.ErrShortWrite
		}
		if err != nil {
			return written, nil, err
		}
	}
}

// takeInto is Read that copies nothing.
func (c *TCPConn) takeInto(by *holder, f *forwarding) (int, error) {
	r := &c.rq
	r.mu.Lock()
	if err := c.awaitReadable(by); err != nil {
		r.mu.Unlock()
		return 0, err
	}
	n := f.take(r)
	c.afterRead()
	return n, nil
}
