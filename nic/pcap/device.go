package pcap

import (
	"time"

	"github.com/fastnet-go/fastnet/nic"
)

// Device is a device whose frames are recorded.
type Device struct {
	nic.Device
	queues []*queue
}

var _ nic.Device = (*Device)(nil)

// Wrap returns dev, recorded by w as an interface of dev's name. now is the
// clock that Config.Origin belongs to; nil means wall-clock time since then.
// Closing the device leaves w open.
func Wrap(dev nic.Device, w *Writer, now func() time.Duration) *Device {
	if now == nil {
		now = func() time.Duration { return time.Since(w.cfg.Origin) }
	}
	info := dev.Info()
	iface := w.AddInterface(info.Name, info.Driver, info.MAC)
	d := &Device{Device: dev}
	inner := dev.Queues()
	for i, q := range inner {
		index := i
		if len(inner) == 1 {
			index = -1
		}
		d.queues = append(d.queues, &queue{Queue: q, iface: iface, index: index, now: now})
	}
	return d
}

// Queues implements nic.Device.
func (d *Device) Queues() []nic.Queue {
	qs := make([]nic.Queue, len(d.queues))
	for i, q := range d.queues {
		qs[i] = q
	}
	return qs
}

type queue struct {
	nic.Queue
	iface *Interface
	index int // -1 if there is but one
	now   func() time.Duration
}

// Recv implements nic.Queue.
func (q *queue) Recv(pkts []*nic.Packet) int {
	n := q.Queue.Recv(pkts)
	if n == 0 {
		return 0
	}
	now := q.now()
	block := q.iface.w.block()
	for _, p := range pkts[:n] {
		*block = q.iface.encode((*block)[:0], p, Inbound, now, q.index, "")
		q.iface.commit(*block, now)
	}
	q.iface.w.putBlock(block)
	return n
}

// Send implements nic.Queue. A frame must be read before it is sent, and only
// then is it known whether it was taken: so blocks are made before, and
// committed after.
func (q *queue) Send(pkts []*nic.Packet) int {
	const burst = 64
	now := q.now()
	block := q.iface.w.block()
	defer q.iface.w.putBlock(block)
	sent := 0
	for sent < len(pkts) {
		some := pkts[sent:min(len(pkts), sent+burst)]
		var ends [burst]int
		b := (*block)[:0]
		for i, p := range some {
			b = q.iface.encode(b, p, Outbound, now, q.index, "")
			ends[i] = len(b)
		}
		*block = b
		n := q.Queue.Send(some)
		start := 0
		for _, end := range ends[:n] {
			q.iface.commit(b[start:end], now)
			start = end
		}
		sent += n
		if n < len(some) {
			break
		}
	}
	return sent
}
