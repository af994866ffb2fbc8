package fault

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/wire"
)

func TestCloseReleasesWhatIsUnderWay(t *testing.T) {
	f := Faults{Delay: time.Second, Duplicate: 0.5}
	l := newLink(t, Config{Rx: f, Tx: f}, wire.Config{})
	send(t, l.good, 0, 100)
	send(t, l.bad, 0, 100)
	recv(l.bad)
	require.Greater(t, l.dev.Held(), 250)
	send(t, l.good, 0, 10)
	require.NoError(t, l.dev.Close())
	require.ErrorIs(t, l.dev.Close(), nic.ErrClosed)
	send(t, l.bad, 0, 10)
	require.Empty(t, recv(l.bad))
	require.Zero(t, l.dev.Held())
	require.Zero(t, l.wire.InUse())
}

func TestFullRingPushesBack(t *testing.T) {
	l := newLink(t, Config{Tx: Faults{Reorder: 1e-12}}, wire.Config{Ring: 4})
	send(t, l.bad, 0, 5) // the fifth waits in the heap
	p := l.bad.Alloc(100)
	binary.BigEndian.PutUint64(p.Extend(100), 5)
	require.Zero(t, l.bad.Send([]*nic.Packet{p}), "one waits already")
	require.Equal(t, retry, l.bad.NextEvent(), "and is tried again later")
	require.Equal(t, upTo(4), recv(l.good))
	require.Equal(t, 1, l.bad.Send([]*nic.Packet{p}))
	require.Equal(t, []int{4, 5}, recv(l.good))
	require.Equal(t, nic.Never, l.bad.NextEvent())
	require.Zero(t, l.wire.InUse())
}

// history describes everything that a seed does to a fixed series of calls.
func history(t *testing.T, seed uint64) string {
	f := Faults{
		Loss: 0.1, Corrupt: 0.1, Duplicate: 0.1, Reorder: 0.1,
		Delay: time.Millisecond, Jitter: time.Millisecond, Rate: 50_000_000, Queue: 5000,
	}
	l := newLink(t, Config{Seed: seed, Rx: f, Tx: f}, wire.Config{})
	traffic := rand.New(rand.NewPCG(99, 99))
	var log bytes.Buffer
	var pkts [16]*nic.Packet
	for i := range 300 {
		send(t, l.good, i, traffic.IntN(4))
		send(t, l.bad, i, traffic.IntN(4))
		for _, q := range []nic.Queue{l.bad, l.good} {
			for _, p := range pkts[:q.Recv(pkts[:])] {
				fmt.Fprintf(&log, "%v %x\n", l.clock.now(), p.Bytes())
				p.Release()
			}
		}
		l.clock.advance(time.Duration(traffic.IntN(300)) * time.Microsecond)
	}
	rx, tx := l.dev.Counters()
	fmt.Fprintln(&log, rx, tx)
	require.NoError(t, l.dev.Close())
	recv(l.good)
	require.Zero(t, l.wire.InUse())
	return log.String()
}

func TestSameSeedSameFaults(t *testing.T) {
	first := history(t, 42)
	require.Equal(t, first, history(t, 42))
	require.NotEqual(t, first, history(t, 43))
}

func TestSetChangesTheFaultsOfFramesToCome(t *testing.T) {
	l := newLink(t, Config{}, wire.Config{})
	send(t, l.bad, 0, 1)
	require.NoError(t, l.dev.Set(Faults{}, Faults{Delay: time.Second}))
	send(t, l.bad, 1, 1)
	require.Error(t, l.dev.Set(Faults{Loss: 5}, Faults{}))
	require.NoError(t, l.dev.Set(Faults{}, Faults{}))
	send(t, l.bad, 2, 1)
	require.Equal(t, []int{0}, recv(l.good))
	l.clock.advance(time.Second)
	l.bad.Recv(nil)
	require.Equal(t, []int{1, 2}, recv(l.good), "nothing overtakes but by Reorder")
	send(t, l.bad, 3, 1)
	require.Equal(t, []int{3}, recv(l.good))
}

