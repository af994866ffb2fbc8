package stack

import (
	"context"
	"io"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/wire"
)

// echo serves a listener until it is closed.
func echo(ln *TCPListener, all *sync.WaitGroup) {
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				io.Copy(c, reader{c})
				c.Close()
			})
		}
	})
}

// ping sends and receives n messages, with a pause of up to a moment between.
func ping(t *testing.T, c *TCPConn, n int, pause func(i int)) {
	msg := pattern(100)
	buf := make([]byte, len(msg))
	for i := range n {
		if _, err := c.Write(msg); err != nil {
			t.Errorf("write: %v", err)
			return
		}
		c.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.ReadFull(c, buf); err != nil {
			t.Errorf("message %d: %v: %+v", i, err, c.Info())
			return
		}
		pause(i)
	}
}

// No wake-up is lost: connections that pause, so that the poller sleeps at
// every moment, go on.
func TestNoLostWakeups(t *testing.T) {
	n := 1500
	if testing.Short() {
		n = 200
	}
	for name, c := range map[string]struct {
		cfg  wire.Config
		poll PollerConfig
	}{
		"one queue":    {wire.Config{}, PollerConfig{}},
		"queues":       {wire.Config{Queues: 5}, PollerConfig{}},
		"goroutines":   {wire.Config{Queues: 4}, PollerConfig{Goroutines: 3}},
		"small ring":   {wire.Config{Ring: 4}, PollerConfig{}},
		"no idling":    {wire.Config{}, PollerConfig{IdleRounds: -1}},
		"small pool":   {wire.Config{Pool: 24, Ring: 16}, PollerConfig{}},
		"small pools":  {wire.Config{Pool: 24, Ring: 16, Queues: 4}, PollerConfig{Goroutines: 3}},
		"polling busy": {wire.Config{}, PollerConfig{Busy: true}},
	} {
		t.Run(name, func(t *testing.T) {
			w, err := wire.New(c.cfg)
			require.NoError(t, err)
			p := &pair{wire: w, poller: NewPoller(c.poll), wrap: noWrap}
			p.a = p.host(t, "a", 0, "10.0.0.1/24", "fd00::1/64")
			p.b = p.host(t, "b", 1, "10.0.0.2/24", "fd00::2/64")
			defer p.close(t)
			ln, err := p.a.ListenTCP(addrPort("[::]:80"), ListenOptions{})
			require.NoError(t, err)
			var servers, clients sync.WaitGroup
			echo(ln, &servers)
			for k, to := range []string{"10.0.0.1:80", "[fd00::1]:80", "10.0.0.1:80"} {
				clients.Go(func() {
					conn, err := p.b.DialTCP(context.Background(), netip.AddrPort{}, addrPort(to), TCPOptions{})
					if err != nil {
						t.Errorf("dial: %v", err)
						return
					}
					ping(t, conn, n, func(i int) {
						switch (i + k) % 4 {
						case 0:
							time.Sleep(time.Duration(i%50) * time.Microsecond)
						case 1:
							runtime.Gosched()
						}
					})
					conn.Close()
				})
			}
			clients.Wait()
			ln.Close()
			servers.Wait()
		})
	}
}

// With hardly a ring and hardly a buffer, streams come whole and in order, and
// nothing waits for ever.
func TestFullRings(t *testing.T) {
	for name, cfg := range map[string]wire.Config{
		"ring of 1":  {Ring: 1},
		"ring of 4":  {Ring: 4, Queues: 2},
		"8 buffers":  {Pool: 8},
		"both":       {Ring: 2, Pool: 12},
		"both, TSO":  {Ring: 2, Pool: 12, TSO: true},
		"large ring": {Ring: 256, Pool: 40},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, cfg)
			size := 1 << 20
			if testing.Short() {
				size = 100_000
			}
			var all sync.WaitGroup
			for range 3 {
				s, c := p.connect(t, "10.0.0.1:80")
				for _, x := range [][2]*TCPConn{{s, c}, {c, s}} {
					all.Go(func() {
						data := pattern(size)
						for len(data) > 0 {
							n := min(len(data), 30_000)
							x[0].SetWriteDeadline(time.Now().Add(patience))
							if _, err := x[0].Write(data[:n]); err != nil {
								t.Errorf("write: %v: %+v", err, x[0].Info())
								return
							}
							data = data[n:]
						}
						x[0].CloseWrite()
					})
					all.Go(func() {
						x[1].SetReadDeadline(time.Now().Add(2 * patience)) // all of it
						b, err := io.ReadAll(x[1])
						if err != nil || string(b) != string(pattern(size)) {
							t.Errorf("read: %d bytes, %v: %+v", len(b), err, x[1].Info())
						}
					})
				}
			}
			all.Wait()
			for _, h := range []*Host{p.a, p.b} {
				require.Zero(t, h.Stats().Drops["transmit-queue"])
				h.flows.all(func(f *flow) {
					if f.conn != nil {
						f.conn.Close()
					}
				})
			}
		})
	}
}

