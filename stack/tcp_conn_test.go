package stack

import (
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/wire"
)

// reader makes an io.Reader of a connection.
type reader struct{ *TCPConn }

func TestEcho(t *testing.T) {
	for _, at := range []string{"10.0.0.1:80", "[fd00::1]:80"} {
		t.Run(at, func(t *testing.T) {
			p := newPair(t, wire.Config{})
			s, c := p.connect(t, at)
			go func() {
				io.Copy(s, reader{s})
				s.CloseWrite()
			}()
			buf := make([]byte, 5)
			for range 100 {
				_, err := c.Write([]byte("hello"))
				require.NoError(t, err)
				_, err = io.ReadFull(c, buf)
				require.NoError(t, err)
				require.Equal(t, "hello", string(buf))
			}
			require.NoError(t, c.CloseWrite())
			_, err := c.Read(buf)
			require.Equal(t, io.EOF, err)
			require.NoError(t, c.Close())
			require.NoError(t, s.Close())
		})
	}
}

func TestBulkTransfer(t *testing.T) {
	for name, cfg := range map[string]wire.Config{
		"plain": {}, "checksum": {Checksum: true}, "tso": {TSO: true}, "jumbo": {MTU: 9000}, "small": {MTU: 1280},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, cfg)
			s, c := p.connect(t, "10.0.0.1:80")
			const size = 20 << 20
			sent := sha256.New()
			go func() {
				rng := rand.New(rand.NewPCG(1, 2))
				b := make([]byte, 64<<10)
				for left := size; left > 0; {
					n := min(left, 1+rng.IntN(len(b)))
					for i := range b[:n] {
						b[i] = byte(rng.Uint32())
					}
					sent.Write(b[:n])
					if _, err := c.Write(b[:n]); err != nil {
						t.Error(err)
						return
					}
					left -= n
				}
				c.CloseWrite()
			}()
			got := sha256.New()
			n, err := io.Copy(got, reader{s})
			require.NoError(t, err)
			require.EqualValues(t, size, n)
			require.Equal(t, sent.Sum(nil), got.Sum(nil))
			require.NoError(t, s.Close())
			require.NoError(t, c.Close())
		})
	}
}
