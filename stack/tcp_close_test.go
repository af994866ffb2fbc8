package stack

import (
	"io"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/wire"
	"github.com/fastnet-go/fastnet/stack/tcp"
)

func (d *duo) listen(at string) *TCPListener {
	d.Helper()
	ln, err := d.a.ListenTCP(addrPort(at), ListenOptions{})
	require.NoError(d, err)
	return ln
}

// Both directions end one by one, whoever begins.
func TestHalfClose(t *testing.T) {
	for _, first := range []string{"server", "client"} {
		d := newDuo(t, wire.Config{}, Config{})
		x, y := d.connect(d.listen("10.0.0.1:80"), TCPOptions{})
		if first == "client" {
			x, y = y, x
		}
		x.TryWrite([]byte("last words"))
		require.NoError(t, x.CloseWrite())
		require.NoError(t, x.CloseWrite(), "again")
		_, err := x.TryWrite([]byte("x"))
		require.Equal(t, syscall.EPIPE, err)
		d.run()
		got, err := readAll(y)
		require.Equal(t, "last words", got)
		require.Equal(t, io.EOF, err)
		for range 3 { // the other way stays open
			_, err = y.TryWrite([]byte("answer"))
			require.NoError(t, err)
			d.sleep(time.Second)
			got, err = readAll(x)
			require.Equal(t, "answer", got)
			require.Equal(t, ErrWouldBlock, err)
		}
		require.NoError(t, y.CloseWrite())
		d.run()
		_, err = readAll(x)
		require.Equal(t, io.EOF, err)
		_, err = x.TryRead(make([]byte, 1))
		require.Equal(t, io.EOF, err, "and again")
		require.NoError(t, x.Close())
		require.NoError(t, y.Close())
		require.Equal(t, ErrClosed, x.Close())
		d.run()
		require.Equal(t, 1, d.a.Stats().TCP.Connections+d.b.Stats().TCP.Connections, "TIME-WAIT at who closed first")
		d.sleep(61 * time.Second)
		require.Zero(t, d.a.Stats().TCP.Connections+d.b.Stats().TCP.Connections)
		for _, h := range d.hosts {
			h.wheel.Stop(&h.interfaces()[1].neighTime)
			require.Zero(t, h.Timers(), h.Name())
			require.Zero(t, h.BuffersInUse())
			require.Zero(t, h.sockets.Load())
		}
	}
}

// Every call on a closed connection returns ErrClosed, but Read of nothing too.
func TestCallsAfterClose(t *testing.T) {
	d := newDuo(t, wire.Config{}, Config{})
	s, _ := d.connect(d.listen("10.0.0.1:80"), TCPOptions{})
	require.NoError(t, s.Close())
	b := make([]byte, 1)
	for name, call := range map[string]func() error{
		"Read":          func() error { _, err := s.Read(b); return err },
		"TryRead":       func() error { _, err := s.TryRead(b); return err },
		"Write":         func() error { _, err := s.Write(b); return err },
		"TryWrite":      func() error { _, err := s.TryWrite(b); return err },
		"WriteBuffers":  func() error { _, err := s.WriteBuffers([][]byte{b}); return err },
		"CloseRead":     s.CloseRead,
		"CloseWrite":    s.CloseWrite,
		"Close":         s.Close,
		"SetDeadline":   func() error { return s.SetDeadline(time.Now()) },
		"SetLinger":     func() error { return s.SetLinger(1) },
		"SetNoDelay":    func() error { return s.SetNoDelay(true) },
		"SetKeepAlive":  func() error { return s.SetKeepAlive(true) },
		"SetReadBuffer": func() error { return s.SetReadBuffer(1 << 20) },
	} {
		require.Equal(t, ErrClosed, call(), name)
	}
	require.Equal(t, addrPort("10.0.0.1:80"), s.LocalAddr())
}

