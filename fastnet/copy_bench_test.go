package fastnet

import (
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// repeat reads the same bytes again and again.
type repeat struct {
	b   []byte
	off int
}

func (r *repeat) Read(p []byte) (int, error) {
	n := copy(p, r.b[r.off:])
	r.off = (r.off + n) % len(r.b)
	return n, nil
}

// BenchmarkReadFrom sends 4 MiB, from memory and from a file in the page cache.
func BenchmarkReadFrom(b *testing.B) {
	const size = 4 << 20
	file, err := os.CreateTemp(b.TempDir(), "")
	require.NoError(b, err)
	defer file.Close()
	_, err = file.Write(filler(size))
	require.NoError(b, err)
	for name, r := range map[string]io.Reader{"memory": &repeat{b: filler(size)}, "file": file} {
		b.Run(name, func(b *testing.B) {
			n, err := New(Config{LoopbackOnly: true})
			require.NoError(b, err)
			defer n.Close()
			l, err := n.Listen("tcp", "127.0.0.1:0")
			require.NoError(b, err)
			c, err := n.Dial("tcp", l.Addr().String())
			require.NoError(b, err)
			s, err := l.Accept()
			require.NoError(b, err)
			go func() {
				for sink := make([]byte, 256<<10); err == nil; {
					_, err = s.Read(sink)
				}
			}()
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				_, err := file.Seek(0, io.SeekStart)
				require.NoError(b, err)
				k, err := c.(io.ReaderFrom).ReadFrom(&io.LimitedReader{R: r, N: size})
				require.NoError(b, err)
				require.EqualValues(b, size, k)
			}
		})
	}
}
