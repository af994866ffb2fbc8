package tcp

// sendQueue holds the octets that were written and are not acknowledged, in a
// list of chunks.
//
//	 head              cur                      tail
//	+-----------+     +-----------+            +-----------+
//	|..XXXXXXXXX| --> |XXXXXXXXXXX| --> ... -->|XXXX       |
//	+-----------+     +-----------+            +-----------+
//	   ^ una                ^ nxt                   ^ end
//
// A chunk is full to its end when the next is begun, unless that is a loan, which
// is half full at least; and a second chunk is always a large one. So 64 KiB span
// at most six: one octet behind a full chunk, and loans after it.
type sendQueue struct {
	head, tail *chunk
	cur        *chunk // where new data is sent from, or nil
	rtx        *chunk // where lost data was sent from again, or nil
	end        Seq    // after the last octet
	shard      uint8  // of the pool
}

// write appends p, but no more than room octets of it, and returns how much
// that was.
func (q *sendQueue) write(pool *ChunkPool, p []byte, room int) int {
	if len(p) > room {
		p = p[:max(room, 0)]
	}
	total := len(p)
	if t := q.tail; t != nil && len(p) > 0 {
		p = p[t.append(p):]
	}
	for len(p) > 0 {
		want := len(p)
		if q.tail != nil {
			want = largeChunk
		}
		c := pool.get(q.shard, q.end+Seq(total-len(p)), want)
		q.link(c)
		p = p[c.append(p):]
	}
	q.end += Seq(total)
	return total
}

// push appends a chunk with its octets.
func (q *sendQueue) push(c *chunk) {
	c.seq = q.end
	q.link(c)
	q.end += Seq(c.w)
}

func (q *sendQueue) link(c *chunk) {
	if q.tail == nil {
		q.head = c
	} else {
		q.tail.next = c
	}
	q.tail = c
}

// free releases the octets before una.
func (q *sendQueue) free(pool *ChunkPool, una Seq) {
	h := q.head
	for h != nil && h.end().LessThanEq(una) {
		next := h.next
		if q.cur == h {
			q.cur = next
		}
		if q.rtx == h {
			q.rtx = next
		}
		pool.put(h)
		h = next
	}
	q.head = h
	if h == nil {
		q.tail = nil
	} else if d := una.Sub(h.seq); d > int(h.r) {
		h.r = int32(d)
	}
}

// locate returns the chunk that holds seq and where, looking from hint if it
// can; the chunk is nil when there is no octet at seq.
func (q *sendQueue) locate(hint *chunk, seq Seq) (*chunk, int32) {
	c := hint
	if c == nil || seq.LessThan(c.seq) {
		c = q.head
	}
	for c != nil && c.end().LessThanEq(seq) {
		c = c.next
	}
	if c == nil {
		return nil, 0
	}
	return c, int32(seq.Sub(c.seq))
}

// release gives up everything.
func (q *sendQueue) release(pool *ChunkPool) {
	pool.putAll(q.head)
	q.head, q.tail, q.cur, q.rtx = nil, nil, nil, nil
}

// Slices stores in bufs the data of seg, which Next filled, and returns how
// many of bufs it takes. They are valid until the next call of Input or Tick.
func (c *Conn) Slices(seg *Segment, bufs *[8][]byte) int {
	left, off := seg.Len, int(seg.off)
	n := 0
	for ch := seg.ch; left > 0 && ch != nil && n < len(bufs); ch = ch.next {
		b := ch.buf[off:ch.w]
		if len(b) > left {
			b = b[:left]
		}
		bufs[n] = b
		n++
		left -= len(b)
		off = 0
	}
	return n
}

// CopyTo copies the data of seg, which Next filled, to dst: seg.Len octets.
func (c *Conn) CopyTo(dst []byte, seg *Segment) {
	off := int(seg.off)
	dst = dst[:seg.Len]
	for ch := seg.ch; len(dst) > 0 && ch != nil; ch = ch.next {
		dst = dst[copy(dst, ch.buf[off:ch.w]):]
		off = 0
	}
}
