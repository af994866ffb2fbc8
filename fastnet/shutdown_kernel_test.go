package fastnet

import (
	"context"
	"net"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// kernelHalves calls test with networks whose listener the kernel's clients reach: one
// in both, one in the kernel alone, and a network without a stack.
func kernelHalves(t *testing.T, test func(t *testing.T, n *Network, ln Listener, dial func() net.Conn)) {
	for _, c := range []struct{ what, at string }{{"merged", ":0"}, {"the kernel's", "127.0.0.1:0"}, {"no stack", "127.0.0.1:0"}} {
		t.Run(c.what, func(t *testing.T) {
			n := newKernelNetwork()
			if c.what == "no stack" {
				t.Cleanup(func() { n.Close() })
			} else {
				n = newLab(t, labConfig{change: func(c *Config) { c.Loopback = LoopbackKernel }}).server
			}
			ln, err := n.Listen("tcp", c.at)
			require.NoError(t, err)
			port := strconv.Itoa(ln.Addr().(*TCPAddr).Port)
			test(t, n, ln, func() net.Conn {
				k, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", port))
				require.NoError(t, err)
				t.Cleanup(func() { k.Close() })
				return k
			})
		})
	}
}

// Shutdown waits for connections of the kernel's as for the stack's.
func TestShutdownWaitsForTheKernelsConnections(t *testing.T) {
	kernelHalves(t, func(t *testing.T, n *Network, ln Listener, dial func() net.Conn) {
		go echo(ln)
		c := dial()
		say := func(word string) {
			_, err := c.Write([]byte(word))
			require.NoError(t, err)
			b := make([]byte, len(word))
			require.NoError(t, errOf(c.Read(b)))
			require.Equal(t, word, string(b))
		}
		say("one")
		done := make(chan error, 1)
		go func() { done <- n.Shutdown(t.Context()) }()
		// Nobody listens any more.
		require.Eventually(t, func() bool {
			k, err := net.Dial("tcp", c.RemoteAddr().String())
			if err == nil {
				k.Close()
			}
			return err != nil
		}, time.Minute, time.Millisecond)
		say("two")
		require.Empty(t, done)
		require.NoError(t, c.Close())
		require.NoError(t, <-done)
		require.ErrorIs(t, n.Shutdown(t.Context()), net.ErrClosed)
		require.ErrorIs(t, errOf(n.Listen("tcp", "127.0.0.1:0")), net.ErrClosed)
	})
}

// Those that are left when the context ends are reset, and so by Close.
func TestTheKernelsConnectionsAreResetByClose(t *testing.T) {
	kernelHalves(t, func(t *testing.T, n *Network, ln Listener, dial func() net.Conn) {
		c := dial()
		s, err := ln.Accept()
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, n.Shutdown(ctx), context.DeadlineExceeded)
		require.ErrorIs(t, errOf(c.Read(make([]byte, 1))), syscall.ECONNRESET)
		require.ErrorIs(t, errOf(s.Read(make([]byte, 1))), net.ErrClosed)
		require.ErrorIs(t, errOf(ln.Accept()), net.ErrClosed)
	})
}

// One that the kernel has completed, but that the program has not got to accept, is
// not reset.
func TestShutdownLeavesTimeToAcceptFromTheKernel(t *testing.T) {
	n := newLab(t, labConfig{change: func(c *Config) { c.Loopback = LoopbackKernel }}).server
	ln, err := n.Listen("tcp", ":0")
	require.NoError(t, err)
	c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(ln.Addr().(*TCPAddr).Port)))
	require.NoError(t, err)
	defer c.Close()
	require.Eventually(t, func() bool { return ln.(*TCPListener).waiting() == 1 }, time.Minute, time.Millisecond)
	require.Eventually(t, func() bool { return n.openConnections() == 1 }, time.Minute, time.Millisecond, "on the books before the program has it")
	done := make(chan error, 1)
	go func() { done <- n.Shutdown(t.Context()) }()
	time.Sleep(handshakeTime * 3 / 2) // longer than handshakes may take
	s, err := ln.Accept()
	require.NoError(t, err)
	got := readAll(s)
	_, err = c.Write([]byte("hello"))
	require.NoError(t, err)
	require.NoError(t, c.Close())
	require.Equal(t, "hello", <-got)
	require.NoError(t, s.Close())
	require.NoError(t, <-done)
}

// What a program has lost the garbage collector closes, and nobody waits for.
func TestALostConnectionOfTheKernelsIsClosed(t *testing.T) {
	kernelHalves(t, func(t *testing.T, n *Network, ln Listener, dial func() net.Conn) {
		c := dial()
		require.NoError(t, errOf(ln.Accept()))
		require.Eventually(t, func() bool {
			runtime.GC()
			return n.openConnections() == 0
		}, time.Minute, time.Millisecond)
		require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Minute)))
		require.ErrorContains(t, errOf(c.Read(make([]byte, 1))), "EOF")
		require.NoError(t, n.Shutdown(t.Context()))
	})
}
