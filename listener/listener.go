// Package listener is the accepting side of a TCP socket that may live in two
// places at once: in the stack, and in the kernel.
//
// The backlog and the SYN cookies are the stack's (package stack). What is here
// is the merge: on a network shared with the kernel a listener also listens in
// the kernel, so that localhost, containers and VPN clients reach it without
// crossing the NIC, and one Accept returns the connections of both. Without a
// kernel half Accept goes straight to the stack.
//
// Nothing here imports package net: a kernel connection is a type parameter.
package listener

import (
	"errors"
	"os"
	"sync"
	"time"

	"github.com/fastnet-go/fastnet/internal/defect"
	"github.com/fastnet-go/fastnet/stack"
)

// Kernel is a listener of the kernel's; C is the type of its connections.
type Kernel[C any] interface {
	Accept() (C, error)
	SetDeadline(t time.Time) error
	Close() error
}

// Stack is what a TCP needs of a listener of the stack's: *stack.TCPListener.
type Stack interface {
	Accept() (*stack.TCPConn, error)
	SetDeadline(t time.Time) error
	Close() error
}

var _ Stack = (*stack.TCPListener)(nil)

// maxPending is how many connections are taken from the kernel before the
// program asks for them. The others wait in the kernel's own backlog.
const maxPending = 64

// aLongTimeAgo, as a deadline, ends a call that waits.
var aLongTimeAgo = time.Unix(1, 0)

// TCP merges a stack listener with a kernel one. All methods may be called
// from any goroutine.
type TCP[C any] struct {
	stack  Stack
	kernel Kernel[C]
	done   chan struct{} // closed when the pump has ended

	mu          sync.Mutex
	room        sync.Cond     // the pump waits here while pending is full
	pending     []accepted[C] // from the kernel, oldest first
	deadline    time.Time     // the caller's
	interrupted bool          // the stack's deadline is aLongTimeAgo
	closed      bool
}

type accepted[C any] struct {
	conn C
	err  error
}

// Merge returns a listener that accepts the connections of both. It starts a
// goroutine, which Close ends.
//
// The kernel's connections are pumped into a queue. An Accept waits in the
// stack only, at no extra cost for the stack's connections; what arrives on the
// queue interrupts that wait by means of the stack listener's deadline.
func Merge[C any](s Stack, k Kernel[C]) *TCP[C] {
	l := &TCP[C]{stack: s, kernel: k, done: make(chan struct{})}
	l.room.L = &l.mu
	go l.pump()
	return l
}

// Accept waits for the next connection, of either side: either s is set, or k
// is. Its errors are those of the side that failed: os.ErrDeadlineExceeded
// after the deadline, and stack.ErrClosed after Close.
func (l *TCP[C]) Accept() (s *stack.TCPConn, k C, err error) {
	for {
		if a, ok := l.take(); ok {
			return nil, a.conn, a.err
		}
		s, err = l.stack.Accept()
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return s, k, err
		}
		if l.expired() {
			return nil, k, err
		}
	}
}

// take returns the oldest connection of the kernel's, if there is one. When it
// leaves none behind, the stack gets the caller's deadline back.
func (l *TCP[C]) take() (a accepted[C], ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return a, false
	}
	if len(l.pending) > 0 {
		a, ok = l.pending[0], true
		l.pending[0] = accepted[C]{}
		l.pending = l.pending[1:]
		l.room.Signal()
	}
	if len(l.pending) == 0 {
		l.pending = nil
		if l.interrupted {
			l.interrupted = false
			l.stack.SetDeadline(l.deadline)
		}
	}
	return a, ok
}

// expired reports whether the caller's own deadline has passed and nothing is
// there to return instead.
func (l *TCP[C]) expired() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.pending) == 0 && !l.deadline.IsZero() && !time.Now().Before(l.deadline)
}

// pump moves the kernel's connections to the queue until the kernel's listener
// is closed.
func (l *TCP[C]) pump() {
	defer close(l.done)
	for {
		c, err := l.kernel.Accept()
		if !l.put(accepted[C]{c, err}) {
			if err == nil {
				discard(c)
			}
			return
		}
	}
}

// put queues what the kernel's Accept returned, and waits until there is room
// for more. After an error (no descriptors left, say) it waits until an Accept
// has returned that. It reports whether the listener is still open.
func (l *TCP[C]) put(a accepted[C]) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.pending = append(l.pending, a)
	if !l.interrupted {
		l.interrupted = true
		l.stack.SetDeadline(aLongTimeAgo)
	}
	limit := maxPending
	if a.err != nil {
		limit = 1
	}
	for len(l.pending) >= limit && !l.closed {
		l.room.Wait()
	}
	return !l.closed
}

// SetDeadline sets the time after which Accept fails, for calls that wait too.
// The zero time means never.
func (l *TCP[C]) SetDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return stack.ErrClosed
	}
	l.deadline = t
	if l.interrupted {
		return nil // take restores it
	}
	return l.stack.SetDeadline(t)
}

// Close closes both listeners, ends waiting calls of Accept, and closes the
// connections that nobody has accepted. A second Close returns
// stack.ErrClosed.
func (l *TCP[C]) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return stack.ErrClosed
	}
	l.closed = true
	pending := l.pending
	l.pending = nil
	l.room.Broadcast()
	l.mu.Unlock()
	err := l.stack.Close()
	if kerr := l.kernel.Close(); err == nil || errors.Is(err, stack.ErrClosed) {
		err = kerr // the stack's half ends before this when its host is closed
	}
	for _, a := range pending {
		if a.err == nil && !defect.On(defect.MergeLeaks) {
			discard(a.conn)
		}
	}
	<-l.done
	return err
}

// discard closes a connection that will not be accepted.
func discard(c any) {
	if c, ok := c.(interface{ Close() error }); ok {
		c.Close()
	}
}
