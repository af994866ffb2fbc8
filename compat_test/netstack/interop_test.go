package netstack

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// send writes size bytes that seed determines and returns their hash.
func send(c halfCloser, seed uint64, size int) (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	src := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	for size > 0 {
		// Sizes that fall on no boundary of segments.
		b := make([]byte, min(size, 1+int(src.Uint64()%20_000)))
		src.Read(b)
		h.Write(b)
		if _, err := c.Write(b); err != nil {
			return sum, fmt.Errorf("%d bytes before the end: %w", size, err)
		}
		size -= len(b)
	}
	return [sha256.Size]byte(h.Sum(nil)), c.CloseWrite()
}

// receive reads to the end and returns the hash.
func receive(c net.Conn) (sum [sha256.Size]byte, n int64, err error) {
	h := sha256.New()
	n, err = io.Copy(h, struct{ io.Reader }{c})
	return [sha256.Size]byte(h.Sum(nil)), n, err
}

func TestBulkBothWays(t *testing.T) {
	forEachNetwork(t, slices.Concat(steady, lossy), func(t *testing.T, n *network) {
		a, b := n.connect(t)
		size := n.scaled(4<<20, 256<<10)
		var g sync.WaitGroup
		var sent, received [2][sha256.Size]byte
		for i, c := range []halfCloser{a, b} {
			g.Go(func() {
				var err error
				if sent[i], err = send(c, uint64(i), size); err != nil {
					t.Error("send:", err)
				}
			})
			g.Go(func() {
				sum, got, err := receive(c)
				if err != nil || got != int64(size) {
					t.Errorf("received %d of %d bytes: %v", got, size, err)
				}
				received[1-i] = sum
			})
		}
		g.Wait()
		require.Equal(t, sent, received)
	})
}

// Connections are made by several goroutines at a time, each with a message
// of its own that comes back.
func TestShortConnections(t *testing.T) {
	forEachNetwork(t, slices.Concat(steady, lossy), func(t *testing.T, n *network) {
		l := n.server.listen(t, n.address)
		var serving sync.WaitGroup
		serving.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				serving.Go(func() {
					defer c.Close()
					c.SetDeadline(time.Now().Add(patience))
					if _, err := io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c}); err != nil {
						t.Error("server:", err)
					}
				})
			}
		})
		var next atomic.Int64
		total := int64(n.scaled(1000, 60))
		var dialing sync.WaitGroup
		for range 16 {
			dialing.Go(func() {
				for i := next.Add(1); i <= total && !t.Failed(); i = next.Add(1) {
					if err := n.echoOnce(fmt.Sprintf("message %d", i)); err != nil {
						t.Errorf("connection %d: %v", i, err)
					}
				}
			})
		}
		dialing.Wait()
		require.NoError(t, l.Close())
		serving.Wait()
	})
}

func (n *network) echoOnce(message string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	d, err := n.client.dial(ctx, n.address)
	if err != nil {
		return err
	}
	defer d.Close()
	c := d.(halfCloser)
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := c.Write([]byte(message)); err != nil {
		return err
	}
	if err := c.CloseWrite(); err != nil {
		return err
	}
	b, err := io.ReadAll(c)
	if err != nil {
		return err
	}
	if string(b) != message {
		return fmt.Errorf("sent %q, received %q", message, b)
	}
	return nil
}

// After one side has ended its direction the other one goes on for long.
func TestHalfClose(t *testing.T) {
	forEachNetwork(t, slices.Concat(few, lossy), func(t *testing.T, n *network) {
		client, server := n.connect(t)
		_, err := client.Write([]byte("the end"))
		require.NoError(t, err)
		require.NoError(t, client.CloseWrite())
		b, err := io.ReadAll(server)
		require.NoError(t, err)
		require.Equal(t, "the end", string(b))
		_, err = client.Write([]byte("more"))
		require.Error(t, err, "after CloseWrite")

		size := n.scaled(1<<20, 64<<10)
		var sent [sha256.Size]byte
		done := make(chan error, 1)
		go func() {
			var err error
			sent, err = send(server, 7, size)
			done <- err
		}()
		sum, got, err := receive(client)
		require.NoError(t, err)
		require.EqualValues(t, size, got)
		require.NoError(t, <-done)
		require.Equal(t, sent, sum)
	})
}

