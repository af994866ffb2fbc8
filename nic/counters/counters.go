// Package counters wraps a device and counts what passes it in more detail than
// every queue does by itself: bursts, sizes of frames, super-segments, states
// of checksums. It is for looking into a run, and a template for wrappers: the
// smallest there is.
package counters

import (
	"math/bits"
	"sync/atomic"

	"github.com/fastnet-go/fastnet/nic"
)

// Sizes is a histogram of frame sizes: Sizes[i] counts those of at least 1<<(i+5)
// bytes and less than twice that, the first also smaller ones and the last also
// larger ones. So Sizes[0] is up to 63 bytes, Sizes[5] 1024 to 2047.
type Sizes [12]uint64

// Direction counts the frames of one direction.
type Direction struct {
	Frames   uint64
	Bytes    uint64 // of Ethernet frames without their FCS
	Bursts   uint64 // calls of Recv or Send that moved at least one frame
	Super    uint64 // super-segments: TSO's, or joined by the device
	Partial  uint64 // with a partial checksum
	Verified uint64 // with a checksum that the device has verified
	Parts    uint64 // frames in more than one part
	Sizes    Sizes
}

// Device is a device with counters around it. All methods may be called from any
// goroutine.
type Device struct {
	nic.Device
	queues []nic.Queue
	rx, tx direction
}

// Wrap returns dev with counters. dev is used through the wrapper from then on.
func Wrap(dev nic.Device) *Device {
	d := &Device{Device: dev}
	for _, q := range dev.Queues() {
		d.queues = append(d.queues, &queue{Queue: q, dev: d})
	}
	return d
}

// Queues implements nic.Device.
func (d *Device) Queues() []nic.Queue { return d.queues }

// Counters returns what was received and what was sent. While frames pass, the
// numbers of a snapshot need not agree with each other to the last frame.
func (d *Device) Counters() (rx, tx Direction) { return d.rx.snapshot(), d.tx.snapshot() }

type queue struct {
	nic.Queue
	dev *Device
}

func (q *queue) Recv(pkts []*nic.Packet) int {
	n := q.Queue.Recv(pkts)
	q.dev.rx.add(tally(pkts[:n]))
	return n
}

// Send counts before it passes the frames on, as they are another's after, and
// takes back what the device left with the caller.
func (q *queue) Send(pkts []*nic.Packet) int {
	all := tally(pkts)
	n := q.Queue.Send(pkts)
	if n == 0 {
		return 0
	}
	if n < len(pkts) {
		all = all.less(tally(pkts[n:]))
	}
	q.dev.tx.add(all)
	return n
}

// tally counts a burst.
func tally(pkts []*nic.Packet) (d Direction) {
	if len(pkts) > 0 {
		d.Bursts = 1
	}
	for _, p := range pkts {
		n := p.FrameLen()
		d.Frames++
		d.Bytes += uint64(n)
		d.Sizes[min(max(bits.Len(uint(n))-6, 0), len(d.Sizes)-1)]++
		if p.Segment != nic.SegmentNone {
			d.Super++
		}
		switch p.Checksum {
		case nic.ChecksumPartial:
			d.Partial++
		case nic.ChecksumVerified:
			d.Verified++
		}
		if p.Next() != nil {
			d.Parts++
		}
	}
	return d
}

// less returns d without the frames of o.
func (d Direction) less(o Direction) Direction {
	d.Frames -= o.Frames
	d.Bytes -= o.Bytes
	d.Super -= o.Super
	d.Partial -= o.Partial
	d.Verified -= o.Verified
	d.Parts -= o.Parts
	for i := range d.Sizes {
		d.Sizes[i] -= o.Sizes[i]
	}
	return d
}

// direction is a Direction that several queues add to.
type direction struct {
	frames, bytes, bursts, super, partial, verified, parts atomic.Uint64
	sizes                                                  [len(Sizes{})]atomic.Uint64
}

func (c *direction) add(d Direction) {
	add := func(a *atomic.Uint64, n uint64) {
		if n > 0 {
			a.Add(n)
		}
	}
	add(&c.frames, d.Frames)
	add(&c.bytes, d.Bytes)
	add(&c.bursts, d.Bursts)
	add(&c.super, d.Super)
	add(&c.partial, d.Partial)
	add(&c.verified, d.Verified)
	add(&c.parts, d.Parts)
	for i, n := range d.Sizes {
		add(&c.sizes[i], n)
	}
}

func (c *direction) snapshot() Direction {
	d := Direction{
		Frames: c.frames.Load(), Bytes: c.bytes.Load(), Bursts: c.bursts.Load(), Super: c.super.Load(),
		Partial: c.partial.Load(), Verified: c.verified.Load(), Parts: c.parts.Load(),
	}
	for i := range c.sizes {
		d.Sizes[i] = c.sizes[i].Load()
	}
	return d
}
