package wire

import (
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic"
)

func newWire(t *testing.T, cfg Config) *Wire {
	t.Helper()
	w, err := New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		for i := range w.ports {
			_ = w.Port(i).Close()
		}
		require.Zero(t, w.InUse(), "packets are left behind")
	})
	return w
}

// frame returns a packet of size bytes to dst, numbered n.
func frame(t *testing.T, q nic.Queue, dst nic.MAC, n, size int) *nic.Packet {
	t.Helper()
	p := q.Alloc(size)
	require.NotNil(t, p)
	b := p.Extend(size)
	clear(b)
	copy(b, dst[:])
	binary.BigEndian.PutUint64(b[14:], uint64(n))
	return p
}

func number(p *nic.Packet) int { return int(binary.BigEndian.Uint64(p.Bytes()[14:])) }

// received returns the numbers of all frames that wait on q.
func received(q nic.Queue) []int {
	var got []int
	var pkts [8]*nic.Packet
	for {
		n := q.Recv(pkts[:])
		if n == 0 {
			return got
		}
		for _, p := range pkts[:n] {
			got = append(got, number(p))
			p.Release()
		}
	}
}

func queue0(w *Wire, port int) nic.Queue { return w.Port(port).Queues()[0] }

func TestBurstCrossesInOrder(t *testing.T) {
	w := newWire(t, Config{})
	a, b := queue0(w, 0), queue0(w, 1)
	var pkts []*nic.Packet
	for i := range 100 {
		pkts = append(pkts, frame(t, a, w.Port(1).mac, i, 60))
	}
	pkts[3].Meta.Hash = 99
	require.Equal(t, 100, a.Send(pkts))
	var got [64]*nic.Packet
	require.Equal(t, 64, b.Recv(got[:]))
	require.EqualValues(t, 99, got[3].Meta.Hash)
	for i, p := range got {
		require.Equal(t, i, number(p))
		require.Same(t, pkts[i], p, "pointers cross, not copies")
		p.Release()
	}
	require.Len(t, received(b), 36)
	require.Empty(t, received(a))
	tx, rx := a.Stats(), b.Stats()
	require.Equal(t, nic.QueueStats{TxPackets: 100, TxBytes: 6000}, tx)
	require.Equal(t, nic.QueueStats{RxPackets: 100, RxBytes: 6000}, rx)
}

func TestFullRingGivesBackTheRest(t *testing.T) {
	w := newWire(t, Config{Ring: 8})
	a, b := queue0(w, 0), queue0(w, 1)
	var pkts []*nic.Packet
	for i := range 11 {
		pkts = append(pkts, frame(t, a, w.Port(1).mac, i, 60))
	}
	require.Equal(t, 8, a.Send(pkts))
	require.Zero(t, a.Send(pkts[8:]))
	require.Equal(t, []int{0, 1, 2, 3, 4, 5, 6, 7}, received(b))
	require.Equal(t, 3, a.Send(pkts[8:]))
	require.Equal(t, []int{8, 9, 10}, received(b))
	s := a.Stats()
	require.EqualValues(t, 11, s.TxPackets)
	require.EqualValues(t, 660, s.TxBytes)
	require.EqualValues(t, 6, s.TxFull)
}

func TestSenderIsWokenWhenTheRingHasRoomAgain(t *testing.T) {
	w := newWire(t, Config{Ring: 2})
	a, b := queue0(w, 0), queue0(w, 1)
	wakes := 0
	a.SetWake(func() { wakes++ })
	pkts := []*nic.Packet{
		frame(t, a, w.Port(1).mac, 0, 60), frame(t, a, w.Port(1).mac, 1, 60), frame(t, a, w.Port(1).mac, 2, 60),
	}
	require.Equal(t, 2, a.Send(pkts))
	require.True(t, a.Arm())
	received(b)
	require.Equal(t, 1, wakes)

	require.Equal(t, 1, a.Send(pkts[2:]))
	pkts = []*nic.Packet{frame(t, a, w.Port(1).mac, 3, 60), frame(t, a, w.Port(1).mac, 4, 60)}
	require.Equal(t, 1, a.Send(pkts))
	received(b)
	require.False(t, a.Arm(), "there was room before the poller fell asleep")
	require.True(t, a.Arm(), "told once")
	pkts[1].Release()
	require.Equal(t, 1, wakes)
}

