package stack

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/wire"
)

// BenchmarkPing is one byte each way on one connection.
func BenchmarkPing(b *testing.B) {
	p := newPair(b, wire.Config{})
	s, c := p.connect(b, "10.0.0.1:80")
	go io.Copy(s, reader{s})
	buf := make([]byte, 1)
	b.ReportAllocs()
	for b.Loop() {
		c.Write(buf)
		_, err := io.ReadFull(c, buf)
		require.NoError(b, err)
	}
	c.Close()
	s.Close()
}

// BenchmarkBulk is one stream in 64 KiB writes.
func BenchmarkBulk(b *testing.B) {
	for _, bc := range []struct {
		name string
		cfg  wire.Config
	}{{"plain", wire.Config{}}, {"checksum", wire.Config{Checksum: true}}, {"tso", wire.Config{TSO: true}}} {
		b.Run(bc.name, func(b *testing.B) {
			p := newPair(b, bc.cfg)
			s, c := p.connect(b, "10.0.0.1:80")
			buf := make([]byte, 64<<10)
			done := make(chan struct{})
			go func() {
				sink := make([]byte, 128<<10)
				for {
					if _, err := s.Read(sink); err != nil {
						break
					}
				}
				close(done)
			}()
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			for b.Loop() {
				_, err := c.Write(buf)
				require.NoError(b, err)
			}
			c.CloseWrite()
			<-done
			b.Logf("%+v", c.Info().Info)
			b.Logf("a %+v", p.a.Stats())
			b.Logf("b %+v", p.b.Stats())
			c.Close()
			s.Close()
		})
	}
}
