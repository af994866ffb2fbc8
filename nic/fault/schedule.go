package fault

import (
	"time"

	"github.com/fastnet-go/fastnet/nic"
)

// held is a frame and when it is to be delivered.
type held struct {
	due   time.Duration
	seq   uint64 // the order of those that are due at the same time
	frame *nic.Packet
}

func (h held) before(o held) bool { return h.due < o.due || h.due == o.due && h.seq < o.seq }

// schedule is a binary heap of frames, the first that is due on top.
// (container/heap would allocate for each frame.)
type schedule struct {
	heap []held
	seq  uint64
}

func (s *schedule) len() int { return len(s.heap) }

// next is when the first frame is due.
func (s *schedule) next() time.Duration {
	if len(s.heap) == 0 {
		return nic.Never
	}
	return s.heap[0].due
}

func (s *schedule) push(due time.Duration, p *nic.Packet) {
	s.seq++
	s.restore(held{due: due, seq: s.seq, frame: p})
}

// restore puts back what pop returned, in its old place.
func (s *schedule) restore(h held) {
	s.heap = append(s.heap, h)
	i := len(s.heap) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !h.before(s.heap[up]) {
			break
		}
		s.heap[i] = s.heap[up]
		i = up
	}
	s.heap[i] = h
}

func (s *schedule) pop() held {
	top := s.heap[0]
	n := len(s.heap) - 1
	h := s.heap[n]
	s.heap[n] = held{}
	s.heap = s.heap[:n]
	if n == 0 {
		return top
	}
	i := 0
	for {
		down := 2*i + 1
		if down >= n {
			break
		}
		if down+1 < n && s.heap[down+1].before(s.heap[down]) {
			down++
		}
		if !s.heap[down].before(h) {
			break
		}
		s.heap[i] = s.heap[down]
		i = down
	}
	s.heap[i] = h
	return top
}
