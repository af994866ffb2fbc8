package stack

import (
	"bytes"
	"io"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/wire"
)

// dup makes another holder of c, and returns both.
func dup(t *testing.T, c *TCPConn) (*TCPConn, *TCPHandle) {
	h, err := c.Dup()
	require.NoError(t, err)
	return c, h
}

// blocked begins a call and returns a channel for its error, once it has begun.
func blocked(call func() error) <-chan error {
	begun, done := make(chan struct{}), make(chan error, 1)
	go func() {
		close(begun)
		done <- call()
	}()
	<-begun
	time.Sleep(5 * time.Millisecond) // let it come to wait, most of the times
	return done
}

func outcome(t *testing.T, done <-chan error) error {
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		t.Fatal("the call still waits")
		return nil
	}
}

// Whichever of two holders is closed first, the other goes on; the peer hears of the
// end when both are.
func TestHoldersOfAConnectionAreClosedEachByItself(t *testing.T) {
	for _, first := range []string{"the connection", "the handle"} {
		t.Run(first, func(t *testing.T) {
			p := newPair(t, wire.Config{})
			s, peer := p.connect(t, "10.0.0.1:80")
			conn, handle := dup(t, s)
			var gone, left io.ReadWriteCloser = conn, handle
			if first == "the handle" {
				gone, left = handle, conn
			}
			b := make([]byte, 8)
			reads := blocked(func() error { _, err := gone.Read(b); return err })
			others := make([]byte, 8)
			stays := blocked(func() error { _, err := left.Read(others); return err })

			require.NoError(t, gone.Close())
			require.Equal(t, ErrClosed, outcome(t, reads))
			require.Equal(t, ErrClosed, gone.Close())
			_, err := gone.Write([]byte("x"))
			require.Equal(t, ErrClosed, err)
			_, err = gone.Read(b)
			require.Equal(t, ErrClosed, err)

			peer.Write([]byte("to stay"))
			require.NoError(t, outcome(t, stays))
			require.Equal(t, "to stay", string(others[:7]))
			_, err = left.Write([]byte("still"))
			require.NoError(t, err)
			n, err := peer.Read(b)
			require.NoError(t, err)
			require.Equal(t, "still", string(b[:n]))

			require.NoError(t, left.Close())
			require.Equal(t, ErrClosed, left.Close())
			_, err = peer.Read(b)
			require.Equal(t, io.EOF, err)
			_, err = conn.Dup()
			require.Equal(t, ErrClosed, err)
		})
	}
}

