package tcp

import (
	"slices"

	"github.com/fastnet-go/fastnet/stack/header"
)

// maxHeldRanges bounds the runs that are held out of order, and so the work
// that a segment can cause (CVE-2018-5390). Data that would need one more is
// dropped: the peer sends it again.
const maxHeldRanges = 128

// heldRange is a run of octets start <= x < end, in a list of chunks.
type heldRange struct {
	start, end Seq
	head, tail *chunk
}

// reassembly holds what came out of order, sorted and merged, and what has
// come in order since and was not drained yet.
//
//	   ready           ranges[0]       ranges[1]
//	|XXXXXXXXX|      |XXXXXXXXXXX|     |XXXX|
//	        rcvNxt  start       end
type reassembly struct {
	ranges           []heldRange
	ready, readyTail *chunk
	waiting          int // octets in ready
	held             int // bytes of chunks in ranges
	steps            int // ranges and chunks looked at or moved: what a segment costs

	// Octets of the ranges that grew last, latest first, for SACK (RFC 2018
	// section 4).
	recent  [4]Seq
	nRecent int
}

func (p *ChunkPool) getReassembly() *reassembly {
	p.others.Add(1)
	if q, _ := p.rx.Get().(*reassembly); q != nil {
		return q
	}
	return &reassembly{ranges: make([]heldRange, 0, 16)}
}

func (p *ChunkPool) putReassembly(q *reassembly) {
	q.dropRanges(p)
	p.putAll(q.ready)
	*q = reassembly{ranges: q.ranges[:0]}
	p.others.Add(-1)
	p.rx.Put(q)
}

func (q *reassembly) empty() bool { return len(q.ranges) == 0 && q.ready == nil }

// end is the end of the last range, or a Seq before any other if there is none.
func (q *reassembly) end() Seq {
	if n := len(q.ranges); n > 0 {
		return q.ranges[n-1].end
	}
	if q.readyTail != nil {
		return q.readyTail.end()
	}
	return 0
}

