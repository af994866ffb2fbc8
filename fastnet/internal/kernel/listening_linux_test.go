package kernel

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// listening returns a listener on localhost that shares its port, and what it is to be
// listened on by others.
func listening(t *testing.T, at string) (*net.TCPListener, string) {
	t.Helper()
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		return errors.Join(c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) }), err)
	}}
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(context.Background(), "tcp", at)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l.(*net.TCPListener), l.Addr().String()
}

func control(t *testing.T, l *net.TCPListener, f func(fd int) error) (err error) {
	t.Helper()
	raw, e := l.SyscallConn()
	require.NoError(t, e)
	require.NoError(t, raw.Control(func(fd uintptr) { err = f(int(fd)) }))
	return err
}

// What a socket has not accepted when it is closed another one of the group accepts.
func TestAClosedSocketLeavesItsConnections(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a program for sockets needs CAP_BPF")
	}
	first, at := listening(t, "127.0.0.1:0")
	if err := control(t, first, MigrateOnClose); errors.Is(err, unix.EINVAL) {
		t.Skip("connections change their listener from Linux 5.14 on: ", err)
	} else {
		require.NoError(t, err)
	}
	second, _ := listening(t, at)
	const many = 32
	for range many {
		c, err := net.Dial("tcp", at)
		require.NoError(t, err)
		defer c.Close()
		_, err = c.Write([]byte{1})
		require.NoError(t, err)
	}
	waiting := 0
	for _, l := range []*net.TCPListener{first, second} {
		require.NoError(t, control(t, l, func(fd int) error {
			n, err := AcceptQueue(fd)
			waiting += n
			return err
		}))
	}
	require.Equal(t, many, waiting)
	require.NoError(t, first.Close())
	require.NoError(t, second.SetDeadline(time.Now().Add(10*time.Second)))
	for range many {
		c, err := second.Accept()
		require.NoError(t, err)
		_, err = c.Read(make([]byte, 1))
		require.NoError(t, err)
		c.Close()
	}
}

// A socket that is to begin no more connections answers no SYN, and keeps what it has.
func TestSYNsAreDropped(t *testing.T) {
	l, at := listening(t, "127.0.0.1:0")
	c, err := net.Dial("tcp", at)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, control(t, l, DropSYNs))
	_, err = net.DialTimeout("tcp", at, 200*time.Millisecond)
	var timeout net.Error
	require.ErrorAs(t, err, &timeout)
	require.True(t, timeout.Timeout(), "%v", err)
	s, err := l.Accept()
	require.NoError(t, err)
	defer s.Close()
	_, err = c.Write([]byte("on it goes"))
	require.NoError(t, err)
	b := make([]byte, 10)
	n, err := s.Read(b)
	require.NoError(t, err)
	require.Equal(t, "on it goes", string(b[:n]))
}
