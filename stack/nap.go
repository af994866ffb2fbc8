package stack

import (
	"sync/atomic"
	"time"
)

// A stream of datagrams that nobody answers would wake the poller for each few of
// them: that costs more than to receive them. So while there is nothing but such a
// stream the poller lets the next ones gather for a moment, as a NIC does that
// moderates its interrupts. Whoever answers is not kept waiting, nor is TCP, whose
// every packet asks for an answer.
const (
	// napAt is how many datagrams since its latest sleep are a stream to the poller.
	napAt = 4
	// napTime is short beside what the buffer of a socket takes in, 270 datagrams
	// at 272 bytes: 5 million a second would not fill it.
	napTime = 50 * time.Microsecond
)

// lull is what a queue's poller must know of it to nap.
type lull struct {
	datagrams atomic.Int32 // for sockets, since the latest look
	other     atomic.Bool  // other packets came, or some were sent
	burst     int          // datagrams of the burst at hand; under the queue's mutex
}

// received notes a burst of n packets.
func (l *lull) received(n int) {
	if l.burst < n {
		l.interrupt()
	}
	if l.burst > 0 {
		l.datagrams.Add(int32(l.burst))
		l.burst = 0
	}
}

// interrupt notes that there is more than a stream of datagrams.
func (l *lull) interrupt() {
	if !l.other.Load() {
		l.other.Store(true)
	}
}

// look returns how many datagrams came since the latest look, and whether there was
// nothing but them.
func (l *lull) look() (datagrams int, only bool) {
	return int(l.datagrams.Swap(0)), !l.other.Swap(false)
}

// streams reports whether datagrams, and nothing but them, have come since it was
// asked the last time.
func (w *worker) streams() bool {
	all, only := 0, true
	for _, q := range *w.queues.Load() {
		n, alone := q.lull.look()
		all += n
		only = only && alone
	}
	return only && all >= napAt
}

// nap sleeps for napTime in the place of a sleep that ends with the next packet. It
// reports whether it did. What others make ready to be sent meanwhile they send
// themselves, as during a sleep; the rest waits until the nap is over.
func (w *worker) nap() bool {
	if w.noNap || !w.streams() {
		return false
	}
	if w.napper == nil {
		var err error
		if w.napper, err = newNapper(napTime); err != nil {
			w.noNap = true
			return false
		}
	}
	w.parked.Store(true)
	w.round.Lock()
	w.flush()
	w.round.Unlock()
	w.napper.wait()
	w.parked.Store(false)
	return true
}
