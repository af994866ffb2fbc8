package stack

import (
	"io"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/wire"
	"github.com/fastnet-go/fastnet/stack/tcp"
)

// A closed window is probed, for as long as the peer answers, and what waits
// goes out when it opens.
func TestZeroWindowProbes(t *testing.T) {
	l := newLab(t, wire.Config{})
	c := l.accept(l.listen("10.0.0.1:80"), addrPort("10.0.0.2:7"))
	c.window = 0
	c.send(ack, "")
	l.run()
	_, err := c.conn.TryWrite([]byte("hello"))
	require.NoError(t, err)
	l.quiet()
	probes := 0
	for range 600 {
		l.sleep(time.Second)
		for _, f := range l.take() {
			require.LessOrEqual(t, len(f.data), 1)
			probes++
			c.send(ack, "") // still closed
		}
	}
	require.Greater(t, probes, 5)
	c.window = 1000
	c.send(ack, "")
	c.expect(psh|ack, "hello")
}

// A peer that answers neither data nor probes is given up.
func TestUnansweredData(t *testing.T) {
	for name, c := range map[string]struct {
		o    TCPOptions
		wait time.Duration // at the most
	}{
		"default":      {TCPOptions{}, time.Hour},
		"user timeout": {TCPOptions{UserTimeout: 10 * time.Second}, 11 * time.Second},
	} {
		l := newLab(t, wire.Config{})
		conn := l.dial(addrPort("10.0.0.2:80"), c.o).conn
		_, err := conn.TryWrite([]byte("hello"))
		require.NoError(t, err)
		l.sleep(9 * time.Second)
		_, err = readAll(conn)
		require.Equal(t, ErrWouldBlock, err, name)
		l.sleep(c.wait - 9*time.Second)
		_, err = readAll(conn)
		require.Equal(t, syscall.ETIMEDOUT, err, name)
		_, err = conn.TryWrite([]byte("x"))
		require.Equal(t, syscall.EPIPE, err)
		require.NoError(t, conn.Close())
		require.Zero(t, l.host.flows.len())
		l.host.wheel.Stop(&l.iface.neighTime)
		require.Zero(t, l.host.Timers())
	}
}

// Keep-alive probes an idle peer, and ends the connection if it is gone.
func TestKeepAlive(t *testing.T) {
	l := newLab(t, wire.Config{})
	c := l.dial(addrPort("10.0.0.2:80"), TCPOptions{KeepAlive: KeepAlive{Enable: true, Idle: 10 * time.Second, Interval: 2 * time.Second, Count: 3}})
	for range 5 {
		l.sleep(10*time.Second + time.Millisecond)
		f := l.one()
		require.Equal(t, ack, f.Flags())
		require.Equal(t, c.rcv-1, tcp.Seq(f.Seq()))
		c.send(ack, "")
		l.run()
	}
	l.sleep(16*time.Second + 100*time.Millisecond)
	_, err := readAll(c.conn)
	require.Equal(t, syscall.ETIMEDOUT, err)
	fs := l.take()
	require.Len(t, fs, 4)
	require.NotZero(t, fs[3].Flags()&rst)
	require.NoError(t, c.conn.Close())

	// Turned on and off on a connection.
	c = l.accept(l.listen("10.0.0.1:80"), addrPort("10.0.0.2:7"))
	l.sleep(time.Hour)
	l.quiet()
	require.NoError(t, c.conn.SetKeepAlive(true))
	l.run()
	l.sleep(time.Second)
	require.NotEmpty(t, l.take())
	c.send(ack, "")
	l.run()
	require.NoError(t, c.conn.SetKeepAliveConfig(KeepAlive{Enable: false, Idle: -1, Interval: -1, Count: -1}))
	l.sleep(time.Hour)
	l.quiet()
}

// windowUnit is what a window is a multiple of, by its scale: a buffer may be
// overrun by so much.
const windowUnit = 512

