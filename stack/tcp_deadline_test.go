package stack

import (
	"context"
	"io"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/wire"
)

// A deadline in the past fails calls at once, also those that wait; one that is
// taken back, or put off, does not.
func TestReadDeadlines(t *testing.T) {
	p := newPair(t, wire.Config{})
	s, c := p.connect(t, "10.0.0.1:80")
	b := make([]byte, 10)
	read := func() error { _, err := s.Read(b); return err }

	c.Write([]byte("waiting"))
	require.NoError(t, s.SetReadDeadline(time.Now().Add(-time.Second)))
	require.Equal(t, os.ErrDeadlineExceeded, read(), "although there is data")
	_, err := s.Read(nil)
	require.NoError(t, err, "nothing asked for, as in package net")
	require.NoError(t, s.SetReadDeadline(time.Time{}))
	require.NoError(t, read())

	require.NoError(t, s.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
	require.Equal(t, os.ErrDeadlineExceeded, read())
	require.Equal(t, os.ErrDeadlineExceeded, read())

	require.NoError(t, s.SetReadDeadline(time.Now().Add(time.Hour)))
	time.AfterFunc(10*time.Millisecond, func() { s.SetReadDeadline(time.Now().Add(10 * time.Millisecond)) })
	require.Equal(t, os.ErrDeadlineExceeded, read(), "shortened while it waits")

	first := time.Now().Add(20 * time.Millisecond)
	require.NoError(t, s.SetReadDeadline(first))
	var later sync.WaitGroup
	inTime := false
	later.Go(func() {
		time.Sleep(5 * time.Millisecond)
		s.SetReadDeadline(time.Now().Add(time.Hour))
		inTime = time.Now().Before(first)
		time.Sleep(60 * time.Millisecond)
		c.Write([]byte("x"))
	})
	err = read()
	later.Wait()
	if inTime {
		require.NoError(t, err, "put off while it waits")
	} else if err != nil { // a busy machine: nothing was put off
		require.Equal(t, os.ErrDeadlineExceeded, err)
		require.NoError(t, read())
	}
	require.NoError(t, s.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
	later.Go(func() {
		s.SetReadDeadline(time.Time{})
		time.Sleep(40 * time.Millisecond)
		c.Write([]byte("x"))
	})
	err = read()
	require.Contains(t, []error{nil, os.ErrDeadlineExceeded}, err) // who was first
	later.Wait()

	// Many readers, one deadline.
	s.SetReadDeadline(time.Time{})
	if err != nil {
		require.NoError(t, read())
	}
	for range 4 {
		later.Go(func() {
			if err := read2tcp(s); err != os.ErrDeadlineExceeded {
				t.Errorf("read: %v", err)
			}
		})
	}
	s.SetDeadline(time.Now().Add(10 * time.Millisecond))
	later.Wait()
	_, err = s.Write([]byte("x"))
	require.Equal(t, os.ErrDeadlineExceeded, err)
	s.SetDeadline(time.Now().Add(time.Hour)) // pending as the connection closes
	c.Close()
	s.Close()
}

func read2tcp(c *TCPConn) error { _, err := c.Read(make([]byte, 10)); return err }

// fillUp writes until nothing more fits: the peer does not read.
func fillUp(t *testing.T, c *TCPConn) {
	t.Helper()
	for full := 0; full < 3; {
		_, err := c.TryWrite(make([]byte, 64<<10))
		switch {
		case err == ErrWouldBlock && c.Info().InFlight == 0:
			full++
			fallthrough
		case err == ErrWouldBlock:
			time.Sleep(time.Millisecond)
		default:
			require.NoError(t, err)
			full = 0
		}
	}
}

// A Write that the peer's closed window holds back ends by whatever happens
// first.
func TestBlockedWrite(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(p *pair, s, c *TCPConn)
		want error
	}{
		"deadline":        {func(p *pair, s, c *TCPConn) { c.SetWriteDeadline(time.Now()) }, os.ErrDeadlineExceeded},
		"deadline to be":  {func(p *pair, s, c *TCPConn) { c.SetDeadline(time.Now().Add(5 * time.Millisecond)) }, os.ErrDeadlineExceeded},
		"Close":           {func(p *pair, s, c *TCPConn) { c.Close() }, ErrClosed},
		"CloseWrite":      {func(p *pair, s, c *TCPConn) { c.CloseWrite() }, syscall.EPIPE},
		"reset":           {func(p *pair, s, c *TCPConn) { s.SetLinger(0); s.Close() }, syscall.ECONNRESET},
		"the peer's host": {func(p *pair, s, c *TCPConn) { p.a.Close() }, syscall.ECONNRESET},
		"our host":        {func(p *pair, s, c *TCPConn) { p.b.Close() }, ErrClosed},
		"device":          {func(p *pair, s, c *TCPConn) { p.wire.Port(1).Fail(io.ErrUnexpectedEOF) }, syscall.ENETDOWN},
		"a reader":        {func(p *pair, s, c *TCPConn) { go io.Copy(io.Discard, reader{s}) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, wire.Config{})
			s, cl := p.connect(t, "10.0.0.1:80")
			fillUp(t, cl)
			var done sync.WaitGroup
			done.Go(func() {
				time.Sleep(10 * time.Millisecond)
				c.do(p, s, cl)
			})
			n, err := cl.Write(make([]byte, 4<<20))
			require.Equal(t, c.want, err)
			if err != nil {
				require.Less(t, n, 4<<20)
			}
			done.Wait()
			cl.SetLinger(0)
			cl.Close()
			s.Close()
		})
	}
}

