package wire

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fastnet-go/fastnet/nic"
)

// Port is one end of a wire. It implements nic.Device.
type Port struct {
	wire   *Wire
	index  int
	mac    nic.MAC
	pools  []*nic.Pool // by the size of their buffers, the smallest first
	queues []*queue
	closed atomic.Bool

	down atomic.Bool // no carrier, or dead

	mu      sync.Mutex
	changed func(nic.Link)
	failed  error
}

var _ nic.Device = (*Port)(nil)

func newPort(w *Wire, index int) (*Port, error) {
	p := &Port{wire: w, index: index}
	// Locally administered, unicast (IEEE 802 section 8.4).
	p.mac = nic.MAC{0x02, 'f', 'n', 0, 0, byte(index + 1)}
	sizes := []int{w.cfg.MTU}
	if w.cfg.MTU > smallMTU {
		sizes = []int{smallMTU, w.cfg.MTU}
	}
	if w.cfg.TSO && w.cfg.MTU < maxPacket {
		sizes = append(sizes, maxPacket)
	}
	for _, size := range sizes {
		l, err := newPool(size, w.cfg.Pool, p.freed)
		if err != nil {
			return nil, err
		}
		p.pools = append(p.pools, l)
	}
	for i := range w.cfg.Queues {
		p.queues = append(p.queues, &queue{port: p, index: i, rx: newRing(w.cfg.Ring)})
	}
	return p, nil
}

// smallMTU is the size of packet for which a port has buffers even if its MTU is
// larger: an acknowledgement should not take 64 KiB of memory.
const smallMTU = 1500

// newPool returns a pool for frames with packets of up to size bytes. Buffers
// that are much larger than usual are fewer.
func newPool(size, most int, freed func()) (*nic.Pool, error) {
	const headroom = 64
	cfg := nic.PoolConfig{
		BufferSize: (headroom + ethernetHeader + size + 63) &^ 63,
		Headroom:   headroom,
		Max:        most,
		Freed:      freed,
	}
	if size > 16<<10 {
		cfg.Max, cfg.Slab = max(16, most/16), 4
	}
	return nic.NewPool(cfg)
}

// Info implements nic.Device.
func (p *Port) Info() nic.Info {
	info := nic.Info{
		Name:   fmt.Sprintf("wire%d", p.index),
		Driver: "wire",
		MAC:    p.mac,
		MTU:    p.wire.cfg.MTU,
	}
	if p.wire.cfg.Checksum {
		info.Offloads |= nic.TxChecksum | nic.RxChecksum
	}
	if p.wire.cfg.Hash != nil {
		info.HashKey = p.wire.cfg.HashKey
	}
	if p.wire.cfg.TSO {
		info.Offloads |= nic.TSO4 | nic.TSO6 | nic.LRO
		info.MaxSend = maxSuper
	}
	return info
}

// Queues implements nic.Device.
func (p *Port) Queues() []nic.Queue {
	qs := make([]nic.Queue, len(p.queues))
	for i, q := range p.queues {
		qs[i] = q
	}
	return qs
}

// Link implements nic.Device.
func (p *Port) Link() nic.Link {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.link()
}

func (p *Port) link() nic.Link {
	l := nic.Link{Up: !p.down.Load(), MTU: p.wire.cfg.MTU, Err: p.failed}
	if p.closed.Load() {
		l.Up, l.Err = false, nic.ErrClosed
	}
	return l
}

// SetUp takes the port's link down or up again, as pulling a cable would:
// while it is down frames to and from it are dropped.
func (p *Port) SetUp(up bool) { p.change(up, nil) }

// Fail makes the device die with err, as a NIC that is unplugged does.
func (p *Port) Fail(err error) { p.change(false, err) }

func (p *Port) change(up bool, failed error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed != nil {
		return
	}
	p.failed = failed
	p.down.Store(!up)
	if p.changed != nil {
		p.changed(p.link())
	}
}

