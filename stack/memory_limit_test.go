package stack

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/fault"
	"github.com/fastnet-go/fastnet/nic/wire"
)

// newPathDuo is newDuo with a path of its own each way.
func newPathDuo(t *testing.T, cfg wire.Config, path fault.Faults, hcs [2]Config) *duo {
	w, err := wire.New(cfg)
	require.NoError(t, err)
	d := &duo{TB: t, now: time.Hour, wire: w}
	path.Limit = 1 << 20
	for i, hc := range hcs {
		rng := rand.New(rand.NewPCG(uint64(i), 2))
		hc.Name = string(rune('a' + i))
		hc.Clock = func() time.Duration { return d.now }
		hc.Rand = func(b []byte) {
			for i := range b {
				b[i] = byte(rng.Uint32())
			}
		}
		dev, err := fault.Wrap(w.Port(i), fault.Config{Rx: path}, hc.Clock)
		require.NoError(t, err)
		h := NewHost(hc)
		_, err = h.Attach(dev, InterfaceConfig{Addrs: []netip.Prefix{netip.PrefixFrom([]netip.Addr{ip4Host, ip4Peer}[i], 24)}})
		require.NoError(t, err)
		d.hosts = append(d.hosts, h)
	}
	d.a, d.b = d.hosts[0], d.hosts[1]
	t.Cleanup(func() {
		for _, h := range d.hosts {
			h.Close()
			require.Zero(t, h.BuffersInUse(), "buffers of %s in use after Close", h.Name())
			require.Zero(t, h.Timers(), "timers of %s pending after Close", h.Name())
		}
	})
	return d
}

// limit is the receive buffer of a connection.
func (c *TCPConn) limit() int {
	c.rq.mu.Lock()
	defer c.rq.mu.Unlock()
	return int(c.rq.limit)
}

// A reader that keeps up gets the buffers that a long fat path needs, and those
// of a short path stay small; one that asks for a size has that.
func TestBuffersGrowWithThePath(t *testing.T) {
	fat := fault.Faults{Rate: 1e9, Queue: 4 << 20, Delay: 25 * time.Millisecond}
	for name, c := range map[string]struct {
		path        fault.Faults
		server      TCPDefaults
		least, most int     // of the receive buffer at last
		fill        float64 // of the link's rate, at least
	}{
		"long and fat":   {path: fat, least: 5 << 20, most: 6 << 20, fill: 0.9},
		"without stamps": {path: fat, server: TCPDefaults{NoTS: true}, least: 5 << 20, most: 6 << 20, fill: 0.9},
		"long and thin":  {path: fault.Faults{Rate: 1e7, Queue: 1 << 20, Delay: 25 * time.Millisecond}, least: 64 << 10, most: 512 << 10, fill: 0.9},
		"short":          {path: fault.Faults{Rate: 1e9, Queue: 1 << 20, Delay: 20 * time.Microsecond}, least: 64 << 10, most: 512 << 10, fill: 0.9},
		"fixed":          {path: fat, server: TCPDefaults{RcvBuf: 100_000}, least: 100_000, most: 100_000},
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() {
				t.Skip("one goroutine in virtual time, and long with the race detector")
			}
			d := newPathDuo(t, wire.Config{Pool: 1 << 16, Ring: 1 << 13}, c.path, [2]Config{{TCP: c.server}})
			ln, err := d.a.ListenTCP(addrPort("10.0.0.1:80"), ListenOptions{})
			require.NoError(t, err)
			client, err := d.b.StartDialTCP(netip.AddrPort{}, ln.Addr(), TCPOptions{})
			require.NoError(t, err)
			d.sleep(200 * time.Millisecond)
			server, err := ln.TryAccept()
			require.NoError(t, err)
			require.LessOrEqual(t, server.limit(), 100_000, "at first")
			data, buf := pattern(1<<20), make([]byte, 1<<20)
			total, from := 0, 0
			const warm, rounds = 1500, 2500
			for i := range rounds {
				if i == warm {
					from = total
				}
				for {
					if n, err := client.TryWrite(data); n == 0 {
						require.Equal(t, ErrWouldBlock, err)
						break
					}
				}
				d.sleep(time.Millisecond)
				for {
					n, err := server.TryRead(buf)
					if total += n; err != nil {
						require.Equal(t, ErrWouldBlock, err)
						break
					}
				}
			}
			rate := float64(total-from) * 8 / (rounds - warm) * 1000
			require.GreaterOrEqual(t, rate, c.fill*float64(c.path.Rate))
			require.GreaterOrEqual(t, server.limit(), c.least)
			require.LessOrEqual(t, server.limit(), c.most)
			client.SetLinger(0)
			client.Close()
			server.Close()
		})
	}
}

