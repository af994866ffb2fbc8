package fastnet

import "sync"

// sharing is what the holders of a socket have in common.
type sharing struct {
	mu    sync.Mutex
	conns int // holders that are not Files
	ever  int // of these, that there have been
	gone  int // of these, that have left the port
	files []*socketFile
	after func() // is called when conns becomes 0; may be nil
}

// ended has f called when no holder is left but Files.
func (s *sharing) ended(f func()) {
	s.mu.Lock()
	s.after = f
	s.mu.Unlock()
}

// leavesPort reports whether a listener that is about to be closed is the last one, so
// that its port becomes the kernel's alone.
func (s *sharing) leavesPort() bool {
	if s == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone++
	return s.gone == s.ever
}

// join notes another holder, made from f, which has that descriptor.
func (s *sharing) join(f *socketFile, fd int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ever++
	if s.conns++; s.conns == 1 && len(s.files) > 0 {
		if s.files[0] != f {
			fd = -1
		}
		s.files[0].lend.stop(fd)
	}
}

// leave is called when a holder that is not a File has been closed. If it was the last
// of these the Files have the socket to themselves.
func (s *sharing) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns--; s.conns > 0 {
		return
	}
	if s.after != nil {
		s.after()
	}
	if len(s.files) > 0 {
		s.files[0].lend.start()
	}
}

// passedOn reports whether all that was written to the Files so far is in the
// connection's send buffer.
func (s *sharing) passedOn() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.files {
		if !f.passedOn() {
			return false
		}
	}
	return true
}

func (s *sharing) add(f *socketFile) {
	s.mu.Lock()
	s.files = append(s.files, f)
	s.mu.Unlock()
}

// remove is called when a File is closed, and all its copies.
func (s *sharing) remove(f *socketFile) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, o := range s.files {
		if o != f {
			continue
		}
		s.files = append(s.files[:i:i], s.files[i+1:]...)
		if s.conns == 0 && i == 0 {
			f.lend.abandon()
			if len(s.files) > 0 {
				s.files[0].lend.start()
			}
		}
	}
}
