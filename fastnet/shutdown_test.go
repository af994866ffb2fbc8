package fastnet

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A connection that is complete when Shutdown begins, but that the program has not
// got to accept, is not reset.
func TestShutdownLeavesTimeToAccept(t *testing.T) {
	virtual(t, nil, func(t *testing.T, l *lab) {
		ln, err := l.server.Listen("tcp", serverIP+":80")
		require.NoError(t, err)
		c, err := l.client.Dial("tcp", ln.Addr().String())
		require.NoError(t, err)
		_, err = c.Write([]byte("hello"))
		require.NoError(t, err)
		done := make(chan error, 1)
		go func() { done <- l.server.Shutdown(t.Context()) }()
		time.Sleep(acceptTime * 9 / 10) // longer than handshakes may take
		require.Equal(t, 1, ln.(*TCPListener).Stack().Waiting())
		s, err := ln.Accept()
		require.NoError(t, err)
		got := readAll(s)
		require.NoError(t, c.Close())
		require.Equal(t, "hello", <-got)
		require.NoError(t, s.Close())
		require.NoError(t, <-done)
		_, err = ln.Accept()
		require.Error(t, err)
	})
}

// One that nobody accepts does not keep the network open.
func TestShutdownDoesNotWaitForAcceptForever(t *testing.T) {
	virtual(t, nil, func(t *testing.T, l *lab) {
		ln, err := l.server.Listen("tcp", serverIP+":80")
		require.NoError(t, err)
		c, err := l.client.Dial("tcp", ln.Addr().String())
		require.NoError(t, err)
		defer c.Close()
		begun := time.Now()
		require.NoError(t, l.server.Shutdown(t.Context()))
		require.Less(t, time.Since(begun), time.Minute)
		require.ErrorIs(t, errOf(c.Read(make([]byte, 1))), syscall.ECONNRESET)
	})
}
