package afxdp

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
)

// Options of descriptors (Documentation/networking/af_xdp.rst, "Multi-Buffer
// Support"; xsk-tx-metadata.rst).
const (
	optionContinued = unix.XDP_PKT_CONTD
	optionMetadata  = unix.XDP_TX_METADATA
)

const (
	refillBatch = 64
	maxParts    = 16 // of a frame to be sent: the kernel drops one of more than MAX_SKB_FRAGS, and loses its buffers
	reapAt      = 64 // completions at which Pending asks for a Recv
	shortSleep  = time.Millisecond
	deafAt      = 8 // bursts received without a sleep in between
)

// queue is the socket of one of the interface's queues. It implements
// nic.Queue.
type queue struct {
	dev   *Device
	index int
	file  *os.File // the socket: open as long as a system call uses it
	raw   syscall.RawConn
	bell  *bell
	*socket
	out *queue // where its packets are sent: the interface may have fewer queues to send

	recv struct {
		mu     sync.Mutex
		closed bool
		cons   uint32 // of rx
		fill   uint32 // producer of the fill ring
		target uint32 // buffers kept in the fill ring
		fresh  [refillBatch]*nic.Packet
		head   *nic.Packet // of a frame whose last parts are to come
		last   *nic.Packet
		bad    bool // a part of it was not to be believed
		poll   func(fd uintptr)
		bursts int // received since the queue was armed
	}
	send struct {
		mu     sync.Mutex
		closed bool
		prod   uint32 // of tx
		cons   uint32 // of comp
	}
	kick func(fd uintptr)

	wake     func()
	armed    atomic.Bool
	sleep    chan struct{} // the waiter is to wait: capacity 1
	readable func(fd uintptr) bool
	short    atomic.Bool // Alloc or Send fell short: wake when that may be over
	starved  atomic.Bool // the pool had no buffers for the fill ring: look again
	again    atomic.Bool // the kernel has not taken all that was sent: kick it again
	deadline atomic.Bool // the waiter has one

	rxPackets, rxBytes, rxDropped  atomic.Uint64
	txPackets, txBytes, txDropped  atomic.Uint64
	txFull, noBuffer, kicks, wakes atomic.Uint64
	calls                          atomic.Uint64 // system calls of the packet path
	final                          unix.XDPStatistics
}

func newQueue(d *Device, index int, s *socket) (*queue, error) {
	q := &queue{dev: d, index: index, socket: s, file: os.NewFile(uintptr(s.fd), "AF_XDP"), sleep: make(chan struct{}, 1)}
	q.out = q
	// Made once: a closure for each call would be an allocation.
	q.kick, q.recv.poll, q.readable = q.kickBurst, q.pollDevice, q.isReadable
	var err error
	if q.raw, err = q.file.SyscallConn(); err == nil {
		q.bell, err = newBell(s.fd)
	}
	if err != nil {
		q.file.Close()
		return nil, err
	}
	return q, nil
}

// Recv implements nic.Queue.
func (q *queue) Recv(pkts []*nic.Packet) int {
	r := &q.recv
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0
	}
	if q.comp.used() > 0 {
		q.reap()
	}
	if q.again.Load() {
		q.Kick()
	}
	if q.dev.busyPoll && q.rx.used() == 0 {
		q.calls.Add(1)
		_ = q.raw.Control(r.poll)
	}
	n, bytes := 0, 0
	avail := atomic.LoadUint32(q.rx.prod) - r.cons
	for ; avail > 0 && n < len(pkts); avail-- {
		if p := q.take(q.rx.descriptor(r.cons)); p != nil {
			pkts[n] = p
			n++
			bytes += p.FrameLen()
		}
		r.cons++
	}
	atomic.StoreUint32(q.rx.cons, r.cons)
	if n > 0 {
		q.rxPackets.Add(uint64(n))
		q.rxBytes.Add(uint64(bytes))
		// Many without a sleep: no need to be told of each.
		if r.bursts++; r.bursts >= deafAt && !q.armed.Load() {
			q.bell.deafen()
		}
	}
	q.refill()
	return n
}

// take makes a packet of a descriptor, nil if it is none yet. recv.mu is held.
func (q *queue) take(d *unix.XDPDesc) *nic.Packet {
	r, u := &q.recv, q.dev.umem
	n := d.Addr >> u.shift
	var p *nic.Packet
	if n < uint64(len(u.posted)) && u.posted[n] {
		u.posted[n] = false
		p = u.packets[n]
		if !p.SetRange(int(d.Addr)&(u.frame-1), int(d.Len)) {
			p.Release()
			p = nil
		}
	}
	more := d.Options&optionContinued != 0
	if !more && r.head == nil && !r.bad && p != nil { // nearly always
		p.Queue = uint16(q.index)
		return p
	}
	switch {
	case p == nil:
		r.bad = true
	case r.head == nil:
		r.head, r.last = p, p
	default:
		r.last.Append(p)
		r.last = p
	}
	if more {
		return nil
	}
	head, bad := r.head, r.bad
	r.head, r.last, r.bad = nil, nil, false
	if bad {
		head.Release()
		q.rxDropped.Add(1)
		return nil
	}
	head.Queue = uint16(q.index)
	return head
}