// What a reader that is slow makes the host hold is bounded by what it began
// with, in memory and not only in bytes.
func TestSlowReaderHoldsLittle(t *testing.T) {
	for name, chunk := range map[string]int{"bulk": 1 << 20, "crumbs": 10} {
		d := newPathDuo(t, wire.Config{Pool: 1 << 14}, fault.Faults{Rate: 1e9, Delay: time.Millisecond}, [2]Config{})
		ln, err := d.a.ListenTCP(addrPort("10.0.0.1:80"), ListenOptions{})
		require.NoError(t, err)
		client, err := d.b.StartDialTCP(netip.AddrPort{}, ln.Addr(), TCPOptions{})
		require.NoError(t, err)
		d.sleep(10 * time.Millisecond)
		server, err := ln.TryAccept()
		require.NoError(t, err)
		data, buf := pattern(chunk), make([]byte, 500)
		for range 1000 {
			client.TryWrite(data)
			d.sleep(time.Millisecond)
			server.TryRead(buf)
			require.LessOrEqual(t, server.limit(), firstRcvBuf, name)
			require.LessOrEqual(t, server.rq.mem, int32(2*firstRcvBuf+64<<10), name)
			require.LessOrEqual(t, d.a.Stats().TCP.Memory, int64(4*firstRcvBuf), name)
			data = data[:min(len(data), 1<<20)]
		}
		client.SetLinger(0)
		client.Close()
		server.Close()
		d.run()
		require.Zero(t, d.a.memory.Used(), name)
	}
}

// Many connections whose readers do nothing stay within the host's limit, and
// when they read everything comes, whole.
func TestMemoryIsBounded(t *testing.T) {
	const limit, conns, size = 4 << 20, 150, 200_000
	d := newPathDuo(t, wire.Config{Pool: 1 << 15, Ring: 1 << 13}, fault.Faults{Delay: time.Millisecond}, [2]Config{{MaxMemory: limit}})
	ln, err := d.a.ListenTCP(addrPort("10.0.0.1:80"), ListenOptions{})
	require.NoError(t, err)
	type pair struct {
		client, server *TCPConn
		sent, got      int
	}
	var ps []*pair
	for range conns {
		client, err := d.b.StartDialTCP(netip.AddrPort{}, ln.Addr(), TCPOptions{})
		require.NoError(t, err)
		d.sleep(10 * time.Millisecond)
		server, err := ln.TryAccept()
		require.NoError(t, err)
		ps = append(ps, &pair{client: client, server: server})
	}
	data := pattern(size)
	write := func() {
		for _, p := range ps {
			n, _ := p.client.TryWrite(data[p.sent:])
			p.sent += n
			// The other way too: what is written and not acknowledged counts.
			p.server.TryWrite(data[:1000])
		}
	}
	held := func() (n int) {
		for _, p := range ps {
			n += int(p.server.rq.mem)
		}
		return n
	}
	for range 300 {
		write()
		d.sleep(10 * time.Millisecond)
		require.LessOrEqual(t, held(), limit+conns*2048, "a packet for each that had none")
		require.LessOrEqual(t, d.a.memory.Used(), int64(limit+limit/4))
	}
	require.Greater(t, held(), limit/2, "or there was nothing to bound")
	require.NotZero(t, d.a.Stats().Drops["memory"])
	buf := make([]byte, 64<<10)
	for range 4000 {
		done := 0
		write()
		for _, p := range ps {
			for p.got < size {
				n, err := p.server.TryRead(buf)
				if err != nil {
					require.Equal(t, ErrWouldBlock, err)
					break
				}
				require.Equal(t, data[p.got:p.got+n], buf[:n])
				p.got += n
			}
			if p.got == size {
				done++
			}
			p.client.TryRead(buf)
		}
		if done == len(ps) {
			break
		}
		d.sleep(50 * time.Millisecond)
	}
	for _, p := range ps {
		require.Equal(t, size, p.got)
		p.client.SetLinger(0)
		p.client.Close()
		p.server.Close()
	}
	d.sleep(time.Second)
	require.LessOrEqual(t, d.a.memory.Used(), int64(limit/4), "but for what a shard has not told")
	require.Zero(t, held())
}

// While memory is short a connection whose buffer had grown is offered little; the
// peer hears of it at once when that has been read, and need not probe.
func TestWindowReopensWhileMemoryIsShort(t *testing.T) {
	const limit = 100 << 20
	for name, c := range map[string]struct{ held, rounds int }{
		"tight": {limit / 10 * 8, 20},
		"full":  {limit, 2}, // the second segment of the second round is as if lost
	} {
		t.Run(name, func(t *testing.T) {
			d := newPathDuo(t, wire.Config{Pool: 1 << 14}, fault.Faults{Delay: time.Millisecond}, [2]Config{{MaxMemory: limit}})
			ln, err := d.a.ListenTCP(addrPort("10.0.0.1:80"), ListenOptions{})
			require.NoError(t, err)
			client, err := d.b.StartDialTCP(netip.AddrPort{}, ln.Addr(), TCPOptions{})
			require.NoError(t, err)
			d.sleep(10 * time.Millisecond)
			server, err := ln.TryAccept()
			require.NoError(t, err)
			server.rq.limit = 4 << 20
			server.core.SetRcvBuf(4 << 20)
			data, buf := pattern(1<<20), make([]byte, 1<<20)
			read := func() (total int) {
				for {
					n, err := server.TryRead(buf)
					if total += n; err != nil {
						require.Equal(t, ErrWouldBlock, err)
						return total
					}
				}
			}
			fill := func() {
				client.TryWrite(data)
				d.sleep(100 * time.Millisecond) // less than a probe's
			}
			for range 10 { // until what was offered is used up
				fill()
			}
			d.a.memory.Add(c.held)
			for range c.rounds {
				fill()
				require.NotZero(t, read())
			}
			d.a.memory.Add(-c.held)
			client.SetLinger(0)
			client.Close()
			server.Close()
			d.sleep(time.Second)
		})
	}
}
