package stack

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/wire"
	"github.com/fastnet-go/fastnet/stack/tcp"
)

// duo is two hosts that one goroutine drives: a is 10.0.0.1 and fd00::1, b
// 10.0.0.2 and fd00::2.
type duo struct {
	testing.TB
	now   time.Duration
	wire  *wire.Wire
	a, b  *Host
	hosts []*Host
}

func newDuo(t testing.TB, cfg wire.Config, hc Config) *duo {
	w, err := wire.New(cfg)
	require.NoError(t, err)
	d := &duo{TB: t, now: time.Hour, wire: w}
	for i, addrs := range [][]string{{"10.0.0.1/24", "fd00::1/64"}, {"10.0.0.2/24", "fd00::2/64"}} {
		rng := rand.New(rand.NewPCG(uint64(i), 2))
		hc.Name = string(rune('a' + i))
		hc.Clock = func() time.Duration { return d.now }
		hc.Rand = func(b []byte) {
			for i := range b {
				b[i] = byte(rng.Uint32())
			}
		}
		h := NewHost(hc)
		var ps []netip.Prefix
		for _, a := range addrs {
			ps = append(ps, netip.MustParsePrefix(a))
		}
		_, err := h.Attach(w.Port(i), InterfaceConfig{Addrs: ps})
		require.NoError(t, err)
		d.hosts = append(d.hosts, h)
	}
	d.a, d.b = d.hosts[0], d.hosts[1]
	t.Cleanup(func() {
		for _, h := range d.hosts {
			h.Close()
		}
		d.wire.Port(0).Close()
		d.wire.Port(1).Close()
		require.Zero(t, d.wire.InUse(), "packets of the wire in use after Close")
		for _, h := range d.hosts {
			require.Zero(t, h.BuffersInUse(), "buffers of %s in use after Close", h.Name())
			require.Zero(t, h.Timers(), "timers of %s pending after Close", h.Name())
		}
	})
	return d
}

// run lets the hosts work until there is nothing to do now.
func (d *duo) run() {
	for range 1_000_000 {
		n, next := 0, Never
		for _, h := range d.hosts {
			n += h.Poll()
			next = min(next, h.NextEvent())
		}
		if n == 0 && next > d.now {
			for _, h := range d.hosts {
				n += h.FlushIdle()
			}
			if n == 0 {
				return
			}
		}
	}
	d.Fatal("the hosts do not come to rest")
}

// sleep lets time pass, event by event.
func (d *duo) sleep(t time.Duration) {
	end := d.now + t
	for range 1_000_000 {
		d.run()
		next := Never
		for _, h := range d.hosts {
			next = min(next, h.NextEvent())
		}
		if next > end {
			d.now = end
			d.run()
			return
		}
		d.now = max(next, d.now)
	}
	d.Fatal("time does not pass")
}

// connect returns both ends of a connection from b to a listener of a's.
func (d *duo) connect(ln *TCPListener, o TCPOptions) (server, client *TCPConn) {
	d.Helper()
	to := ln.Addr()
	client, err := d.b.StartDialTCP(netip.AddrPort{}, to, o)
	require.NoError(d, err)
	d.run()
	require.NoError(d, client.ConnectStatus())
	server, err = ln.TryAccept()
	require.NoError(d, err)
	return server, client
}

// read returns all that can be read of c now, and what ended it.
func readAll(c *TCPConn) (string, error) {
	var all []byte
	b := make([]byte, 64<<10)
	for {
		n, err := c.TryRead(b)
		all = append(all, b[:n]...)
		if err != nil {
			return string(all), err
		}
	}
}

// tcp1 is the sequence number after a SYN.
func tcp1(f frame) tcp.Seq { return tcp.Seq(f.Seq()) + 1 }
