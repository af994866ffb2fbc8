package fastnet

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fastnet-go/fastnet/fastnet/internal/steer"
	"github.com/fastnet-go/fastnet/stack"
)

// sharedUDP is what a UDP socket of the stack's has beside it on a shared
// interface. A bound one has a socket of the kernel's on the same address, which
// holds the port; what that receives, from localhost, containers, tunnels and
// groups, is put into the stack's receive queue, and a datagram to a peer goes the
// way that the kernel's routes lead.
type sharedUDP struct {
	sh     *shared
	kernel *net.UDPConn // nil of a connected socket
	bound  bool         // to an address: not to a wildcard
	giveUp func()       // the port or the flow
	done   chan struct{}
	once   sync.Once
	others atomic.Int32 // sockets that have it, and their Files, less one
}

// openUDP are the sockets that have a port, for the network's Close: their users may
// close them later, or never.
type openUDP struct {
	mu     sync.Mutex
	closed bool
	all    map[*sharedUDP]struct{}
}

// add notes a socket. It reports whether the network is still open.
func (o *openUDP) add(u *sharedUDP) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return false
	}
	if o.all == nil {
		o.all = make(map[*sharedUDP]struct{})
	}
	o.all[u] = struct{}{}
	return true
}

func (o *openUDP) remove(u *sharedUDP) {
	o.mu.Lock()
	delete(o.all, u)
	o.mu.Unlock()
}

// close closes the kernel's sockets.
func (o *openUDP) close() {
	o.mu.Lock()
	o.closed = true
	all := o.all
	o.all = nil
	o.mu.Unlock()
	for u := range all {
		u.end()
	}
}

// listenUDP binds a socket in the kernel, then one in the stack, and then has the
// filter take the port.
func (sh *shared) listenUDP(n *Network, k *net.UDPConn, local netip.AddrPort, o stack.UDPOptions) (*stack.UDPConn, *sharedUDP, error) {
	if local.Port() == 0 {
		local = netip.AddrPortFrom(local.Addr(), uint16(k.LocalAddr().(*net.UDPAddr).Port))
	}
	s, err := sh.host.ListenUDP(local, o)
	if err != nil {
		k.Close()
		return nil, nil, netError("bind", err)
	}
	p := filterPort(steer.UDP, local, o.V6Only)
	if err := sh.steer.OpenPort(p); err != nil {
		closeAll(s, k)
		return nil, nil, err
	}
	u := &sharedUDP{
		sh: sh, kernel: k, bound: local.Addr().IsValid() && !local.Addr().IsUnspecified(), done: make(chan struct{}),
		giveUp: func() { sh.steer.ClosePort(p, func() {}) },
	}
	go u.pump(n, s)
	if !sh.udp.add(u) {
		s.Close()
		u.end()
		return nil, nil, net.ErrClosed
	}
	return s, u, nil
}

// pump moves the kernel's datagrams to the stack's socket until the kernel's is
// closed.
func (u *sharedUDP) pump(n *Network, s *stack.UDPConn) {
	defer close(u.done)
	b, oob := make([]byte, 1<<16), make([]byte, 256)
	for {
		size, oobn, _, from, err := u.kernel.ReadMsgUDPAddrPort(b, oob)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // of an earlier datagram's, by ICMP: the next may come
			time.Sleep(time.Millisecond)
			continue
		}
		s.Deliver(b[:size], unmap(from), n.kernelInfo(oob[:oobn]))
	}
}

// socket is the kernel's beside the stack's, or nil.
func (u *sharedUDP) socket() *net.UDPConn {
	if u == nil {
		return nil
	}
	return u.kernel
}

// join notes another socket that has u, which may be nil.
func (u *sharedUDP) join() {
	if u != nil {
		u.others.Add(1)
	}
}

// close is called by each of the sockets that have u; the last one ends it.
func (u *sharedUDP) close() {
	if u != nil && u.others.Add(-1) < 0 {
		u.end()
	}
}

// end gives up what the filter takes and what the kernel holds.
func (u *sharedUDP) end() {
	u.once.Do(func() {
		u.giveUp()
		if u.kernel != nil {
			u.sh.udp.remove(u)
			u.kernel.Close()
			<-u.done
		}
	})
}

// way reports whether a datagram to dst is the stack's to send, and the options for
// that.
func (u *sharedUDP) way(dst netip.Addr) (o stack.SendOptions, ours bool) {
	w := u.sh.wayOfDatagram(dst)
	o.TOS = -1
	if !u.bound {
		o.From = w.Source
	}
	return o, w.Ours && u.sh.live.Load()
}

// send sends a datagram from an unconnected socket on a shared interface.
func (u *sharedUDP) send(c *UDPConn, b []byte, dst netip.AddrPort) (int, error) {
	o, ours := u.way(dst.Addr())
	if !ours {
		n, err := u.kernel.WriteToUDPAddrPort(b, dst)
		if err != nil {
			err = inner(n, err)
		}
		return n, err
	}
	return c.sendMsg(b, dst, o)
}

// sendMsg is send with control messages, which are for the kernel alone if ours is
// false.
func (u *sharedUDP) sendMsg(b, oob []byte, dst netip.AddrPort) (n int, err error, ours bool) {
	if _, ours := u.way(dst.Addr()); ours {
		return 0, nil, true
	}
	n, _, err = u.kernel.WriteMsgUDPAddrPort(b, oob, dst)
	if err != nil {
		err = inner(n, err)
	}
	return n, err, false
}

// each does something to the kernel's socket too, if there is one.
func (u *sharedUDP) each(f func(*net.UDPConn) error) {
	if u != nil && u.kernel != nil {
		f(u.kernel)
	}
}

// dialUDP connects a socket by the stack. taken and err are as dial's.
func (sh *shared) dialUDP(src netip.Addr, remote netip.AddrPort, o stack.UDPOptions) (s *stack.UDPConn, u *sharedUDP, taken bool, err error) {
	f, taken, err := sh.dial(steer.UDP, sh.udpPorts, src, remote, func(local netip.AddrPort) (err error) {
		s, err = sh.host.DialUDP(local, remote, o)
		return err
	})
	if err != nil || !taken {
		return nil, nil, taken, err
	}
	return s, &sharedUDP{sh: sh, giveUp: func() { sh.steer.Release(f) }}, true, nil
}
