package kernel

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// The benchmarks measure one process with both ends: its own kernel sockets
// share the processors with the stack.

func forEachBenchmark(b *testing.B, run func(b *testing.B, r *roles)) {
	for _, l := range plain {
		for _, ours := range []bool{true, false} {
			who := "kernel serves"
			if ours {
				who = "fastnet serves"
			}
			b.Run(fmt.Sprintf("%s/%s", l.name, who), func(b *testing.B) {
				run(b, newRoles(b, l, families[0], ours))
			})
		}
	}
}

// The client sends to the server.
func BenchmarkBulk(b *testing.B) {
	forEachBenchmark(b, func(b *testing.B, r *roles) {
		client, server := r.connect(b)
		const size = 64 << 10
		b.SetBytes(size)
		done := make(chan error, 1)
		go func() {
			buf := make([]byte, size)
			for {
				if _, err := server.Read(buf); err != nil {
					done <- err
					return
				}
			}
		}()
		buf := make([]byte, size)
		b.ResetTimer()
		for range b.N {
			if _, err := client.Write(buf); err != nil {
				b.Fatal(err)
			}
		}
		require.NoError(b, client.CloseWrite())
		require.ErrorIs(b, <-done, io.EOF)
	})
}

// A message of 100 bytes and its answer.
func BenchmarkRoundTrip(b *testing.B) {
	forEachBenchmark(b, func(b *testing.B, r *roles) {
		l := r.server.listen(b, r.address)
		wait := serveEcho(l)
		c, err := r.dial()
		require.NoError(b, err)
		b.ResetTimer()
		for i := range b.N {
			if err := exchange(c, i); err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer()
		c.Close()
		l.Close()
		wait()
	})
}

// GET of 100 bytes by net/http on 16 connections that are kept.
func BenchmarkHTTP(b *testing.B) {
	forEachBenchmark(b, func(b *testing.B, r *roles) {
		listener := r.server.listen(b, r.address)
		serveSite(b, listener, nil)
		b.SetParallelism(8) // a processor
		b.RunParallel(func(pb *testing.PB) {
			transport := r.transport()
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport, Timeout: patience}
			for pb.Next() {
				answer, err := client.Get("http://" + r.address.String() + "/bytes?n=100")
				if err != nil {
					b.Error(err)
					return
				}
				_, err = io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}

// A connection is made, used once and closed.
func BenchmarkConnections(b *testing.B) {
	forEachBenchmark(b, func(b *testing.B, r *roles) {
		l := r.server.listen(b, r.address)
		wait := serveEcho(l)
		b.ResetTimer()
		for i := range b.N {
			c, err := r.dial()
			if err == nil {
				err = exchange(c, i)
			}
			if err != nil {
				b.Fatal(err)
			}
			c.Close()
		}
		b.StopTimer()
		l.Close()
		wait()
	})
}
