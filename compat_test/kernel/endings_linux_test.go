package kernel

import (
	"errors"
	"io"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// One direction can be closed and the other go on, whoever closes first.
func TestHalfClose(t *testing.T) {
	forEachRole(t, plain, func(t *testing.T, r *roles) {
		for a, b := range r.bothWays(t) {
			_, err := a.Write([]byte("question"))
			require.NoError(t, err)
			require.NoError(t, a.CloseWrite())
			in, err := io.ReadAll(b)
			require.NoError(t, err)
			require.Equal(t, "question", string(in))
			// More than the buffers hold, long after the FIN.
			require.NoError(t, transfer(b, a, 3, 2<<20))
			_, err = a.Write([]byte("x"))
			require.ErrorIs(t, err, syscall.EPIPE)
			require.NoError(t, a.Close())
			require.NoError(t, b.Close())
		}
	})
}

// A reset ends a Read that waits, and the calls after it.
func TestReset(t *testing.T) {
	forEachRole(t, plain, func(t *testing.T, r *roles) {
		for a, b := range r.bothWays(t) {
			read := make(chan error, 1)
			go func() {
				_, err := b.Read(make([]byte, 1))
				read <- err
			}()
			time.Sleep(20 * time.Millisecond) // Read waits
			require.NoError(t, a.SetLinger(0))
			require.NoError(t, a.Close())
			require.ErrorIs(t, <-read, syscall.ECONNRESET)
			_, err := b.Read(make([]byte, 1))
			require.ErrorIs(t, err, io.EOF) // told once, as the kernel does
			_, err = b.Write([]byte("x"))
			require.ErrorIs(t, err, syscall.EPIPE)
		}
	})
}

// A reset in the middle of a transfer ends a Write that waits.
func TestResetUnderATransfer(t *testing.T) {
	forEachRole(t, plain, func(t *testing.T, r *roles) {
		for a, b := range r.bothWays(t) {
			written := make(chan error, 1)
			go func() {
				b1 := make([]byte, 64<<10)
				for {
					if _, err := b.Write(b1); err != nil {
						written <- err
						return
					}
				}
			}()
			_, err := io.ReadFull(a, make([]byte, 1<<20))
			require.NoError(t, err)
			require.NoError(t, a.SetLinger(0))
			require.NoError(t, a.Close())
			err = <-written
			require.True(t, errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE), "%v", err)
		}
	})
}

// Close with unread data resets the connection, for the peer must learn that
// not everything was taken (RFC 2525 section 2.17).
func TestCloseWithUnreadData(t *testing.T) {
	forEachRole(t, plain, func(t *testing.T, r *roles) {
		for a, b := range r.bothWays(t) {
			_, err := b.Write([]byte("never read"))
			require.NoError(t, err)
			_, err = io.ReadFull(a, make([]byte, 1)) // all of it is there
			require.NoError(t, err)
			require.NoError(t, a.Close())
			_, err = b.Read(make([]byte, 1))
			require.ErrorIs(t, err, syscall.ECONNRESET)
		}
	})
}

func TestDialToAClosedPortIsRefused(t *testing.T) {
	forEachRole(t, plain, func(t *testing.T, r *roles) {
		_, err := r.dial()
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		// A port that was open is closed again with its listener.
		r.connect(t)
		_, err = r.dial()
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
	})
}

// A peer that stops reading closes its window: the writer waits, its deadline
// works, it probes, and goes on when the window opens. Nothing is lost.
func TestPeerThatStopsReading(t *testing.T) {
	forEachRole(t, plain, func(t *testing.T, r *roles) {
		for to, from := range r.bothWays(t) {
			var written atomic.Int64
			type result struct {
				sum hash
				err error
			}
			done := make(chan result, 1)
			size := 24 << 20 // more than the buffers of both ends
			go func() {
				sum, err := send(counted{from, &written}, 4, size)
				done <- result{sum, err}
			}()
			stalled := func() {
				for last := int64(-1); written.Load() != last; time.Sleep(100 * time.Millisecond) {
					last = written.Load()
				}
			}
			stalled()
			require.Less(t, written.Load(), int64(size), "the window never closed")
			_, err := io.ReadFull(to, nil)
			require.NoError(t, err)
			sum, n, err := receive(to)
			require.NoError(t, err)
			require.Equal(t, size, n)
			d := <-done
			require.NoError(t, d.err)
			require.Equal(t, d.sum, sum)
		}
	})
}

// Deadlines end a Write into a closed window and a Read of silence.
func TestDeadlinesAgainstASilentPeer(t *testing.T) {
	forEachRole(t, plain[:1], func(t *testing.T, r *roles) {
		for c := range r.bothWays(t) {
			require.NoError(t, c.SetDeadline(time.Now().Add(100*time.Millisecond)))
			_, err := c.Read(make([]byte, 1))
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			require.NoError(t, c.SetWriteDeadline(time.Now().Add(100*time.Millisecond)))
			_, err = c.Write(make([]byte, 64<<20))
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		}
	})
}

// counted counts what its Write has taken.
type counted struct {
	tcpConn
	n *atomic.Int64
}

func (c counted) Write(b []byte) (int, error) {
	n, err := c.tcpConn.Write(b)
	c.n.Add(int64(n))
	return n, err
}
