package nic

// Trim gives the memory of slabs all of whose buffers have been free since the last
// Trim to the garbage collector. It is for pools on the Go heap, which otherwise
// keep what they needed at their busiest, and does nothing to others. It takes time
// in proportion to the buffers that are free, so it is to be called seldom; once a
// collection is often enough.
func (l *Pool) Trim() {
	if !l.heap {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.takeOver()
	if l.idle > 0 {
		l.unback(l.idle)
	}
	l.idle = l.nLocal
	if l.low.Load() && !l.grown() {
		l.low.Store(false)
	}
}

// unback takes the memory of whole slabs, of up to n buffers. Called with mu held.
func (l *Pool) unback(n int) {
	free := make([]int32, (len(l.slabs)+l.cfg.Slab-1)/l.cfg.Slab) // buffers, by slab
	for p := l.local; p != nil; p = p.link {
		free[int(p.index)/l.cfg.Slab]++
	}
	const chosen = -1
	for i := range free {
		first := i * l.cfg.Slab
		size := min(l.cfg.Slab, len(l.slabs)-first)
		if int(free[i]) != size || size > n {
			continue
		}
		n -= size
		free[i] = chosen
		l.unbacked = append(l.unbacked, first)
		l.nUnbacked += size
		l.nLocal -= size
	}
	kept := &l.local
	for p := l.local; p != nil; {
		next := p.link
		if free[int(p.index)/l.cfg.Slab] == chosen {
			p.buf, p.link = nil, nil
		} else {
			*kept = p
			kept = &p.link
		}
		p = next
	}
	*kept = nil
}

// back gives a slab that Trim has taken the memory of new memory. Called with mu
// held; there is one.
func (l *Pool) back() {
	first := l.unbacked[len(l.unbacked)-1]
	l.unbacked = l.unbacked[:len(l.unbacked)-1]
	slab := l.slabs[first:min(first+l.cfg.Slab, len(l.slabs))]
	size := l.cfg.BufferSize
	mem := make([]byte, len(slab)*size)
	for i, p := range slab {
		p.buf = mem[i*size : (i+1)*size : (i+1)*size]
		p.link = l.local
		l.local = p
	}
	l.nLocal += len(slab)
	l.nUnbacked -= len(slab)
}
