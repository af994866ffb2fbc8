package stack

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/wire"
)

// hookedQueue is a queue that calls short once after Alloc or Send has fallen short
// while packets of its own are on the ring: what others do while the caller is
// interrupted there.
type hookedQueue struct {
	nic.Queue
	peer  nic.Queue
	short func()
}

func (q *hookedQueue) interrupt() {
	if f := q.short; f != nil && q.peer.Pending() {
		q.short = nil
		f()
	}
}

func (q *hookedQueue) Alloc(size int) *nic.Packet {
	p := q.Queue.Alloc(size)
	if p == nil {
		q.interrupt()
	}
	return p
}

func (q *hookedQueue) Send(pkts []*nic.Packet) int {
	n := q.Queue.Send(pkts)
	if n < len(pkts) {
		q.interrupt()
	}
	return n
}

type hookedDevice struct {
	nic.Device
	queue *hookedQueue
}

func (d hookedDevice) Queues() []nic.Queue { return []nic.Queue{d.queue} }

// stallLab is a host with a worker that the test drives by hand, whose device runs
// out of room at once, and an established connection.
type stallLab struct {
	*lab
	w    *worker
	q    *queue
	dev  *hookedQueue
	conn *TCPConn
}

func newStallLab(t *testing.T, cfg wire.Config) *stallLab {
	l := newLab(t, cfg)
	require.NoError(t, l.host.Close())
	l.host = NewHost(Config{Clock: func() time.Duration { return l.now }})
	s := &stallLab{lab: l, dev: &hookedQueue{Queue: l.wire.Port(0).Queues()[0], peer: l.raw}}
	var err error
	l.iface, err = l.host.Attach(hookedDevice{l.wire.Port(0), s.dev}, InterfaceConfig{Addrs: []netip.Prefix{netip.PrefixFrom(ip4Host, 24)}})
	require.NoError(t, err)
	ln := l.listen("10.0.0.1:80")
	c := l.accept(ln, addrPort("10.0.0.2:7"))
	s.conn, s.q = c.conn, l.iface.queues[0]
	p := &Poller{hosts: make(map[*Host]struct{})}
	s.w = &worker{poller: p, begun: true, wakeup: make(chan struct{}, 1), clock: SystemClock()}
	s.w.queues.Store(&[]*queue{})
	s.w.hosts.Store(&[]*Host{})
	p.workers = []*worker{s.w}
	require.NoError(t, p.Add(l.host))
	return s
}

// sleeps reports whether the worker would go to sleep now.
func (s *stallLab) sleeps() bool {
	wait := s.w.park()
	select {
	case <-s.w.wakeup:
		wait = 0
	default:
	}
	s.w.parked.Store(false)
	return wait > 0
}

// turn is what the worker does before it sleeps: rounds that find nothing.
func (s *stallLab) turn() {
	for range 4 {
		s.w.work()
	}
}

// sent lets the connection's data go until all of it has been sent.
func (s *stallLab) sent(size int) {
	total := 0
	for range 10_000 {
		s.turn()
		s.collect()
		fs := s.frames
		s.frames = nil
		for _, f := range fs {
			total += len(f.data)
		}
		if s.sleeps() && total >= size {
			return
		}
	}
	require.Fail(s, "not everything was sent", "%d of %d", total, size)
}

// A writer that is interrupted just as the device has no room does not sleep for
// ever, whatever the poller did meanwhile.
func TestStallAsThePollerGoesToSleep(t *testing.T) {
	const size = 4000
	for name, cfg := range map[string]wire.Config{
		"no buffer": {Pool: 4, Ring: 64},
		"full ring": {Pool: 64, Ring: 4},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStallLab(t, cfg)
			s.dev.short = func() {
				s.collect() // the peer makes room, and nobody sleeps who could be woken
				require.False(t, s.sleeps(), "there is room again")
				s.turn()
			}
			_, err := s.conn.TryWrite(pattern(size))
			require.NoError(t, err)
			require.True(t, s.q.isFull())
			require.False(t, s.sleeps(), "nobody would wake it")
			require.True(t, s.sleeps(), "once is enough: the device has fallen short since")
			s.sent(size)
		})
	}
}

// The same for one that has only seen that others wait already.
func TestStallBehindOthersThatWaitNoMore(t *testing.T) {
	s := newStallLab(t, wire.Config{Pool: 4, Ring: 64})
	_, err := s.conn.TryWrite(pattern(4000))
	require.NoError(t, err)
	require.True(t, s.sleeps(), "until there is a buffer")
	seen := s.q.state.Load()
	require.NotZero(t, seen&queueFull)
	s.sent(4000)
	s.conn.lock()
	s.q.stall(s.conn, seen)
	s.conn.unlock()
	require.False(t, s.sleeps())
	s.turn()
	require.False(t, s.q.isFull())
	require.True(t, s.sleeps())
}
