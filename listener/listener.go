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
	"syscall"
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
	failed func(error)   // nil, or told of each error that is tried again after
	ending chan struct{} // closed when the kernel's half is, or the whole
	done   chan struct{} // closed when the pump has ended

	mu          sync.Mutex
	room        chan struct{} // tells the pump, which waits while pending is full
	pending     []accepted[C] // from the kernel, oldest first
	deadline    time.Time     // the caller's
	interrupted bool          // the stack's deadline is aLongTimeAgo
	alone       bool          // the kernel's half is closed
	closed      bool
}

type accepted[C any] struct {
	conn C
	err  error
}

// Merge returns a listener that accepts the connections of both. It starts a
// goroutine, which Close ends. Goroutines of a testing/synctest bubble may use one that
// was made outside, and wait for it, but not the other way round.
//
// An error of the kernel's Accept that is one of the moment, as that no descriptor
// is left, is no reason for the stack's half to stand still, which needs none: it is
// not returned, but told to failed, if that is not nil, and the kernel is asked again
// after a pause. Others are returned by an Accept.
//
// The kernel's connections are pumped into a queue. An Accept waits in the
// stack only, at no extra cost for the stack's connections; what arrives on the
// queue interrupts that wait by means of the stack listener's deadline.
func Merge[C any](s Stack, k Kernel[C], failed func(error)) *TCP[C] {
	l := &TCP[C]{stack: s, kernel: k, failed: failed, ending: make(chan struct{}), done: make(chan struct{}), room: make(chan struct{}, 1)}
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
		l.tell()
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

// tell has the pump look again whether there is room.
func (l *TCP[C]) tell() {
	select {
	case l.room <- struct{}{}:
	default: // it will
	}
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
	wait := time.Duration(0)
	for {
		c, err := l.kernel.Accept()
		if err != nil && ofTheMoment(err) {
			wait = min(max(2*wait, firstPause), longestPause)
			if !l.pause(err, wait) {
				return
			}
			continue
		}
		wait = 0
		if !l.put(accepted[C]{c, err}) {
			if err == nil {
				discard(c)
			}
			return
		}
	}
}

// After an error of the moment the kernel is asked again: at first soon, as
// net/http does with those that it gets.
const (
	firstPause   = 5 * time.Millisecond
	longestPause = time.Second
)

// ofTheMoment reports whether accept(2) may succeed when it is called again, later:
// descriptors or memory have run out.
func ofTheMoment(err error) bool {
	for _, e := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// pause tells of an error and waits. It reports whether the kernel's half is still
// open.
func (l *TCP[C]) pause(err error, d time.Duration) bool {
	if l.failed != nil {
		l.failed(err)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-l.ending:
		return false
	case <-t.C:
		return true
	}
}

// put queues what the kernel's Accept returned, and waits until there is room
// for more. After an error it waits until an Accept has returned that. It reports
// whether the kernel is to be asked again. What the kernel has accepted in the moment
// that its half was closed is there for Accept too.
func (l *TCP[C]) put(a accepted[C]) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.alone && a.err != nil {
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
	for len(l.pending) >= limit && !l.closed && !l.alone {
		l.mu.Unlock()
		<-l.room
		l.mu.Lock()
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

// CloseKernel closes the kernel's listener alone. Connections that it had accepted
// are there for Accept still. A second call does nothing.
func (l *TCP[C]) CloseKernel() error {
	l.mu.Lock()
	if l.closed || l.alone {
		l.mu.Unlock()
		return nil
	}
	l.alone = true
	close(l.ending)
	l.tell()
	l.mu.Unlock()
	err := l.kernel.Close()
	<-l.done
	return err
}

// Waiting is how many connections of the kernel's Accept would return without
// waiting.
func (l *TCP[C]) Waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.pending)
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
	pending, alone := l.pending, l.alone
	l.pending = nil
	if !alone {
		close(l.ending)
	}
	l.tell()
	l.mu.Unlock()
	err := l.stack.Close()
	if alone && errors.Is(err, stack.ErrClosed) {
		err = nil // the stack's half ends before this when its host is closed
	}
	if !alone {
		if kerr := l.kernel.Close(); err == nil || errors.Is(err, stack.ErrClosed) {
			err = kerr
		}
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