// Notify implements nic.Device.
func (p *Port) Notify(changed func(nic.Link)) {
	p.mu.Lock()
	p.changed = changed
	p.mu.Unlock()
}

// Close implements nic.Device. Packets on their way to the port are released.
func (p *Port) Close() error {
	if p.closed.Swap(true) {
		return nic.ErrClosed
	}
	for _, q := range p.queues {
		q.drain()
	}
	return nil
}

// InUse is the number of the port's own buffers that somebody holds at the
// moment.
func (p *Port) InUse() int {
	n := 0
	for _, l := range p.pools {
		n += l.InUse()
	}
	return n
}

// alloc returns a packet from the pool that fits size, nil if that is empty.
func (p *Port) alloc(size int) *nic.Packet {
	if i := p.poolFor(size); i >= 0 {
		return p.pools[i].Get()
	}
	return nil
}

// poolFor is the number of the pool whose buffers fit size bytes best, -1 if none
// do.
func (p *Port) poolFor(size int) int {
	for i, l := range p.pools {
		if size <= l.Room() {
			return i
		}
	}
	return -1
}

// freed wakes the pollers that sleep after their Alloc fell short.
func (p *Port) freed() {
	for _, q := range p.queues {
		if q.short.Any() && q.armed.CompareAndSwap(true, false) {
			q.wakes.Add(1)
			q.wake()
		}
	}
}

// receive queues packets that a queue of the number given has sent. It stops at
// the first that finds its ring full. What comes to a port that is closed or down
// is lost.
func (p *Port) receive(queue int, pkts []*nic.Packet) int {
	if p.wire.cfg.Hash == nil {
		return p.receiveOn(p.queues[queue%len(p.queues)], pkts)
	}
	n := 0
	for n < len(pkts) {
		q, k := p.spread(pkts[n]), 1
		for n+k < len(pkts) && p.spread(pkts[n+k]) == q {
			k++
		}
		took := p.receiveOn(q, pkts[n:n+k])
		n += took
		if took < k {
			break
		}
	}
	return n
}

// receiveOn queues packets on one of the port's rings.
func (p *Port) receiveOn(q *queue, pkts []*nic.Packet) int {
	if p.closed.Load() || p.down.Load() {
		return lose(pkts, &q.rxDropped)
	}
	n := q.rx.push(pkts)
	if p.closed.Load() {
		q.drain() // Close may have drained before our push
	}
	return n
}

// queue implements nic.Queue.
type queue struct {
	port  *Port
	index int
	rx    *ring
	peers []*queue // of other ports, that it sends to and receives from
	armed atomic.Bool
	full  atomic.Bool // Send fell short: the ring's reader owes a wake
	short nic.Shortage
	wake  func()

	// The peers look at what is above for each packet.
	_                                      [64]byte
	txPackets, txBytes                     atomic.Uint64
	rxDropped, txDropped, txFull, noBuffer atomic.Uint64
	kicks, wakes                           atomic.Uint64
}

// count adds n to c, which few write and nobody but them on the packet path.
func count(c *atomic.Uint64, n int) { c.Add(uint64(n)) }

func (q *queue) Recv(pkts []*nic.Packet) int {
	n := q.rx.pop(pkts, true)
	if n == 0 {
		return 0
	}
	q.wakeSenders()
	for _, p := range pkts[:n] {
		p.Queue = uint16(q.index)
	}
	return n
}

func (q *queue) Alloc(size int) *nic.Packet {
	i := q.port.poolFor(size)
	if i >= 0 {
		if p := q.port.pools[i].Get(); p != nil {
			return p
		}
		q.short.Note(i)
	}
	q.noBuffer.Add(1)
	return nil
}

// AllocBatch implements nic.BatchAllocator.
func (q *queue) AllocBatch(pkts []*nic.Packet, size int) int {
	i := q.port.poolFor(size)
	if i < 0 {
		q.noBuffer.Add(1)
		return 0
	}
	n := q.port.pools[i].GetBatch(pkts)
	if n < len(pkts) {
		q.short.Note(i)
		q.noBuffer.Add(1)
	}
	return n
}

