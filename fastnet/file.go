package fastnet

import (
	"net"
	"os"
	"sync"
	"syscall"
)

// FileConn returns a connection of the open file f, as net.FileConn. If f, or what
// it is a copy of, was made by File from a connection of the stack's in this process,
// that is another holder of the connection: each has its own deadlines and is closed
// by itself, and the connection ends when all of them and f are closed. Any other
// descriptor is the kernel's.
func FileConn(f *os.File) (c Conn, err error) {
	n, err := defaultNetwork()
	if err == nil {
		c, err = n.fileConn(f)
	}
	if err != nil {
		return nil, fileError(f, err)
	}
	return c, nil
}

// FileListener returns a listener of the open file f, as FileConn returns
// connections. One of the kernel's, which the process has inherited, say, listens in the
// stack from then on too, on the same address, and Accept returns the connections of
// both (on Linux); unless the configuration leaves that address to the kernel, or the
// stack has a listener there, and then it is the kernel's alone.
func FileListener(f *os.File) (ln Listener, err error) {
	n, err := defaultNetwork()
	if err == nil {
		ln, err = n.fileListener(f)
	}
	if err != nil {
		return nil, fileError(f, err)
	}
	return ln, nil
}

// FilePacketConn returns a packet connection of the open file f, as FileConn returns
// connections.
func FilePacketConn(f *os.File) (c PacketConn, err error) {
	n, err := defaultNetwork()
	if err == nil {
		c, err = n.filePacketConn(f)
	}
	if err != nil {
		return nil, fileError(f, err)
	}
	return c, nil
}

// fileAddr is the Addr of errors about a file.
type fileAddr string

func (fileAddr) Network() string  { return "file+net" }
func (a fileAddr) String() string { return string(a) }

func fileError(f *os.File, err error) error {
	if op, ok := err.(*OpError); ok && op.Op == "file" {
		return err
	}
	return &OpError{Op: "file", Net: "file+net", Addr: fileAddr(f.Name()), Err: err}
}

func (n *Network) fileConn(f *os.File) (Conn, error) {
	s, ours, err := stackFile(f, "tcp")
	if err != nil {
		return nil, err
	}
	if ours {
		switch c := s.(type) {
		case *TCPConn:
			return c, nil
		case *UDPConn:
			return c, nil
		case *IPConn:
			return c, nil
		}
		return nil, wrongFile(s)
	}
	if err := n.fallback("descriptor"); err != nil {
		return nil, err
	}
	c, err := net.FileConn(f)
	return wrapConn(c), err
}

func (n *Network) filePacketConn(f *os.File) (PacketConn, error) {
	s, ours, err := stackFile(f, "")
	if err != nil {
		return nil, err
	}
	if ours {
		switch c := s.(type) {
		case *UDPConn:
			return c, nil
		case *IPConn:
			return c, nil
		}
		return nil, wrongFile(s)
	}
	if err := n.fallback("descriptor"); err != nil {
		return nil, err
	}
	c, err := net.FilePacketConn(f)
	return wrapPacketConn(c), err
}

func (n *Network) fileListener(f *os.File) (Listener, error) {
	s, ours, err := stackFile(f, "")
	if err != nil {
		return nil, err
	}
	if ours {
		if l, ok := s.(*TCPListener); ok {
			return l, nil
		}
		return nil, wrongFile(s)
	}
	l, why, err := n.adopt(f)
	switch {
	case err != nil:
		return nil, err
	case l != nil:
		return l, nil
	case why != "":
		err = n.fallBack("descriptor", why)
	default:
		err = n.fallback("descriptor")
	}
	if err != nil {
		return nil, err
	}
	ln, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	return n.wrapListener(ln)
}

// wrongFile closes a socket of another kind than asked for.
func wrongFile(s interface{ Close() error }) error {
	s.Close()
	return syscall.EINVAL
}

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
