package fastnet

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/fastnet-go/fastnet/fastnet/internal/kernel"
	"github.com/fastnet-go/fastnet/fastnet/internal/steer"
	"github.com/fastnet-go/fastnet/listener"
	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/afxdp"
	"github.com/fastnet-go/fastnet/stack"
)

// shared is the network's side of an interface whose addresses the kernel has
// too.
type shared struct {
	host   *stack.Host
	cfg    *XDP
	kernel router
	steer  *steer.Steering
	live   atomic.Bool // the interface is ours: not another process's still

	tcpPorts, udpPorts []uint16 // bound in advance, for dials
	udp                openUDP
	ways               ways // answers of the kernel's, while they hold
}

// router is what is asked of the kernel: *kernel.Follower.
type router interface {
	State() kernel.State
	RouteTo(dst, src netip.Addr) kernel.Way
}

// declines says why a listener or a bound socket is the kernel's alone, or "".
func (sh *shared) declines(network string, local netip.AddrPort) string {
	a := local.Addr()
	state := sh.kernel.State()
	switch {
	case a.IsMulticast():
		return "groups are the kernel's on a shared interface"
	case a.IsValid() && !a.IsUnspecified() && (!state.Has(a) || !state.InZone(a)):
		return "the address is not on " + state.Name
	case len(sh.cfg.Ports) == 0:
		return ""
	}
	for _, r := range sh.cfg.Ports {
		if r.covers(network, local.Port()) {
			return ""
		}
	}
	return "ports= does not have its port"
}

// closeAll undoes what was opened.
func closeAll(cs ...interface{ Close() error }) {
	for _, c := range cs {
		c.Close()
	}
}

// listen opens a listener in the kernel, which says whether the port is free, then
// one in the stack, and then has the filter take the port. unshare is to be called
// as the listener closes.
func (sh *shared) listen(local netip.AddrPort, v6only func() bool, open func(netip.AddrPort) (*stack.TCPListener, error),
	openKernel func() (*net.TCPListener, error)) (s *stack.TCPListener, k *net.TCPListener, unshare func(), err error) {
	if k, err = openKernel(); err != nil {
		return nil, nil, nil, err
	}
	if local.Port() == 0 {
		local = netip.AddrPortFrom(local.Addr(), uint16(k.Addr().(*net.TCPAddr).Port))
	}
	if s, err = open(local); err != nil {
		closeAll(k)
		return nil, nil, nil, err
	}
	p := filterPort(steer.TCP, local, v6only())
	if err = sh.steer.OpenPort(p); err != nil {
		closeAll(s, k)
		return nil, nil, nil, err
	}
	return s, k, sync.OnceFunc(func() { sh.steer.ClosePort(p, s.Drain) }), nil
}

// listenShared is listenTCP on a shared interface. The error is the one inside the
// OpError.
func (n *Network) listenShared(ctx context.Context, lc *ListenConfig, network string, laddr *TCPAddr, local netip.AddrPort, v6only bool,
	l *TCPListener, open func(netip.AddrPort) (*stack.TCPListener, error)) error {
	c := *lc
	c.SetMultipathTCP(false) // the stack has none, and such a socket takes few options
	lc = &c
	v6 := func() bool { return l.set.v6(v6only) } // as Control has it
	s, k, unshare, err := n.shared.listen(local, v6, open, func() (*net.TCPListener, error) {
		return n.listenKernel(ctx, lc, network, laddr)
	})
	if err != nil {
		return err
	}
	l.stack = s
	l.unshare = unshare
	l.half = k
	l.merged = listener.Merge(s, listener.Kernel[*TCPConn](kernelListener{k, n}), n.acceptFailed)
	return nil
}