// refill gives the kernel buffers for what is to come. recv.mu is held.
func (q *queue) refill() {
	r, u := &q.recv, q.dev.umem
	room := int(r.target) - int(r.fill-atomic.LoadUint32(q.fill.cons))
	if room >= min(refillBatch, int(r.target)/2) || q.starved.Load() {
		starved := false
		for room > 0 && !starved {
			want := min(room, refillBatch)
			n := u.rx.GetBatch(r.fresh[:want])
			for i, p := range r.fresh[:n] {
				u.posted[p.Index()] = true
				*q.fill.addr(r.fill) = uint64(p.Index()) << u.shift
				r.fill++
				r.fresh[i] = nil
			}
			starved = n < want
			room -= n
		}
		atomic.StoreUint32(q.fill.prod, r.fill)
		if starved != q.starved.Load() {
			q.starved.Store(starved)
		}
	}
	if q.fill.wantsWakeup() {
		q.calls.Add(1)
		_ = q.raw.Control(r.poll)
	}
}

// pollDevice makes the driver look at its rings.
func (q *queue) pollDevice(fd uintptr) {
	_, _, _ = unix.Syscall6(unix.SYS_RECVFROM, fd, 0, 0, unix.MSG_DONTWAIT, 0, 0)
}

// Alloc implements nic.Queue.
func (q *queue) Alloc(size int) *nic.Packet {
	u := q.dev.umem
	if q.dev.follower.Dead() {
		q.noBuffer.Add(1)
		return nil
	}
	p := q.get(size)
	if p == nil {
		if q.out.comp.used() > 0 {
			q.out.reap()
			p = q.get(size)
		}
		if p == nil {
			q.noBuffer.Add(1)
			if size <= u.tx.Room()*q.dev.parts {
				q.fellShort()
			}
		}
	}
	return p
}

// AllocBatch implements nic.BatchAllocator.
func (q *queue) AllocBatch(pkts []*nic.Packet, size int) int {
	pool, n := q.dev.umem.tx, 0
	if size <= pool.Room() && !q.dev.follower.Dead() {
		if n = pool.GetBatch(pkts); n < len(pkts) && q.out.comp.used() > 0 {
			q.out.reap()
			n += pool.GetBatch(pkts[n:])
		}
		if n == len(pkts) {
			return n
		}
	}
	for ; n < len(pkts); n++ {
		if pkts[n] = q.Alloc(size); pkts[n] == nil {
			break
		}
	}
	return n
}

func (q *queue) get(size int) *nic.Packet {
	pool := q.dev.umem.tx
	if size <= pool.Room() {
		return pool.Get()
	}
	if size > pool.Room()*q.dev.parts {
		return nil
	}
	return pool.GetChain(size)
}

// Send implements nic.Queue.
func (q *queue) Send(pkts []*nic.Packet) int {
	if q.out != q {
		n := q.out.Send(pkts)
		if n < len(pkts) {
			q.fellShort()
		}
		return n
	}
	t, d := &q.send, q.dev
	t.mu.Lock()
	if t.closed || !d.up.Load() {
		t.mu.Unlock()
		for _, p := range pkts {
			p.Release()
		}
		q.txDropped.Add(uint64(len(pkts)))
		return len(pkts)
	}
	limit := int(d.mtu.Load()) + ethernetHeader
	room := int(q.tx.size - (t.prod - atomic.LoadUint32(q.tx.cons)))
	n, sent, bytes := 0, 0, 0
	for ; n < len(pkts); n++ {
		p := pkts[n]
		size := p.FrameLen()
		if size > limit || size < ethernetMin || p.Segment != nic.SegmentNone || p.Checksum == nic.ChecksumPartial && !d.txChecksum {
			p.Release()
			q.txDropped.Add(1)
			continue
		}
		parts := q.parts(p)
		if parts == 0 {
			c := q.copy(p, size)
			if c == nil {
				break // no buffer
			}
			parts = q.parts(c)
			if parts > room {
				c.Release()
				break
			}
			p.Release()
			p = c
		} else if parts > room {
			break
		}
		q.post(p)
		room -= parts
		sent++
		bytes += size
	}
	if sent > 0 {
		atomic.StoreUint32(q.tx.prod, t.prod)
		q.txPackets.Add(uint64(sent))
		q.txBytes.Add(uint64(bytes))
	}
	t.mu.Unlock()
	if n < len(pkts) {
		q.txFull.Add(uint64(len(pkts) - n))
		q.fellShort()
	}
	return n
}