// A deadline is its holder's alone.
func TestHoldersOfAConnectionHaveDeadlinesOfTheirOwn(t *testing.T) {
	p := newPair(t, wire.Config{})
	s, peer := p.connect(t, "10.0.0.1:80")
	conn, handle := dup(t, s)
	b, c := make([]byte, 8), make([]byte, 8)
	waits := blocked(func() error { _, err := conn.Read(b); return err })
	require.NoError(t, handle.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
	_, err := handle.Read(c)
	require.Equal(t, os.ErrDeadlineExceeded, err)
	require.NoError(t, handle.SetWriteDeadline(time.Unix(1, 0)))
	_, err = handle.Write(c)
	require.Equal(t, os.ErrDeadlineExceeded, err)
	_, err = conn.Write([]byte("on time"))
	require.NoError(t, err)
	peer.Write([]byte("late"))
	require.NoError(t, outcome(t, waits))

	require.NoError(t, handle.SetReadDeadline(time.Time{}))
	require.NoError(t, conn.SetReadDeadline(time.Unix(1, 0)))
	peer.Write([]byte("more"))
	n, err := handle.Read(c)
	require.NoError(t, err)
	require.Equal(t, "more", string(c[:n]))
	require.NoError(t, handle.SetReadDeadline(time.Now().Add(time.Hour)), "which the host's Close forgets")
}

// A Write that waits for room ends when its holder is closed, and not before.
func TestWriteOfAHolderEndsWithIt(t *testing.T) {
	p := newPair(t, wire.Config{})
	s, peer := p.connect(t, "10.0.0.1:80")
	conn, handle := dup(t, s)
	big := []byte(strings.Repeat("x", 32<<20))
	fills := blocked(func() error { _, err := handle.Write(big); return err })
	require.NoError(t, conn.Close())
	select {
	case err := <-fills:
		t.Fatal(err)
	case <-time.After(10 * time.Millisecond):
	}
	require.NoError(t, handle.Close())
	require.Equal(t, ErrClosed, outcome(t, fills))
	go io.Copy(io.Discard, peer)
}

// All ways to read and write lead to the same connection.
func TestHandleReadsAndWritesInEveryWay(t *testing.T) {
	p := newPair(t, wire.Config{})
	s, peer := p.connect(t, "10.0.0.1:80")
	_, h := dup(t, s)
	require.NoError(t, s.Close())
	_, err := h.WriteBuffers([][]byte{[]byte("buf"), []byte("fers ")})
	require.NoError(t, err)
	_, readErr, err := h.Fill(strings.NewReader("filled"), false)
	require.Equal(t, io.EOF, readErr)
	require.NoError(t, err)
	b := make([]byte, 14)
	_, err = io.ReadFull(peer, b)
	require.NoError(t, err)
	require.Equal(t, "buffers filled", string(b))

	peer.Write([]byte("answer"))
	require.NoError(t, peer.CloseWrite())
	n, err := h.Peek(b, true)
	require.NoError(t, err)
	require.NotZero(t, n)
	var got bytes.Buffer
	_, readErr, err = h.Forward(func(bufs [][]byte) (n int64, err error) {
		for _, b := range bufs {
			k, _ := got.Write(b)
			n += int64(k)
		}
		return n, nil
	})
	require.NoError(t, readErr)
	require.NoError(t, err)
	require.Equal(t, "answer", got.String())
	require.NoError(t, h.Close())
}

func TestHoldersOfAListener(t *testing.T) {
	p := newPair(t, wire.Config{})
	l, err := p.a.ListenTCP(netip.MustParseAddrPort("10.0.0.1:80"), ListenOptions{})
	require.NoError(t, err)
	h, err := l.Dup()
	require.NoError(t, err)
	require.NoError(t, h.SetDeadline(time.Unix(1, 0)))
	_, err = h.Accept()
	require.Equal(t, os.ErrDeadlineExceeded, err)
	require.NoError(t, h.SetDeadline(time.Time{}))

	ends := blocked(func() error { _, err := l.Accept(); return err })
	require.NoError(t, l.Close())
	require.Equal(t, ErrClosed, outcome(t, ends))
	require.Equal(t, ErrClosed, l.Close())
	c, err := p.b.DialTCP(t.Context(), netip.AddrPort{}, netip.MustParseAddrPort("10.0.0.1:80"), TCPOptions{})
	require.NoError(t, err)
	s, err := h.Accept()
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.NoError(t, c.Close())

	require.NoError(t, h.Close())
	require.Equal(t, ErrClosed, h.Close())
	_, err = l.Dup()
	require.Equal(t, ErrClosed, err)
	_, err = p.a.ListenTCP(netip.MustParseAddrPort("10.0.0.1:80"), ListenOptions{})
	require.NoError(t, err, "the port is free again")
}

func TestHoldersOfDatagramSockets(t *testing.T) {
	p := newPair(t, wire.Config{})
	at := netip.MustParseAddrPort("10.0.0.1:53")
	u, err := p.a.ListenUDP(at, UDPOptions{})
	require.NoError(t, err)
	h, err := u.Dup()
	require.NoError(t, err)
	peer, err := p.b.DialUDP(netip.AddrPort{}, at, UDPOptions{})
	require.NoError(t, err)
	defer peer.Close()
	b := make([]byte, 8)

	require.NoError(t, h.SetReadDeadline(time.Unix(1, 0)))
	_, err = h.Read(b)
	require.Equal(t, os.ErrDeadlineExceeded, err)
	require.NoError(t, h.SetReadDeadline(time.Time{}))
	ends := blocked(func() error { _, err := u.Read(b); return err })
	require.NoError(t, u.Close())
	require.Equal(t, ErrClosed, outcome(t, ends))
	_, err = u.WriteTo(b, peer.LocalAddr())
	require.Equal(t, ErrClosed, err)

	peer.Write([]byte("question"))
	n, _, from, info, err := h.ReadMsg(b)
	require.NoError(t, err)
	require.Equal(t, "question", string(b[:n]))
	require.Equal(t, at.Addr(), info.To)
	require.NoError(t, h.SetWriteDeadline(time.Unix(1, 0)))
	_, err = h.WriteMsg([]byte("answer"), from, SendOptions{TOS: -1})
	require.Equal(t, os.ErrDeadlineExceeded, err)
	require.NoError(t, h.SetWriteDeadline(time.Time{}))
	_, err = h.WriteMsg([]byte("answer"), from, SendOptions{TOS: -1})
	require.NoError(t, err)
	n, err = peer.Read(b)
	require.NoError(t, err)
	require.Equal(t, "answer", string(b[:n]))
	require.NoError(t, h.Close())
	_, err = p.a.ListenUDP(at, UDPOptions{})
	require.NoError(t, err, "the port is free again")

	i, err := p.a.ListenICMP(false, netip.Addr{}, UDPOptions{})
	require.NoError(t, err)
	ih, err := i.Dup()
	require.NoError(t, err)
	require.NoError(t, i.Close())
	_, err = ih.WriteMsg([]byte{8, 0, 0xf7, 0xff, 0, 0, 0, 0}, netip.MustParseAddr("10.0.0.2"), SendOptions{TOS: -1})
	require.NoError(t, err)
	_, _, answers, _, err := ih.ReadMsg(make([]byte, 64))
	require.NoError(t, err)
	require.Equal(t, "10.0.0.2", answers.String())
	require.NoError(t, ih.SetReadDeadline(time.Now().Add(time.Hour)))
	require.NoError(t, ih.SetWriteDeadline(time.Time{}))
	require.NoError(t, ih.Close())
	require.Equal(t, ErrClosed, ih.Close())
}