// Close with bytes that nobody has read resets: the peer reads what it has,
// then the error once, then the end; its writes find the pipe broken.
func TestCloseWithUnreadData(t *testing.T) {
	d := newDuo(t, wire.Config{}, Config{})
	ln := d.listen("10.0.0.1:80")
	for _, writeFirst := range []bool{false, true} {
		s, c := d.connect(ln, TCPOptions{})
		_, err := s.TryWrite([]byte("from the server"))
		require.NoError(t, err)
		_, err = c.TryWrite([]byte("from the client"))
		require.NoError(t, err)
		d.run()
		require.NoError(t, s.Close())
		d.run()
		require.Zero(t, d.a.Stats().TCP.Connections+d.b.Stats().TCP.Connections)
		if writeFirst {
			_, err = c.TryWrite([]byte("x"))
			require.Equal(t, syscall.ECONNRESET, err)
		}
		got, err := readAll(c)
		require.Equal(t, "from the server", got)
		if writeFirst {
			require.Equal(t, io.EOF, err)
		} else {
			require.Equal(t, syscall.ECONNRESET, err)
		}
		_, err = readAll(c)
		require.Equal(t, io.EOF, err)
		_, err = c.TryWrite([]byte("x"))
		require.Equal(t, syscall.EPIPE, err)
		_, err = c.WriteBuffers([][]byte{{1}, {2}})
		require.Equal(t, syscall.EPIPE, err)
		require.Equal(t, syscall.ENOTCONN, c.CloseWrite())
		require.NoError(t, c.SetNoDelay(true), "as in Linux")
		require.NoError(t, c.Close())
	}
}

// Data to who has closed is answered by a reset: the first Write does not know.
func TestWriteAfterPeersClose(t *testing.T) {
	d := newDuo(t, wire.Config{}, Config{})
	s, c := d.connect(d.listen("10.0.0.1:80"), TCPOptions{})
	require.NoError(t, s.Close())
	d.run()
	_, err := readAll(c)
	require.Equal(t, io.EOF, err)
	_, err = c.TryWrite([]byte("x"))
	require.NoError(t, err)
	d.run()
	_, err = c.TryWrite([]byte("x"))
	require.Equal(t, syscall.EPIPE, err)
	_, err = readAll(c)
	require.Equal(t, io.EOF, err)
	require.NoError(t, c.Close())
	require.Zero(t, d.a.Stats().TCP.Connections+d.b.Stats().TCP.Connections)
}

// CloseRead ends reads at what has arrived; what comes later is taken and
// dropped, and the peer may go on for ever.
func TestCloseRead(t *testing.T) {
	d := newDuo(t, wire.Config{}, Config{})
	s, c := d.connect(d.listen("10.0.0.1:80"), TCPOptions{})
	c.TryWrite([]byte("before"))
	d.run()
	require.NoError(t, s.CloseRead())
	for range 100 {
		_, err := c.TryWrite(pattern(64 << 10))
		require.NoError(t, err)
		d.run()
	}
	got, err := readAll(s)
	require.Equal(t, "before", got)
	require.Equal(t, io.EOF, err)
	require.NoError(t, s.Close())
	require.NoError(t, c.Close())
}

