package stack

import (
	"io"
	"net/netip"
	"testing"
	"time"

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

// The two below are driven by one goroutine on a clock of their own: what a
// connection or a round trip costs without what the scheduler makes of it, and
// so they compare two versions on a busy machine too.

// BenchmarkHandshake is a connection with one request and one answer, both ends.
func BenchmarkHandshake(b *testing.B) {
	d := newDuo(b, wire.Config{}, Config{MaxTimeWait: 1000})
	ln := d.listen("10.0.0.1:80")
	msg, buf := pattern(100), make([]byte, 200)
	b.ReportAllocs()
	for b.Loop() {
		c, err := d.b.StartDialTCP(netip.AddrPort{}, ln.Addr(), TCPOptions{})
		require.NoError(b, err)
		d.run()
		s, err := ln.TryAccept()
		require.NoError(b, err)
		c.TryWrite(msg)
		d.run()
		s.TryRead(buf)
		s.TryWrite(msg)
		s.Close()
		d.run()
		n, _ := c.TryRead(buf)
		require.Equal(b, len(msg), n)
		c.Close()
		d.run()
		d.now += 100 * time.Microsecond
	}
}

// BenchmarkRoundTrip is one byte each way.
func BenchmarkRoundTrip(b *testing.B) {
	d := newDuo(b, wire.Config{}, Config{})
	s, c := d.connect(d.listen("10.0.0.1:80"), TCPOptions{})
	buf := make([]byte, 1)
	b.ReportAllocs()
	for b.Loop() {
		c.TryWrite(buf)
		d.a.Poll()
		s.TryRead(buf)
		s.TryWrite(buf)
		d.b.Poll()
		if n, _ := c.TryRead(buf); n != 1 {
			b.Fatal(n)
		}
		d.now += 2 * time.Microsecond
	}
}
