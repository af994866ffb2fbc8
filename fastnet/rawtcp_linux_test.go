package fastnet

import (
	"errors"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// hungUp is how drivers of databases look whether the server has hung up.
func hungUp(t *testing.T, c syscall.Conn) error {
	raw, err := c.SyscallConn()
	require.NoError(t, err)
	var result error
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		n, err := unix.Read(int(fd), b[:])
		switch {
		case n == 0 && err == nil:
			result = io.EOF
		case n > 0:
			result = errors.New("unexpected data")
		case err == unix.EAGAIN:
			result = nil
		default:
			result = err
		}
		return true
	})
	require.NoError(t, err)
	return result
}

func TestAPeerThatHasHungUpIsSeenThroughSyscallConn(t *testing.T) {
	l := newLab(t, labConfig{})
	conn, peer := l.connect(t, "tcp", serverIP+":0")
	c := conn
	require.NoError(t, hungUp(t, c))
	require.NoError(t, hungUp(t, c))
	_, err := peer.Write([]byte("data"))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return hungUp(t, c) != nil }, longWait, time.Millisecond)
	b := make([]byte, 8)
	n, err := c.Read(b)
	require.NoError(t, err)
	require.Equal(t, "ata", string(b[:n])) // the function has read a byte
	require.NoError(t, hungUp(t, c))
	require.NoError(t, peer.Close())
	require.Eventually(t, func() bool { return hungUp(t, c) == io.EOF }, longWait, time.Millisecond)
	require.Equal(t, io.EOF, hungUp(t, c))
}

func TestReadAndWriteThroughSyscallConn(t *testing.T) {
	l := newLab(t, labConfig{})
	conn, peer := l.connect(t, "tcp", serverIP+":0")
	raw, err := conn.SyscallConn()
	require.NoError(t, err)
	calls := 0
	require.NoError(t, raw.Write(func(fd uintptr) bool {
		calls++
		_, err := unix.Write(int(fd), []byte("hello "))
		require.NoError(t, err)
		return calls == 2
	}))
	b := make([]byte, 12)
	_, err = io.ReadFull(peer, b)
	require.NoError(t, err)
	require.Equal(t, "hello hello ", string(b))

	// Read waits until there is something.
	go func() {
		time.Sleep(10 * time.Millisecond)
		peer.Write([]byte("answer"))
	}()
	var got []byte
	require.NoError(t, raw.Read(func(fd uintptr) bool {
		var b [4]byte
		n, err := unix.Read(int(fd), b[:])
		if err == nil {
			got = append(got, b[:n]...)
		}
		return len(got) == 6
	}))
	require.Equal(t, "answer", string(got))

	require.NoError(t, conn.SetDeadline(past))
	never := func(uintptr) bool { panic("the deadline has passed") }
	for _, f := range []func(func(uintptr) bool) error{raw.Read, raw.Write} {
		require.ErrorIs(t, f(never), os.ErrDeadlineExceeded)
	}
	require.NoError(t, conn.Close())
	for _, f := range []func(func(uintptr) bool) error{raw.Read, raw.Write} {
		var op *OpError
		require.ErrorAs(t, f(never), &op)
		require.ErrorIs(t, op, ErrClosed)
	}
	require.ErrorIs(t, raw.Control(func(uintptr) {}), ErrClosed)
}

func TestOptionsOfAConnectionThatExists(t *testing.T) {
	l := newLab(t, labConfig{})
	conn, _ := l.connect(t, "tcp", serverIP+":0")
	c := conn
	require.NoError(t, c.SetKeepAliveConfig(KeepAliveConfig{Enable: true, Idle: 7 * time.Second, Interval: 3 * time.Second, Count: 5}))
	raw, err := c.SyscallConn()
	require.NoError(t, err)
	get := func(level, opt int) (v int) {
		require.NoError(t, raw.Control(func(fd uintptr) { v, err = unix.GetsockoptInt(int(fd), level, opt) }))
		require.NoError(t, err)
		return v
	}
	set := func(level, opt, v int) error {
		control := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), level, opt, v) })
		require.NoError(t, err)
		return control
	}
	require.Equal(t, 1, get(unix.SOL_SOCKET, unix.SO_KEEPALIVE))
	require.Equal(t, 7, get(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE))
	require.Equal(t, 3, get(unix.IPPROTO_TCP, unix.TCP_KEEPINTVL))
	require.Equal(t, 5, get(unix.IPPROTO_TCP, unix.TCP_KEEPCNT))
	require.Equal(t, 1, get(unix.IPPROTO_TCP, unix.TCP_NODELAY))

	require.NoError(t, set(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 20))
	require.Equal(t, 20*time.Second, c.keepAlive.Idle)
	require.Equal(t, 3*time.Second, c.keepAlive.Interval)
	require.NoError(t, set(unix.IPPROTO_TCP, unix.TCP_NODELAY, 0))
	require.Zero(t, get(unix.IPPROTO_TCP, unix.TCP_NODELAY))

	for range 2 { // what was refused has left no trace
		err := set(unix.IPPROTO_TCP, unix.TCP_CORK, 1)
		require.ErrorIs(t, err, errors.ErrUnsupported)
		require.ErrorContains(t, err, "TCP_CORK")
	}
}

// TestAUserTimeoutSetLateEndsTheConnection: gRPC sets it on the connection that it
// has dialled.
func TestAUserTimeoutSetLateEndsTheConnection(t *testing.T) {
	l := newLab(t, labConfig{})
	conn, _ := l.connect(t, "tcp", serverIP+":0")
	raw, err := conn.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) {
		require.NoError(t, unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 300))
	}))
	// The peer does not read: its window closes, and stays closed.
	require.NoError(t, conn.SetWriteDeadline(time.Now().Add(time.Minute)))
	_, err = conn.Write(make([]byte, 64<<20))
	require.ErrorIs(t, err, syscall.ETIMEDOUT)
}
