package stack

import (
	"sync"
	"sync/atomic"

	"github.com/fastnet-go/fastnet/stack/tcp"
)

// flow is an entry of the flow table: a connection, or what TIME-WAIT keeps of
// one. It does not change once it is in the table.
type flow struct {
	key      tuple
	hash     uint64
	conn     *TCPConn
	timeWait *timeWait
	next     atomic.Pointer[flow]
}

// flow makes the connection's entry for the table, with the key it has by now. It
// is part of the connection, so that it takes no allocation; once it is out of the
// table, what came behind it in its bucket is kept for as long as the connection.
func (c *TCPConn) flow() *flow {
	c.entry.key, c.entry.conn = c.key, c
	return &c.entry
}

// timeWait is a connection in TIME-WAIT.
type timeWait struct {
	mu    sync.Mutex
	core  tcp.TimeWait
	entry flow // of the flow table

	// Under timeWaits.mu.
	listed     bool
	prev, next *timeWait
}

// flowTable finds connections by their tuple. Look-ups take no lock and write
// nothing: they follow chains of atomic pointers, and the garbage collector
// keeps what a reader may still look at. Changes are serialised.
type flowTable struct {
	key     [4]uint64
	buckets atomic.Pointer[[]atomic.Pointer[flow]]
	ended   func(k *tuple, waited bool) // Config.FlowEnded; nil if nobody asks

	// What each new connection changes, apart from what each packet reads.
	_  [64]byte
	mu sync.Mutex
	n  int
	_  [64]byte
}

func (t *flowTable) init(key [4]uint64) {
	t.key = key
	b := make([]atomic.Pointer[flow], 256)
	t.buckets.Store(&b)
}

func (t *flowTable) lookup(k *tuple) *flow {
	h := k.hash(&t.key)
	b := *t.buckets.Load()
	for f := b[h&uint64(len(b)-1)].Load(); f != nil; f = f.next.Load() {
		if f.hash == h && f.key == *k {
			return f
		}
	}
	return nil
}

// insert adds f in the place of old, unless its tuple is taken by another.
func (t *flowTable) insert(f, old *flow) bool {
	f.hash = f.key.hash(&t.key)
	t.mu.Lock()
	defer t.mu.Unlock()
	b := *t.buckets.Load()
	if t.n > 2*len(b) {
		b = t.grow(b)
	}
	cur := t.lookup(&f.key)
	if !cur.same(old) {
		return false
	}
	head := &b[f.hash&uint64(len(b)-1)]
	f.next.Store(head.Load())
	head.Store(f)
	t.n++
	if cur != nil {
		t.unlink(cur) // after: a look-up finds one or the other
	}
	return true
}

// same reports whether two entries are of the same connection or record. grow
// makes new entries, so that pointers do not tell.
func (f *flow) same(o *flow) bool {
	if f == nil || o == nil {
		return f == o
	}
	return f.conn == o.conn && f.timeWait == o.timeWait
}

// remove takes the flow with the tuple k out, if it is conn's or tw's.
func (t *flowTable) remove(k *tuple, conn *TCPConn, tw *timeWait) {
	t.mu.Lock()
	f := t.lookup(k)
	found := f != nil && f.conn == conn && f.timeWait == tw
	if found {
		t.unlink(f)
	}
	t.mu.Unlock()
	if found && t.ended != nil {
		t.ended(k, tw != nil)
	}
}

// unlink takes f out of its chain. A reader that stands on f still finds the
// rest of the chain behind it.
func (t *flowTable) unlink(f *flow) {
	b := *t.buckets.Load()
	p := &b[f.hash&uint64(len(b)-1)]
	for cur := p.Load(); cur != nil; cur = p.Load() {
		if cur == f {
			p.Store(f.next.Load())
			t.n--
			return
		}
		p = &cur.next
	}
}

// grow replaces the buckets by four times as many, with new entries: readers
// may still be on the old chains.
func (t *flowTable) grow(old []atomic.Pointer[flow]) []atomic.Pointer[flow] {
	b := make([]atomic.Pointer[flow], 4*len(old))
	for i := range old {
		for f := old[i].Load(); f != nil; f = f.next.Load() {
			c := &flow{key: f.key, hash: f.hash, conn: f.conn, timeWait: f.timeWait}
			head := &b[f.hash&uint64(len(b)-1)]
			c.next.Store(head.Load())
			head.Store(c)
		}
	}
	t.buckets.Store(&b)
	return b
}

// all calls visit for each flow there is.
func (t *flowTable) all(visit func(*flow)) {
	t.mu.Lock()
	b := *t.buckets.Load()
	fs := make([]*flow, 0, t.n)
	for i := range b {
		for f := b[i].Load(); f != nil; f = f.next.Load() {
			fs = append(fs, f)
		}
	}
	t.mu.Unlock()
	for _, f := range fs {
		visit(f)
	}
}

func (t *flowTable) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.n
}
