package fastnet

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A goroutine in a bubble of testing/synctest may use sockets of a network
// outside, as it may package net's: it is not durably blocked while it waits for
// one, and the poller, which is outside, wakes it.
func TestSocketsOfANetworkOutsideABubble(t *testing.T) {
	l := newLab(t, labConfig{})
	tcp := func(t *testing.T) (net.Listener, *TCPConn, *TCPConn) {
		ln, err := l.server.Listen("tcp", serverIP+":0")
		require.NoError(t, err)
		var c net.Conn
		var wg sync.WaitGroup
		wg.Go(func() {
			c, err = l.client.Dial("tcp", ln.Addr().String())
		})
		s, aerr := ln.Accept()
		require.NoError(t, aerr)
		wg.Wait()
		require.NoError(t, err)
		return ln, c.(*TCPConn), s.(*TCPConn)
	}
	for name, f := range map[string]func(t *testing.T){
		"reads, writes, accept, dial": func(t *testing.T) {
			ln, c, s := tcp(t)
			const size = 32 << 20 // more than both buffers take
			var wg sync.WaitGroup
			wg.Go(func() {
				_, err := io.Copy(c, io.LimitReader(zeros{}, size))
				require.NoError(t, err)
				require.NoError(t, c.CloseWrite())
			})
			n, err := io.Copy(io.Discard, struct{ io.Reader }{s})
			require.NoError(t, err)
			require.EqualValues(t, size, n)
			wg.Wait()
			require.NoError(t, c.Close())
			require.NoError(t, s.Close())
			require.NoError(t, ln.Close())
		},
		"a close wakes": func(t *testing.T) {
			ln, c, s := tcp(t)
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					_, err := c.Read(make([]byte, 1))
					require.ErrorIs(t, err, net.ErrClosed)
				})
			}
			wg.Go(func() {
				_, err := ln.Accept()
				require.ErrorIs(t, err, net.ErrClosed)
			})
			l.server.Host().Connections() // takes its time
			require.NoError(t, c.Close())
			require.NoError(t, ln.Close())
			wg.Wait()
			require.NoError(t, s.Close())
		},
		"deadlines are the world's": func(t *testing.T) {
			ln, c, s := tcp(t)
			begun := time.Now()
			u, err := l.client.ListenPacket("udp", clientIP+":0")
			require.NoError(t, err)
			soon := time.Now().Add(20 * time.Millisecond)
			require.NoError(t, c.SetDeadline(soon))
			require.NoError(t, ln.(*TCPListener).SetDeadline(soon))
			require.NoError(t, u.SetReadDeadline(soon))
			_, err = c.Read(make([]byte, 1))
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			_, err = io.Copy(c, zeros{})
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			_, err = ln.Accept()
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			_, _, err = u.ReadFrom(make([]byte, 1))
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			require.Equal(t, begun, time.Now(), "the bubble's time stands still")
			c.SetLinger(0)
			for _, x := range []io.Closer{c, s, ln, u} {
				require.NoError(t, x.Close())
			}
		},
		"a dial that ends": func(t *testing.T) {
			_, err := l.client.Dial("tcp", serverIP+":1")
			require.ErrorContains(t, err, "connection refused")
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() {
				_, err := l.client.DialWith(ctx, &Dialer{}, "tcp", "10.0.0.77:1")
				require.ErrorContains(t, err, "operation was canceled")
			})
			cancel()
			wg.Wait()
		},
		"datagrams": func(t *testing.T) {
			s, err := l.server.ListenPacket("udp", serverIP+":0")
			require.NoError(t, err)
			c, err := l.client.Dial("udp", s.LocalAddr().String())
			require.NoError(t, err)
			var wg sync.WaitGroup
			wg.Go(func() {
				for i := range 100 {
					b := make([]byte, 10)
					n, from, err := s.ReadFrom(b)
					require.NoError(t, err)
					require.Equal(t, fmt.Sprint(i), string(b[:n]))
					_, err = s.WriteTo(b[:n], from)
					require.NoError(t, err)
				}
			})
			for i := range 100 {
				_, err := fmt.Fprint(c, i)
				require.NoError(t, err)
				b := make([]byte, 10)
				n, err := c.Read(b)
				require.NoError(t, err)
				require.Equal(t, fmt.Sprint(i), string(b[:n]))
			}
			wg.Wait()
			require.NoError(t, c.Close())
			require.NoError(t, s.Close())
		},
		"net/http": func(t *testing.T) {
			ln, err := l.server.Listen("tcp", serverIP+":0")
			require.NoError(t, err)
			srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })}
			var wg sync.WaitGroup
			wg.Go(func() { srv.Serve(ln) })
			tr := &http.Transport{DialContext: l.client.DialContext}
			for range 10 {
				r, err := (&http.Client{Transport: tr}).Post("http://"+ln.Addr().String(), "", strings.NewReader("body"))
				require.NoError(t, err)
				b, err := io.ReadAll(r.Body)
				require.NoError(t, err)
				require.Equal(t, "body", string(b))
				r.Body.Close()
			}
			tr.CloseIdleConnections()
			require.NoError(t, srv.Close())
			wg.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }
