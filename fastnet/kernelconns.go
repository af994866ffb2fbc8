package fastnet

import (
	"log/slog"
	"net"
	"runtime"
	"sync"
	"weak"
)

// kernelConns are the connections of the kernel's that a network's listeners have
// accepted, for Shutdown and Close. They are not kept from the garbage collector,
// which closes what a program has lost.
type kernelConns struct {
	mu     sync.Mutex
	closed bool
	all    map[weak.Pointer[TCPConn]]struct{}
	errors uint64 // of accept, that were waited out
}

// accepted is k as a connection of the network's.
func (n *Network) accepted(k *net.TCPConn) *TCPConn {
	c := &TCPConn{kernel: k}
	if n == nil {
		return c
	}
	a := &n.kernelConns
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		abortKernel(k)
		return c
	}
	if a.all == nil {
		a.all = make(map[weak.Pointer[TCPConn]]struct{})
	}
	p := weak.Make(c)
	a.all[p] = struct{}{}
	c.conns = a
	runtime.AddCleanup(c, a.remove, p)
	return c
}

func (a *kernelConns) remove(p weak.Pointer[TCPConn]) {
	a.mu.Lock()
	delete(a.all, p)
	a.mu.Unlock()
}

// open is how many there are.
func (a *kernelConns) open() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.all)
}

// close resets them, and those that are accepted later.
func (a *kernelConns) close() {
	a.mu.Lock()
	a.closed = true
	all := a.all
	a.all = nil
	a.mu.Unlock()
	for p := range all {
		if c := p.Value(); c != nil {
			abortKernel(c.kernel)
		}
	}
}

// abortKernel ends a connection as the stack ends its own.
func abortKernel(k *net.TCPConn) {
	k.SetLinger(0)
	k.Close()
}

// acceptFailed counts an error of the kernel's half of a listener, which is waited
// out, and logs the first.
func (n *Network) acceptFailed(err error) {
	a := &n.kernelConns
	a.mu.Lock()
	a.errors++
	first := a.errors == 1
	a.mu.Unlock()
	if first {
		n.log.Warn("fastnet: the kernel's half of a listener cannot accept, and tries again: raise the limit of open files (LimitNOFILE= of systemd), or have less open; the stack's half goes on",
			slog.String("network", n.cfg.Name), slog.Any("error", err))
	}
}
