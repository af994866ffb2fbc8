//go:build !linux

package fastnet

import "syscall"

// shadow is there on Linux only: see rawconn_linux.go.
type shadow struct{ made *socketOptions }

func (s *shadow) close() {}

func (c *TCPConn) rawConn() (syscall.RawConn, error) {
	return nil, c.opError("raw-control", "fcntl", errNoDescriptor)
}

func (l *TCPListener) rawConn() (syscall.RawConn, error) {
	return nil, l.opError("raw-control", "fcntl", errNoDescriptor)
}

func (c *UDPConn) rawConn() (syscall.RawConn, error) {
	return nil, c.opError("raw-control", "fcntl", c.remote(), errNoDescriptor)
}

func (c *IPConn) rawConn() (syscall.RawConn, error) {
	return nil, c.opError("raw-control", "fcntl", opAddr(c.raddr), errNoDescriptor)
}
