package nic

import (
	"sync/atomic"
	"time"
)

// Packet is a frame, or one part of a frame that a chain of packets makes up.
// Its bytes lie in a buffer of the Pool that it came from:
//
//	|<- headroom ->|<-- Bytes() -->|<- tailroom ->|
//	0             off            off+n         len(buf)
//
// A packet has one owner at a time, who alone may change it. Retain adds an
// owner, and from then on nobody may write to it. Release may be called from
// any goroutine; after the last one the buffer is back in its pool.
type Packet struct {
	Meta // of the whole frame; only the first part's counts

	buf     []byte
	off     int32
	n       int32
	refs    atomic.Int32
	index   uint32
	wrapped bool    // buf is not of the pool's memory
	next    *Packet // the next part of this frame
	link    *Packet // the next packet of a list: the pool's, or the owner's
	pool    *Pool
}

// Checksum is what is known of a frame's TCP or UDP checksum.
type Checksum uint8

const (
	// ChecksumNone: nothing. A receiver verifies it in software; on
	// transmission the frame is complete and the device leaves it alone.
	ChecksumNone Checksum = iota
	// ChecksumPartial: the field at ChecksumStart+ChecksumOffset holds the
	// sum of the pseudo-header, and who transmits the frame to a wire adds
	// the rest from ChecksumStart on. A receiver may take it as verified, but
	// must complete it before forwarding (virtio 1.2 section 5.1.6.4.1).
	ChecksumPartial
	// ChecksumVerified: the device has verified it.
	ChecksumVerified
)

// SegmentType says that a frame is a super-segment: one to be cut by the device
// (TSO), or several that it has joined (LRO, GRO).
type SegmentType uint8

const (
	SegmentNone  SegmentType = iota
	SegmentTCPv4             // TCP over IPv4
	SegmentTCPv6             // TCP over IPv6
)

// Meta is what travels with a frame beside its bytes.
type Meta struct {
	Checksum       Checksum
	Segment        SegmentType
	HashValid      bool
	Queue          uint16        // the queue it arrived on
	ChecksumStart  uint16        // offset in the frame at which the sum begins
	ChecksumOffset uint16        // offset of the field from ChecksumStart
	SegmentSize    uint16        // payload bytes of each segment
	HeaderLen      uint16        // bytes of all headers up to the payload, of a super-segment
	Hash           uint32        // the device's hash of the flow, if HashValid
	Time           time.Duration // when the device received it, 0 if it does not tell
}

// Bytes returns the bytes of this part.
func (p *Packet) Bytes() []byte { return p.buf[p.off : p.off+p.n] }

// Len is the length of this part.
func (p *Packet) Len() int { return int(p.n) }

// Next is the part behind this one, or nil.
func (p *Packet) Next() *Packet { return p.next }

// FrameLen is the length of the whole frame, all parts together.
func (p *Packet) FrameLen() int {
	n := 0
	for ; p != nil; p = p.next {
		n += int(p.n)
	}
	return n
}

// Headroom is the number of bytes that Prepend can take.
func (p *Packet) Headroom() int { return int(p.off) }

// Tailroom is the number of bytes that Extend can take.
func (p *Packet) Tailroom() int { return len(p.buf) - int(p.off) - int(p.n) }

// Prepend grows the part by n bytes at its front and returns them, or nil if
// the headroom is smaller.
func (p *Packet) Prepend(n int) []byte {
	if n < 0 || n > int(p.off) {
		return nil
	}
	p.off -= int32(n)
	p.n += int32(n)
	return p.buf[p.off : int(p.off)+n]
}

// Extend grows the part by n bytes at its end and returns them, or nil if the
// tailroom is smaller. The bytes hold what an earlier use left there.
func (p *Packet) Extend(n int) []byte {
	end := int(p.off + p.n)
	if n < 0 || n > len(p.buf)-end {
		return nil
	}
	p.n += int32(n)
	return p.buf[end : end+n]
}

// Trim cuts the part to its first n bytes, if it is longer.
func (p *Packet) Trim(n int) {
	if n >= 0 && n < int(p.n) {
		p.n = int32(n)
	}
}

// TrimFront drops up to n bytes from the part's front.
func (p *Packet) TrimFront(n int) {
	n = max(0, min(n, int(p.n)))
	p.off += int32(n)
	p.n -= int32(n)
}

// Append makes q, a whole chain, follow the last part of p.
func (p *Packet) Append(q *Packet) {
	for p.next != nil {
		p = p.next
	}
	p.next = q
}

// Split takes the further parts off p and returns them, nil if there are none.
// They are a frame of their own from then on.
func (p *Packet) Split() *Packet {
	q := p.next
	p.next = nil
	return q
}

// CopyTo copies the frame's bytes from offset off on, over all parts, and
// returns how many there were.
func (p *Packet) CopyTo(dst []byte, off int) int {
	n := 0
	for ; p != nil && n < len(dst); p = p.next {
		b := p.Bytes()
		if off >= len(b) {
			off -= len(b)
			continue
		}
		n += copy(dst[n:], b[off:])
		off = 0
	}
	return n
}

// Link is the field for the present owner's own lists. It is nil when a packet
// comes from Alloc or Recv and must be nil when it is given away.
func (p *Packet) Link() *Packet { return p.link }

// SetLink sets the owner's list field.
func (p *Packet) SetLink(q *Packet) { p.link = q }

// Index is the packet's number within its pool, from 0: for drivers, whose
// descriptors name buffers by address.
func (p *Packet) Index() uint32 { return p.index }

// Buffer is the whole buffer of this part, for drivers.
func (p *Packet) Buffer() []byte { return p.buf }

// SetRange makes the part's bytes the n from off on, for drivers that learn
// from a descriptor where a frame lies. It reports whether they fit.
func (p *Packet) SetRange(off, n int) bool {
	if off < 0 || n < 0 || n > len(p.buf)-off {
		return false
	}
	p.off, p.n = int32(off), int32(n)
	return true
}

// BufferSize is the memory that the whole frame holds on to, in bytes.
func (p *Packet) BufferSize() int {
	n := 0
	for ; p != nil; p = p.next {
		n += len(p.buf)
	}
	return n
}

// Pool is the pool that the packet's buffer belongs to.
func (p *Packet) Pool() *Pool { return p.pool }

// Retain adds an owner to every part of the frame.
func (p *Packet) Retain() {
	for ; p != nil; p = p.next {
		p.refs.Add(1)
	}
}

// Release gives up the caller's ownership of the frame, all its parts. Those of
// one pool go back to it together.
func (p *Packet) Release() {
	if p == nil {
		return
	}
	if p.next == nil {
		if p.unowned() {
			p.pool.put(p)
		}
		return
	}
	var first, last *Packet
	for p != nil {
		next := p.next
		if p.unowned() {
			p.next = nil
			switch {
			case first == nil:
				first = p
			case first.pool == p.pool:
				last.link = p
			default:
				first.pool.putList(first, last)
				first = p
			}
			last = p
		}
		p = next
	}
	if first != nil {
		first.pool.putList(first, last)
	}
}

// unowned takes an owner away, and reports whether that was the last one. Then
// the count is 1 again, ready for the next.
func (p *Packet) unowned() bool {
	// A sole owner needs no atomic write: nobody else can see p.
	if p.refs.Load() != 1 {
		if p.refs.Add(-1) != 0 {
			return false
		}
		p.refs.Store(1)
	}
	if p.wrapped {
		p.unwrap()
	}
	return true
}
