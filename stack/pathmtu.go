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
// ICMP message quotes a packet of ours.
type pathMTUs struct {
	gen atomic.Uint64 // changes with each entry: paths look again
	mu  sync.Mutex
	m   map[netip.Addr]pathMTU
}

type pathMTU struct {
	mtu   int
	until time.Duration
}

// lower notes that the path to dst carries packets of mtu bytes, and returns
// what is believed of that.
func (t *pathMTUs) lower(dst netip.Addr, mtu int, now time.Duration) int {
	if dst.Is4() {
		mtu = max(mtu, minMTU4)
	} else {
		mtu = max(mtu, minMTU6)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if old, ok := t.m[dst]; ok && old.mtu <= mtu && old.until > now {
		return old.mtu
	}
	if t.m == nil {
		t.m = make(map[netip.Addr]pathMTU)
	}
	if len(t.m) >= maxPathMTUs {
		for a := range t.m { // any: it will be learnt again
			delete(t.m, a)
			break
		}
	}
	t.m[dst] = pathMTU{mtu, now + pathMTULife}
	t.gen.Add(1)
	return mtu
}

// lookup returns what is known of the path to dst: a zero mtu is nothing.
func (t *pathMTUs) lookup(dst netip.Addr, now time.Duration) pathMTU {
	if t.gen.Load() == 0 {
		return pathMTU{}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	p, ok := t.m[dst]
	if ok && p.until <= now {
		delete(t.m, dst)
		return pathMTU{}
	}
	return p
}

// generation changes when paths may have: of the routing table, and of what is
// known of their MTU.
func (h *Host) generation() uint64 { return h.routes.Generation() + h.pathMTUs.gen.Load() }
