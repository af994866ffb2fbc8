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
	waiting := func() (sum int) {
		for _, l := range []*net.TCPListener{first, second} {
			require.NoError(t, control(t, l, func(fd int) error {
				n, err := AcceptQueue(fd)
				sum += n
				return err
			}))
		}
		return sum
	}
	// The last acknowledgement of a handshake may come after its Dial has returned.
	for deadline := time.Now().Add(patience); waiting() != many; time.Sleep(time.Millisecond) {
		require.True(t, time.Now().Before(deadline), "%d of %d", waiting(), many)
	}
	require.NoError(t, first.Close())
	require.NoError(t, second.SetDeadline(time.Now().Add(patience)))
	for range many {
		c, err := second.Accept()
		require.NoError(t, err)
		_, err = c.Read(make([]byte, 1))
		require.NoError(t, err)
		c.Close()
	}
}

// The newest socket of a port gets what is new, for as long as it is open; the one before
// has it again then, with what was not accepted.
func TestTheNewestSocketIsPreferred(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a program for sockets needs CAP_BPF")
	}
	first, at := listening(t, "127.0.0.1:0")
	if err := control(t, first, Prefer); errors.Is(err, unix.EINVAL) {
		t.Skip("connections change their listener from Linux 5.14 on: ", err)
	} else {
		require.NoError(t, err)
	}
	// The last acknowledgement of a handshake may come after its Dial has returned.
	waiting := func(want int, l *net.TCPListener) {
		t.Helper()
		n := -1
		for deadline := time.Now().Add(patience); n != want; time.Sleep(time.Millisecond) {
			require.NoError(t, control(t, l, func(fd int) (err error) {
				n, err = AcceptQueue(fd)
				return err
			}))
			require.True(t, n <= want && time.Now().Before(deadline), "%d instead of %d", n, want)
		}
	}
	const many = 32
	dial := func() {
		for range many {
			c, err := net.Dial("tcp", at)
			require.NoError(t, err)
			t.Cleanup(func() { c.Close() })
			_, err = c.Write([]byte{1})
			require.NoError(t, err)
		}
	}
	dial()
	waiting(many, first)
	second, _ := listening(t, at)
	require.NoError(t, control(t, second, Prefer))
	dial()
	waiting(many, second)
	waiting(many, first)
	third, _ := listening(t, at)
	require.NoError(t, control(t, third, Prefer))
	require.NoError(t, control(t, third, Prefer), "a copy of it has asked")
	require.ErrorIs(t, control(t, third, prefer), unix.EBUSY)
	require.NoError(t, first.Close())
	waiting(many, third) // what is left goes to the newest, too
	waiting(many, second)
	require.NoError(t, third.Close())
	waiting(2*many, second)
	dial()
	waiting(3*many, second)
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
