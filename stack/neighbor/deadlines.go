package neighbor

import "time"

// deadlines is a binary heap of the entries that have a deadline, earliest
// first. Each entry knows its index.
type deadlines[P any] []*Entry[P]

// set gives e a deadline, or with Never none.
func (h *deadlines[P]) set(e *Entry[P], when time.Duration) {
	e.deadline = when
	switch {
	case when == Never:
		h.remove(e)
		return
	case e.heapIndex < 0:
		e.heapIndex = len(*h)
		*h = append(*h, e)
	}
	h.fix(e.heapIndex)
}

// remove takes e's deadline away.
func (h *deadlines[P]) remove(e *Entry[P]) {
	i := e.heapIndex
	if i < 0 {
		return
	}
	last := len(*h) - 1
	h.swap(i, last)
	(*h)[last] = nil
	*h = (*h)[:last]
	e.heapIndex = -1
	if i < last {
		h.fix(i)
	}
}

// fix restores the order around index i.
func (h deadlines[P]) fix(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if h[parent].deadline <= h[i].deadline {
			break
		}
		h.swap(i, parent)
		i = parent
	}
	for {
		child := 2*i + 1
		if child >= len(h) {
			return
		}
		if r := child + 1; r < len(h) && h[r].deadline < h[child].deadline {
			child = r
		}
		if h[i].deadline <= h[child].deadline {
			return
		}
		h.swap(i, child)
		i = child
	}
}

func (h deadlines[P]) swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].heapIndex, h[j].heapIndex = i, j
}