func TestLinger(t *testing.T) {
	t.Run("zero resets", func(t *testing.T) {
		l := newLab(t, wire.Config{})
		c := l.accept(l.listen("10.0.0.1:80"), addrPort("10.0.0.2:7"))
		c.window = 0
		c.send(ack, "")
		c.conn.TryWrite([]byte("never sent"))
		l.take()
		require.NoError(t, c.conn.SetLinger(0))
		require.NoError(t, c.conn.Close())
		require.Equal(t, rst|ack, l.one().Flags())
		require.Zero(t, l.host.flows.len())
		require.Zero(t, l.host.BuffersInUse())
	})
	t.Run("positive drops what is not acknowledged in time", func(t *testing.T) {
		l := newLab(t, wire.Config{})
		c := l.accept(l.listen("10.0.0.1:80"), addrPort("10.0.0.2:7"))
		c.conn.TryWrite([]byte("hello"))
		l.take()
		require.NoError(t, c.conn.SetLinger(3))
		require.NoError(t, c.conn.Close())
		l.sleep(2900 * time.Millisecond)
		for _, f := range l.take() {
			require.Zero(t, f.Flags()&rst)
		}
		l.sleep(200 * time.Millisecond)
		require.Equal(t, rst|ack, l.one().Flags())
		require.Zero(t, l.host.flows.len())
	})
	t.Run("positive leaves alone what was acknowledged", func(t *testing.T) {
		l := newLab(t, wire.Config{})
		c := l.accept(l.listen("10.0.0.1:80"), addrPort("10.0.0.2:7"))
		require.NoError(t, c.conn.SetLinger(3))
		require.NoError(t, c.conn.Close())
		c.expect(fin|ack, "")
		c.send(ack, "")
		l.sleep(10 * time.Second)
		l.quiet()
		c.send(fin|ack, "")
		c.expect(ack, "")
		require.Equal(t, 1, l.host.flows.len(), "TIME-WAIT")
		l.sleep(time.Minute)
		require.Zero(t, l.host.flows.len())
	})
	t.Run("negative delivers in the background", func(t *testing.T) {
		d := newDuo(t, wire.Config{}, Config{})
		s, c := d.connect(d.listen("10.0.0.1:80"), TCPOptions{})
		n := 0
		for {
			k, err := c.TryWrite(pattern(100_000))
			n += k
			if err != nil {
				break
			}
		}
		require.NoError(t, c.Close())
		total := 0
		for total < n {
			d.sleep(time.Second)
			got, _ := readAll(s)
			total += len(got)
		}
		d.run()
		_, err := readAll(s)
		require.Equal(t, io.EOF, err)
		s.Close()
	})
}

// Data that comes for a connection nobody reads any more resets it.
func TestDataAfterClose(t *testing.T) {
	l := newLab(t, wire.Config{})
	c := l.accept(l.listen("10.0.0.1:80"), addrPort("10.0.0.2:7"))
	require.NoError(t, c.conn.Close())
	c.expect(fin|ack, "")
	c.send(psh|ack, "too late")
	require.NotZero(t, l.one().Flags()&rst)
	require.Zero(t, l.host.flows.len())
}

// A reset after both have sent their FIN: reads have ended already, and a write
// hears of it once.
func TestResetInLastAck(t *testing.T) {
	l := newLab(t, wire.Config{})
	c := l.accept(l.listen("10.0.0.1:80"), addrPort("10.0.0.2:7"))
	c.send(fin|ack, "")
	c.expect(ack, "")
	require.NoError(t, c.conn.CloseWrite())
	c.expect(fin|ack, "")
	c.send(rst, "")
	l.quiet()
	for _, want := range []error{syscall.ECONNRESET, syscall.EPIPE, syscall.EPIPE} {
		_, err := readAll(c.conn)
		require.Equal(t, io.EOF, err)
		_, err = c.conn.TryWrite([]byte("x"))
		require.Equal(t, want, err)
	}
	require.NoError(t, c.conn.Close())
}

// FIN-WAIT-2 of a connection that nobody has any more ends by itself.
func TestFinWait2Ends(t *testing.T) {
	l := newLab(t, wire.Config{})
	c := l.accept(l.listen("10.0.0.1:80"), addrPort("10.0.0.2:7"))
	require.NoError(t, c.conn.Close())
	c.expect(fin|ack, "")
	c.send(ack, "")
	l.sleep(59 * time.Second)
	require.Equal(t, 1, l.host.flows.len())
	l.sleep(2 * time.Second)
	require.Zero(t, l.host.flows.len())
	require.Zero(t, l.host.sockets.Load())
}

