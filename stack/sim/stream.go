package sim

import (
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"github.com/fastnet-go/fastnet/stack"
)

// stream is the application at one end of a connection: it writes, reads,
// pauses and closes as its plan says, by calls that do not wait.
type stream struct {
	w    *world
	conn *connection
	side int // 0: who dialled
	plan *EndPlan
	c    *stack.TCPConn

	wrote, read         int
	nextWrite, nextRead time.Duration
	sent, received      pattern
	shut                bool // CloseWrite or Close was called
	eof                 bool // read to the end
	readShut            bool // CloseRead was called
	closed              bool
	paused              time.Duration // in all
	gaveUp              bool          // closed because the peer is gone and did not tell
	err                 error         // of the first call that failed
}

func newStream(conn *connection, side int, c *stack.TCPConn) *stream {
	s := &stream{w: conn.w, conn: conn, side: side, plan: &conn.plan.Ends[side], c: c}
	s.sent = newPattern(conn.key*2 + uint64(side))
	s.received = newPattern(conn.key*2 + uint64(1-side))
	return s
}

func (s *stream) String() string {
	return fmt.Sprintf("connection %d end %d (%v): wrote %d of %d, read %d, shut %v, eof %v, error %v, next write %v, next read %v",
		s.conn.index, s.side, s.plan.Ending, s.wrote, s.plan.Bytes, s.read, s.shut, s.eof, s.err, s.nextWrite, s.nextRead)
}

func (s *stream) done() bool { return s.closed }

func (s *stream) wake() time.Duration {
	wake := stack.Never
	if now := s.w.clock; s.nextRead > now && !s.eof {
		wake = s.nextRead
	}
	if now := s.w.clock; s.nextWrite > now && s.wrote < s.plan.Bytes && !s.shut {
		wake = min(wake, s.nextWrite)
	}
	return wake
}

// peer is the other end's application, nil if there is none (yet).
func (s *stream) peer() *stream { return s.conn.ends[1-s.side] }

func (s *stream) step() (bool, error) {
	moved := false
	for range 8 { // so that one end does not do all before the other comes
		r, err := s.tryRead()
		if err != nil {
			return true, err
		}
		w, err := s.tryWrite()
		if err != nil {
			return true, err
		}
		c, err := s.tryEnd()
		if err != nil {
			return true, err
		}
		if !r && !w && !c {
			break
		}
		moved = true
		if s.closed {
			break
		}
	}
	return moved, nil
}

// tryRead reads once, and looks at what came.
func (s *stream) tryRead() (bool, error) {
	if s.closed || s.eof || s.err != nil || s.w.clock < s.nextRead {
		return false, nil
	}
	b := s.w.buf[:1+s.w.rng.IntN(s.plan.Read)]
	n, err := s.c.TryRead(b)
	switch {
	case err == stack.ErrWouldBlock:
		return false, nil
	case err == io.EOF:
		return true, s.atEOF()
	case err != nil:
		return true, s.fail(err, "read")
	case n <= 0:
		return true, fmt.Errorf("%v: a read of %d returned %d bytes and no error", s, len(b), n)
	}
	if at, ok := s.received.match(s.read, b[:n]); !ok {
		return true, fmt.Errorf("%v: byte %d is not the one that was sent", s, at)
	}
	s.read += n
	s.w.report.Bytes += n
	s.w.history.add(uint64(n))
	if p := s.peer(); p != nil && s.read > p.wrote {
		return true, fmt.Errorf("%v: read more than the peer has written, %d", s, p.wrote)
	}
	s.nextRead = s.next()
	return true, s.retune()
}

// atEOF checks that an end of file is where the peer put it.
func (s *stream) atEOF() error {
	s.eof = true
	if s.readShut {
		return nil
	}
	p := s.peer()
	if p == nil || !p.shut || p.wrote != s.read {
		return fmt.Errorf("%v: end of file; the peer is %v", s, p)
	}
	return nil
}

// tryWrite writes once, if it is this end's turn.
func (s *stream) tryWrite() (bool, error) {
	left := s.plan.Bytes - s.wrote
	if s.closed || s.shut || left == 0 || s.err != nil || s.w.clock < s.nextWrite {
		return false, nil
	}
	n := min(left, 1+s.w.rng.IntN(s.plan.Chunk))
	if turn := s.plan.Turn; turn > 0 && !s.eof {
		// The dialler begins; the other end answers as much as it has got.
		limit := s.read/turn*turn + turn*(1-s.side)
		if s.side == 1 && s.read >= s.conn.plan.Ends[0].Bytes {
			limit = s.plan.Bytes
		}
		if n = min(n, limit-s.wrote); n <= 0 {
			return false, nil
		}
	}
	n, err := s.c.TryWrite(s.sent.slice(s.wrote, n))
	switch {
	case err == stack.ErrWouldBlock:
		return false, nil
	case err != nil:
		return true, s.fail(err, "write")
	case n <= 0:
		return true, fmt.Errorf("%v: a write returned %d and no error", s, n)
	}
	s.wrote += n
	s.w.history.add(uint64(n))
	s.nextWrite = s.next()
	return true, s.retune()
}