func (q *queue) Send(pkts []*nic.Packet) int {
	if q.port.closed.Load() || q.port.down.Load() {
		return lose(pkts, &q.txDropped)
	}
	sent := 0
	for sent < len(pkts) {
		// As many as can be sent, then the one that cannot.
		n, total := 0, 0
		for _, p := range pkts[sent:] {
			size := p.FrameLen()
			if !q.port.fits(p, size) {
				break
			}
			n++
			total += size
		}
		if n == 0 {
			lose(pkts[sent:sent+1], &q.txDropped)
			sent++
			continue
		}
		took := q.port.wire.deliver(q.port, q.index, pkts[sent:sent+n])
		for _, p := range pkts[sent+took : sent+n] {
			total -= p.FrameLen()
		}
		count(&q.txPackets, took)
		count(&q.txBytes, total)
		sent += took
		if took < n {
			count(&q.txFull, len(pkts)-sent)
			q.full.Store(true)
			break
		}
	}
	return sent
}

// fits reports whether the port can send a frame of size bytes: it is not too
// large, and asks for no offload that the wire does not have.
func (p *Port) fits(f *nic.Packet, size int) bool {
	cfg := &p.wire.cfg
	if f.Segment != nic.SegmentNone {
		return cfg.TSO && size <= maxSuper
	}
	return size <= ethernetHeader+cfg.MTU && (cfg.Checksum || f.Checksum != nic.ChecksumPartial)
}

// lose drops packets that cannot be delivered, and counts them.
func lose(pkts []*nic.Packet, dropped *atomic.Uint64) int {
	for _, p := range pkts {
		p.Release()
	}
	count(dropped, len(pkts))
	return len(pkts)
}

// wakeSenders wakes the pollers that sleep after their Send fell short, for
// there is room on q's ring again.
func (q *queue) wakeSenders() {
	for _, from := range q.peers {
		if from.full.Load() && from.armed.CompareAndSwap(true, false) {
			from.full.Store(false)
			from.wakes.Add(1)
			from.wake()
		}
	}
}

// room reports whether no ring that Send fills is full.
func (q *queue) room() bool {
	for _, to := range q.peers {
		if to.rx.full() {
			return false
		}
	}
	return true
}

func (q *queue) Kick() {
	for _, peer := range q.peers {
		if peer.armed.Load() && !peer.rx.empty() && peer.armed.CompareAndSwap(true, false) {
			q.kicks.Add(1)
			peer.wakes.Add(1)
			peer.wake()
		}
	}
}

func (q *queue) SetWake(wake func()) { q.wake = wake }

func (q *queue) Arm() bool {
	q.armed.Store(q.wake != nil)
	// Look once more: what came before the flag was set woke nobody.
	over := q.short.Over(q.port.pools)
	if q.full.Load() && q.room() {
		q.full.Store(false)
		over = true
	}
	if !over && q.rx.empty() {
		return true
	}
	q.armed.Store(false)
	return false
}

func (q *queue) NextEvent() time.Duration { return nic.Never }

func (q *queue) Pending() bool { return !q.rx.empty() }

// drain releases what is on the receive ring, after Close.
func (q *queue) drain() {
	var pkts [64]*nic.Packet
	for {
		n := q.rx.pop(pkts[:], false)
		if n == 0 {
			return
		}
		lose(pkts[:n], &q.rxDropped)
		q.wakeSenders()
	}
}

func (q *queue) Stats() nic.QueueStats {
	packets, bytes := q.rx.taken()
	return nic.QueueStats{
		RxPackets: packets, RxBytes: bytes, RxDropped: q.rxDropped.Load(),
		TxPackets: q.txPackets.Load(), TxBytes: q.txBytes.Load(), TxDropped: q.txDropped.Load(),
		TxFull: q.txFull.Load(), NoBuffer: q.noBuffer.Load(), Kicks: q.kicks.Load(), Wakes: q.wakes.Load(),
	}
}