// Records in TIME-WAIT end in their order, also when some were replaced or
// began anew, and there are never more than the limit.
func TestTimeWaitRecords(t *testing.T) {
	l := newLabWith(t, wire.Config{}, Config{MaxTimeWait: 5})
	ln := l.listen("10.0.0.1:80")
	finish := func(port uint16) *labConn {
		c := l.accept(ln, addrPortOf(port))
		require.NoError(t, c.conn.Close())
		c.expect(fin|ack, "")
		c.send(fin|ack, "")
		c.expect(ack, "")
		return c
	}
	var cs []*labConn
	for i := range uint16(5) {
		cs = append(cs, finish(1000+i))
		l.sleep(time.Second)
	}
	require.Equal(t, 5, l.host.flows.len())
	// The first is replaced by a new connection, as its SYN is beyond what
	// came before (RFC 6191); the second begins anew as its FIN comes again.
	cs[0].snd += 1000
	c := cs[0]
	c.send(syn, "")
	f := l.one()
	require.Equal(t, syn|ack, f.Flags())
	require.Positive(t, tcp.Seq(f.Seq()).Sub(c.rcv), "beyond what the old one sent")
	c.rcv = tcp1(f)
	c.send(ack, "")
	l.quiet()
	conn, err := ln.TryAccept()
	require.NoError(t, err)
	cs[1].snd--
	cs[1].send(fin|ack, "")
	cs[1].expect(ack, "")
	require.Equal(t, 5, l.host.flows.len())
	require.Equal(t, 4, l.host.twList.n)

	l.sleep(56500 * time.Millisecond) // 61.5 s after the first
	require.Equal(t, 5, l.host.flows.len(), "the third, fourth, fifth, the second, and the new one")
	l.sleep(time.Second)
	require.Equal(t, 4, l.host.flows.len(), "without the third")
	l.sleep(2 * time.Second)
	require.Equal(t, 2, l.host.flows.len(), "without the fourth and fifth")
	l.sleep(time.Second)
	require.Equal(t, 1, l.host.flows.len(), "without the second")
	conn.SetLinger(0)
	conn.Close()
	l.take()
	require.Zero(t, l.host.flows.len())

	for i := range uint16(20) {
		finish(2000 + i)
		require.LessOrEqual(t, l.host.flows.len(), 5)
	}
	require.NotNil(t, l.host.flows.lookup(&tuple{local: toAddr(ip4Host), remote: toAddr(ip4Peer), localPort: 80, remotePort: 2019}))
	require.Nil(t, l.host.flows.lookup(&tuple{local: toAddr(ip4Host), remote: toAddr(ip4Peer), localPort: 80, remotePort: 2014}))
	// A record does not end by a reset (RFC 1337), and a SYN that may be old
	// gets an ACK.
	c = &labConn{lab: l, local: addrPortOf(2019), remote: addrPort("10.0.0.1:80"), snd: 1001, window: 100}
	c.send(rst, "")
	l.quiet()
	c.snd = 500
	c.send(syn, "")
	require.Equal(t, ack, l.one().Flags())
	require.Equal(t, 5, l.host.flows.len())
	l.sleep(2 * time.Minute)
	require.Zero(t, l.host.flows.len())
	require.Zero(t, l.host.twList.n)
}

func addrPortOf(port uint16) netip.AddrPort { return netip.AddrPortFrom(ip4Peer, port) }

// Closes, resets, reads and writes race.
func TestCloseRaces(t *testing.T) {
	p := newPair(t, wire.Config{})
	rounds := 300
	if testing.Short() {
		rounds = 50
	}
	for i := range rounds {
		s, c := p.connect(t, "10.0.0.1:80")
		var all sync.WaitGroup
		for _, x := range []*TCPConn{s, c} {
			all.Go(func() { io.Copy(io.Discard, reader{x}) })
			all.Go(func() {
				for {
					if _, err := x.Write(pattern(5000)); err != nil {
						return
					}
				}
			})
			all.Go(func() { x.Info(); x.SetNoDelay(i%3 == 0); x.SetReadDeadline(time.Now().Add(time.Hour)) })
		}
		time.Sleep(time.Duration(i%7) * 50 * time.Microsecond)
		switch i % 5 {
		case 0:
			s.SetLinger(0)
		case 1:
			s.SetLinger(1)
		case 2:
			c.CloseWrite()
		case 3:
			c.CloseRead()
		}
		all.Go(func() { s.Close() })
		all.Go(func() { c.Close() })
		all.Wait()
	}
}
