package stack

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/wire"
	"github.com/fastnet-go/fastnet/stack/header"
)

// rssKey is the key of Microsoft's documentation, which many drivers set.
var rssKey, _ = hex.DecodeString("6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa")

// spreading is a wire whose ports spread what they receive over their queues.
func spreading(queues int) wire.Config {
	return wire.Config{
		Queues: queues, HashKey: rssKey,
		Hash: func(frame []byte) uint32 { return header.ReceiveHash(rssKey, frame) },
	}
}

// Where the device tells its key, a connection's port is such that what comes
// for it arrives where it is sent from.
func TestDialPicksAPortOfItsQueue(t *testing.T) {
	for _, at := range []string{"10.0.0.1:80", "[fd00::1]:80"} {
		d := newDuo(t, spreading(4), Config{})
		ln := d.listen(at)
		used := map[int]int{}
		for range 60 {
			_, c := d.connect(ln, TCPOptions{})
			home := c.home.Load()
			require.Same(t, c.path.q, home)
			arrives := c.path.iface.spread.queue(c.RemoteAddr(), c.LocalAddr(), 4)
			require.Equal(t, home.index, arrives)
			used[home.index]++
		}
		require.Len(t, used, 4, "all queues are used")
		require.Zero(t, d.b.Stats().TCP.Strays)
	}
}

// The table of a device is followed, too.
func TestSpreadFollowsTheTable(t *testing.T) {
	src, dst := addrPort("66.9.149.187:2794"), addrPort("161.142.100.80:1766") // hash 0x51ccc178
	s := spread{key: rssKey}
	require.Equal(t, 0x78%3, s.queue(src, dst, 3))
	s.table = make([]uint16, 64)
	s.table[0x78%64] = 2
	require.Equal(t, 2, s.queue(src, dst, 3))
}

// Where no port lands on the path's queue a dial takes any.
func TestDialTakesAnyPortAtLast(t *testing.T) {
	d := newDuo(t, spreading(2), Config{})
	d.b.interfaces()[1].spread.table = []uint16{7} // of a queue that there is not
	_, c := d.connect(d.listen("10.0.0.1:80"), TCPOptions{})
	require.NotZero(t, c.LocalAddr().Port())
}

// Without a key the connection moves to the queue that the SYN-ACK came by.
func TestHomeIsWhereTheAnswerComes(t *testing.T) {
	cfg := spreading(4)
	cfg.HashKey = nil
	d := newDuo(t, cfg, Config{})
	ln := d.listen("10.0.0.1:80")
	moved := 0
	key := spread{key: rssKey}
	for range 40 {
		s, c := d.connect(ln, TCPOptions{})
		require.Equal(t, key.queue(c.RemoteAddr(), c.LocalAddr(), 4), c.home.Load().index)
		require.Same(t, c.home.Load(), c.path.q)
		require.Equal(t, key.queue(s.RemoteAddr(), s.LocalAddr(), 4), s.home.Load().index)
		require.Same(t, s.home.Load(), s.path.q)
		moved++
	}
	require.Equal(t, 40, moved)
	require.Positive(t, d.b.Stats().TCP.Strays)
}

// strayDevice delivers each burst of frames by another of its queues than the
// one that the wire chose.
type strayDevice struct {
	nic.Device
	queues []nic.Queue
}

type strayQueue struct {
	nic.Queue
	dev *strayDevice
	n   atomic.Uint32
}

func strays(d nic.Device) nic.Device {
	s := &strayDevice{Device: d}
	for _, q := range d.Queues() {
		s.queues = append(s.queues, &strayQueue{Queue: q, dev: s})
	}
	return s
}

func (d *strayDevice) Queues() []nic.Queue { return d.queues }

// Send sends by another queue now and then, so that the peer, whose queues are
// joined to ours by number, receives elsewhere.
func (q *strayQueue) Send(pkts []*nic.Packet) int {
	if q.n.Add(1)%3 != 0 {
		return q.Queue.Send(pkts)
	}
	other := q.dev.queues[int(q.n.Load()/3)%len(q.dev.queues)].(*strayQueue).Queue
	n := other.Send(pkts)
	other.Kick()
	return n
}

// Packets that come by any queue find their connection, and streams stay whole.
func TestPacketsArriveElsewhere(t *testing.T) {
	p := newPairWith(t, wire.Config{Queues: 3}, strays, PollerConfig{Goroutines: 3})
	s, c := p.connect(t, "10.0.0.1:80")
	data := pattern(4 << 20)
	var both sync.WaitGroup
	for _, ends := range [][2]*TCPConn{{s, c}, {c, s}} {
		both.Go(func() {
			if _, err := ends[0].Write(data); err != nil {
				t.Error(err)
			}
			ends[0].CloseWrite()
		})
		both.Go(func() {
			got, err := io.ReadAll(reader{ends[1]})
			if err != nil || string(got) != string(data) {
				t.Errorf("%d of %d bytes: %v", len(got), len(data), err)
			}
		})
	}
	both.Wait()
	require.Positive(t, p.a.Stats().TCP.Strays)
	s.Close()
	c.Close()
}

// Connections come and go over several queues and pollers, to one listener and
// to several that share a port.
func TestChurnOverQueues(t *testing.T) {
	for name, c := range map[string]struct {
		cfg       wire.Config
		listeners int
	}{
		"hash":           {spreading(4), 1},
		"hash, no key":   {wire.Config{Queues: 4, Hash: spreading(4).Hash}, 1},
		"reuse port":     {spreading(4), 3},
		"small pools":    {wire.Config{Queues: 4, Hash: spreading(4).Hash, HashKey: rssKey, Pool: 256, Ring: 32}, 2},
		"queue by queue": {wire.Config{Queues: 4}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPairWith(t, c.cfg, noWrap, PollerConfig{Goroutines: 4})
			var serving sync.WaitGroup
			var lns []*TCPListener
			accepted := make([]atomic.Int32, c.listeners)
			for i := range c.listeners {
				ln, err := p.a.ListenTCP(addrPort("10.0.0.1:80"), ListenOptions{ReusePort: c.listeners > 1})
				require.NoError(t, err)
				lns = append(lns, ln)
				serving.Go(func() {
					for {
						s, err := ln.Accept()
						if err != nil {
							return
						}
						accepted[i].Add(1)
						serving.Go(func() {
							defer s.Close()
							buf := make([]byte, 20_000)
							n, err := io.ReadFull(reader{s}, buf)
							if err == nil {
								s.Write(buf[:n])
							}
						})
					}
				})
			}
			const each = 40
			var clients sync.WaitGroup
			for range 8 {
				clients.Go(func() {
					for range each {
						if err := p.exchange(20_000); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			clients.Wait()
			for _, ln := range lns {
				ln.Close()
			}
			serving.Wait()
			total := int32(0)
			for i := range accepted {
				require.Positive(t, accepted[i].Load(), "listener %d", i)
				total += accepted[i].Load()
			}
			require.EqualValues(t, 8*each, total)
		})
	}
}

// exchange connects, sends n bytes and reads them back.
func (p *pair) exchange(n int) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := p.b.DialTCP(ctx, netip.AddrPort{}, addrPort("10.0.0.1:80"), TCPOptions{})
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	data := pattern(n)
	if _, err := c.Write(data); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	got := make([]byte, n)
	if _, err := io.ReadFull(reader{c}, got); err != nil {
		return fmt.Errorf("read: %w: %+v", err, c.Info())
	}
	if string(got) != string(data) {
		return fmt.Errorf("the echo differs")
	}
	return nil
}