// A slow reader makes the window close and open again.
func TestWindowFollowsReader(t *testing.T) {
	for _, size := range []int{4096, 20_000, 300_000} {
		d := newDuo(t, wire.Config{}, Config{TCP: TCPDefaults{RcvBuf: size}})
		s, c := d.connect(d.listen("10.0.0.1:80"), TCPOptions{})
		total := 10 * size
		sent, got := 0, 0
		b := make([]byte, 1000)
		idle := 0
		for got < total {
			if n, err := c.TryWrite(make([]byte, min(100_000, total-sent))); err == nil {
				sent += n
			}
			d.run()
			require.LessOrEqual(t, s.Info().Received, size+windowUnit)
			n, err := s.TryRead(b)
			if err == ErrWouldBlock {
				d.sleep(10 * time.Millisecond)
				idle++
				require.Less(t, idle, 2000)
				continue
			}
			require.NoError(t, err)
			got += n
		}
		s.Close()
		c.Close()
	}
}

// A larger receive buffer is offered at once to a peer that waits.
func TestSetReadBuffer(t *testing.T) {
	d := newDuo(t, wire.Config{}, Config{TCP: TCPDefaults{RcvBuf: 10_000}})
	s, c := d.connect(d.listen("10.0.0.1:80"), TCPOptions{})
	_, err := c.TryWrite(make([]byte, 100_000))
	require.NoError(t, err)
	d.run()
	require.LessOrEqual(t, s.Info().Received, 10_000+windowUnit)
	require.NoError(t, s.SetReadBuffer(200_000))
	d.run()
	require.Equal(t, 100_000, s.Info().Received)
	// A smaller one takes nothing back.
	require.NoError(t, s.SetReadBuffer(1))
	_, err = c.TryWrite(make([]byte, 50_000))
	require.NoError(t, err)
	d.sleep(time.Second)
	require.LessOrEqual(t, s.Info().Received, 200_000+windowUnit)
	total := 0
	for range 2000 {
		got, _ := readAll(s)
		if total += len(got); total == 150_000 {
			break
		}
		d.sleep(10 * time.Millisecond)
	}
	require.Equal(t, 150_000, total)
}

// A write buffer bounds what a Write takes.
func TestSetWriteBuffer(t *testing.T) {
	l := newLab(t, wire.Config{})
	c := l.accept(l.listen("10.0.0.1:80"), addrPort("10.0.0.2:7"))
	c.window = 0
	c.send(ack, "")
	l.run()
	require.NoError(t, c.conn.SetWriteBuffer(5000))
	n, err := c.conn.TryWrite(pattern(20_000))
	require.NoError(t, err)
	require.Equal(t, 5000, n)
	_, err = c.conn.TryWrite(pattern(20_000))
	require.Equal(t, ErrWouldBlock, err)
	require.NoError(t, c.conn.SetWriteBuffer(8000))
	n, err = c.conn.TryWrite(pattern(20_000))
	require.NoError(t, err)
	require.Equal(t, 3000, n)
	c.conn.SetLinger(0)
	c.conn.Close()
}

// With all buffers of the host's in use the bytes that came are kept all the
// same: they are acknowledged.
func TestReceiveWithoutBuffers(t *testing.T) {
	l := newLab(t, wire.Config{})
	l.host.held = mustPool(nic.PoolConfig{BufferSize: 64, Headroom: 16, Max: 3, Slab: 1})
	c := l.accept(l.listen("10.0.0.1:80"), addrPort("10.0.0.2:7"))
	want := ""
	for i := range 50 {
		// The second segment first, so that it is put in order.
		a, b := string(pattern(30+i)), string(pattern(40+i))
		c.snd += tcp.Seq(len(a))
		c.send(ack, b)
		c.snd -= tcp.Seq(len(a) + len(b))
		c.send(ack, a)
		c.snd += tcp.Seq(len(b))
		l.take()
		want += a + b
	}
	c.send(fin|ack, "")
	l.take()
	require.Equal(t, len(want), c.conn.Info().Received)
	require.Equal(t, 3, l.host.held.InUse())
	got, err := readAll(c.conn)
	require.Equal(t, io.EOF, err)
	require.Equal(t, want, got)
	require.NoError(t, c.conn.Close())
}

