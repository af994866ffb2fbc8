package fastnet

import (
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// accepted dials and accepts, and reports which stack the server's end is of.
func acceptedFrom(t *testing.T, l net.Listener, dial func(network, address string) (net.Conn, error)) (stack bool) {
	t.Helper()
	c, err := dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	s, err := l.Accept()
	require.NoError(t, err)
	defer s.Close()
	require.Equal(t, c.LocalAddr().String(), s.RemoteAddr().String())
	return s.(*TCPConn).Stack() != nil
}

// A listener whose descriptor the process has got from elsewhere is reached through the
// stack and through the kernel.
func TestInheritedListenerListensInTheStackToo(t *testing.T) {
	withDefault(t, "loopback:", func() {
		n, err := Default()
		require.NoError(t, err)
		k, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		f := fileOf(t, k.(filer))
		require.NoError(t, k.Close())
		l, err := FileListener(f)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		require.Equal(t, k.Addr().String(), l.Addr().String())
		require.True(t, acceptedFrom(t, l, Dial))
		require.False(t, acceptedFrom(t, l, net.Dial))
		require.Empty(t, n.Stats().Fallbacks)

		// Its File is the kernel's half, of which another listener is had as well.
		f = fileOf(t, l.(filer))
		child, err := net.FileListener(f) // as in a child
		require.NoError(t, err)
		require.NoError(t, child.Close())
		second, err := FileListener(f)
		require.NoError(t, err)
		require.NoError(t, l.(*TCPListener).SetDeadline(time.Unix(1, 0)))
		require.ErrorIs(t, errOf(l.Accept()), os.ErrDeadlineExceeded)
		require.NoError(t, l.Close())
		require.ErrorIs(t, errOf(l.Accept()), net.ErrClosed)
		require.True(t, acceptedFrom(t, second, Dial))
		require.False(t, acceptedFrom(t, second, net.Dial))
		require.NoError(t, second.Close())
		require.ErrorIs(t, errOf(Dial("tcp", k.Addr().String())), syscall.ECONNREFUSED)

		// The stack listens no longer, the File still does: another one begins anew.
		third, err := FileListener(f)
		require.NoError(t, err)
		require.True(t, acceptedFrom(t, third, Dial))
		require.False(t, acceptedFrom(t, third, net.Dial))

		// Where the stack has a listener already it is the kernel's alone.
		fourth, err := FileListener(fileOf(t, childOf(t, f)))
		require.NoError(t, err)
		require.NoError(t, third.Close())
		require.True(t, acceptedFrom(t, fourth, Dial), "it shares the stack's half")
		require.NoError(t, fourth.Close())
		taken, err := Listen("tcp", k.Addr().String())
		require.NoError(t, err, "in the stack alone")
		defer taken.Close()
		fifth, err := FileListener(f)
		require.NoError(t, err)
		require.Nil(t, fifth.(*TCPListener).Stack())
		require.EqualValues(t, 1, n.Stats().Fallbacks["descriptor"])
		require.False(t, acceptedFrom(t, fifth, net.Dial))
		require.NoError(t, fifth.Close())

		// A socket that does not listen is none.
		conn := fileOf(t, dialled(t, taken))
		var op *OpError
		require.ErrorAs(t, errOf(FileListener(conn)), &op)
		require.Equal(t, syscall.EINVAL, op.Err)
		require.NoError(t, conn.Close())
	})
}

// A child is given the File as exec.Cmd does it, by Fd, and the listener goes on: Accept
// does not wait in a system call then, out of which Close would not get it.
func TestListenerWhoseFileAChildHasIsClosed(t *testing.T) {
	withDefault(t, "loopback:", func() {
		k, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		f := fileOf(t, k.(filer))
		require.NoError(t, k.Close())
		l, err := FileListener(f)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		f = fileOf(t, l.(filer))
		flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
		require.NoError(t, err)
		require.NotZero(t, flags&unix.O_NONBLOCK)
		require.False(t, acceptedFrom(t, l, net.Dial)) // and it is asked for the next one
		require.NoError(t, l.Close())
		require.NoError(t, f.Close())
	})
}

// childOf is a listener of package net's on the same descriptor.
func childOf(t *testing.T, f *os.File) filer {
	l, err := net.FileListener(f)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l.(filer)
}

// dialled is a connection of the stack's to l.
func dialled(t *testing.T, l net.Listener) filer {
	c, err := Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c.(filer)
}