// parts is the number of descriptors that p takes, 0 if it must be copied: it
// is not in our memory, has too many parts, or lacks the room for metadata that
// the kernel counts with in front of each.
func (q *queue) parts(p *nic.Packet) int {
	d, n := q.dev, 0
	for ; p != nil; p = p.Next() {
		if p.Len() == 0 {
			continue
		}
		if _, ours := d.umem.number(p); !ours || d.metadata && p.Headroom() < metadataSize {
			return 0
		}
		n++
	}
	if n > d.parts {
		return 0
	}
	return n
}

// copy copies a frame of size bytes to buffers of the device, nil if there are
// none.
func (q *queue) copy(p *nic.Packet, size int) *nic.Packet {
	c := q.get(size)
	if c == nil {
		if q.comp.used() == 0 {
			return nil
		}
		q.reapLocked()
		if c = q.get(size); c == nil {
			return nil
		}
	}
	c.Meta = p.Meta
	off := 0
	for part := c; part != nil; part = part.Next() {
		b := part.Extend(min(size-off, part.Tailroom()))
		off += p.CopyTo(b, off)
	}
	return c
}

// post writes the descriptors of p, for which there is room. send.mu is held.
func (q *queue) post(p *nic.Packet) {
	t, u := &q.send, q.dev.umem
	head := p
	options := uint32(0)
	if p.Checksum == nic.ChecksumPartial {
		options = optionMetadata
		putMetadata(p)
	}
	for p.Len() == 0 {
		p = p.Next()
	}
	for {
		next := p.Next()
		for next != nil && next.Len() == 0 {
			next = next.Next()
		}
		if next != nil {
			options |= optionContinued
		}
		n, _ := u.number(p)
		d := q.tx.descriptor(t.prod)
		d.Addr, d.Len, d.Options = uint64(n)<<u.shift+uint64(p.Headroom()), uint32(p.Len()), options
		t.prod++
		switch {
		case head.Next() == nil:
			u.sent[n].Add(1)
			return
		case next == nil:
			u.heads[n].Store(head)
			u.sent[n].Add(sentPart)
			return
		}
		u.heads[n].Store(nil)
		u.sent[n].Add(sentPart)
		options = 0
		p = next
	}
}

// reap releases what the kernel has sent.
func (q *queue) reap() {
	q.send.mu.Lock()
	q.reapLocked()
	q.send.mu.Unlock()
}

func (q *queue) reapLocked() {
	t := &q.send
	if t.closed {
		return
	}
	prod := atomic.LoadUint32(q.comp.prod)
	for ; t.cons != prod; t.cons++ {
		q.dev.umem.completed(*q.comp.addr(t.cons))
	}
	atomic.StoreUint32(q.comp.cons, t.cons)
}

// Kick implements nic.Queue. It makes no system call if nothing was sent since
// the latest, or if the kernel looks at the ring by itself.
func (q *queue) Kick() {
	if q.out != q {
		q.out.Kick()
		return
	}
	if q.tx.used() == 0 {
		if q.again.Load() {
			q.allTaken()
		}
		return
	}
	if q.tx.wantsWakeup() {
		q.kicks.Add(1)
		_ = q.raw.Control(q.kick)
	}
}

// kickBurst calls the kernel until it has taken everything, or no more.
func (q *queue) kickBurst(fd uintptr) {
	again := false
	// In copy mode the kernel sends a number of packets (32 before 6.17) and
	// answers EAGAIN, so does it when it is out of memory or completions; EBUSY
	// tells that the interface has dropped one.
	for range int(q.tx.size) {
		before := atomic.LoadUint32(q.tx.cons)
		q.calls.Add(1)
		_, _, errno := unix.Syscall6(unix.SYS_SENDTO, fd, 0, 0, unix.MSG_DONTWAIT, 0, 0)
		again = errno == unix.EAGAIN || errno == unix.EBUSY || errno == unix.ENOBUFS
		if !again || q.tx.used() == 0 {
			break
		}
		if atomic.LoadUint32(q.tx.cons) != before {
			continue
		}
		if q.comp.used() == 0 {
			break
		}
		q.reap()
	}
	switch left := q.tx.used() > 0; {
	case again && left:
		q.again.Store(true)
		q.fellShort()
	case !left:
		q.allTaken()
	}
}

