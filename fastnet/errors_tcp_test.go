//go:build linux

package fastnet

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// until calls f until it returns an error: the peer's packet is under way.
func until(t *testing.T, f func() error) error {
	t.Helper()
	for begun := time.Now(); time.Since(begun) < time.Minute; time.Sleep(5 * time.Millisecond) {
		if err := f(); err != nil {
			return err
		}
	}
	t.Error("no error came")
	return nil
}

// everything calls each method of a connection.
func everything(c tcpConn) []any {
	b := make([]byte, 1)
	return list(
		errOf(c.Read(b)), errOf(c.Write([]byte("x"))), errOf(c.Read(nil)), errOf(c.Write(nil)),
		c.CloseRead(), c.CloseWrite(),
		c.SetDeadline(never), c.SetReadDeadline(never), c.SetWriteDeadline(never),
		c.SetLinger(1), c.SetNoDelay(false), c.SetKeepAlive(true), c.SetKeepAlivePeriod(time.Minute),
		c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true}), c.SetReadBuffer(1<<16), c.SetWriteBuffer(1<<16),
		errOf(c.ReadFrom(bytes.NewReader([]byte("x")))), errOf(c.WriteTo(io.Discard)),
	)
}

var tcpSituations = []situation{
	{"use a connection after Close", func(t *testing.T, w *world) []any {
		c, s := w.pair(t)
		require.NoError(t, c.Close())
		require.NoError(t, s.Close())
		return append(append(everything(c), everything(s)...), c.Close(), s.Close())
	}},
	{"close while calls wait", func(t *testing.T, w *world) []any {
		c, _ := w.pair(t)
		read, write := make(chan error, 1), make(chan error, 1)
		go func() { read <- errOf(c.Read(make([]byte, 1))) }()
		go func() { write <- until(t, func() error { return errOf(c.Write(make([]byte, 1<<20))) }) }()
		time.Sleep(50 * time.Millisecond)
		require.NoError(t, c.Close())
		return list(<-read, <-write)
	}},
	{"read after the peer's Close", func(t *testing.T, w *world) []any {
		c, s := w.pair(t)
		_, err := s.Write([]byte("bye"))
		require.NoError(t, err)
		require.NoError(t, s.Close())
		b := make([]byte, 8)
		n, err := io.ReadFull(c, b[:3])
		require.Equal(t, 3, n)
		return list(err, errOf(c.Read(b)), errOf(c.Read(b)), errOf(c.Read(nil)))
	}},
	{"write after the peer's Close", func(t *testing.T, w *world) []any {
		c, s := w.pair(t)
		require.NoError(t, s.Close())
		_, err := c.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
		first := errOf(c.Write([]byte("x")))
		// The RST makes it EPIPE.
		broken := until(t, func() error { return errOf(c.Write([]byte("x"))) })
		return list(first, broken, errOf(c.Write([]byte("x"))), c.CloseWrite(), errOf(c.Read(make([]byte, 1))), c.Close())
	}},
	{"read after a RST", func(t *testing.T, w *world) []any {
		c, s := w.pair(t)
		require.NoError(t, s.SetLinger(0))
		require.NoError(t, s.Close())
		reset := errOf(c.Read(make([]byte, 1)))
		return list(reset, errOf(c.Read(make([]byte, 1))), errOf(c.Write([]byte("x"))), c.Close())
	}},
	{"write after a RST", func(t *testing.T, w *world) []any {
		c, s := w.pair(t)
		require.NoError(t, s.SetLinger(0))
		require.NoError(t, s.Close())
		reset := until(t, func() error { return errOf(c.Write([]byte("x"))) })
		return list(reset, errOf(c.Write([]byte("x"))), errOf(c.Read(make([]byte, 1))))
	}},
	{"reset while calls wait", func(t *testing.T, w *world) []any {
		c, s := w.pair(t)
		read := make(chan error, 1)
		go func() { read <- errOf(c.Read(make([]byte, 1))) }()
		time.Sleep(20 * time.Millisecond)
		require.NoError(t, s.SetLinger(0))
		require.NoError(t, s.Close())
		return list(<-read)
	}},
	{"close with unread data resets", func(t *testing.T, w *world) []any {
		c, s := w.pair(t)
		_, err := c.Write([]byte("unread"))
		require.NoError(t, err)
		_, err = io.ReadFull(s, make([]byte, 1))
		require.NoError(t, err)
		require.NoError(t, s.Close())
		return list(errOf(c.Read(make([]byte, 1))))
	}},
	{"data before a RST stays readable", func(t *testing.T, w *world) []any {
		c, s := w.pair(t)
		_, err := s.Write([]byte("data"))
		require.NoError(t, err)
		_, err = io.ReadFull(c, make([]byte, 1)) // all four have arrived
		require.NoError(t, err)
		_, err = c.Write([]byte("unread"))
		require.NoError(t, err)
		received(t, s, 6)
		require.NoError(t, s.Close())
		over(t, c)
		b := make([]byte, 8)
		n, err := c.Read(b)
		if n != 3 {
			return list(errors.New("the data was lost"), err)
		}
		return list(err, errOf(c.Read(b)))
	}},
	{"deadlines in the past", func(t *testing.T, w *world) []any {
		c, s := w.pair(t)
		_, err := s.Write([]byte("data"))
		require.NoError(t, err)
		received(t, c, 4)
		require.NoError(t, c.SetReadDeadline(past))
		late := errOf(c.Read(make([]byte, 1)))
		lateNothing := errOf(c.Read(nil))
		require.NoError(t, c.SetWriteDeadline(past))
		lateWrite := errOf(c.Write([]byte("x")))
		lateEmpty := errOf(c.Write(nil))
		require.NoError(t, c.SetDeadline(never))
		return list(late, lateNothing, lateWrite, lateEmpty, errOf(c.Read(make([]byte, 1))), errOf(c.Write([]byte("x"))))
	}},
	{"deadlines that pass while calls wait", func(t *testing.T, w *world) []any {
		c, _ := w.pair(t)
		require.NoError(t, c.SetDeadline(time.Now().Add(30*time.Millisecond)))
		read := errOf(c.Read(make([]byte, 1)))
		write := until(t, func() error { return errOf(c.Write(make([]byte, 1<<20))) })
		pending := make(chan error, 1)
		require.NoError(t, c.SetReadDeadline(never))
		go func() { pending <- errOf(c.Read(make([]byte, 1))) }()
		time.Sleep(20 * time.Millisecond)
		require.NoError(t, c.SetReadDeadline(past))
		return list(read, write, <-pending, errOf(c.WriteTo(io.Discard)))
	}},
	{"half close", func(t *testing.T, w *world) []any {
		c, s := w.pair(t)
		require.NoError(t, c.CloseWrite())
		eof := errOf(s.Read(make([]byte, 1)))
		write := errOf(c.Write([]byte("x")))
		_, err := s.Write([]byte("still there"))
		require.NoError(t, err)
		_, err = io.ReadFull(c, make([]byte, 11))
		return list(eof, write, err, c.CloseWrite(), errOf(c.Write(nil)), errOf(c.ReadFrom(bytes.NewReader([]byte("x")))))
	}},
	{"half close of the reading side", func(t *testing.T, w *world) []any {
		c, _ := w.pair(t)
		require.NoError(t, c.CloseRead())
		return list(errOf(c.Read(make([]byte, 1))), errOf(c.Write([]byte("x"))), c.CloseRead())
	}},
	{"read while the reading side closes", func(t *testing.T, w *world) []any {
		c, _ := w.pair(t)
		read := make(chan error, 1)
		go func() { read <- errOf(c.Read(make([]byte, 1))) }()
		time.Sleep(20 * time.Millisecond)
		require.NoError(t, c.CloseRead())
		return list(<-read)
	}},
	{"a reader that fails, in ReadFrom", func(t *testing.T, w *world) []any {
		c, _ := w.pair(t)
		return list(errOf(c.ReadFrom(io.MultiReader(bytes.NewReader([]byte("x")), failing{}))), errOf(c.ReadFrom(bytes.NewReader(nil))))
	}},
	{"options", func(t *testing.T, w *world) []any {
		c, _ := w.pair(t)
		return list(
			c.SetLinger(5), c.SetLinger(-1), c.SetNoDelay(false), c.SetNoDelay(true),
			c.SetKeepAlive(false), c.SetKeepAlivePeriod(-1), c.SetKeepAlivePeriod(0),
			c.SetKeepAliveConfig(net.KeepAliveConfig{Idle: -1, Interval: -1, Count: -1}),
			c.SetReadBuffer(1<<20), c.SetWriteBuffer(1<<20), c.SetReadBuffer(0), c.SetWriteBuffer(0),
		)
	}},
	{"connections that nobody accepted are reset by the listener's Close", func(t *testing.T, w *world) []any {
		l, err := w.listen("tcp", w.server(0))
		require.NoError(t, err)
		c, err := w.dial(t.Context(), new(net.Dialer), "tcp", l.Addr().String())
		require.NoError(t, err)
		defer c.Close()
		time.Sleep(20 * time.Millisecond)
		require.NoError(t, l.Close())
		return list(errOf(c.Read(make([]byte, 1))))
	}},
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
