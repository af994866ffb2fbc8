//go:build linux

package fastnet

import (
	"bytes"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// outcome is what a call returned.
type outcome struct {
	v   any
	err error
}

func (o outcome) describe() string { return describe(o.v) + " and " + describe(o.err) }

func both[T any](v T, err error) outcome { return outcome{v, err} }

// reset makes s reset its connection with c, and waits until the RST is at c.
func reset(t *testing.T, s, c tcpConn) {
	t.Helper()
	require.NoError(t, s.SetLinger(0))
	require.NoError(t, s.Close())
	over(t, c)
}

// endSituations are about the ends of TCP connections, before, in and after calls.
var endSituations = []situation{
	{"data before a RST by linger 0 stays readable", func(t *testing.T, w *world) []any {
		c, s := w.pair(t)
		_, err := s.Write([]byte("data"))
		require.NoError(t, err)
		received(t, c, 4)
		reset(t, s, c)
		b := make([]byte, 3)
		return list(both(c.Read(b)), string(b), both(c.Read(b)), both(c.Read(b)), both(c.Read(b)))
	}},
	{"data and its end are read one after the other", func(t *testing.T, w *world) []any {
		c, s := w.pair(t)
		_, err := s.Write([]byte("data"))
		require.NoError(t, err)
		require.NoError(t, s.Close())
		received(t, c, 4)
		b := make([]byte, 16)
		return list(both(c.Read(b)), string(b[:4]), both(c.Read(b)), both(c.Read(nil)), both(c.Write(nil)), both(c.Write([]byte("x"))))
	}},
	{"every method on a connection that has been reset", func(t *testing.T, w *world) []any {
		c, s := w.pair(t)
		reset(t, s, c)
		return append(everything(c), c.LocalAddr(), c.RemoteAddr(), c.Close(), c.Close())
	}},
	{"every method on a connection whose peer has closed", func(t *testing.T, w *world) []any {
		c, s := w.pair(t)
		require.NoError(t, s.Close())
		return list(
			both(c.Read(make([]byte, 1))), c.SetDeadline(never), c.SetLinger(1), c.SetNoDelay(false), c.SetKeepAlive(true),
			c.SetReadBuffer(1<<16), c.SetWriteBuffer(1<<16), both(c.WriteTo(io.Discard)), c.CloseRead(), c.CloseWrite(),
			both(c.Write([]byte("x"))), c.Close(), c.Close(),
		)
	}},
	{"half closes after a RST", func(t *testing.T, w *world) []any {
		c, s := w.pair(t)
		d, r := w.pair(t)
		reset(t, s, c)
		reset(t, r, d)
		return list(c.CloseWrite(), c.CloseRead(), c.CloseWrite(), d.CloseRead(), d.CloseWrite(), errOf(c.Read(make([]byte, 1))), c.Close(), d.Close())
	}},
	{"half closes of both sides", func(t *testing.T, w *world) []any {
		c, s := w.pair(t)
		first := list(c.CloseWrite(), s.CloseWrite())
		over(t, c)
		return append(first, errOf(c.Read(make([]byte, 1))), errOf(s.Read(make([]byte, 1))),
			c.CloseWrite(), c.CloseRead(), errOf(c.Write([]byte("x"))), c.Close(), s.Close(), c.Close())
	}},
	{"both halves closed, one by one", func(t *testing.T, w *world) []any {
		c, s := w.pair(t)
		return list(c.CloseRead(), c.CloseWrite(), errOf(c.Read(make([]byte, 1))), errOf(c.Write([]byte("x"))),
			errOf(s.Read(make([]byte, 1))), c.CloseRead(), c.CloseWrite(), c.Close(), c.CloseRead(), c.CloseWrite())
	}},
	{"what was there before CloseRead is read", func(t *testing.T, w *world) []any {
		c, s := w.pair(t)
		_, err := s.Write([]byte("data"))
		require.NoError(t, err)
		received(t, c, 4)
		b := make([]byte, 8)
		return list(c.CloseRead(), both(c.Read(b)), string(b[:4]), both(c.Read(b)))
	}},
	{"what comes after CloseRead", func(t *testing.T, w *world) []any {
		c, s := w.pair(t)
		require.NoError(t, c.CloseRead())
		eof := errOf(c.Read(make([]byte, 1)))
		first := errOf(s.Write([]byte("data")))
		time.Sleep(20 * time.Millisecond)
		return list(eof, first, errOf(s.Write([]byte("x"))), errOf(c.Write([]byte("back"))), both(s.Read(make([]byte, 8))))
	}},
	{"CloseWrite with data under way loses nothing", func(t *testing.T, w *world) []any {
		c, s := w.pair(t)
		got := readAll(s)
		n, err := c.Write(make([]byte, 300_000))
		closed := c.CloseWrite()
		return list(n, err, closed, len(<-got))
	}},
	{"Close with data under way loses nothing", func(t *testing.T, w *world) []any {
		c, s := w.pair(t)
		got := readAll(s)
		n, err := c.Write(make([]byte, 100_000))
		closed := c.Close()
		return list(n, err, closed, len(<-got))
	}},
	{"linger for some seconds loses nothing", func(t *testing.T, w *world) []any {
		c, s := w.pair(t)
		got := readAll(s)
		require.NoError(t, c.SetLinger(60))
		n, err := c.Write(make([]byte, 100_000))
		return list(n, err, c.Close(), len(<-got), c.SetLinger(0))
	}},
	{"linger that is taken back closes in order", func(t *testing.T, w *world) []any {
		c, s := w.pair(t)
		return list(c.SetLinger(0), c.SetLinger(-1), c.Close(), errOf(s.Read(make([]byte, 1))))
	}},
	{"two at a time close", func(t *testing.T, w *world) []any {
		c, _ := w.pair(t)
		done := make(chan error, 2)
		for range 2 {
			go func() { done <- c.Close() }()
		}
		a, b := <-done, <-done
		if a != nil {
			a, b = b, a
		}
		return list(a, b)
	}},
	{"all readers are woken by Close", func(t *testing.T, w *world) []any {
		c, _ := w.pair(t)
		done := make(chan error, 3)
		for range 3 {
			go func() { done <- errOf(c.Read(make([]byte, 1))) }()
		}
		time.Sleep(20 * time.Millisecond)
		require.NoError(t, c.Close())
		return list(<-done, <-done, <-done)
	}},
	{"all readers are woken by the peer's Close", func(t *testing.T, w *world) []any {
		c, s := w.pair(t)
		done := make(chan error, 3)
		for range 3 {
			go func() { done <- errOf(c.Read(make([]byte, 1))) }()
		}
		time.Sleep(20 * time.Millisecond)
		require.NoError(t, s.Close())
		return list(<-done, <-done, <-done)
	}},
	{"a writer is woken by a RST", func(t *testing.T, w *world) []any {
		c, s := w.pair(t)
		done := make(chan error, 1)
		go func() { done <- until(t, func() error { return errOf(c.Write(make([]byte, 1<<20))) }) }()
		_, err := io.ReadFull(s, make([]byte, 1))
		require.NoError(t, err)
		time.Sleep(50 * time.Millisecond)
		require.NoError(t, s.Close()) // with data that nobody has read
		return list(<-done, errOf(c.Write([]byte("x"))), errOf(c.Read(make([]byte, 1))))
	}},
	{"a writer is woken by CloseWrite", func(t *testing.T, w *world) []any {
		c, _ := w.pair(t)
		done := make(chan error, 1)
		go func() { done <- until(t, func() error { return errOf(c.Write(make([]byte, 1<<20))) }) }()
		time.Sleep(50 * time.Millisecond)
		return list(c.CloseWrite(), <-done)
	}},
	{"Buffers on connections of each kind", func(t *testing.T, w *world) (results []any) {
		buffers := func(c tcpConn) {
			n, left, err := w.buffers(c, [][]byte{[]byte("ab"), nil, []byte("c")})
			results = append(results, n, left, err)
			n, left, err = w.buffers(c, nil)
			results = append(results, n, left, err)
			n, left, err = w.buffers(c, [][]byte{nil, nil})
			results = append(results, n, left, err)
		}
		c, s := w.pair(t)
		buffers(c)
		b := make([]byte, 8)
		n, err := io.ReadFull(s, b[:3])
		results = append(results, n, err, string(b[:3]))
		require.NoError(t, c.SetWriteDeadline(past))
		buffers(c)
		require.NoError(t, c.SetWriteDeadline(never))
		reset(t, s, c)
		buffers(c)
		require.NoError(t, c.Close())
		buffers(c)
		d, _ := w.pair(t)
		require.NoError(t, d.CloseWrite())
		buffers(d)
		buffers(w.zeroTCP)
		return results
	}},
	{"Buffers whose time is over halfway", func(t *testing.T, w *world) []any {
		c, _ := w.pair(t)
		b := make([][]byte, 1024)
		for i := range b {
			b[i] = make([]byte, 64<<10)
		}
		require.NoError(t, c.SetWriteDeadline(time.Now().Add(4*soon)))
		n, left, err := w.buffers(c, b)
		return list(n < 64<<20, left > 0, err)
	}},
	{"ReadFrom and WriteTo whose other end fails", func(t *testing.T, w *world) []any {
		c, s := w.pair(t)
		_, err := s.Write([]byte("data"))
		require.NoError(t, err)
		return list(
			both(c.WriteTo(failing{})),
			both(c.ReadFrom(failing{})),
			both(c.ReadFrom(io.LimitReader(bytes.NewReader([]byte("abcdef")), 4))),
			both(c.ReadFrom(&io.LimitedReader{R: failing{}, N: 0})),
		)
	}},
	{"ReadFrom and WriteTo between connections that have ended", func(t *testing.T, w *world) []any {
		c, s := w.pair(t)
		d, r := w.pair(t)
		require.NoError(t, s.Close())
		first := list(both(d.ReadFrom(c)), both(c.WriteTo(d)))
		require.NoError(t, c.Close())
		reset(t, r, d)
		// The chain of errors is not the same: package net splices in the kernel.
		return append(first, errors.Is(errOf(d.ReadFrom(c)), net.ErrClosed), errors.Is(errOf(c.WriteTo(d)), net.ErrClosed),
			errors.Is(errOf(d.WriteTo(c)), syscall.ECONNRESET))
	}},
	{"a connection that is none", func(t *testing.T, w *world) []any {
		return append(everything(w.zeroTCP), w.zeroTCP.Close(), w.zeroTCP.LocalAddr(), w.zeroTCP.RemoteAddr())
	}},
	{"addresses stay after Close", func(t *testing.T, w *world) []any {
		c, s := w.pair(t)
		require.NoError(t, c.Close())
		require.NoError(t, s.Close())
		return list(c.LocalAddr(), c.RemoteAddr(), s.LocalAddr(), s.RemoteAddr(), c.RemoteAddr().String() == s.LocalAddr().String())
	}},
	{"options that are out of range", func(t *testing.T, w *world) []any {
		c, _ := w.pair(t)
		return list(
			c.SetLinger(-5), c.SetLinger(1<<20), c.SetReadBuffer(-1), c.SetWriteBuffer(-1), c.SetReadBuffer(1), c.SetWriteBuffer(1),
			c.SetKeepAlivePeriod(time.Nanosecond), c.SetKeepAlivePeriod(1000*time.Hour),
			c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Count: 1000}),
			c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 100 * time.Hour}),
			c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Interval: 100 * time.Hour}),
		)
	}},
}

// Write makes a failing one a writer.
func (failing) Write([]byte) (int, error) { return 0, errors.New("full") }