// allTaken says that no kick is owed, unless somebody has sent since who was told
// to come again, and whose word this would undo.
func (q *queue) allTaken() {
	q.again.Store(false)
	if q.tx.used() > 0 {
		q.again.Store(true)
	}
}

// SetWake implements nic.Queue.
func (q *queue) SetWake(wake func()) { q.wake = wake }

// Pending implements nic.Queue.
func (q *queue) Pending() bool {
	if q.rx.used() != 0 || q.dev.busyPoll || q.starved.Load() || q.again.Load() {
		return true
	}
	done := q.comp.used()
	return done >= reapAt || done > 0 && q.short.Load()
}

// Arm implements nic.Queue.
func (q *queue) Arm() bool {
	if q.wake == nil || q.dev.follower.Dead() {
		return true
	}
	if q.comp.used() > 0 {
		q.reap()
	}
	q.recv.bursts = 0
	q.armed.Store(true)
	if q.rx.used() != 0 {
		q.armed.Store(false)
		return false
	}
	// A driver that has found the fill ring empty just before the latest refill
	// will not look again by itself.
	if q.fill.wantsWakeup() {
		q.calls.Add(1)
		_ = q.raw.Control(q.recv.poll)
	}
	select {
	case q.sleep <- struct{}{}:
	default:
	}
	if q.short.Load() || q.starved.Load() || q.again.Load() {
		q.setDeadline() // the waiter may be asleep since an earlier Arm
	}
	return true
}

// fellShort asks for a wake-up in a while: nothing tells when buffers come back.
func (q *queue) fellShort() {
	q.short.Store(true)
	if q.armed.Load() {
		q.setDeadline()
	}
}

func (q *queue) setDeadline() {
	q.bell.setDeadline(time.Now().Add(shortSleep))
	q.deadline.Store(true) // last: the waiter clears none that it does not know of
}

// isReadable reports whether there is something to receive, or nobody who sleeps
// until there is: then the bell need not be listened to.
func (q *queue) isReadable(uintptr) bool { return q.rx.used() != 0 || !q.armed.Load() }

// wait sleeps in the runtime's poller whenever the queue was armed, and wakes
// the stack when there is something to receive, or after a while if something
// fell short.
//
// No wake-up is lost: the bell listens, and has the poller note changes, from
// before readable looks at the ring, until the wait has ended, and Arm has set the
// flag before. The wait may be one for an earlier Arm: a queue is armed again
// without having woken anybody when something else wakes the poller.
func (q *queue) wait() {
	for {
		select {
		case <-q.dev.done:
			return
		case <-q.sleep:
		}
		if !q.armed.Load() {
			continue // of an earlier Arm, after which something else woke the stack
		}
		if q.deadline.Swap(false) {
			q.bell.setDeadline(time.Time{})
		}
		if q.short.Swap(false) || q.starved.Load() || q.again.Load() {
			q.setDeadline()
		}
		if err := q.bell.wait(q.readable); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return // closed
		}
		if q.armed.CompareAndSwap(true, false) {
			q.wakes.Add(1)
			q.wake()
		}
	}
}

// NextEvent implements nic.Queue.
func (q *queue) NextEvent() time.Duration { return nic.Never }

// close ends the queue: a goroutine that sleeps on it wakes up, and the kernel
// lets go of its buffers.
func (q *queue) close() error {
	q.recv.mu.Lock()
	defer q.recv.mu.Unlock()
	q.send.mu.Lock()
	defer q.send.mu.Unlock()
	_ = q.raw.Control(func(fd uintptr) { q.final = q.statistics(fd) })
	q.reapLocked()
	q.recv.closed, q.send.closed = true, true
	err := errors.Join(q.file.Close(), q.bell.close())
	q.detach()
	q.recv.head.Release()
	q.recv.head = nil
	return err
}

// Stats implements nic.Queue.
func (q *queue) Stats() nic.QueueStats {
	q.send.mu.Lock()
	kernel := q.final
	q.send.mu.Unlock()
	_ = q.raw.Control(func(fd uintptr) { kernel = q.statistics(fd) })
	return nic.QueueStats{
		RxPackets: q.rxPackets.Load(), RxBytes: q.rxBytes.Load(),
		RxDropped: q.rxDropped.Load() + kernel.Rx_dropped + kernel.Rx_ring_full,
		TxPackets: q.txPackets.Load(), TxBytes: q.txBytes.Load(), TxDropped: q.txDropped.Load(),
		TxFull: q.txFull.Load(), NoBuffer: q.noBuffer.Load(), Kicks: q.kicks.Load(), Wakes: q.wakes.Load(), Calls: q.calls.Load() + q.bell.calls.Load(),
	}
}