// All that use a host as it closes, or whose device fails, return.
func TestEverythingReturns(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(p *pair)
		want error
	}{
		"Close":  {func(p *pair) { p.b.Close() }, ErrClosed},
		"device": {func(p *pair) { p.wire.Port(1).Fail(io.ErrUnexpectedEOF) }, syscall.ENETDOWN},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, wire.Config{})
			var all sync.WaitGroup
			expect := func(what string, call func() error) {
				all.Go(func() {
					if err := call(); err != c.want {
						t.Errorf("%s: %v, want %v", what, err, c.want)
					}
				})
			}
			for _, at := range []string{"10.0.0.1:80", "[fd00::1]:80"} {
				for what, call := range map[string]func(*TCPConn) error{
					"read": func(c *TCPConn) error { return read2tcp(c) },
					"read with a deadline": func(c *TCPConn) error {
						c.SetReadDeadline(time.Now().Add(time.Hour))
						return read2tcp(c)
					},
					"write": func(c *TCPConn) error {
						_, err := c.Write(make([]byte, 1<<20))
						return err
					},
					"buffers": func(c *TCPConn) error {
						_, err := c.WriteBuffers([][]byte{make([]byte, 1<<20), nil})
						return err
					},
				} {
					_, conn := p.connect(t, at)
					defer conn.Close()
					if what == "write" || what == "buffers" {
						fillUp(t, conn)
					}
					expect(what, func() error { return call(conn) })
				}
			}
			expect("dial", func() error {
				for { // nobody has that address, as is found after three seconds
					_, err := p.b.DialTCP(context.Background(), netip.AddrPort{}, addrPort("10.0.0.77:80"), TCPOptions{})
					if err != syscall.EHOSTUNREACH {
						return err
					}
				}
			})
			if name == "Close" {
				ln, err := p.b.ListenTCP(addrPort("[::]:80"), ListenOptions{})
				require.NoError(t, err)
				expect("accept", func() error {
					for {
						if _, err := ln.Accept(); err != nil {
							return err
						}
					}
				})
				u, err := p.b.ListenUDP(addrPort("[::]:53"), UDPOptions{})
				require.NoError(t, err)
				u.SetDeadline(time.Now().Add(time.Hour))
				expect("ReadFrom", func() error { return read2(u) })
				v, err := p.b.DialUDP(netip.AddrPort{}, addrPort("10.0.0.1:53"), UDPOptions{})
				require.NoError(t, err)
				expect("ReadFrom, connected", func() error {
					for {
						if err := read2(v); err != syscall.ECONNREFUSED {
							return err
						}
					}
				})
				busy := func(what string, call func() error) {
					expect(what, func() error {
						for {
							if err := call(); err == ErrClosed {
								return err
							}
						}
					})
				}
				busy("WriteTo", func() error { _, err := u.WriteTo(pattern(4000), addrPort("10.0.0.88:53")); return err })
				busy("Write", func() error { _, err := v.Write([]byte("x")); return err })
				busy("dialling", func() error {
					ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
					defer cancel()
					_, err := p.b.DialTCP(ctx, netip.AddrPort{}, addrPort("10.0.0.1:81"), TCPOptions{})
					return err
				})
				busy("loopback", func() error {
					_, err := p.b.DialTCP(context.Background(), netip.AddrPort{}, addrPort("127.0.0.1:80"), TCPOptions{})
					return err
				})
			}
			time.Sleep(30 * time.Millisecond)
			c.end(p)
			all.Wait()
			if name == "Close" {
				require.Equal(t, ErrClosed, p.b.Close())
				_, err := p.b.ListenTCP(addrPort("[::]:81"), ListenOptions{})
				require.Equal(t, ErrClosed, err)
				_, err = p.b.ListenUDP(addrPort("[::]:81"), UDPOptions{})
				require.Equal(t, ErrClosed, err)
				_, err = p.b.DialUDP(netip.AddrPort{}, addrPort("10.0.0.1:53"), UDPOptions{})
				require.Equal(t, ErrClosed, err)
				_, err = p.b.Attach(p.wire.Port(1), InterfaceConfig{})
				require.Equal(t, ErrClosed, err)
			} else {
				_, err := p.b.DialTCP(context.Background(), netip.AddrPort{}, addrPort("10.0.0.1:80"), TCPOptions{})
				require.Equal(t, syscall.ENETDOWN, err)
			}
		})
	}
}