// retune changes settings of the socket now and then.
func (s *stream) retune() error {
	r := s.w.rng
	if !odds(r, s.plan.Retune) {
		return nil
	}
	var err error
	switch r.IntN(4) {
	case 0:
		err = s.c.SetReadBuffer(r.IntN(100_000))
	case 1:
		err = s.c.SetWriteBuffer(r.IntN(100_000))
	case 2:
		err = s.c.SetNoDelay(odds(r, 0.5))
	case 3:
		err = s.c.SetKeepAlive(odds(r, 0.5))
	}
	if err != nil && err != syscall.EINVAL { // it is over already, and Read tells why
		return fmt.Errorf("%v: changing a setting: %w", s, err)
	}
	return nil
}

// next is when the application goes on after a read or write.
func (s *stream) next() time.Duration {
	if !odds(s.w.rng, s.plan.PauseOdds) {
		return 0
	}
	pause := s.w.pause(s.plan.Pause)
	s.paused += pause
	return s.w.clock + pause
}

// tryEnd does what the plan's ending wants now.
func (s *stream) tryEnd() (bool, error) {
	p := s.plan
	written := s.wrote == p.Bytes
	switch {
	case s.closed:
		return false, nil
	case s.err != nil:
		return true, s.close()
	case p.Ending == EndHalf:
		if written && !s.shut {
			return true, s.closeWrite()
		}
		if s.shut && s.eof {
			return true, s.close()
		}
		return false, nil
	case s.eof && written:
		return true, s.close()
	case p.Ending == EndClose && s.wrote+s.read >= p.At:
		return true, s.close()
	case p.Ending == EndReset && s.wrote+s.read >= p.At:
		return true, s.closeLinger(0)
	case p.Ending == EndLinger && written:
		return true, s.closeLinger(p.Linger)
	case p.Ending == EndShutRead && !s.readShut && s.read >= p.At:
		s.readShut = true
		if err := s.c.CloseRead(); err != nil && err != syscall.ENOTCONN {
			return true, fmt.Errorf("%v: CloseRead: %w", s, err)
		}
		return true, nil
	case p.Ending == EndShutRead && written:
		return true, s.close()
	}
	return false, nil
}

func (s *stream) closeWrite() error {
	s.shut = true
	switch err := s.c.CloseWrite(); err {
	case nil:
	case syscall.ENOTCONN: // it is over already, and Read tells why
	default:
		return fmt.Errorf("%v: CloseWrite: %w", s, err)
	}
	return nil
}

func (s *stream) closeLinger(seconds int) error {
	if err := s.c.SetLinger(seconds); err != nil && err != syscall.EINVAL {
		return fmt.Errorf("%v: SetLinger: %w", s, err)
	}
	return s.close()
}

func (s *stream) close() error {
	s.closed, s.shut = true, true
	s.conn.ended = s.w.clock
	err := s.c.Close()
	if err == stack.ErrClosed && s.w.nodes[s.conn.host(s.side)].closed {
		return nil // the host did it
	}
	if err != nil {
		return fmt.Errorf("%v: Close: %w", s, err)
	}
	if err := s.c.Close(); err != stack.ErrClosed {
		return fmt.Errorf("%v: second Close: %v", s, err)
	}
	return nil
}

// fail takes note of an error, if it is one that a network can cause.
func (s *stream) fail(err error, call string) error {
	switch {
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, syscall.ETIMEDOUT), errors.Is(err, syscall.EHOSTUNREACH):
	case err == stack.ErrClosed && s.w.plan.disrupted():
	default:
		return fmt.Errorf("%v: unexpected error of %s: %w", s, call, err)
	}
	s.err = fmt.Errorf("%s: %w", call, err)
	return nil
}

// gone reports whether the peer's host has forgotten the connection, although
// this end still waits.
func (s *stream) gone() bool {
	n := s.w.nodes[s.conn.host(1-s.side)]
	if n.closed {
		return true
	}
	p := s.peer()
	if p != nil && !p.closed {
		return false
	}
	local, remote := bare(s.c.LocalAddr()), bare(s.c.RemoteAddr())
	for _, c := range n.host.Connections() {
		if bare(c.Local) == remote && bare(c.Remote) == local {
			return false
		}
	}
	return true
}

// giveUp closes an end whose peer is gone.
func (s *stream) giveUp() error {
	s.gaveUp = true
	s.c.SetLinger(0)
	return s.close()
}
