package fastnet

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// deadlineListener is what all stream listeners of package net are.
type deadlineListener interface {
	net.Listener
	SetDeadline(t time.Time) error
}

// listenerMaker opens a listener, and says how it is reached. again listens at
// an address once more; it is nil where that makes no sense.
type listenerMaker func() (l net.Listener, dial func() (net.Conn, error), again func(address string) (net.Listener, error), err error)

// testListener is to a net.Listener what nettest.TestConn is to a net.Conn:
// nettest itself has no such suite. It holds for package net's own listeners.
func testListener(t *testing.T, make listenerMaker) {
	run := func(name string, f func(t *testing.T, l deadlineListener, dial func() (net.Conn, error))) {
		t.Run(name, func(t *testing.T) {
			l, dial, _, err := make()
			require.NoError(t, err)
			defer l.Close()
			f(t, l.(deadlineListener), dial)
		})
	}
	run("BasicAccept", testBasicAccept)
	run("QueuedConnections", testQueuedConnections)
	run("RacyAccept", testRacyAccept)
	run("PastDeadline", testAcceptPastDeadline)
	run("PresentDeadline", testAcceptPresentDeadline)
	run("FutureDeadline", testAcceptFutureDeadline)
	run("CloseUnblocks", testCloseUnblocksAccept)
	run("CloseEndsQueued", testCloseEndsQueued)
	run("ConcurrentMethods", testListenerMethods)
	t.Run("ListenAgain", func(t *testing.T) {
		l, dial, again, err := make()
		require.NoError(t, err)
		if again == nil {
			require.NoError(t, l.Close())
			return
		}
		c, s := dialAndAccept(t, l, dial)
		defer c.Close()
		defer s.Close()
		require.NoError(t, l.Close())
		// The connection that it accepted keeps nobody from its address.
		l, err = again(l.Addr().String())
		require.NoError(t, err)
		require.NoError(t, l.Close())
		roundTrip(t, c, s)
	})
}

func dialAndAccept(t *testing.T, l net.Listener, dial func() (net.Conn, error)) (c, s net.Conn) {
	t.Helper()
	c, err := dial()
	require.NoError(t, err)
	s, err = l.Accept()
	require.NoError(t, err)
	return c, s
}

// roundTrip sends a line each way.
func roundTrip(t *testing.T, a, b net.Conn) {
	t.Helper()
	for _, text := range []string{"there", "again"} {
		_, err := io.WriteString(a, text)
		require.NoError(t, err)
		got := make([]byte, len(text))
		_, err = io.ReadFull(b, got)
		require.NoError(t, err)
		require.Equal(t, text, string(got))
		a, b = b, a
	}
}

func requireTimeout(t *testing.T, err error) {
	t.Helper()
	var ne net.Error
	require.ErrorAs(t, err, &ne)
	require.True(t, ne.Timeout(), err)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NotErrorIs(t, err, net.ErrClosed)
}

func testBasicAccept(t *testing.T, l deadlineListener, dial func() (net.Conn, error)) {
	require.Equal(t, l.Addr().Network(), l.Addr().Network())
	for range 10 {
		c, s := dialAndAccept(t, l, dial)
		roundTrip(t, c, s)
		require.Equal(t, c.RemoteAddr().String(), s.LocalAddr().String())
		require.Equal(t, c.LocalAddr().String(), s.RemoteAddr().String())
		require.NoError(t, c.Close())
		_, err := s.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
		require.NoError(t, s.Close())
	}
}

// testQueuedConnections has connections, and what they have sent, wait for
// Accept.
func testQueuedConnections(t *testing.T, l deadlineListener, dial func() (net.Conn, error)) {
	const count = 20
	for i := range byte(count) {
		c, err := dial()
		require.NoError(t, err)
		_, err = c.Write([]byte{i})
		require.NoError(t, err)
		require.NoError(t, c.Close())
	}
	seen := map[byte]bool{}
	for range count {
		s, err := l.Accept()
		require.NoError(t, err)
		b, err := io.ReadAll(s)
		require.NoError(t, err)
		require.Len(t, b, 1)
		seen[b[0]] = true
		require.NoError(t, s.Close())
	}
	require.Len(t, seen, count)
}

