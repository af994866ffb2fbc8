package kernel

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Block is a set of ports that the process has bound in advance, so that nobody
// else gets them: not by bind, and not as the port of a connect. They are on the
// wildcard address of both families. The kernel answers what comes to them, and is
// not taken from it, as for any closed port (TCP) or drops it (UDP).
type Block struct {
	ports []uint16
	fds   []int
}

// ReserveBlock binds n ports for unix.SOCK_STREAM or SOCK_DGRAM, of the kernel's
// choice.
func ReserveBlock(kind, n int) (*Block, error) {
	b := &Block{}
	for range n {
		fd, port, err := bindAny(kind)
		if err != nil {
			b.Close()
			return nil, fmt.Errorf("port %d of %d: %w", len(b.ports)+1, n, err)
		}
		b.fds = append(b.fds, fd)
		b.ports = append(b.ports, port)
	}
	return b, nil
}

// Ports returns the block's ports.
func (b *Block) Ports() []uint16 { return b.ports }

// Close gives the ports back.
func (b *Block) Close() error {
	for _, fd := range b.fds {
		unix.Close(fd)
	}
	b.fds = nil
	return nil
}

// bindAny binds a socket to a port of the kernel's choice. SO_REUSEADDR is not
// set: with it others could listen on the port, as this socket does not listen.
func bindAny(kind int) (fd int, port uint16, err error) {
	for _, family := range []int{unix.AF_INET6, unix.AF_INET} {
		if fd, err = unix.Socket(family, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
			continue // no IPv6 here
		}
		var a unix.Sockaddr = &unix.SockaddrInet4{}
		if family == unix.AF_INET6 {
			a = &unix.SockaddrInet6{}
			err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0)
		}
		if err == nil && kind == unix.SOCK_DGRAM {
			err = dropAll(fd)
		}
		if err == nil {
			err = unix.Bind(fd, a)
		}
		if err == nil {
			if port, err = boundPort(fd); err == nil {
				return fd, port, nil
			}
		}
		unix.Close(fd)
	}
	return -1, 0, err
}

// dropAll keeps datagrams from filling a socket that nobody reads: a classic BPF
// program (socket(7), SO_ATTACH_FILTER) that takes nothing.
func dropAll(fd int) error {
	none := [...]unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(none)), Filter: &none[0]})
}

func boundPort(fd int) (uint16, error) {
	a, err := unix.Getsockname(fd)
	if err != nil {
		return 0, err
	}
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		return uint16(a.Port), nil
	case *unix.SockaddrInet6:
		return uint16(a.Port), nil
	}
	return 0, unix.EAFNOSUPPORT
}
