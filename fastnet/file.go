package fastnet

import (
	"net"
	"os"
	"syscall"
)

// FileConn returns a connection of the open file f, as net.FileConn. If f, or what
// it is a copy of, was made by File from a connection of the stack's in this process,
// that is another holder of the connection: each has its own deadlines and is closed
// by itself, and the connection ends when all of them and f are closed. Any other
// descriptor is the kernel's.
func FileConn(f *os.File) (c Conn, err error) { return fromFile(f, (*Network).fileConn) }

// FileListener returns a listener of the open file f, as FileConn returns
// connections. One of the kernel's, which the process has inherited, say, listens in the
// stack from then on too, on the same address, and Accept returns the connections of
// both (on Linux); unless the configuration leaves that address to the kernel, or the
// stack has a listener there, and then it is the kernel's alone.
func FileListener(f *os.File) (ln Listener, err error) {
	return fromFile(f, (*Network).fileListener)
}

// FilePacketConn returns a packet connection of the open file f, as FileConn returns
// connections.
func FilePacketConn(f *os.File) (c PacketConn, err error) {
	return fromFile(f, (*Network).filePacketConn)
}

// fromFile makes a socket of the default network's of f, by open.
func fromFile[T any](f *os.File, open func(*Network, *os.File) (T, error)) (socket T, err error) {
	n, err := defaultNetwork()
	if err == nil {
		socket, err = open(n, f)
	}
	if err != nil {
		return *new(T), fileError(f, err)
	}
	return socket, nil
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
	c, ours, err := ofStack[Conn](f, "tcp")
	if ours || err != nil {
		return c, err
	}
	if err := n.fallback("descriptor"); err != nil {
		return nil, err
	}
	k, err := net.FileConn(f)
	return wrapConn(k), err
}

func (n *Network) filePacketConn(f *os.File) (PacketConn, error) {
	c, ours, err := ofStack[PacketConn](f, "")
	if ours || err != nil {
		return c, err
	}
	if err := n.fallback("descriptor"); err != nil {
		return nil, err
	}
	k, err := net.FilePacketConn(f)
	return wrapPacketConn(k), err
}

func (n *Network) fileListener(f *os.File) (Listener, error) {
	ln, ours, err := ofStack[Listener](f, "")
	if ours || err != nil {
		return ln, err
	}
	l, why, err := n.adopt(f)
	switch {
	case err != nil:
		return nil, err
	case l != nil:
		return l, nil
	case why != "":
		err = n.fallbackFor("descriptor", why)
	default:
		err = n.fallback("descriptor")
	}
	if err != nil {
		return nil, err
	}
	k, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	ln, err = n.wrapListener(k)
	if t, ok := ln.(*TCPListener); ok && err == nil {
		t.lent.Store(true)
	}
	return ln, err
}

// ofStack is stackFile where a T is asked for: a socket of another kind is closed
// again, and the error is EINVAL.
func ofStack[T any](f *os.File, carries string) (socket T, ours bool, err error) {
	s, ours, err := stackFile(f, carries)
	if !ours || err != nil {
		return socket, ours, err
	}
	socket, ok := s.(T)
	if !ok {
		s.Close()
		return socket, true, syscall.EINVAL
	}
	return socket, true, nil
}