// testRacyAccept has many accept at once: each connection is accepted once.
func testRacyAccept(t *testing.T, l deadlineListener, dial func() (net.Conn, error)) {
	const count, acceptors = 40, 8
	got := make(chan byte, 2*count)
	var wg sync.WaitGroup
	for range acceptors {
		wg.Go(func() {
			for {
				s, err := l.Accept()
				if err != nil {
					return
				}
				var b [1]byte
				if _, err := io.ReadFull(s, b[:]); err == nil {
					got <- b[0]
				}
				s.Close()
			}
		})
	}
	for i := range byte(count) {
		c, err := dial()
		require.NoError(t, err)
		_, err = c.Write([]byte{i})
		require.NoError(t, err)
		defer c.Close()
	}
	seen := map[byte]bool{}
	for range count {
		b := <-got
		require.False(t, seen[b], "accepted twice")
		seen[b] = true
	}
	require.NoError(t, l.Close())
	wg.Wait()
	require.Empty(t, got)
}

func testAcceptPastDeadline(t *testing.T, l deadlineListener, dial func() (net.Conn, error)) {
	require.NoError(t, l.SetDeadline(past))
	for range 2 {
		_, err := l.Accept()
		requireTimeout(t, err)
	}
	require.NoError(t, l.SetDeadline(never))
	c, s := dialAndAccept(t, l, dial)
	roundTrip(t, c, s)
	c.Close()
	s.Close()
}

// testAcceptPresentDeadline ends a call that waits.
func testAcceptPresentDeadline(t *testing.T, l deadlineListener, dial func() (net.Conn, error)) {
	ended := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		ended <- err
	}()
	time.Sleep(20 * time.Millisecond)
	require.Empty(t, ended)
	require.NoError(t, l.SetDeadline(past))
	requireTimeout(t, <-ended)
	require.NoError(t, l.SetDeadline(time.Now().Add(time.Hour)))
	c, s := dialAndAccept(t, l, dial)
	c.Close()
	s.Close()
}

func testAcceptFutureDeadline(t *testing.T, l deadlineListener, dial func() (net.Conn, error)) {
	deadline := time.Now().Add(50 * time.Millisecond)
	require.NoError(t, l.SetDeadline(deadline))
	_, err := l.Accept()
	requireTimeout(t, err)
	require.False(t, time.Now().Before(deadline))
	require.NoError(t, l.SetDeadline(never))
	c, s := dialAndAccept(t, l, dial)
	c.Close()
	s.Close()
}

func testCloseUnblocksAccept(t *testing.T, l deadlineListener, dial func() (net.Conn, error)) {
	ended := make(chan error, 4)
	for range cap(ended) {
		go func() {
			c, err := l.Accept()
			if err == nil {
				c.Close()
			}
			ended <- err
		}()
	}
	time.Sleep(20 * time.Millisecond)
	address := l.Addr().String()
	require.NoError(t, l.Close())
	for range cap(ended) {
		require.ErrorIs(t, <-ended, net.ErrClosed)
	}
	_, err := l.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
	require.ErrorIs(t, l.Close(), net.ErrClosed)
	require.ErrorIs(t, l.SetDeadline(never), net.ErrClosed)
	require.Equal(t, address, l.Addr().String())
	c, err := dial()
	require.Error(t, err, "nobody listens any more")
	require.Nil(t, c)
}

// testCloseEndsQueued ends the connections that nobody has accepted.
func testCloseEndsQueued(t *testing.T, l deadlineListener, dial func() (net.Conn, error)) {
	c, err := dial()
	require.NoError(t, err)
	defer c.Close()
	time.Sleep(20 * time.Millisecond) // until the listener has it, too
	require.NoError(t, l.Close())
	require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Minute)))
	_, err = c.Read(make([]byte, 1))
	require.Error(t, err)
	require.False(t, errors.Is(err, os.ErrDeadlineExceeded), err)
}

// testListenerMethods calls everything at once: what comes of it is of no
// interest, but for the race detector.
func testListenerMethods(t *testing.T, l deadlineListener, dial func() (net.Conn, error)) {
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if c, err := l.Accept(); err == nil {
				c.Close()
			}
		})
		wg.Go(func() { l.SetDeadline(past) })
		wg.Go(func() { l.SetDeadline(time.Now().Add(10 * time.Millisecond)) })
		wg.Go(func() { l.Addr() })
		wg.Go(func() {
			if c, err := dial(); err == nil {
				c.Close()
			}
		})
	}
	wg.Go(func() { time.Sleep(5 * time.Millisecond); l.SetDeadline(past) })
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for {
		select {
		case <-done:
			return
		case <-time.After(50 * time.Millisecond):
			l.SetDeadline(past) // a later call may have taken it back
		}
	}
}
