package tcp

import (
	"container/heap"
	"time"
)

// link is how packets fare; it is the same both ways.
type link struct {
	loss, dup, reorder float64
	delay, jitter      time.Duration
	rate               int // bytes a second, 0: no limit
	burst              time.Duration
	freeAt             [2]time.Duration
	until              time.Duration // the link is perfect after this
}

// packet is a TCP segment on the wire.
type packet struct {
	at    time.Duration
	order int
	to    int
	b     []byte
}

type packetHeap []packet

func (h packetHeap) Len() int { return len(h) }
func (h packetHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].order < h[j].order
}
func (h packetHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *packetHeap) Push(x any)   { *h = append(*h, x.(packet)) }
func (h *packetHeap) Pop() any {
	old := *h
	p := old[len(old)-1]
	*h = old[:len(old)-1]
	return p
}

// send puts a packet on the way to an end, or loses it.
func (s *sim) send(to int, b []byte) {
	s.packets++
	l := &s.link
	bad := s.now < l.until
	if bad && s.rng.Float64() < l.loss {
		s.tracef("%v lost to %d", s.now, to)
		return
	}
	at := s.now
	if l.rate > 0 {
		at = max(at, l.freeAt[to])
		at += time.Duration(len(b)+40) * time.Second / time.Duration(l.rate)
		if at-s.now > 500*time.Millisecond {
			return // the queue is full
		}
		l.freeAt[to] = at
	}
	copies := 1
	if bad && s.rng.Float64() < l.dup {
		copies = 2
	}
	for range copies {
		d := l.delay
		if bad && l.jitter > 0 && s.rng.Float64() < l.reorder {
			d += time.Duration(s.rng.Int64N(int64(l.jitter)))
		}
		s.order++
		heap.Push(&s.wire, packet{at: at + d, order: s.order, to: to, b: b})
	}
}
