package main

import (
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The memory row must keep what net/http relies on, or it would not be the
// limit of the same application.
func TestMemoryConn(t *testing.T) {
	pair := func(t *testing.T) (client, server net.Conn) {
		tr, err := openMemory()
		require.NoError(t, err)
		l, err := tr.Listen()
		require.NoError(t, err)
		client, err = tr.Dial()
		require.NoError(t, err)
		server, err = l.Accept()
		require.NoError(t, err)
		require.NoError(t, l.Close())
		_, err = tr.Dial()
		require.Error(t, err)
		return client, server
	}
	t.Run("carries more than the ring holds", func(t *testing.T) {
		c, s := pair(t)
		sent := make([]byte, 5*ringSize+7)
		for i := range sent {
			sent[i] = byte(i * 7)
		}
		go func() { c.Write(sent); c.Close() }()
		got, err := io.ReadAll(s)
		require.NoError(t, err)
		require.Equal(t, sent, got)
	})
	t.Run("a read deadline in the past ends a waiting read, and zero takes it back", func(t *testing.T) {
		c, s := pair(t)
		ended := make(chan error)
		go func() { _, err := s.Read(make([]byte, 1)); ended <- err }()
		require.NoError(t, s.SetReadDeadline(time.Unix(1, 0)))
		require.ErrorIs(t, <-ended, os.ErrDeadlineExceeded)
		require.NoError(t, s.SetReadDeadline(time.Time{}))
		go c.Write([]byte("x"))
		_, err := s.Read(make([]byte, 1))
		require.NoError(t, err)
	})
	t.Run("a read deadline in the future ends a waiting read", func(t *testing.T) {
		_, s := pair(t)
		require.NoError(t, s.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
		_, err := s.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	})
	t.Run("close ends both sides", func(t *testing.T) {
		c, s := pair(t)
		require.NoError(t, c.Close())
		require.ErrorIs(t, c.Close(), net.ErrClosed)
		_, err := s.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
		_, err = s.Write(make([]byte, 1))
		require.ErrorIs(t, err, io.ErrClosedPipe)
		_, err = c.Read(make([]byte, 1))
		require.ErrorIs(t, err, net.ErrClosed)
		require.NoError(t, s.Close())
	})
}