func TestServerClosesFirst(t *testing.T) {
	forEachNetwork(t, slices.Concat(few, lossy), func(t *testing.T, n *network) {
		client, server := n.connect(t)
		_, err := server.Write([]byte("farewell"))
		require.NoError(t, err)
		require.NoError(t, server.Close())
		b, err := io.ReadAll(client)
		require.NoError(t, err)
		require.Equal(t, "farewell", string(b))
	})
}

// Not over a lossy link: a RST that is lost is not sent again.
func TestResetReachesTheBlockedReader(t *testing.T) {
	forEachNetwork(t, few, func(t *testing.T, n *network) {
		for _, who := range []string{"client", "server"} {
			client, server := n.connect(t)
			by, at := client, server
			if who == "server" {
				by, at = server, client
			}
			ended := make(chan error, 1)
			go func() {
				_, err := at.Read(make([]byte, 1))
				ended <- err
			}()
			reset(t, by)
			err := <-ended
			require.True(t, isErrno(err, syscall.ECONNRESET), "%s resets: %v", who, err)
			_, err = at.Write([]byte("x"))
			require.Error(t, err)
		}
	})
}

// What arrived before a RST stays readable, and then the RST shows.
func TestDataBeforeAResetIsNotLost(t *testing.T) {
	forEachNetwork(t, few, func(t *testing.T, n *network) {
		client, server := n.connect(t)
		if _, theirs := server.(*Conn); theirs {
			client, server = server, client
		}
		if _, theirs := server.(*Conn); theirs {
			t.Skip("netstack drops what it has received")
		}
		_, err := client.Write([]byte("last words"))
		require.NoError(t, err)
		reset(t, client)
		time.Sleep(20 * time.Millisecond) // the RST overtakes a Read that starts later
		b := make([]byte, 100)
		k, err := io.ReadFull(server, b[:10])
		require.NoError(t, err)
		require.Equal(t, "last words", string(b[:k]))
		_, err = server.Read(b)
		require.True(t, isErrno(err, syscall.ECONNRESET), "%v", err)
	})
}

// Close with unread data resets the connection, for the peer must learn that
// not everything arrived (RFC 2525, section 2.17).
func TestCloseWithUnreadDataResets(t *testing.T) {
	forEachNetwork(t, few, func(t *testing.T, n *network) {
		client, server := n.connect(t)
		_, err := client.Write([]byte("never read"))
		require.NoError(t, err)
		// One byte read: all ten are there, in one segment.
		_, err = io.ReadFull(server, make([]byte, 1))
		require.NoError(t, err)
		require.NoError(t, server.Close())
		_, err = client.Read(make([]byte, 1))
		require.True(t, isErrno(err, syscall.ECONNRESET), "%v", err)
	})
}

func TestDialToAClosedPortIsRefused(t *testing.T) {
	forEachNetwork(t, few, func(t *testing.T, n *network) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		c, err := n.client.dial(ctx, n.address)
		require.Nil(t, c)
		require.True(t, isErrno(err, syscall.ECONNREFUSED), "%v", err)
	})
}

// A receiver that does not read closes its window; the sender waits, probes,
// and goes on when it opens.
func TestAClosedWindowOpensAgain(t *testing.T) {
	forEachNetwork(t, slices.Concat(few, lossy), func(t *testing.T, n *network) {
		client, server := n.connect(t)
		for _, c := range [][2]halfCloser{{client, server}, {server, client}} {
			from, to := c[0], c[1]
			var sent [sha256.Size]byte
			var written atomic.Int64
			done := make(chan error, 1)
			size := n.scaled(12<<20, 256<<10)
			go func() {
				var err error
				sent, err = send(counted{from, &written}, 3, size)
				done <- err
			}()
			// Stalled: what fits the buffers of both ends is written.
			last := int64(-1)
			for written.Load() != last {
				last = written.Load()
				time.Sleep(100 * time.Millisecond)
			}
			sum, got, err := receive(to)
			require.NoError(t, err)
			require.EqualValues(t, size, got)
			require.NoError(t, <-done)
			require.Equal(t, sent, sum)
		}
	})
}

// counted counts what its Write has taken.
type counted struct {
	halfCloser
	n *atomic.Int64
}

func (c counted) Write(b []byte) (int, error) {
	n, err := c.halfCloser.Write(b)
	c.n.Add(int64(n))
	return n, err
}
