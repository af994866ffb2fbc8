package fault

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/fastnet-go/fastnet/nic"
)

// lane is one direction of one queue.
type lane struct {
	inner nic.Queue
	// keepSuper: a damaged super-segment stays one. In the other direction the
	// device would cut it and sum the damaged bytes anew: it is lost instead.
	keepSuper bool
	// lose: what is corrupted is lost, for a checksum's state cannot be told.
	lose bool

	mu     sync.Mutex
	faults Faults
	chance *rand.Rand
	held   schedule
	busy   time.Duration // when everything taken so far has left, at Rate
	last   time.Duration // when the last in order will be delivered
	count  Counters
	closed bool
}

func (l *lane) set(f Faults) {
	l.mu.Lock()
	l.faults = f
	l.mu.Unlock()
}

func (l *lane) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held.len()
}

// idle reports whether frames may pass by, as nothing would happen to them.
func (l *lane) idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.faults.none() && l.held.len() == 0 || l.closed
}

// next is when the first of the frames held is due.
func (l *lane) next() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held.next()
}

func (l *lane) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for l.held.len() > 0 {
		l.held.pop().frame.Release()
	}
}

// happens draws. What cannot happen costs no draw, so that adding one fault
// leaves the others' pattern alone as long as it is 0.
func (l *lane) happens(probability float64) bool {
	return probability > 0 && l.chance.Float64() < probability
}

// take decides what becomes of p, which the lane owns from here. mu is held.
func (l *lane) take(now time.Duration, p *nic.Packet) {
	f := &l.faults
	l.count.Frames++
	if l.closed {
		l.count.Lost++
		p.Release()
		return
	}
	if f.MaxSize > 0 && largest(p) > f.MaxSize {
		l.count.TooLarge++
		p.Release()
		return
	}
	if f.LoseIf != nil && f.LoseIf(p) || l.happens(f.Loss) {
		l.count.Lost++
		p.Release()
		return
	}
	if l.happens(f.Corrupt) {
		if p = l.corrupt(p); p == nil {
			return
		}
	}
	var twin *nic.Packet
	if l.happens(f.Duplicate) {
		if twin = clone(l.inner, p); twin != nil {
			l.count.Duplicated++
		} else {
			l.count.NoBuffer++
		}
	}
	l.schedule(now, p)
	if twin != nil {
		l.schedule(now, twin)
	}
}

// schedule decides when p is delivered, if the queues have room for it.
func (l *lane) schedule(now time.Duration, p *nic.Packet) {
	f := &l.faults
	if l.held.len() >= f.Limit {
		l.count.Overflow++
		p.Release()
		return
	}
	due := now
	if f.Rate > 0 {
		start := max(now, l.busy)
		end := start + airtime(onWire(p), f.Rate)
		// An idle link takes any frame.
		if start > now && end-now > airtime(f.Queue, f.Rate) {
			l.count.Overflow++
			p.Release()
			return
		}
		l.busy, due = end, end
	}
	due += f.Delay
	if f.Jitter > 0 {
		due += time.Duration(l.chance.Int64N(int64(f.Jitter) + 1))
	}
	due = max(due, l.last)
	l.last = due
	if l.happens(f.Reorder) {
		l.count.Reordered++
		due += 1 + time.Duration(l.chance.Int64N(int64(f.ReorderDelay)))
	}
	if due > now {
		l.count.Delayed++
	}
	l.held.push(due, p)
}

// corrupt returns a copy of p with one bit or byte changed, nil if it is lost.
//
// The copy has a complete checksum and claims nothing of it: otherwise the
// receiver would trust what came damaged, or the device would sum the damage.
// A change of a single byte never escapes the Internet checksum: it changes the
// sum of 16-bit words by less than 65535.
func (l *lane) corrupt(p *nic.Packet) *nic.Packet {
	size := p.FrameLen()
	from := l.faults.CorruptFrom
	if from >= size {
		return p
	}
	at := from + l.chance.IntN(size-from)
	how := l.chance.IntN(16)
	with := byte(1 + l.chance.IntN(255))
	if how < 8 {
		with = 1 << how
	}
	l.count.Corrupted++
	if l.lose || !l.keepSuper && p.Segment != nic.SegmentNone {
		l.count.Lost++
		p.Release()
		return nil
	}
	// A copy, for somebody else may hold p and read it.
	c := clone(l.inner, p)
	p.Release()
	if c == nil {
		l.count.NoBuffer++
		return nil
	}
	if sum, offset, ok := c.CompleteChecksum(); ok {
		var b [2]byte
		binary.BigEndian.PutUint16(b[:], sum)
		*byteAt(c, offset) = b[0]
		*byteAt(c, offset+1) = b[1]
	}
	c.Checksum = nic.ChecksumNone
	*byteAt(c, at) ^= with
	return c
}

// byteAt is the byte of a frame at an offset that is inside of it.
func byteAt(p *nic.Packet, offset int) *byte {
	for ; offset >= p.Len(); p = p.Next() {
		offset -= p.Len()
	}
	return &p.Bytes()[offset]
}

// clone copies a frame into the queue's buffers, nil if there is none left.
func clone(q nic.Queue, p *nic.Packet) *nic.Packet {
	size := p.FrameLen()
	c := q.Alloc(size)
	if c == nil {
		return nil
	}
	c.Meta = p.Meta
	for part, off := c, 0; off < size; part = part.Next() {
		if part == nil { // less room than asked for
			c.Release()
			return nil
		}
		off += p.CopyTo(part.Extend(min(part.Tailroom(), size-off)), off)
	}
	return c
}

// largest is the size of the largest frame that p becomes on a wire.
func largest(p *nic.Packet) int {
	if p.Segment != nic.SegmentNone && p.SegmentSize > 0 && p.HeaderLen > 0 {
		return min(p.FrameLen(), int(p.HeaderLen)+int(p.SegmentSize))
	}
	return p.FrameLen()
}

// onWire is the size of all frames that p becomes on a wire.
func onWire(p *nic.Packet) int {
	n := p.FrameLen()
	if header, size := int(p.HeaderLen), int(p.SegmentSize); p.Segment != nic.SegmentNone && size > 0 && header > 0 && n > header {
		n += ((n-header+size-1)/size - 1) * header
	}
	return n
}

// airtime is how long a link of rate bits a second takes for size bytes.
func airtime(size int, rate int64) time.Duration {
	return time.Duration(int64(size) * 8 * int64(time.Second) / rate)
}