// TestSleepingPollerLearnsOfNewEvents: a frame that must wait is sent while the
// poller sleeps until an event that is later, or for ever.
func TestSleepingPollerLearnsOfNewEvents(t *testing.T) {
	l := newLink(t, Config{Tx: Faults{Delay: time.Second}}, wire.Config{})
	wakes := 0
	l.bad.SetWake(func() { wakes++ })
	require.Equal(t, nic.Never, l.bad.NextEvent())
	require.True(t, l.bad.Arm())
	send(t, l.bad, 0, 1)
	require.Equal(t, 1, wakes)
	require.Equal(t, time.Second, l.bad.NextEvent())
	require.True(t, l.bad.Arm(), "it knows")
	send(t, l.bad, 1, 1)
	require.Equal(t, 1, wakes, "a later event does not wake")

	// An event that comes between NextEvent and Arm is not lost either.
	l = newLink(t, Config{Tx: Faults{Delay: time.Second}}, wire.Config{})
	l.bad.SetWake(func() { wakes++ })
	require.Equal(t, nic.Never, l.bad.NextEvent())
	send(t, l.bad, 0, 1)
	require.False(t, l.bad.Arm())
	require.True(t, l.bad.Arm(), "but told once only")
}

func TestArmKnowsOfFramesThatAreDue(t *testing.T) {
	l := newLink(t, Config{Rx: Faults{Duplicate: 1}}, wire.Config{})
	l.bad.SetWake(func() {})
	send(t, l.good, 0, 1)
	require.False(t, l.bad.Arm())
	var one [1]*nic.Packet
	require.Equal(t, 1, l.bad.Recv(one[:]))
	one[0].Release()
	require.False(t, l.bad.Arm(), "the duplicate waits")
	require.Equal(t, []int{0}, recv(l.bad))
	require.True(t, l.bad.Arm())
	send(t, l.good, 0, 1)
}

// TestManySendersAndAPoller runs the methods that may be called from any
// goroutine against each other; the race detector is the judge.
func TestManySendersAndAPoller(t *testing.T) {
	f := Faults{Loss: 0.05, Duplicate: 0.05, Corrupt: 0.05, Reorder: 0.1, Delay: 20 * time.Microsecond}
	l := newLink(t, Config{Rx: f, Tx: f}, wire.Config{})
	var senders, pollers sync.WaitGroup
	var stop atomic.Bool
	for _, q := range []nic.Queue{l.bad, l.good} {
		for range 2 {
			senders.Go(func() {
				for range 2000 {
					p := q.Alloc(64)
					if p == nil {
						continue
					}
					p.Extend(64)
					if q.Send([]*nic.Packet{p}) == 0 {
						p.Release()
					}
					q.Kick()
					q.NextEvent()
				}
			})
		}
		pollers.Go(func() {
			for !stop.Load() {
				recv(q)
				l.clock.advance(time.Microsecond)
				l.dev.Counters()
			}
		})
	}
	senders.Wait()
	stop.Store(true)
	pollers.Wait()
	require.NoError(t, l.dev.Close())
	recv(l.good)
	require.Zero(t, l.wire.InUse())
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	f := Faults{Loss: 0.1, Duplicate: 0.1, Corrupt: 0.1, Reorder: 0.1, Delay: time.Microsecond, Rate: 1e9}
	l := newLink(t, Config{Rx: f, Tx: f}, wire.Config{})
	var pkts [16]*nic.Packet
	one := make([]*nic.Packet, 1)
	round := func() {
		for _, q := range []nic.Queue{l.bad, l.good} {
			p := q.Alloc(64)
			p.Extend(64)
			one[0] = p
			q.Send(one)
			q.Kick()
		}
		for _, q := range []nic.Queue{l.bad, l.good} {
			for _, p := range pkts[:q.Recv(pkts[:])] {
				p.Release()
			}
		}
		l.clock.advance(10 * time.Microsecond)
	}
	for range 1000 {
		round()
	}
	require.Zero(t, testing.AllocsPerRun(1000, round))
}
