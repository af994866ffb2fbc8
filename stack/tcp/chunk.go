package tcp

import (
	"sync"
	"sync/atomic"
)

// The two sizes of chunk: a short exchange fits the small one, bulk data takes
// the large one, so that a 64 KiB segment spans few (see sendQueue).
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
	shard uint8 // of the pool
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

// poolShards is over how many free lists a pool is spread. A connection keeps to
// one, whose mutex is then nearly always free: who takes or gives back a chunk
// holds the connection's lock.
const poolShards = 16

// A shard keeps at most so many free chunks, enough for a connection with a send
// buffer of 2 MiB; the garbage collector gets the others, and with Trim those that
// nobody needs.
const (
	maxFreeSmall = 128
	maxFreeLarge = 64
)

// ChunkPool hands out the memory of connections. It is safe for concurrent
// use. It does not lean on sync.Pool for chunks, which every other garbage
// collection empties: then a bulk transfer allocates them again and again, and
// that brings on the next collection. The zero value is ready; it must not be
// copied.
type ChunkPool struct {
	// Memory, if not nil, counts the bytes of the chunks in use, and bounds them.
	// It is set before use.
	Memory *Memory

	shards [poolShards]chunkShard
	rx     sync.Pool // *reassembly
	sb     sync.Pool // *scoreboard
	others atomic.Int64
}

// chunkShard is a part of a pool, on cache lines of its own.
type chunkShard struct {
	mu           sync.Mutex
	small, large freeList
	inUse        int
	uncounted    int // bytes that Memory was not told of
	_            [64]byte
}

type freeList struct {
	head *chunk
	n    int
	idle int // the least that n has been since the last Trim
}

// trim forgets what was free all the time.
func (l *freeList) trim() {
	for range l.idle {
		l.head = l.head.next
		l.n--
	}
	l.idle = l.n
}

// InUse is how many chunks, reassembly queues and scoreboards connections hold.
func (p *ChunkPool) InUse() int {
	n := int(p.others.Load())
	for i := range p.shards {
		s := &p.shards[i]
		s.mu.Lock()
		n += s.inUse
		s.mu.Unlock()
	}
	return n
}

// get returns an empty chunk whose first octet will be seq; large if more than
// a small one holds is wanted. shard is any number that the connection keeps to.
func (p *ChunkPool) get(shard uint8, seq Seq, want int) *chunk {
	shard %= poolShards
	s := &p.shards[shard]
	list, size := &s.small, smallChunk
	if want > smallChunk {
		list, size = &s.large, largeChunk
	}
	s.mu.Lock()
	s.inUse++
	p.charge(s, size)
	c := list.head
	if c != nil {
		list.head = c.next
		list.n--
		list.idle = min(list.idle, list.n)
	}
	s.mu.Unlock()
	if c == nil {
		return &chunk{buf: make([]byte, size), seq: seq, shard: shard}
	}
	c.next, c.r, c.w = nil, 0, 0
	c.seq = seq
	return c
}

// put takes a chunk back.
func (p *ChunkPool) put(c *chunk) {
	s := &p.shards[c.shard]
	list, limit := &s.small, maxFreeSmall
	if len(c.buf) > smallChunk {
		list, limit = &s.large, maxFreeLarge
	}
	s.mu.Lock()
	s.inUse--
	p.charge(s, -len(c.buf))
	if list.n < limit {
		c.next = list.head
		list.head = c
		list.n++
	}
	s.mu.Unlock()
}

// Trim gives the chunks that have been free since the last Trim to the garbage
// collector.
func (p *ChunkPool) Trim() {
	for i := range p.shards {
		s := &p.shards[i]
		s.mu.Lock()
		s.small.trim()
		s.large.trim()
		s.mu.Unlock()
	}
}

// Uncounted is how many of the bytes in use Memory was not told of; negative if it
// was told of more.
func (p *ChunkPool) Uncounted() int {
	n := 0
	for i := range p.shards {
		s := &p.shards[i]
		s.mu.Lock()
		n += s.uncounted
		s.mu.Unlock()
	}
	return n
}

// charge counts bytes, of which Memory is told when they are many. The shard's
// mutex is held.
func (p *ChunkPool) charge(s *chunkShard, bytes int) {
	const many = 64 << 10
	if p.Memory == nil {
		return
	}
	if s.uncounted += bytes; s.uncounted >= many || s.uncounted <= -many {
		p.Memory.Add(s.uncounted)
		s.uncounted = 0
	}
}

func (p *ChunkPool) tight() bool { return p.Memory != nil && p.Memory.Tight() }
func (p *ChunkPool) full() bool  { return p.Memory != nil && p.Memory.Full() }

// putAll takes back a chain of chunks.
func (p *ChunkPool) putAll(c *chunk) {
	for c != nil {
		next := c.next
		p.put(c)
		c = next
	}
}
