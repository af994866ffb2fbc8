package fastnet

import (
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/listener"
	"github.com/fastnet-go/fastnet/stack"
)

// file is File of a connection of the stack's.
func (c *TCPConn) file() (*os.File, error) {
	c.held.mu.Lock()
	defer c.held.mu.Unlock()
	if c.closed.Load() {
		return nil, c.opError("file", "dup", stack.ErrClosed)
	}
	hold, err := c.stack.Dup()
	if err != nil {
		return nil, c.opError("file", "dup", err)
	}
	share := c.attach()
	c.files.Store(share)
	f := &socketFile{
		name: "tcp:" + c.laddr.addr.String() + "->" + c.raddr.addr.String(), share: share, hold: hold,
		release: func() { hold.Close() },
		again: func(*os.File) (interface{ Close() error }, error) {
			h, err := c.stack.Dup()
			if err != nil {
				return nil, err
			}
			c.keepAliveMu.Lock()
			o := &TCPConn{stack: c.stack, net: c.net, keepAlive: c.keepAlive}
			c.keepAliveMu.Unlock()
			o.laddr.addr, o.raddr.addr = c.laddr.addr, c.raddr.addr
			o.handle, o.share = h, share
			o.files.Store(share)
			return o, nil
		},
	}
	file, err := f.open()
	if err != nil {
		hold.Close()
		return nil, c.opError("file", "dup", err)
	}
	return file, nil
}

// file is File of a listener of the stack's.
func (l *TCPListener) file() (*os.File, error) {
	l.held.mu.Lock()
	defer l.held.mu.Unlock()
	if l.closed.Load() {
		return nil, l.opError("file", "dup", stack.ErrClosed)
	}
	if l.merged != nil {
		return l.fileOfHalf()
	}
	hold, err := l.stack.Dup()
	if err != nil {
		return nil, l.opError("file", "dup", err)
	}
	share := l.attach()
	f := &socketFile{
		name: "tcp:" + l.laddr.addr.String() + "->", share: share,
		release: func() { hold.Close() },
		again: func(*os.File) (interface{ Close() error }, error) {
			h, err := l.stack.Dup()
			if err != nil {
				return nil, err
			}
			o := &TCPListener{stack: l.stack, net: l.net, family: l.family, keepAlive: l.keepAlive, set: l.set}
			o.laddr.addr = l.laddr.addr
			o.handle, o.share = h, share
			return l.owner.own(o)
		},
	}
	file, err := f.open()
	if err != nil {
		hold.Close()
		return nil, l.opError("file", "dup", err)
	}
	return file, nil
}

// fileOfHalf is File of a listener that is in the kernel, too: of that half, which a
// child may use.
func (l *TCPListener) fileOfHalf() (*os.File, error) {
	file, err := l.half.File()
	if err == nil {
		file, err = neverBlocking(file)
	}
	if err != nil {
		return nil, err
	}
	if err := l.know(file); err != nil {
		file.Close()
		return nil, l.opError("file", "dup", err)
	}
	return file, nil
}

// neverBlocking is f, which it closes, as a File whose Fd, which exec.Cmd calls, leaves
// the descriptor non-blocking. That of package net's makes it blocking (fcntl(2): the
// flag is of all copies), and so the listener's own: its Accept would wait in a system
// call, which Close cannot end, for the next who connects.
func neverBlocking(f *os.File) (*os.File, error) {
	defer f.Close()
	c, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	copied := -1
	if e := c.Control(func(fd uintptr) { copied, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) }); e != nil {
		return nil, e
	}
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(copied), f.Name()), nil
}

// know makes FileListener of file, a descriptor of the kernel's half, or of a copy of it,
// another holder of l. The held's lock is held.
func (l *TCPListener) know(file *os.File) error {
	share := l.attach()
	f := &socketFile{share: share, lend: new(lending), again: func(file *os.File) (interface{ Close() error }, error) {
		k, err := net.FileListener(file)
		if err != nil {
			return nil, inner(k, err)
		}
		h, err := l.stack.Dup()
		if err != nil {
			k.Close()
			return nil, err
		}
		half := k.(*net.TCPListener)
		o := &TCPListener{stack: l.stack, half: half, net: l.net, family: l.family, keepAlive: l.keepAlive, set: l.set, unshare: l.unshare}
		o.laddr.addr = l.laddr.addr
		o.handle, o.share = h, share
		o.lent.Store(true)
		o.merged = listener.Merge(h, listener.Kernel[*TCPConn](kernelListener{half, l.owner}), l.owner.acceptFailed)
		return l.owner.own(o)
	}}
	c, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err = c.Control(func(fd uintptr) { f.id, failed = identify(int(fd)) }); err == nil {
		err = failed
	}
	if err != nil {
		return err
	}
	socketFiles.put(f)
	share.ended(func() { socketFiles.remove(f.id) })
	return nil
}

// file is File of a UDP socket of the stack's.
func (c *UDPConn) file() (*os.File, error) {
	c.held.mu.Lock()
	defer c.held.mu.Unlock()
	if c.closed.Load() {
		return nil, c.opError("file", "dup", c.remote(), stack.ErrClosed)
	}
	hold, err := c.stack.Dup()
	if err != nil {
		return nil, c.opError("file", "dup", c.remote(), err)
	}
	share := c.attach()
	name := "udp:" + c.laddr.addr.String() + "->"
	if c.connected {
		name += c.raddr.addr.String()
	}
	c.shared.join()
	release := func() {
		hold.Close()
		c.shared.close()
	}
	f := &socketFile{
		name: name, share: share, release: release,
		again: func(*os.File) (interface{ Close() error }, error) {
			h, err := c.stack.Dup()
			if err != nil {
				return nil, err
			}
			o := &UDPConn{stack: c.stack, owner: c.owner, net: c.net, family: c.family, v6only: c.v6only, connected: c.connected, shared: c.shared}
			o.oob.Store(c.oob.Load())
			o.shadow.made = c.shadow.made
			o.laddr.addr, o.raddr.addr = c.laddr.addr, c.raddr.addr
			o.handle, o.share = h, share
			c.shared.join()
			return o, nil
		},
	}
	file, err := f.open()
	if err != nil {
		release()
		return nil, c.opError("file", "dup", c.remote(), err)
	}
	return file, nil
}

// file is File of an ICMP socket of the stack's.
func (c *IPConn) file() (*os.File, error) {
	c.held.mu.Lock()
	defer c.held.mu.Unlock()
	if c.closed.Load() {
		return nil, c.opError("file", "dup", opAddr(c.raddr), stack.ErrClosed)
	}
	hold, err := c.stack.Dup()
	if err != nil {
		return nil, c.opError("file", "dup", opAddr(c.raddr), err)
	}
	share := c.attach()
	name := "ip:" + c.laddr.String() + "->"
	if c.raddr != nil {
		name += c.raddr.String()
	}
	f := &socketFile{
		name: name, share: share, release: func() { hold.Close() },
		again: func(*os.File) (interface{ Close() error }, error) {
			h, err := c.stack.Dup()
			if err != nil {
				return nil, err
			}
			o := &IPConn{stack: c.stack, net: c.net, laddr: c.laddr, raddr: c.raddr}
			o.shadow.made = c.shadow.made
			o.handle, o.share = h, share
			return o, nil
		},
	}
	file, err := f.open()
	if err != nil {
		hold.Close()
		return nil, c.opError("file", "dup", opAddr(c.raddr), err)
	}
	return file, nil
}
