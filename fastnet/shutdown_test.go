package fastnet

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A connection that is complete when Shutdown begins, but that the program has not
// got to accept, is not reset.
func TestShutdownLeavesTimeToAccept(t *testing.T) {
	l := newLab(t, labConfig{})
	ln, err := l.server.Listen("tcp", serverIP+":80")
	require.NoError(t, err)
	c, err := l.client.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	_, err = c.Write([]byte("hello"))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return ln.(*TCPListener).Stack().Waiting() == 1 }, 10*time.Second, time.Millisecond)

	done := make(chan error, 1)
	begun := time.Now()
	go func() { done <- l.server.Shutdown(t.Context()) }()
	time.Sleep(20 * time.Millisecond)
	s, err := ln.Accept()
	if err != nil && time.Since(begun) > handshakeTime {
		t.Skip("the machine stood still")
	}
	require.NoError(t, err)
	got := readAll(s)
	require.NoError(t, c.Close())
	require.Equal(t, "hello", <-got)
	require.NoError(t, s.Close())
	require.NoError(t, <-done)
	_, err = ln.Accept()
	require.Error(t, err)
}

// One that nobody accepts does not keep the network open.
func TestShutdownDoesNotWaitForAcceptForever(t *testing.T) {
	l := newLab(t, labConfig{})
	ln, err := l.server.Listen("tcp", serverIP+":80")
	require.NoError(t, err)
	c, err := l.client.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, l.server.Shutdown(t.Context()))
	_, err = c.Read(make([]byte, 1))
	require.Error(t, err)
}