func TestSleeperIsWokenWhenABufferIsFree(t *testing.T) {
	w := newWire(t, Config{Pool: 2, Queues: 2})
	q, other := w.Port(0).queues[0], w.Port(0).queues[1]
	var wakes, others int
	q.SetWake(func() { wakes++ })
	other.SetWake(func() { others++ })
	a, b := q.Alloc(60), q.Alloc(60)
	require.True(t, other.Arm())
	require.Nil(t, q.Alloc(60))
	require.True(t, q.Arm())
	a.Release()
	require.Equal(t, 1, wakes)
	require.Zero(t, others, "it wanted none")
	require.False(t, q.Arm(), "what is there is known only now")
	require.True(t, q.Arm())

	a = q.Alloc(60)
	require.Nil(t, q.Alloc(60))
	b.Release()
	require.Equal(t, 2, wakes, "it was asleep when Alloc fell short")
	require.False(t, q.Arm())

	// And with the buffers of a frame that is under way, released by its reader.
	b = q.Alloc(60)
	b.Extend(60)
	require.Equal(t, 1, q.Send([]*nic.Packet{b}))
	require.Nil(t, q.Alloc(60))
	require.True(t, q.Arm())
	received(queue0(w, 1))
	require.Equal(t, 3, wakes)
	a.Release()
}

func TestArmedPollerIsWokenOnceByKick(t *testing.T) {
	w := newWire(t, Config{})
	a, b := queue0(w, 0), queue0(w, 1)
	wakes := 0
	b.SetWake(func() { wakes++ })
	one := func() []*nic.Packet { return []*nic.Packet{frame(t, a, w.Port(1).mac, 0, 60)} }

	a.Send(one())
	a.Kick()
	require.Zero(t, wakes, "nobody sleeps")
	require.False(t, b.Arm(), "there is a packet")
	a.Kick()
	require.Zero(t, wakes, "no call is owed")
	received(b)

	require.True(t, b.Arm())
	a.Kick()
	require.Zero(t, wakes, "there is nothing to receive")
	a.Send(one())
	require.Zero(t, wakes, "Send alone does not wake")
	a.Kick()
	a.Kick()
	require.Equal(t, 1, wakes)
	received(b)
	require.EqualValues(t, 1, a.Stats().Kicks)
	require.EqualValues(t, 1, b.Stats().Wakes)
}

// TestNoWakeUpIsLost: a poller that sleeps whenever it may receives everything
// from senders that kick after each packet. A lost wake-up hangs the test.
func TestNoWakeUpIsLost(t *testing.T) {
	const senders, each = 3, 2000
	w := newWire(t, Config{Ring: 16})
	a, b := queue0(w, 0), queue0(w, 1)
	wakeA, wakeB := make(chan struct{}, 1), make(chan struct{}, 1)
	notify := func(c chan struct{}) func() {
		return func() {
			select {
			case c <- struct{}{}:
			default:
			}
		}
	}
	a.SetWake(notify(wakeA))
	b.SetWake(notify(wakeB))

	// One goroutine sleeps for all senders, as a poller does.
	var room sync.Cond
	room.L = new(sync.Mutex)
	done := make(chan struct{})
	var sleeper sync.WaitGroup
	sleeper.Go(func() {
		for {
			if a.Arm() {
				select {
				case <-wakeA:
				case <-done:
					return
				}
			}
			room.L.Lock()
			room.Broadcast()
			room.L.Unlock()
		}
	})
	var sending sync.WaitGroup
	for range senders {
		sending.Go(func() {
			for i := range each {
				p := []*nic.Packet{frame(t, a, w.Port(1).mac, i, 60)}
				room.L.Lock()
				for a.Send(p) == 0 {
					notify(wakeA)() // Arm anew, with the ring full
					room.Wait()
				}
				room.L.Unlock()
				a.Kick()
			}
		})
	}
	for got := 0; got < senders*each; {
		got += len(received(b))
		if got < senders*each && b.Arm() {
			select {
			case <-wakeB:
			case <-time.After(20 * time.Second):
				t.Fatalf("asleep with %d of %d received", got, senders*each)
			}
		}
	}
	sending.Wait()
	close(done)
	sleeper.Wait()
}

