package tcp

import (
	"sync"
	"sync/atomic"
)

// The two sizes of chunk: a short exchange fits the small one, bulk data takes
// the large one, so that a 64 KiB segment spans at most four.
const (
	smallChunk = 2 << 10
	largeChunk = 32 << 10
)

// chunk is a piece of a byte stream: buf[r:w] is live, and buf[0] has (or
// would have) sequence number seq.
type chunk struct {
	next  *chunk
	seq   Seq
	r, w  int32
	shard uint8 // of ChunkPool.inUse
	buf   []byte
}

// end is the sequence number after the last live octet.
func (c *chunk) end() Seq { return c.seq + Seq(c.w) }

// room is how many octets can be appended.
func (c *chunk) room() int { return len(c.buf) - int(c.w) }

// append copies what fits of p and returns how much that was.
func (c *chunk) append(p []byte) int {
	n := copy(c.buf[c.w:], p)
	c.w += int32(n)
	return n
}

// poolShards is over how many cache lines the count of chunks is spread.
const poolShards = 16

// ChunkPool hands out the memory of connections. It is safe for concurrent
// use, and what is free in it is left to the garbage collector. The zero value
// is ready; it must not be copied.
type ChunkPool struct {
	small, large sync.Pool // *chunk
	rx           sync.Pool // *reassembly
	sb           sync.Pool // *scoreboard
	born         atomic.Uint32
	inUse        [poolShards]paddedCount
}

// paddedCount is a counter alone on its cache line.
type paddedCount struct {
	n atomic.Int64
	_ [56]byte
}

// InUse is how many chunks, reassembly queues and scoreboards connections hold.
func (p *ChunkPool) InUse() int {
	var n int64
	for i := range p.inUse {
		n += p.inUse[i].n.Load()
	}
	return int(n)
}

// get returns an empty chunk whose first octet will be seq; large if more than
// a small one holds is wanted.
func (p *ChunkPool) get(seq Seq, want int) *chunk {
	pool, size := &p.small, smallChunk
	if want > smallChunk {
		pool, size = &p.large, largeChunk
	}
	c, _ := pool.Get().(*chunk)
	if c == nil {
		c = &chunk{buf: make([]byte, size), shard: uint8(p.born.Add(1) % poolShards)}
	}
	c.seq = seq
	p.inUse[c.shard].n.Add(1)
	return c
}

// put takes a chunk back.
func (p *ChunkPool) put(c *chunk) {
	c.next, c.r, c.w = nil, 0, 0
	p.inUse[c.shard].n.Add(-1)
	if len(c.buf) == smallChunk {
		p.small.Put(c)
	} else {
		p.large.Put(c)
	}
}

// putAll takes back a chain of chunks.
func (p *ChunkPool) putAll(c *chunk) {
	for c != nil {
		next := c.next
		p.put(c)
		c = next
	}
}
