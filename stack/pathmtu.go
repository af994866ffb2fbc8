package stack

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// pathMTULife is for how long a path's MTU is believed: it may grow again
	// (RFC 1191 section 6.3).
	pathMTULife = 10 * time.Minute
	// maxPathMTUs bounds what is remembered.
	maxPathMTUs = 4096
	// minMTU4 and minMTU6 are the least that an ICMP message is believed to ask
	// for: RFC 1122 section 3.3.3, RFC 8201 section 4.
	minMTU4 = 576
	minMTU6 = 1280
)

// pathMTUs remembers to which destinations the path carries less than the
// interface does (RFC 1191, RFC 8201). Who writes to it has checked that the
// ICMP message quotes a packet of ours. A look-up takes no lock: each packet of a
// server that answers many may be one, and who sends ICMP messages must not slow
// them down.
type pathMTUs struct {
	key [4]uint64     // of the hash: a stranger chooses among destinations
	gen atomic.Uint64 // changes with each change of addresses: paths look again
	// changed counts the entries made of destinations of one hash: paths to others
	// need not look again.
	changed [256]atomic.Uint64

	mu    sync.Mutex // of changes
	slots atomic.Pointer[[maxPathMTUs]atomic.Pointer[pathMTUEntry]]
}

// pathMTUWays is how many slots an entry may be in.
const pathMTUWays = 8

type pathMTU struct {
	mtu   int
	until time.Duration
}

// pathMTUEntry does not change once it is in a slot.
type pathMTUEntry struct {
	dst netip.Addr
	pathMTU
}

// end is when an entry is not believed any more.
func (e *pathMTUEntry) end() time.Duration {
	if e == nil {
		return 0
	}
	return e.until
}

// lower notes that the path to dst carries packets of mtu bytes, and returns
// what is believed of that.
func (t *pathMTUs) lower(dst netip.Addr, mtu int, now time.Duration) int {
	mtu = max(mtu, leastMTU(dst))
	t.mu.Lock()
	defer t.mu.Unlock()
	slots := t.slots.Load()
	if slots == nil {
		slots = new([maxPathMTUs]atomic.Pointer[pathMTUEntry])
		t.slots.Store(slots)
	}
	h := t.hash(dst)
	set := slots[h%(maxPathMTUs/pathMTUWays)*pathMTUWays:][:pathMTUWays]
	into := 0
	for i := range set {
		e := set[i].Load()
		if e != nil && e.dst == dst {
			if e.mtu <= mtu && e.until > now {
				return e.mtu
			}
			into = i
			break
		}
		if e.end() < set[into].Load().end() { // the oldest: it will be learnt again
			into = i
		}
	}
	set[into].Store(&pathMTUEntry{dst, pathMTU{mtu, now + pathMTULife}})
	t.changed[pathShard(h)].Add(1)
	return mtu
}

// lookup returns what is known of the path to dst: a zero mtu is nothing.
func (t *pathMTUs) lookup(dst netip.Addr, now time.Duration) pathMTU {
	slots := t.slots.Load()
	if slots == nil {
		return pathMTU{}
	}
	set := slots[t.hash(dst)%(maxPathMTUs/pathMTUWays)*pathMTUWays:][:pathMTUWays]
	for i := range set {
		if e := set[i].Load(); e != nil && e.dst == dst && now < e.until {
			return e.pathMTU
		}
	}
	return pathMTU{}
}

func (t *pathMTUs) hash(dst netip.Addr) uint64 {
	k := tuple{remote: toAddr(dst)}
	return k.hash(&t.key)
}

// pathShard is the part of a hash that chooses the count of changes.
func pathShard(hash uint64) uint8 { return uint8(hash >> 56) }

// generation changes when the paths of a shard may have: with the routing table, and
// with what is known of their MTU.
func (h *Host) generation(shard uint8) uint64 {
	return h.routes.Generation() + h.pathMTUs.gen.Load() + h.pathMTUs.changed[shard].Load()
}

// current reports whether nothing has changed since the path was looked up.
func (p *path) current() bool { return p.gen == p.iface.host.generation(p.shard) }

const (
	// largeSlots is how many large datagrams are remembered, in 128 KiB; of two
	// that fall on the same slot the later stays.
	largeSlots = 1 << 14
	// largeLife is for how long, in seconds: an ICMP message comes after a round
	// trip.
	largeLife = 10
)

// largeSent remembers datagrams that are larger than the least MTU: where they
// went, how large they were, and when. UDP has no sequence numbers by which a
// quoted packet could be told from an invented one (RFC 5927 section 4.1), and
// what to a bound port would do to a connected one anybody can invent; so an ICMP
// message is believed only when something as large as it says went there a moment
// ago. It takes no lock: a slot is the hash's 32 upper bits, the size, and the
// second.
type largeSent struct {
	slots atomic.Pointer[[largeSlots]atomic.Uint64]
}

// leastMTU is the MTU below which no ICMP message is believed.
func leastMTU(dst netip.Addr) int {
	if dst.Is4() {
		return minMTU4
	}
	return minMTU6
}

// slot returns where the datagrams of k are noted, and how they are marked.
func (l *largeSent) slot(h *Host, k *tuple) (*atomic.Uint64, uint64) {
	slots := l.slots.Load()
	if slots == nil {
		l.slots.CompareAndSwap(nil, new([largeSlots]atomic.Uint64))
		slots = l.slots.Load()
	}
	key := *k
	key.local = addr{} // of any address of ours
	sum := key.hash(&h.flows.key)
	return &slots[sum%largeSlots], sum >> 32 << 32
}

// note remembers a datagram of size bytes, its IP header included.
func (l *largeSent) note(h *Host, k *tuple, size int, now time.Duration) {
	s, mark := l.slot(h, k)
	second := uint64(now/time.Second) & 0xffff
	size = min(size, 0xffff)
	old := s.Load()
	if old&^0xffffffff == mark && uint16(second)-uint16(old) < largeLife/2 && int(old>>16&0xffff) >= size {
		return // a larger one just before
	}
	if v := mark | uint64(size)<<16 | second; v != old {
		s.Store(v)
	}
}

// noteLarge remembers a datagram that leaves on p in packets of up to size bytes.
func (u *UDPConn) noteLarge(p *path, dstPort uint16, size int, now time.Duration) {
	k := tuple{remote: toAddr(p.dst), localPort: u.bind.port, remotePort: dstPort}
	if isLinkLocal(p.dst) {
		k.scope = uint32(p.iface.index)
	}
	u.host.large.note(u.host, &k, size, now)
}

// sent reports whether a datagram larger than mtu was just sent.
func (l *largeSent) sent(h *Host, k *tuple, mtu int, now time.Duration) bool {
	if l.slots.Load() == nil {
		return false
	}
	s, mark := l.slot(h, k)
	v := s.Load()
	second := uint16(now / time.Second)
	return v&^0xffffffff == mark && v != 0 && second-uint16(v) <= largeLife && int(v>>16&0xffff) > mtu
}