func TestManyPortsAreASwitch(t *testing.T) {
	w := newWire(t, Config{Ports: 4})
	send := func(from int, dst nic.MAC) {
		q := queue0(w, from)
		require.Equal(t, 1, q.Send([]*nic.Packet{frame(t, q, dst, 1, 60)}))
		q.Kick()
	}
	at := func() (got [4]int) {
		for i := range got {
			got[i] = len(received(queue0(w, i)))
		}
		return got
	}
	send(0, w.Port(2).Info().MAC)
	require.Equal(t, [4]int{0, 0, 1, 0}, at(), "to a port's address")
	send(1, nic.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	require.Equal(t, [4]int{1, 0, 1, 1}, at(), "broadcast")
	send(1, nic.MAC{0x33, 0x33, 0, 0, 0, 1})
	require.Equal(t, [4]int{1, 0, 1, 1}, at(), "multicast")
	send(3, nic.MAC{0x02, 9, 9, 9, 9, 9})
	require.Equal(t, [4]int{1, 1, 1, 0}, at(), "an unknown address is flooded")
	send(0, w.Port(0).Info().MAC)
	require.Equal(t, [4]int{}, at(), "to itself")
	q := queue0(w, 0)
	short := q.Alloc(3)
	short.Extend(3)
	require.Equal(t, 1, q.Send([]*nic.Packet{short}), "shorter than an address")
	for i := 1; i < 4; i++ {
		var one [1]*nic.Packet
		require.Equal(t, 1, queue0(w, i).Recv(one[:]))
		one[0].Release()
	}
	require.Zero(t, w.InUse())
}

func TestSwitchStopsAtTheFirstFullRing(t *testing.T) {
	w := newWire(t, Config{Ports: 3, Ring: 1})
	q := queue0(w, 0)
	pkts := []*nic.Packet{
		frame(t, q, w.Port(1).mac, 0, 60), frame(t, q, w.Port(1).mac, 1, 60), frame(t, q, w.Port(2).mac, 2, 60),
	}
	require.Equal(t, 1, q.Send(pkts), "the order is kept")
	require.Equal(t, 1, q.Send([]*nic.Packet{frame(t, q, nic.MAC{0xff}, 3, 60)}), "a flood is lost at full ports")
	require.EqualValues(t, 1, queue0(w, 1).Stats().RxDropped)
	require.Equal(t, []int{3}, received(queue0(w, 2)))
	require.Equal(t, []int{0}, received(queue0(w, 1)))
	require.Equal(t, 1, q.Send(pkts[1:2]))
	require.Equal(t, 1, q.Send(pkts[2:]))
}

func TestSinglePortIsALoopback(t *testing.T) {
	w := newWire(t, Config{Ports: 1})
	q := queue0(w, 0)
	wakes := 0
	q.SetWake(func() { wakes++ })
	require.True(t, q.Arm())
	q.Send([]*nic.Packet{frame(t, q, nic.MAC{}, 7, 60)})
	q.Kick()
	require.Equal(t, 1, wakes)
	require.Equal(t, []int{7}, received(q))
}

func TestQueuesAreSeparate(t *testing.T) {
	w := newWire(t, Config{Queues: 3})
	a, b := w.Port(0).Queues(), w.Port(1).Queues()
	require.Len(t, a, 3)
	a[2].Send([]*nic.Packet{frame(t, a[2], w.Port(1).mac, 5, 60)})
	require.Empty(t, received(b[0]))
	var one [1]*nic.Packet
	require.Equal(t, 1, b[2].Recv(one[:]))
	require.EqualValues(t, 2, one[0].Queue)
	one[0].Release()
}
