package afxdp

import (
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
)

// Alloc implements nic.Queue.
func (q *queue) Alloc(size int) *nic.Packet {
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
			if size <= q.dev.largest {
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
	if size > q.dev.largest {
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
		super := p.Segment != nic.SegmentNone
		if super && !q.supers.takes(p, size) || !super && size > limit || size < ethernetMin ||
			p.Checksum == nic.ChecksumPartial && !d.txChecksum {
			p.Release()
			q.txDropped.Add(1)
			continue
		}
		if super || q.supers.ahead() {
			if !q.supers.push(p) {
				break
			}
			sent++
			bytes += size
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
// is not in our memory, has too many parts, shares them with another in a ring, or
// lacks the room for metadata that the kernel counts with in front of each.
func (q *queue) parts(p *nic.Packet) int {
	d, n, last := q.dev, 0, 0
	head := p
	for ; p != nil; p = p.Next() {
		if p.Len() == 0 {
			continue
		}
		number, ours := d.umem.number(p)
		if !ours || d.metadata && p.Headroom() < metadataSize {
			return 0
		}
		last = number
		n++
	}
	if n > d.parts || head.Next() != nil && d.umem.shared(head, last) {
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
	if t.closed || q.comp.prod == nil { // or it could not be opened
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
	q.kickRing()
	if q.supers.waiting() > 0 {
		q.supers.flush()
	}
}

// owesKick reports whether the kernel has not taken all that it was kicked for.
func (q *queue) owesKick() bool {
	return q.again.Load() || q.supers != nil && q.supers.stuck.Load()
}

// kickRing has the kernel send what is in the transmit ring.
func (q *queue) kickRing() {
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