// dial opens a socket of the stack's on one of the ports bound in advance, which
// the filter takes for this peer before anything is sent. taken is false if the
// kernel is to do it: err is why, and nil if there is no port for this peer.
func (sh *shared) dial(protocol uint8, ports []uint16, src netip.Addr, remote netip.AddrPort,
	open func(local netip.AddrPort) error) (f afxdp.Flow, taken bool, err error) {
	if len(ports) == 0 {
		return f, false, nil
	}
	f = afxdp.Flow{Protocol: protocol, Remote: netip.AddrPortFrom(remote.Addr().WithZone(""), remote.Port())}
	start := rand.IntN(len(ports))
	// Ports without a connection to this peer first; then those whose TIME-WAIT
	// may have come far enough (RFC 6191).
	for _, again := range []bool{false, true} {
		if again && protocol != steer.TCP {
			break
		}
		for i := range ports {
			port := ports[(start+i)%len(ports)]
			f.Local = netip.AddrPortFrom(src.WithZone(""), port)
			if protocol == steer.TCP && sh.host.HasTCPFlow(f.Local, f.Remote) != again {
				continue
			}
			if err := sh.steer.Hold(f); err != nil {
				return f, false, err
			}
			err := open(netip.AddrPortFrom(src, port))
			if err == nil {
				return f, true, nil // still held
			}
			sh.steer.Release(f)
			if err != syscall.EADDRINUSE {
				return f, true, err
			}
		}
	}
	return f, false, nil
}

// dialTCP connects by the stack. taken and err are as dial's.
func (sh *shared) dialTCP(ctx context.Context, src netip.Addr, remote netip.AddrPort, o stack.TCPOptions) (s *stack.TCPConn, taken bool, err error) {
	f, taken, err := sh.dial(steer.TCP, sh.tcpPorts, src, remote, func(local netip.AddrPort) (err error) {
		s, err = sh.host.DialTCP(ctx, local, remote, o)
		return err
	})
	if err == nil && taken {
		sh.steer.Release(f) // the flow itself keeps the entry now
	}
	return s, taken, err
}

// source is the address to dial from.
func source(local netip.Addr, w kernel.Way) netip.Addr {
	if local.IsValid() && !local.IsUnspecified() {
		return local
	}
	return w.Source
}

// listensByKernel is byKernel for a listener or a bound socket: on a shared
// interface some are the kernel's alone. bad is that local is no address at all.
func (n *Network) listensByKernel(network string, local netip.AddrPort, bad error) (bool, error) {
	kernel, err := n.byKernel(network, local.Addr())
	if kernel || err != nil || n.shared == nil || bad != nil {
		return kernel, err
	}
	if why := n.shared.declines(network, local); why != "" {
		return true, n.fallbackFor(network[:3], why)
	}
	return false, nil
}

// dialsByKernel reports whether a dial is the kernel's on a shared interface, and
// else the address to dial from. A dial that the stack could serve but for the
// program's wishes is a fallback, which err may forbid.
func (n *Network) dialsByKernel(network string, local, remote netip.AddrPort) (src netip.Addr, kernel bool, err error) {
	if !n.shared.live.Load() {
		return src, true, nil
	}
	w := n.shared.way(remote.Addr(), local.Addr())
	src = source(local.Addr(), w)
	if !w.Ours || !src.IsValid() {
		return src, true, nil // where the kernel's routes lead
	}
	if local.Port() != 0 {
		return src, true, n.fallbackFor(network[:3], "a dial on a shared interface has its port from those that are bound in advance")
	}
	return src, false, nil
}

// notDialled counts a dial that the kernel does since the stack could not: for want
// of a port, or for what the filter says.
func (n *Network) notDialled(network string, why error) error {
	reason := ""
	switch {
	case n.cfg.XDP.DialPorts < 0:
		reason = "dialports=0"
	case why == nil:
		reason = "all dial ports are in use for this peer: set dialports higher"
	case errors.Is(why, steer.ErrNoFilter):
		reason = "another process has the interface still"
	case errors.Is(why, nic.ErrClosed):
		reason = "the interface is lost: start the program again to have it back"
	case errors.Is(why, syscall.E2BIG):
		reason = "the filter has no room for another connection: set maxflows higher, or have fewer"
	default:
		reason = "the filter does not take the connection: " + syscallError(why)
	}
	return n.fallbackFor(network[:3], reason)
}

// syscallError is what the kernel said, without the connection's ends: reasons are few.
func syscallError(err error) string {
	if e, ok := errors.AsType[syscall.Errno](err); ok {
		return e.Error()
	}
	return "an error that is not the kernel's"
}

// flowEnded is what the stack calls when nothing is left of a connection.
func (n *Network) flowEnded() func(local, remote netip.AddrPort, waited bool) {
	if n.cfg.XDP == nil || len(n.cfg.Addresses) > 0 {
		return nil
	}
	return func(local, remote netip.AddrPort, waited bool) {
		if sh := n.shared; sh != nil {
			sh.steer.Ended(local, remote, waited)
		}
	}
}