// mtuDevice is a port whose MTU changes.
type mtuDevice struct {
	*wire.Port
	mtu    int
	notify func(nic.Link)
}

func (d *mtuDevice) Link() nic.Link {
	l := d.Port.Link()
	l.MTU = d.mtu
	return l
}

func (d *mtuDevice) Notify(f func(nic.Link)) {
	if f != nil {
		d.notify = f
	}
	d.Port.Notify(f)
}

// When the MTU of the interface shrinks, what is in flight goes again in smaller
// segments; datagrams are cut.
func TestInterfaceMTUChanges(t *testing.T) {
	l := newLab(t, wire.Config{})
	dev := &mtuDevice{Port: l.wire.Port(0), mtu: 1500}
	h := NewHost(Config{Clock: func() time.Duration { return l.now }})
	i, err := h.Attach(dev, InterfaceConfig{Name: "eth0", Addrs: l.iface.addresses()[:2]})
	require.NoError(t, err)
	require.NoError(t, l.host.Close())
	dev.Notify(i.setLink)
	l.host, l.iface = h, i
	c := l.accept(l.listen("10.0.0.1:80"), addrPort("10.0.0.2:7"))
	c.send(ack, "")
	c.conn.core.SetMSS(1460)
	u, err := h.ListenUDP(addrPort("10.0.0.1:53"), UDPOptions{})
	require.NoError(t, err)
	resized := func(mtu int) {
		dev.mtu = mtu
		dev.notify(dev.Link())
		require.Equal(t, mtu, i.Info().MTU)
	}
	resized(300)
	_, err = c.conn.TryWrite(pattern(3000))
	require.NoError(t, err)
	_, err = u.WriteTo(pattern(1000), addrPort("10.0.0.2:53"))
	require.NoError(t, err)
	n := 0
	for _, f := range l.take() {
		require.LessOrEqual(t, len(f.ip), 300)
		n++
	}
	require.Greater(t, n, 5)
	resized(1500)
	_, err = u.WriteTo(pattern(1000), addrPort("10.0.0.2:53"))
	require.NoError(t, err)
	require.Len(t, l.one().data, 1000)
	c.conn.SetLinger(0)
	c.conn.Close()
}

// Connections outlive a link that is down for a while.
func TestLinkDownAndUp(t *testing.T) {
	d := newDuo(t, wire.Config{}, Config{})
	s, c := d.connect(d.listen("10.0.0.1:80"), TCPOptions{})
	d.wire.Port(0).SetUp(false)
	require.False(t, d.a.Interfaces()[1].Up)
	c.TryWrite([]byte("to"))
	s.TryWrite([]byte("fro"))
	d.sleep(20 * time.Second)
	d.wire.Port(0).SetUp(true)
	d.sleep(time.Minute)
	got, err := readAll(s)
	require.Equal(t, "to", got)
	require.Equal(t, ErrWouldBlock, err)
	got, _ = readAll(c)
	require.Equal(t, "fro", got)
}

// A peer's SYN that reuses the port of a connection in TIME-WAIT opens a new one
// at once, at any rate.
func TestTimeWaitReuseByPeer(t *testing.T) {
	d := newDuo(t, wire.Config{}, Config{})
	ln := d.listen("10.0.0.1:80")
	for i := range 200 {
		c, err := d.b.StartDialTCP(addrPort("10.0.0.2:4000"), addrPort("10.0.0.1:80"), TCPOptions{})
		require.NoError(t, err, "%d", i)
		d.run()
		require.NoError(t, c.ConnectStatus(), "%d", i)
		s, err := ln.TryAccept()
		require.NoError(t, err)
		_, err = c.TryWrite([]byte("hello"))
		require.NoError(t, err)
		d.run()
		got, _ := readAll(s)
		require.Equal(t, "hello", got)
		s.Close() // TIME-WAIT is here
		d.run()
		c.Close()
		d.sleep(2 * time.Millisecond) // the clock of timestamps ticks
		require.LessOrEqual(t, d.a.flows.len(), 1)
		require.LessOrEqual(t, d.a.twList.n, 1)
	}
}
