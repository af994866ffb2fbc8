package kernel

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

type hash [sha256.Size]byte

// send writes size bytes that seed determines, closes its direction and
// returns the hash.
func send(c tcpConn, seed byte, size int) (sum hash, err error) {
	h := sha256.New()
	src := rand.NewChaCha8([32]byte{seed})
	b := make([]byte, 128<<10)
	for size > 0 {
		// Sizes that fall on no boundary of segments.
		b := b[:min(size, 1+int(src.Uint64()%uint64(len(b))))]
		src.Read(b)
		h.Write(b)
		if _, err := c.Write(b); err != nil {
			return sum, fmt.Errorf("%d bytes before the end: %w", size, err)
		}
		size -= len(b)
	}
	return hash(h.Sum(nil)), c.CloseWrite()
}

// receive reads to the end and returns the hash.
func receive(c net.Conn) (sum hash, n int, err error) {
	h := sha256.New()
	b := make([]byte, 64<<10)
	for {
		k, err := c.Read(b)
		h.Write(b[:k])
		n += k
		if err == io.EOF {
			return hash(h.Sum(nil)), n, nil
		}
		if err != nil {
			return sum, n, err
		}
	}
}

// transfer moves size bytes from one connection's end to its other.
func transfer(from, to tcpConn, seed byte, size int) error {
	type result struct {
		sum hash
		err error
	}
	sent := make(chan result, 1)
	go func() {
		sum, err := send(from, seed, size)
		if err != nil {
			to.Close() // else the receiver waits for the rest
		}
		sent <- result{sum, err}
	}()
	sum, n, err := receive(to)
	if err != nil {
		from.Close()
	}
	s := <-sent
	switch {
	case s.err != nil:
		return fmt.Errorf("send: %w", s.err)
	case err != nil:
		return fmt.Errorf("receive after %d bytes: %w", n, err)
	case n != size || sum != s.sum:
		return fmt.Errorf("%d bytes sent, %d received, equal: %v", size, n, sum == s.sum)
	}
	return nil
}

// Bytes arrive as they were sent, in each direction alone and in both at once.
func TestBulk(t *testing.T) {
	forEachRole(t, plain, bulk)
}

func bulk(t *testing.T, r *roles) {
	size := r.scaled(100<<20, 8<<20, 256<<10)
	if r.server == end(r.kernel) { // which end dialled matters little
		size = r.scaled(16<<20, 2<<20, 256<<10)
	}
	client, server := r.connect(t)
	require.NoError(t, transfer(client, server, 1, size), "to the server")
	require.NoError(t, transfer(server, client, 2, size), "to the client")
	client, server = r.connect(t)
	bothWays(t, client, server, size/2)
}

func bothWays(t *testing.T, a, b tcpConn, size int) {
	t.Helper()
	var g sync.WaitGroup
	for i, c := range [][2]tcpConn{{a, b}, {b, a}} {
		g.Go(func() {
			if err := transfer(c[0], c[1], byte(i), size); err != nil {
				t.Error(err)
			}
		})
	}
	g.Wait()
}
