package fastnet

import (
	"log/slog"
	"net"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/fastnet/internal/kernel"
)

// handsOver reports whether the kernel's sockets are to be shared with the next
// process's, or the last one's: where this one could not have the interface, too.
func (n *Network) handsOver() bool { return n.cfg.XDP != nil && n.cfg.XDP.Handover }

// reusingPort is lc whose sockets have SO_REUSEPORT.
func reusingPort(lc *ListenConfig) *ListenConfig {
	c := *lc
	control := lc.Control
	c.Control = func(network, address string, raw syscall.RawConn) error {
		if control != nil {
			if err := control(network, address, raw); err != nil {
				return err
			}
		}
		var err error
		if e := raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		}); e != nil {
			return e
		}
		return err
	}
	c.SetMultipathTCP(false) // such a socket takes no program: see leaveToOthers
	return &c
}

// leaveToOthers makes the kernel pass on to the next process what k has not accepted
// when it is closed, and give k what is new on its port until the next one listens.
// Where that cannot be (a kernel before Linux 5.14, no CAP_BPF)
// those connections are reset: a moment's, of clients on this machine. Of two
// listeners of a program's on one port neither is preferred.
func (n *Network) leaveToOthers(k *net.TCPListener) {
	take := kernel.Prefer
	if n.listensOn(k.Addr().(*net.TCPAddr).Port) {
		take = kernel.MigrateOnClose
	}
	if err := withDescriptor(k, take); err != nil {
		n.log.Debug("fastnet: handover: what the kernel has not given to the program when it ends is reset", slog.Any("error", err))
	}
}

// listensOn reports whether the program has a listener in the kernel on a port.
func (n *Network) listensOn(port int) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for l := range n.listeners {
		if k := l.inKernel(); k != nil && k.Addr().(*net.TCPAddr).Port == port {
			return true
		}
	}
	return false
}

// dropSYNs makes k begin no more connections.
func dropSYNs(k *net.TCPListener) { withDescriptor(k, kernel.DropSYNs) }

// acceptQueue is how many connections wait in the kernel for k to accept them.
func acceptQueue(k *net.TCPListener) (n int) {
	withDescriptor(k, func(fd int) (err error) {
		n, err = kernel.AcceptQueue(fd)
		return err
	})
	return n
}

// withDescriptor calls f with the descriptor of k, unless that is closed.
func withDescriptor(k *net.TCPListener, f func(fd int) error) error {
	raw, err := k.SyscallConn()
	if err != nil {
		return err
	}
	if e := raw.Control(func(fd uintptr) { err = f(int(fd)) }); e != nil {
		return e
	}
	return err
}
