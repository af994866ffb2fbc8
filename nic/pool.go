package nic

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// Pool is the set of buffers that a device owns. Get may be called from any
// goroutine, and buffers come back from any: releases go to a remote list that
// costs one compare-and-swap, and that Get takes over whole when its own list
// is empty. Memory is taken a slab at a time, as it is needed, and given back by
// Trim.
type Pool struct {
	cfg  PoolConfig
	heap bool        // cfg.Memory is the default
	low  atomic.Bool // read by each receiver, hardly ever written

	// Who takes packets and who releases them are often on two processors:
	// what the one writes lies on another cache line than what the other does.
	_         [64]byte
	mu        sync.Mutex
	local     *Packet   // free
	nLocal    int       // packets on local
	idle      int       // the least that nLocal has been since the last Trim
	slabs     []*Packet // every packet, by index
	unbacked  []int     // slabs without memory, by the index of their first packet
	nUnbacked int       // packets of these
	failed    error     // Memory's error: there will be no more slabs

	_       [64]byte
	remote  atomic.Pointer[Packet] // released since local took them over
	starved atomic.Bool            // Get fell short: the next release calls Freed
	_       [64]byte
}

// PoolConfig says what a pool's buffers are. The zero value of a field takes
// its default.
type PoolConfig struct {
	BufferSize int // bytes of each buffer, headroom included; default 2048
	Headroom   int // bytes left free in front of a packet; default 64
	Max        int // buffers at the most; default 4096
	Slab       int // buffers taken at a time; default 64
	LowWater   int // Low reports true below this many free ones; default Max/4

	// Memory returns size bytes for a slab. The default is the Go heap. Drivers
	// give DMA memory, a UMEM, or a shared mapping, and set Slab to Max where
	// the region must be one.
	Memory func(size int) ([]byte, error)

	// Freed is called when a buffer has come back after a Get that returned
	// nil, once however many did, from the goroutine that released it, which
	// may hold locks of any kind: Freed only wakes somebody.
	Freed func()

	// Returned makes a pool of packets without buffers, for Wrap: it is called
	// for each after its last release.
	Returned func(p *Packet)
}

// NewPool returns a pool; its memory is taken by the first Get.
func NewPool(cfg PoolConfig) (*Pool, error) {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&cfg.BufferSize, 2048)
	def(&cfg.Headroom, 64)
	def(&cfg.Max, 4096)
	def(&cfg.Slab, min(64, cfg.Max))
	def(&cfg.LowWater, cfg.Max/4)
	if cfg.Headroom >= cfg.BufferSize || cfg.Headroom < 0 || cfg.Max < 0 || cfg.Slab < 0 {
		return nil, fmt.Errorf("nic: pool of %d buffers of %d bytes with %d headroom, %d at a time: want a headroom smaller than a buffer, and nothing below 0",
			cfg.Max, cfg.BufferSize, cfg.Headroom, cfg.Slab)
	}
	if cfg.Returned != nil {
		cfg.BufferSize, cfg.Headroom = 0, 0
		cfg.Memory = func(int) ([]byte, error) { return nil, nil }
	}
	heap := cfg.Memory == nil
	if heap {
		cfg.Memory = func(size int) ([]byte, error) { return make([]byte, size), nil }
	}
	return &Pool{cfg: cfg, heap: heap}, nil
}

// Room is the number of bytes that one buffer takes behind the headroom.
func (l *Pool) Room() int { return l.cfg.BufferSize - l.cfg.Headroom }

// Get returns an empty packet of one part, or nil when all are in use.
func (l *Pool) Get() *Packet {
	l.mu.Lock()
	if l.local == nil || l.nLocal < l.cfg.LowWater && l.grown() {
		l.refill()
	}
	p := l.local
	if p == nil {
		l.mu.Unlock()
		return nil
	}
	l.local = p.link
	l.nLocal--
	l.idle = min(l.idle, l.nLocal)
	l.mu.Unlock()
	p.link = nil
	p.off = int32(l.cfg.Headroom)
	p.n = 0
	p.Meta = Meta{}
	return p
}

// GetBatch fills pkts with empty packets of one part each and returns how many
// it had. It is Get for many, at the cost of one.
func (l *Pool) GetBatch(pkts []*Packet) int {
	n := 0
	l.mu.Lock()
	for ; n < len(pkts); n++ {
		if l.local == nil || l.nLocal < l.cfg.LowWater && l.grown() {
			l.refill()
		}
		p := l.local
		if p == nil {
			break
		}
		l.local = p.link
		l.nLocal--
		p.link = nil
		p.off = int32(l.cfg.Headroom)
		p.n = 0
		p.Meta = Meta{}
		pkts[n] = p
		l.idle = min(l.idle, l.nLocal)
	}
	l.mu.Unlock()
	return n
}