// Bytes of concurrent Writes do not mix, and concurrent Reads share them all.
func TestConcurrentReadsAndWrites(t *testing.T) {
	p := newPair(t, wire.Config{})
	s, c := p.connect(t, "10.0.0.1:80")
	const writers, runs, length = 8, 40, 5000
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			b := make([]byte, length)
			for i := range b {
				b[i] = byte(w)
			}
			for r := range runs {
				if r%2 == 0 {
					c.Write(b)
				} else {
					c.WriteBuffers([][]byte{b[:7], b[7:3000], nil, b[3000:], {}})
				}
			}
		})
	}
	go func() { writing.Wait(); c.CloseWrite() }()
	buf := make([]byte, length)
	for range writers * runs / 2 {
		_, err := io.ReadFull(s, buf)
		require.NoError(t, err)
		for _, b := range buf {
			require.Equal(t, buf[0], b)
		}
	}
	var total [4]int
	var reading sync.WaitGroup
	for i := range total {
		reading.Go(func() {
			b := make([]byte, 3000)
			for {
				n, err := s.Read(b)
				total[i] += n
				if err != nil {
					return
				}
			}
		})
	}
	reading.Wait()
	require.Equal(t, writers*runs/2*length, total[0]+total[1]+total[2]+total[3])
	s.Close()
	c.Close()
}

// A WriteBuffers that does not fit sends what does before it waits.
func TestWriteBuffersBlocked(t *testing.T) {
	p := newPair(t, wire.Config{})
	s, c := p.connect(t, "10.0.0.1:80")
	c.SetWriteBuffer(10_000)
	var done sync.WaitGroup
	done.Go(func() {
		n, err := c.WriteBuffers([][]byte{pattern(10_000), pattern(5000), nil, pattern(30_000), {}})
		if n != 45_000 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		c.CloseWrite()
	})
	b, err := io.ReadAll(s)
	require.NoError(t, err)
	require.Len(t, b, 45_000)
	done.Wait()
	s.Close()
	c.Close()
}
