package sim

import (
	"hash/crc32"
	"time"

	"github.com/fastnet-go/fastnet/nic"
)

// history sums up all that happened in a run: two runs with the same sum saw
// the same frames at the same times.
type history struct {
	sum    uint64
	frames int
	bytes  int
}

// add mixes v in (the finaliser of splitmix64).
func (h *history) add(v uint64) {
	x := h.sum ^ v*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	h.sum = x ^ x>>31
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frame adds a frame that host sent (1) or received (0) at now.
func (h *history) frame(host, sent int, now time.Duration, p *nic.Packet) {
	crc := uint32(0)
	n := 0
	for q := p; q != nil; q = q.Next() {
		crc = crc32.Update(crc, castagnoli, q.Bytes())
		n += q.Len()
	}
	h.frames++
	h.bytes += n
	h.add(uint64(now)<<2 | uint64(host<<1|sent))
	h.add(uint64(crc)<<32 | uint64(n)<<8 | uint64(p.Checksum)<<4 | uint64(p.Segment))
}

// observed is a device whose frames go into the history.
type observed struct {
	nic.Device
	queues []nic.Queue
}

func observe(dev nic.Device, host int, w *world) *observed {
	d := &observed{Device: dev}
	for _, q := range dev.Queues() {
		d.queues = append(d.queues, &observedQueue{q, host, w})
	}
	return d
}

// Queues implements nic.Device.
func (d *observed) Queues() []nic.Queue { return d.queues }

type observedQueue struct {
	nic.Queue
	host int
	w    *world
}

// Recv implements nic.Queue.
func (q *observedQueue) Recv(pkts []*nic.Packet) int {
	n := q.Queue.Recv(pkts)
	for _, p := range pkts[:n] {
		q.w.history.frame(q.host, 0, q.w.clock, p)
	}
	return n
}

// Send implements nic.Queue. A frame that is not taken is sent again later, and
// counted then too: that is part of what happened.
func (q *observedQueue) Send(pkts []*nic.Packet) int {
	for _, p := range pkts {
		q.w.history.frame(q.host, 1, q.w.clock, p)
	}
	return q.Queue.Send(pkts)
}
