// Package fault wraps a device and does to its frames what bad links do: it
// loses, duplicates, corrupts, reorders, delays and queues them, each direction
// by its own settings.
//
// Chance comes from a seed and time from the clock that Wrap is given, so the
// same calls at the same times meet the same faults. Each queue and direction
// draws from a source of its own.
//
// A frame passes through the faults in this order: size limit, loss,
// corruption, duplication, rate, delay and jitter, reordering. What the sending
// end must wait for is sent by Recv and by Send, what the receiving end must
// wait for is returned by Recv, and NextEvent tells when.
package fault

import (
	"fmt"
	"time"

	"github.com/fastnet-go/fastnet/nic"
)

// Config describes what happens to a device's frames.
type Config struct {
	Seed uint64
	Rx   Faults // frames that the device receives
	Tx   Faults // frames that the device sends
}

// Faults describes one direction of a link. The zero value is a perfect one.
// A super-segment counts as one frame, except where its size matters: for
// MaxSize and Rate it is the segments that it will be cut into.
type Faults struct {
	// Probabilities for each frame, from 0 to 1.
	Loss      float64 // it is lost
	Corrupt   float64 // one bit of it, or one byte, changes
	Duplicate float64 // it arrives twice
	Reorder   float64 // it is held back, and those behind it overtake

	// LoseIf, if not nil, is asked before chance is: frames for which it
	// returns true are lost. It must not change or keep the frame, and calls
	// nothing of the device's: a lock is held.
	LoseIf func(*nic.Packet) bool

	// CorruptFrom is the offset of the first byte that corruption may hit: 14
	// spares the Ethernet header, which nothing above protects.
	CorruptFrom int

	ReorderDelay time.Duration // the longest that a reordered frame is held back; default 1ms
	Delay        time.Duration // of every frame
	Jitter       time.Duration // up to so much more, drawn for each frame; it does not reorder

	Rate  int64 // bits a second, of frames without their FCS; 0: no limit
	Queue int   // with Rate: bytes that wait at the most, the rest is lost; default 256 KiB

	Limit   int // frames held at a time, the rest is lost; default 1000
	MaxSize int // larger frames, in bytes, vanish, as in a path MTU black hole; 0: no limit
}

// none reports whether f leaves every frame alone.
func (f *Faults) none() bool {
	return f.Loss == 0 && f.Corrupt == 0 && f.Duplicate == 0 && f.Reorder == 0 && f.LoseIf == nil &&
		f.Delay == 0 && f.Jitter == 0 && f.Rate == 0 && f.MaxSize == 0
}

// check returns f with its defaults, or what is wrong with it.
func (f Faults) check(direction string) (Faults, error) {
	for _, p := range []struct {
		name  string
		value float64
	}{{"Loss", f.Loss}, {"Corrupt", f.Corrupt}, {"Duplicate", f.Duplicate}, {"Reorder", f.Reorder}} {
		if !(p.value >= 0 && p.value <= 1) { // also for NaN
			return f, fmt.Errorf("fault: %s.%s is %v: want a probability, 0 to 1", direction, p.name, p.value)
		}
	}
	const most = time.Hour
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"ReorderDelay", f.ReorderDelay}, {"Delay", f.Delay}, {"Jitter", f.Jitter}} {
		if d.value < 0 || d.value > most {
			return f, fmt.Errorf("fault: %s.%s is %v: want 0 to %v", direction, d.name, d.value, most)
		}
	}
	if f.Rate < 0 || f.Queue < 0 || f.Queue > 1<<30 || f.Limit < 0 || f.MaxSize < 0 || f.CorruptFrom < 0 {
		return f, fmt.Errorf("fault: %s: a rate of %d, queue of %d, limit of %d, size of %d, corruption from %d: want none below 0 and the queue at most 1 GiB",
			direction, f.Rate, f.Queue, f.Limit, f.MaxSize, f.CorruptFrom)
	}
	if f.ReorderDelay == 0 {
		f.ReorderDelay = time.Millisecond
	}
	if f.Queue == 0 {
		f.Queue = 256 << 10
	}
	if f.Limit == 0 {
		f.Limit = 1000
	}
	return f, nil
}

// Counters counts the frames of one direction by what became of them.
type Counters struct {
	Frames     uint64 // seen
	Lost       uint64 // by chance, by LoseIf, or because a corrupt one could not be told from a good one
	Corrupted  uint64
	Duplicated uint64
	Reordered  uint64
	Delayed    uint64 // not to be delivered at once
	TooLarge   uint64 // lost by MaxSize
	Overflow   uint64 // lost by Queue or Limit
	NoBuffer   uint64 // copies that had no buffer: lost corrupt ones, missing duplicates
}

func (c *Counters) add(o *Counters) {
	c.Frames += o.Frames
	c.Lost += o.Lost
	c.Corrupted += o.Corrupted
	c.Duplicated += o.Duplicated
	c.Reordered += o.Reordered
	c.Delayed += o.Delayed
	c.TooLarge += o.TooLarge
	c.Overflow += o.Overflow
	c.NoBuffer += o.NoBuffer
}

// Device is a device behind a bad link.
type Device struct {
	nic.Device
	queues []*queue
}

var _ nic.Device = (*Device)(nil)

// Wrap returns dev behind the faults of cfg. The clock is the one that the
// stack goes by. dev must not be used directly any more.
func Wrap(dev nic.Device, cfg Config, now func() time.Duration) (*Device, error) {
	d := &Device{Device: dev}
	bare := dev.Info().Offloads.Has(nic.RxBarePartial)
	for i, inner := range dev.Queues() {
		d.queues = append(d.queues, newQueue(inner, i, cfg.Seed, bare, now))
	}
	if err := d.Set(cfg.Rx, cfg.Tx); err != nil {
		return nil, err
	}
	return d, nil
}

// Set changes the faults for the frames to come. It may be called at any time,
// from any goroutine. On an error nothing changes.
func (d *Device) Set(rx, tx Faults) error {
	rx, err := rx.check("Rx")
	if err != nil {
		return err
	}
	if tx, err = tx.check("Tx"); err != nil {
		return err
	}
	for _, q := range d.queues {
		q.rx.set(rx)
		q.tx.set(tx)
	}
	return nil
}

// Counters returns what happened so far, in both directions.
func (d *Device) Counters() (rx, tx Counters) {
	for _, q := range d.queues {
		q.rx.mu.Lock()
		rx.add(&q.rx.count)
		q.rx.mu.Unlock()
		q.tx.mu.Lock()
		tx.add(&q.tx.count)
		q.tx.mu.Unlock()
	}
	return rx, tx
}

// Held is the number of frames under way, both directions together.
func (d *Device) Held() int {
	n := 0
	for _, q := range d.queues {
		n += q.rx.len() + q.tx.len()
	}
	return n
}

// Queues implements nic.Device.
func (d *Device) Queues() []nic.Queue {
	qs := make([]nic.Queue, len(d.queues))
	for i, q := range d.queues {
		qs[i] = q
	}
	return qs
}

// Close implements nic.Device. Frames under way are released.
func (d *Device) Close() error {
	for _, q := range d.queues {
		q.rx.close()
		q.tx.close()
	}
	return d.Device.Close()
}
