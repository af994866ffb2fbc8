package reassembly

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Never is the time of no deadline.
const Never = time.Duration(math.MaxInt64)

// Table holds the datagrams of one IP version that are not complete. Make one
// with [New]. All methods may be called by any goroutine.
type Table struct {
	next atomic.Int64

	mu    sync.Mutex
	cfg   Config
	byKey map[Key]*datagram
	pairs map[addresses]*pair
	all   list // by expiry, as all have the same lifetime
	bytes int
	stats Stats
}

// New returns an empty table.
func New(cfg Config) *Table {
	t := &Table{
		cfg:   cfg.withDefaults(),
		byKey: make(map[Key]*datagram),
		pairs: make(map[addresses]*pair),
		all:   list{kind: ofAll},
	}
	t.next.Store(int64(Never))
	return t
}

// Add takes in a fragment, and returns the datagram that it completes with the
// status [Complete]. A fragment that is a whole datagram (an atomic fragment) has
// nothing to do with others of its key (RFC 6946); only then the datagram refers
// to the fragment's memory.
func (t *Table) Add(f *Fragment, now time.Duration) (Datagram, Status) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stats.Fragments++
	switch status := f.check(); status {
	case BadLength:
		t.stats.BadLength++
		return Datagram{}, status
	case TooBig:
		t.stats.TooBig++
		return Datagram{}, status
	}
	if f.Offset == 0 && !f.More {
		t.stats.Completed++
		return Datagram{Header: f.Header, Payload: f.Payload, ECN: f.ECN & 3}, Complete
	}

	d := t.byKey[f.Key]
	if d == nil {
		d = t.create(f.Key, now)
	}
	defer t.publish()
	if d.abandoned {
		t.stats.Refused++
		return Datagram{}, Refused
	}
	index, v := d.judge(f)
	switch {
	case v == isCopy:
		t.stats.Duplicates++
		return Datagram{}, Duplicate
	case v == conflicts:
		return t.abandon(d, &t.stats.Overlapped, Overlapped)
	case len(d.pieces) >= t.cfg.MaxFragments:
		return t.abandon(d, &t.stats.TooManyFragments, Refused)
	}
	bufCap, pieceCap, more := d.growth(f)
	if !t.reserve(d, more) {
		return t.abandon(d, &t.stats.NoMemory, Refused)
	}
	d.insert(f, index, bufCap, pieceCap)
	if !d.complete() {
		return Datagram{}, Held
	}
	return t.finish(d)
}

// finish returns a complete datagram.
func (t *Table) finish(d *datagram) (Datagram, Status) {
	ecn := joinECN(d.ecn)
	switch {
	case ecn == mixedECN:
		return t.abandon(d, &t.stats.MixedECN, Refused)
	case d.total+counted(d.key, d.header) > maxDatagram:
		// The first fragment has a longer header than the one that was
		// checked.
		return t.abandon(d, &t.stats.TooBig, TooBig)
	}
	t.remove(d)
	t.stats.Completed++
	return Datagram{Header: d.header, Payload: d.join(), ECN: ecn}, Complete
}

// create adds a datagram, and evicts the oldest if there are too many.
func (t *Table) create(key Key, now time.Duration) *datagram {
	if len(t.byKey) >= t.cfg.MaxDatagrams {
		t.remove(t.all.head)
		t.stats.EvictedCount++
	}
	d := &datagram{key: key, expiry: now + t.cfg.Lifetime, total: -1, sorted: true}
	at := addresses{key.Src, key.Dst}
	d.pair = t.pairs[at]
	if d.pair == nil {
		d.pair = &pair{addresses: at, list: list{kind: ofPair}}
		t.pairs[at] = d.pair
	}
	t.byKey[key] = d
	t.all.push(d)
	d.pair.list.push(d)
	t.account(d, overhead)
	return d
}

// account changes what d counts for the limits.
func (t *Table) account(d *datagram, by int) {
	d.charge += by
	d.pair.bytes += by
	t.bytes += by
}

// reserve accounts for d's growth and makes room for it. It returns false if all
// others evicted would not do.
func (t *Table) reserve(d *datagram, by int) bool {
	t.account(d, by)
	for d.pair.bytes > t.cfg.MaxPairBytes {
		victim := d.pair.list.oldestBut(d)
		if victim == nil {
			return false
		}
		t.remove(victim)
		t.stats.EvictedPair++
	}
	for t.bytes > t.cfg.MaxBytes {
		victim := t.all.oldestBut(d)
		if victim == nil {
			return false
		}
		t.remove(victim)
		t.stats.EvictedBytes++
	}
	return true
}

// abandon drops a datagram for the reason that is counted. Of IPv6 a record stays
// until its time is over, as fragments that come later must be dropped too (RFC
// 5722 section 4).
func (t *Table) abandon(d *datagram, reason *uint64, status Status) (Datagram, Status) {
	*reason++
	if !d.key.Src.Is6() {
		t.remove(d)
		return Datagram{}, status
	}
	d.abandoned = true
	d.header, d.buf, d.pieces = nil, nil, nil
	t.account(d, overhead-d.charge)
	return Datagram{}, status
}

// remove takes d out of the table.
func (t *Table) remove(d *datagram) {
	t.account(d, -d.charge)
	delete(t.byKey, d.key)
	t.all.remove(d)
	d.pair.list.remove(d)
	if d.pair.list.head == nil {
		delete(t.pairs, d.pair.addresses)
	}
}

// Advance drops the datagrams whose time is over at now and appends those to
// expired of which the sender is to be told. Their memory is the caller's.
func (t *Table) Advance(now time.Duration, expired []Expired) []Expired {
	if now < t.Next() {
		return expired
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for d := t.all.head; d != nil && d.expiry <= now; d = t.all.head {
		t.remove(d)
		if d.abandoned {
			continue
		}
		t.stats.TimedOut++
		if first := d.pieces[0]; first.off == 0 {
			expired = append(expired, Expired{d.key, d.header, d.bytes(first)})
		}
	}
	t.publish()
	return expired
}

// Next returns when the oldest datagram expires, Never if there is none. It
// costs one atomic load.
func (t *Table) Next() time.Duration { return time.Duration(t.next.Load()) }

// publish recomputes what Next returns.
func (t *Table) publish() {
	next := Never
	if t.all.head != nil {
		next = t.all.head.expiry
	}
	if int64(next) != t.next.Load() {
		t.next.Store(int64(next))
	}
}

// Clear drops all datagrams, silently.
func (t *Table) Clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.all.head != nil {
		t.remove(t.all.head)
	}
	t.publish()
}

// Stats returns the counters.
func (t *Table) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stats
}

// Len returns the number of datagrams that are not complete, with the records
// of dropped ones.
func (t *Table) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.byKey)
}

// Bytes returns the memory that counts for MaxBytes.
func (t *Table) Bytes() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.bytes
}