// GetChain returns an empty frame with room for size bytes in as many parts as
// that takes, or nil if there are not so many: it takes all or none, so that two
// who want chains never hold each what the other waits for.
func (l *Pool) GetChain(size int) *Packet {
	room := max(1, l.Room())
	parts := max(1, (size+room-1)/room)
	l.mu.Lock()
	if l.nLocal < parts && !l.gather(parts) {
		l.mu.Unlock()
		return nil
	}
	first := l.local
	last := first
	for p, left := first, parts; ; p = last.next {
		last = p
		p.next, p.link = p.link, nil
		p.off = int32(l.cfg.Headroom)
		p.n = 0
		p.Meta = Meta{}
		if left--; left == 0 {
			break
		}
	}
	l.local, last.next = last.next, nil
	l.nLocal -= parts
	l.idle = min(l.idle, l.nLocal)
	l.mu.Unlock()
	return first
}

// gather makes n packets local, and reports whether there are so many. Called with
// mu held.
func (l *Pool) gather(n int) bool {
	l.refill()
	for l.nLocal < n {
		before := l.nLocal
		if l.grow(); l.nLocal == before {
			// Once more, as in refill.
			l.starved.Store(true)
			l.takeOver()
			break
		}
	}
	return l.nLocal >= n
}

// refill takes over the remote list, or else a new slab. Called with mu held.
func (l *Pool) refill() {
	if !l.takeOver() && l.local == nil {
		if l.grow(); l.local == nil {
			// Once more: who released before the flag was set saw none.
			l.starved.Store(true)
			l.takeOver()
		}
	}
	if low := l.nLocal < l.cfg.LowWater && l.grown(); low != l.low.Load() {
		l.low.Store(low)
	}
}

// grown reports whether there is no more memory to be had. Called with mu held.
func (l *Pool) grown() bool {
	return len(l.slabs) == l.cfg.Max && l.nUnbacked == 0 || l.failed != nil
}

// takeOver makes the remote list local, and reports whether it was of any use.
// Called with mu held.
func (l *Pool) takeOver() bool {
	first := l.remote.Swap(nil)
	if first == nil {
		return false
	}
	last := first
	n := 1
	for ; last.link != nil; last = last.link {
		n++
	}
	last.link = l.local
	l.local = first
	l.nLocal += n
	return true
}

// grow adds a slab, if the pool may. Called with mu held.
func (l *Pool) grow() {
	if l.nUnbacked > 0 {
		l.back()
		return
	}
	n := min(l.cfg.Slab, l.cfg.Max-len(l.slabs))
	if n <= 0 || l.failed != nil {
		return
	}
	size := l.cfg.BufferSize
	mem, err := l.cfg.Memory(n * size)
	if err != nil {
		l.failed = err
		return
	}
	pkts := make([]Packet, n)
	for i := range pkts {
		p := &pkts[i]
		p.pool = l
		p.refs.Store(1)
		p.index = uint32(len(l.slabs))
		p.buf = mem[i*size : (i+1)*size : (i+1)*size]
		l.slabs = append(l.slabs, p)
		p.link = l.local
		l.local = p
	}
	l.nLocal += n
}

// put takes back a packet that nobody owns any more; its count of owners is 1,
// as for the next one.
func (l *Pool) put(p *Packet) {
	p.next = nil
	l.putList(p, p)
}

// putList is put for the list from first to last.
func (l *Pool) putList(first, last *Packet) {
	for {
		head := l.remote.Load()
		last.link = head
		// No ABA: packets leave the list all at once, by Swap.
		if l.remote.CompareAndSwap(head, first) {
			break
		}
	}
	if l.starved.Load() { // on the cache line that is ours just now
		l.freed()
	}
}

// freed tells who found the pool empty that it is not.
func (l *Pool) freed() {
	if l.starved.CompareAndSwap(true, false) && l.cfg.Freed != nil {
		l.cfg.Freed()
	}
}

// Starved reports whether a Get fell short and no buffer has come back since:
// for drivers, whose Queue.Arm promises a wake-up when one has.
func (l *Pool) Starved() bool { return l.starved.Load() }

// At returns the packet with the given index: for drivers, which meet their
// buffers again by number. It returns nil if there is none.
func (l *Pool) At(index uint32) *Packet {
	l.mu.Lock()
	defer l.mu.Unlock()
	if int(index) >= len(l.slabs) {
		return nil
	}
	return l.slabs[index]
}

// Low reports whether less than the low-water mark was free when the pool last
// looked: then a receiver copies payloads out of its packets rather than keep
// them.
func (l *Pool) Low() bool { return l.low.Load() }

// InUse is how many packets are out at the moment: for tests and statistics.
func (l *Pool) InUse() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.slabs) - l.nLocal - l.nUnbacked
	// Packets join the list at its head only, and leave it under mu.
	for p := l.remote.Load(); p != nil; p = p.link {
		n--
	}
	return n
}

// Err is why no more memory could be had, or nil.
func (l *Pool) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}