// A host leaves its poller in the middle of its traffic, goes to another, and
// nothing is lost.
func TestRemoveDuringTraffic(t *testing.T) {
	p := newPair(t, wire.Config{Queues: 2})
	ln, err := p.a.ListenTCP(addrPort("10.0.0.1:80"), ListenOptions{})
	require.NoError(t, err)
	var servers, clients sync.WaitGroup
	echo(ln, &servers)
	stop := make(chan struct{})
	for range 3 {
		conn, err := p.b.DialTCP(context.Background(), netip.AddrPort{}, addrPort("10.0.0.1:80"), TCPOptions{})
		require.NoError(t, err)
		clients.Go(func() {
			defer conn.Close()
			for {
				select {
				case <-stop:
					return
				default:
					ping(t, conn, 10, func(int) {})
				}
			}
		})
	}
	other := NewPoller(PollerConfig{Goroutines: 2})
	defer other.Close()
	require.Error(t, other.Add(p.a), "it has one")
	for i := range 20 {
		from, to := p.poller, other
		if i%2 == 1 {
			from, to = to, from
		}
		to.Remove(p.a) // of no effect
		from.Remove(p.a)
		require.NoError(t, to.Add(p.a))
		time.Sleep(2 * time.Millisecond)
	}
	close(stop)
	clients.Wait()
	ln.Close()
	servers.Wait()
}

// Hosts may be added at once, and each gets its timers.
func TestAddConcurrently(t *testing.T) {
	poller := NewPoller(PollerConfig{Goroutines: 2})
	hosts := make([]*Host, 20)
	var adding sync.WaitGroup
	for i := range hosts {
		hosts[i] = NewHost(Config{})
		adding.Go(func() {
			if err := poller.Add(hosts[i]); err != nil {
				t.Error(err)
			}
		})
	}
	adding.Wait()
	driven := 0
	for _, w := range poller.workers {
		driven += len(*w.hosts.Load())
	}
	require.Equal(t, len(hosts), driven)
	for _, h := range hosts {
		u, err := h.ListenUDP(addrPort("127.0.0.1:53"), UDPOptions{})
		require.NoError(t, err)
		require.NoError(t, u.SetReadDeadline(time.Now().Add(5*time.Millisecond)))
		require.Error(t, read2(u))
	}
	require.NoError(t, poller.Close())
	require.Equal(t, ErrClosed, poller.Close())
	require.Equal(t, ErrClosed, poller.Add(NewHost(Config{})))
	for _, h := range hosts {
		require.NoError(t, h.Close())
	}
	require.Error(t, poller.Add(hosts[0]))
}

// A host that had timers before it had a poller gets them.
func TestTimersBeforePoller(t *testing.T) {
	h := NewHost(Config{})
	u, err := h.ListenUDP(addrPort("127.0.0.1:53"), UDPOptions{})
	require.NoError(t, err)
	require.NoError(t, u.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
	poller := NewPoller(PollerConfig{Goroutines: 3})
	time.Sleep(5 * time.Millisecond) // all asleep
	require.NoError(t, poller.Add(h))
	require.Error(t, read2(u))
	require.NoError(t, h.Close())
	require.NoError(t, poller.Close())
}

// An interface attached to a host that is driven already is driven too.
func TestAttachLater(t *testing.T) {
	w, err := wire.New(wire.Config{})
	require.NoError(t, err)
	p := &pair{wire: w, poller: NewPoller(PollerConfig{Goroutines: 2})}
	p.a, p.b = NewHost(Config{Name: "a"}), NewHost(Config{Name: "b"})
	defer p.close(t)
	for i, h := range []*Host{p.a, p.b} {
		require.NoError(t, p.poller.Add(h))
		time.Sleep(time.Millisecond)
		_, err := h.Attach(w.Port(i), InterfaceConfig{Addrs: []netip.Prefix{netip.PrefixFrom([]netip.Addr{ip4Host, ip4Peer}[i], 24)}})
		require.NoError(t, err)
	}
	s, c := p.connect(t, "10.0.0.1:80")
	s.Close()
	c.Close()
}

// A poller and its hosts leave no goroutine behind.
func TestNoGoroutineStays(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 3 {
		t.Run("", func(t *testing.T) {
			p := newPair(t, wire.Config{})
			s, c := p.connect(t, "10.0.0.1:80")
			go io.Copy(io.Discard, reader{s})
			go c.Write(make([]byte, 1<<20))
		})
	}
	for end := time.Now().Add(patience); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		require.True(t, time.Now().Before(end), "goroutines stay")
	}
}
