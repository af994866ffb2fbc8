package fastnet

import (
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/listener"
	"github.com/fastnet-go/fastnet/stack"
)

// A listener whose descriptor comes from elsewhere, from the process before this one
// or by socket activation, is to be reached through the stack as one that Listen makes
// is: so the stack listens on its address, too.

// foreignListener is what a descriptor says of a listener of the kernel's.
type foreignListener struct {
	local     netip.AddrPort
	family    family
	v6only    bool
	reusePort bool
}

// lookAt reports whether f is a TCP listener.
func lookAt(f *os.File) (l foreignListener, ok bool) {
	c, err := f.SyscallConn()
	if err != nil {
		return l, false
	}
	err = c.Control(func(d uintptr) {
		fd := int(d)
		is := func(level, opt, want int) bool {
			v, err := unix.GetsockoptInt(fd, level, opt)
			return err == nil && v == want
		}
		if !is(unix.SOL_SOCKET, unix.SO_ACCEPTCONN, 1) || !is(unix.SOL_SOCKET, unix.SO_TYPE, unix.SOCK_STREAM) {
			return
		}
		sa, err := unix.Getsockname(fd)
		if err != nil {
			return
		}
		switch sa := sa.(type) {
		case *unix.SockaddrInet4:
			l.local, l.family, ok = netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), inet4, true
		case *unix.SockaddrInet6:
			l.local, l.family, ok = netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port)), inet6, true
			if sa.ZoneId != 0 { // of one link, by the kernel's index
				ok = false
			}
		}
		l.v6only = is(unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
		l.reusePort = is(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	})
	return l, ok && err == nil
}

// adopt makes a listener of f that listens in the stack, too. It is nil if that is the
// kernel's alone, and why, if not "", a reason that package net does not have.
func (n *Network) adopt(f *os.File) (l *TCPListener, why string, err error) {
	if n.host == nil {
		return nil, "", nil
	}
	is, ok := lookAt(f)
	if !ok || n.onKernel(is.local.Addr()) {
		return nil, "", nil
	}
	for _, r := range n.cfg.Kernel {
		if r.covers("tcp", is.local.Addr()) {
			return nil, "", nil
		}
	}
	local := unmap(is.local)
	if n.shared != nil {
		if why := n.shared.declines("tcp", local); why != "" {
			return nil, why, nil
		}
	}
	k, err := net.FileListener(f)
	if err != nil {
		return nil, "", err
	}
	half, ok := k.(*net.TCPListener)
	if !ok {
		k.Close()
		return nil, "", nil
	}
	l = &TCPListener{net: "tcp", family: is.family, half: half, keepAlive: initialKeepAlive(0, KeepAliveConfig{})}
	open := func(a netip.AddrPort) (*stack.TCPListener, error) {
		return n.host.ListenTCP(a, stack.ListenOptions{
			Backlog: n.cfg.Backlog, V6Only: is.v6only, ReusePort: is.reusePort, FreeBind: n.shared != nil,
			TCP: stack.TCPOptions{KeepAlive: l.keepAlive, ReusePort: is.reusePort},
		})
	}
	if n.shared != nil {
		if n.handsOver() {
			n.leaveToOthers(half)
		}
		l.stack, _, l.unshare, err = n.shared.listen(local, func() bool { return is.v6only }, open, func() (*net.TCPListener, error) { return half, nil })
	} else if l.stack, err = open(local); err != nil {
		half.Close()
	}
	if err != nil {
		return nil, "the stack cannot listen on the descriptor's address: " + err.Error(), nil
	}
	l.lent.Store(true)
	storeTCP(&l.laddr, is.family, l.stack.Addr())
	l.merged = listener.Merge(l.stack, listener.Kernel[*TCPConn](kernelListener{half, n}), n.acceptFailed)
	l.held.mu.Lock()
	err = l.know(f)
	l.held.mu.Unlock()
	if err != nil {
		l.owner = n
		l.Close()
		return nil, "", err
	}
	l, err = n.own(l)
	return l, "", err
}
