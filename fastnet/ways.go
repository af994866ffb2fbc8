package fastnet

import (
	"net/netip"
	"sync"
	"time"

	"github.com/fastnet-go/fastnet/fastnet/internal/kernel"
)

// ways remembers how the kernel sends to destinations, until its routes change.
type ways struct {
	mu         sync.RWMutex
	known      map[netip.Addr]kernel.Way
	generation uint64 // of these

	// Questions that are asked for datagrams are limited in number: whoever sends
	// from many addresses, that are not its own, say, would else have the kernel
	// asked for each, at some tens of microseconds.
	tokens int
	filled time.Time
}

const (
	// maxWays bounds the destinations that are remembered.
	maxWays = 1 << 16
	// askBurst questions may be asked at once, and askRate a second from then on.
	askBurst = 4096
	askRate  = 1000
)

// forget is for when the routes have changed.
func (w *ways) forget() {
	w.mu.Lock()
	w.generation++
	clear(w.known)
	w.mu.Unlock()
}

// look returns what is known of a destination, and what put wants.
func (w *ways) look(dst netip.Addr) (way kernel.Way, generation uint64, ok bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	way, ok = w.known[dst]
	return way, w.generation, ok
}

// put remembers an answer, unless the routes have changed since look. Where there is
// no room some others go.
func (w *ways) put(dst netip.Addr, way kernel.Way, generation uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if generation != w.generation {
		return
	}
	if w.known == nil {
		w.known = make(map[netip.Addr]kernel.Way)
	}
	if len(w.known) >= maxWays {
		n := 0
		for a := range w.known {
			delete(w.known, a)
			if n++; n == maxWays/8 {
				break
			}
		}
	}
	w.known[dst] = way
}

// mayAsk reports whether a datagram may be a reason to ask, and counts that it is.
func (w *ways) mayAsk(now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	const each = time.Second / askRate
	if n := now.Sub(w.filled) / each; w.filled.IsZero() || n >= askBurst {
		w.tokens, w.filled = askBurst, now
	} else if n > 0 {
		w.tokens, w.filled = min(w.tokens+int(n), askBurst), w.filled.Add(n*each)
	}
	if w.tokens == 0 {
		return false
	}
	w.tokens--
	return true
}

// way is how the kernel sends to dst from src, which may be zero.
func (sh *shared) way(dst, src netip.Addr) kernel.Way {
	if src.IsValid() && !src.IsUnspecified() {
		// A source that is bound decides too, by policy routing. Only dials
		// come here, once each.
		state := sh.kernel.State()
		if !state.Has(src) {
			return kernel.Way{}
		}
		return sh.kernel.RouteTo(dst, src)
	}
	w, generation, ok := sh.ways.look(dst)
	if !ok {
		w = sh.kernel.RouteTo(dst, netip.Addr{})
		sh.ways.put(dst, w, generation)
	}
	return w
}

// wayOfDatagram is way of a datagram from a socket that many peers may make answer.
// Where the kernel has been asked too often it goes as a connection's packets do: by
// the routes through the interface, which are the kernel's but for its policy. A
// destination of this machine's, or one with a zone, is no stranger's.
func (sh *shared) wayOfDatagram(dst netip.Addr) kernel.Way {
	w, generation, ok := sh.ways.look(dst)
	if ok {
		return w
	}
	if dst.Zone() == "" && !sh.ways.mayAsk(time.Now()) {
		return kernel.Way{Ours: !dst.IsMulticast() && sh.host.HasRoute(dst)}
	}
	w = sh.kernel.RouteTo(dst, netip.Addr{})
	sh.ways.put(dst, w, generation)
	return w
}