// find returns the index of the first range that ends at seq or later.
func (q *reassembly) find(seq Seq) int {
	lo, hi := 0, len(q.ranges)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if q.ranges[mid].end.LessThan(seq) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// insert holds p, whose first octet is seq, but for what is held already; of
// that it returns the first run. Beyond limit bytes of memory p is dropped.
func (q *reassembly) insert(pool *ChunkPool, seq Seq, p []byte, limit int) (dup sackRange, again bool) {
	first := seq
	end := seq.Add(len(p))
	i := q.find(seq)
	for seq.LessThan(end) {
		q.steps += 1 + len(q.ranges) - i // at the most: those behind move
		if i == len(q.ranges) || end.LessThan(q.ranges[i].start) {
			if len(q.ranges) < maxHeldRanges && q.held < limit {
				r := heldRange{start: seq, end: end}
				q.push(pool, &r, seq, p)
				q.ranges = slices.Insert(q.ranges, i, r)
			}
			break
		}
		r := &q.ranges[i]
		if n := r.start.Sub(seq); n > 0 {
			// Before the range.
			if q.held >= limit {
				break
			}
			front := heldRange{start: seq, end: r.start}
			q.push(pool, &front, seq, p[:n])
			front.tail.next = r.head
			r.start, r.head = seq, front.head
			seq, p = seq.Add(n), p[n:]
		}
		if n := min(r.end.Sub(seq), len(p)); n > 0 {
			// What the range holds already.
			if !again {
				dup, again = sackRange{seq, seq.Add(n)}, true
			}
			seq, p = seq.Add(n), p[n:]
		}
		if len(p) == 0 {
			break
		}
		// After the range, up to the next.
		stop := end
		last := i+1 == len(q.ranges)
		if !last {
			stop = minSeq(end, q.ranges[i+1].start)
		}
		if n := stop.Sub(seq); n > 0 {
			if q.held >= limit {
				break
			}
			q.push(pool, r, seq, p[:n])
			r.end = stop
			seq, p = stop, p[n:]
		}
		if !last && q.ranges[i+1].start == r.end {
			next := q.ranges[i+1]
			r.tail.next = next.head
			r.tail, r.end = next.tail, next.end
			q.ranges = slices.Delete(q.ranges, i+1, i+2)
		}
	}
	q.touch(first)
	return dup, again
}

// overlap returns the first run of start <= x < end that a range holds.
func (q *reassembly) overlap(start, end Seq) (dup sackRange, again bool) {
	i := q.find(start + 1)
	if i == len(q.ranges) || end.LessThanEq(q.ranges[i].start) {
		return dup, false
	}
	return sackRange{maxSeq(start, q.ranges[i].start), minSeq(end, q.ranges[i].end)}, true
}

// push appends p to the chunks of r.
func (q *reassembly) push(pool *ChunkPool, r *heldRange, seq Seq, p []byte) {
	if t := r.tail; t != nil {
		n := t.append(p)
		p, seq = p[n:], seq.Add(n)
	}
	for len(p) > 0 {
		want := len(p)
		if r.tail != nil {
			want = largeChunk
		}
		c := pool.get(uint8(seq>>12), seq, want)
		q.held += len(c.buf)
		if r.tail == nil {
			r.head = c
		} else {
			r.tail.next = c
		}
		r.tail = c
		n := c.append(p)
		p, seq = p[n:], seq.Add(n)
	}
}

// pull moves the ranges that are in order at next to ready, and returns the
// sequence number after them.
func (q *reassembly) pull(pool *ChunkPool, next Seq) Seq {
	n := 0
	for ; n < len(q.ranges) && q.ranges[n].start.LessThanEq(next); n++ {
		r := &q.ranges[n]
		skip := next.Sub(r.start)
		head := r.head
		for c := head; c != nil; c = c.next {
			q.steps++
			q.held -= len(c.buf)
		}
		for head != nil && skip >= int(head.w-head.r) {
			skip -= int(head.w - head.r)
			rest := head.next
			pool.put(head)
			head = rest
		}
		if head == nil {
			continue // came again, in order
		}
		head.r += int32(skip)
		if q.ready == nil {
			q.ready = head
		} else {
			q.readyTail.next = head
		}
		q.readyTail = r.tail
		q.waiting += r.end.Sub(next)
		next = r.end
	}
	q.ranges = slices.Delete(q.ranges, 0, n)
	return next
}

// appendReady puts p, which is in order, behind what waits to be drained.
func (q *reassembly) appendReady(pool *ChunkPool, p []byte, seq Seq) {
	r := heldRange{head: q.ready, tail: q.readyTail}
	before := q.held
	q.push(pool, &r, seq, p)
	q.held = before
	q.waiting += len(p)
	q.ready, q.readyTail = r.head, r.tail
}

// consume drops n octets of the first chunk of ready.
func (q *reassembly) consume(pool *ChunkPool, n int) {
	c := q.ready
	c.r += int32(n)
	q.waiting -= n
	if c.r == c.w {
		q.ready = c.next
		if q.ready == nil {
			q.readyTail = nil
		}
		pool.put(c)
	}
}

// dropRanges gives up what is out of order.
func (q *reassembly) dropRanges(pool *ChunkPool) {
	for i := range q.ranges {
		pool.putAll(q.ranges[i].head)
	}
	clear(q.ranges)
	q.ranges = q.ranges[:0]
	q.held, q.nRecent = 0, 0
}

// holding returns the range that holds seq.
func (q *reassembly) holding(seq Seq) (heldRange, bool) {
	i := q.find(seq + 1)
	if i == len(q.ranges) || seq.LessThan(q.ranges[i].start) {
		return heldRange{}, false
	}
	return q.ranges[i], true
}

// touch makes the range that holds seq the first to be reported.
func (q *reassembly) touch(seq Seq) {
	r, ok := q.holding(seq)
	if !ok {
		return
	}
	list := [4]Seq{seq}
	n := 1
	for _, s := range q.recent[:q.nRecent] {
		if n < len(list) && !s.InRange(r.start, r.end) {
			list[n] = s
			n++
		}
	}
	q.recent, q.nRecent = list, n
}

// blocks appends to o the ranges that grew last, up to limit blocks in all.
func (q *reassembly) blocks(o *header.TCPOptions, limit int8) {
	for _, s := range q.recent[:q.nRecent] {
		if o.NumSACK >= limit {
			return
		}
		if r, ok := q.holding(s); ok {
			o.SACK[o.NumSACK] = header.SACKBlock{Start: uint32(r.start), End: uint32(r.end)}
			o.NumSACK++
		}
	}
}
