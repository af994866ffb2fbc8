package kernel

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// serveEcho sends back what each connection sends, until the listener is
// closed. wait returns when all connections have ended.
func serveEcho(l net.Listener) (wait func()) {
	var g sync.WaitGroup
	g.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			g.Go(func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(patience))
				b := make([]byte, 4096)
				for {
					n, err := c.Read(b)
					if err != nil {
						return
					}
					if _, err := c.Write(b[:n]); err != nil {
						return
					}
				}
			})
		}
	})
	return g.Wait
}

// exchange sends a message that i determines and reads it back.
func exchange(c net.Conn, i int) error {
	var out, in [100]byte
	for k := range len(out) / 4 {
		binary.BigEndian.PutUint32(out[4*k:], uint32(i))
	}
	if _, err := c.Write(out[:]); err != nil {
		return err
	}
	if _, err := io.ReadFull(c, in[:]); err != nil {
		return err
	}
	if in != out {
		return errors.New("another message came back")
	}
	return nil
}

// TestConnectionsOneAfterAnother makes more connections than there may be
// unexpected hitches, each with a message that comes back. The dialler closes
// first and keeps the TIME-WAIT records.
func TestConnectionsOneAfterAnother(t *testing.T) {
	forEachRole(t, plain, func(t *testing.T, r *roles) {
		l := r.server.listen(t, r.address)
		wait := serveEcho(l)
		for i := range r.scaled(10_000, 500, 100) {
			c, err := r.dial()
			require.NoError(t, err, "connection %d", i)
			c.SetDeadline(time.Now().Add(patience))
			require.NoError(t, exchange(c, i), "connection %d", i)
			require.NoError(t, c.Close(), "connection %d", i)
		}
		require.NoError(t, l.Close())
		wait()
	})
}

// TestConnectionsAtOnce dials a thousand at a time, and uses all of them while
// all are open.
func TestConnectionsAtOnce(t *testing.T) {
	forEachRole(t, plain, func(t *testing.T, r *roles) {
		l := r.server.listen(t, r.address)
		wait := serveEcho(l)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		conns := make([]net.Conn, r.scaled(1000, 300, 50))
		each := func(what string, f func(i int) error) {
			t.Helper()
			failed := make([]error, len(conns))
			var g sync.WaitGroup
			for i := range conns {
				g.Go(func() { failed[i] = f(i) })
			}
			g.Wait()
			for i, err := range failed {
				if err != nil {
					failed[i] = fmt.Errorf("connection %d: %w", i, err)
				}
			}
			require.NoError(t, errors.Join(failed...), what)
		}
		each("dial", func(i int) (err error) {
			if conns[i], err = r.client.dial(ctx, r.address); err == nil {
				conns[i].SetDeadline(time.Now().Add(patience))
			}
			return err
		})
		for range 3 {
			each("exchange", func(i int) error { return exchange(conns[i], i) })
		}
		each("close", func(i int) error { return conns[i].Close() })
		require.NoError(t, l.Close())
		wait()
	})
}

// Who waits for more than the peer sends gets it when it comes: neither end
// holds a small message back.
func TestMessagesGoAtOnce(t *testing.T) {
	forEachRole(t, plain, func(t *testing.T, r *roles) {
		l := r.server.listen(t, r.address)
		wait := serveEcho(l)
		c, err := r.dial()
		require.NoError(t, err)
		c.SetDeadline(time.Now().Add(patience))
		for i := range r.scaled(5000, 500, 50) {
			require.NoError(t, exchange(c, i))
		}
		require.NoError(t, c.Close())
		require.NoError(t, l.Close())
		wait()
	})
}
