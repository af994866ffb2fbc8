package stack

import (
	"context"
	"net/netip"
	"syscall"

	"github.com/fastnet-go/fastnet/internal/defect"
)

// DialTCP connects to raddr from laddr, whose zero address or port is chosen.
// It waits until the peer has answered or ctx ends. Errors are those of
// connect(2) as syscall.Errno, ctx's as they are, and ErrClosed.
func (h *Host) DialTCP(ctx context.Context, laddr, raddr netip.AddrPort, o TCPOptions) (*TCPConn, error) {
	if defect.On(defect.ContextIgnored) {
		ctx = context.Background()
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c, err := h.StartDialTCP(laddr, raddr, o)
	if err != nil {
		return nil, err
	}
	if ctx.Done() != nil {
		stop := context.AfterFunc(ctx, func() {
			c.lock()
			if !c.established && c.sendErr == nil {
				c.dialEnded, c.sendErr = true, ctx.Err()
				c.wq.wake()
			}
			c.unlock()
		})
		defer stop()
	}
	if err := c.awaitConnect(); err != nil {
		if !defect.On(defect.EndedDialLeaks) {
			c.abort(ErrClosed)
		}
		return nil, err
	}
	return c, nil
}

// awaitConnect returns when the handshake is complete or has failed.
func (c *TCPConn) awaitConnect() error {
	for range 2 {
		c.lock()
		done := c.established || c.sendErr != nil
		c.unlock()
		if done {
			break
		}
		c.pollOnce()
	}
	c.lock()
	defer c.unlock()
	for !c.established && c.sendErr == nil {
		c.wq.wait()
	}
	// An error after the handshake is the first Read's or Write's.
	if c.established && !c.dialEnded {
		return nil
	}
	return c.sendErr
}

// ConnectStatus tells of a connection that StartDialTCP began: nil once it is
// established, ErrWouldBlock before, or why it failed.
func (c *TCPConn) ConnectStatus() error {
	c.lock()
	defer c.unlock()
	switch {
	case c.established:
		return nil
	case c.sendErr != nil:
		return c.sendErr
	}
	return ErrWouldBlock
}

// StartDialTCP is DialTCP that does not wait: the SYN is on its way.
func (h *Host) StartDialTCP(laddr, raddr netip.AddrPort, o TCPOptions) (*TCPConn, error) {
	if h.closed.Load() {
		return nil, ErrClosed
	}
	remote := raddr.Addr().Unmap()
	switch {
	case !remote.IsValid():
		return nil, errInvalid
	case raddr.Port() == 0:
		return nil, syscall.ECONNREFUSED // as Linux on loopback: nobody is at port 0
	case remote.IsMulticast():
		return nil, errNetUnreachable
	case remote.IsUnspecified(): // as Linux: this host
		remote = loopbackOf(remote)
	}
	if h.sockets.Load() >= int64(h.cfg.MaxConnections) {
		return nil, syscall.ENOBUFS
	}
	local := laddr.Addr().Unmap()
	if local.IsValid() && local.IsUnspecified() {
		local = netip.Addr{}
	}
	if local.IsValid() {
		if !h.isLocal(local.WithZone("")) {
			return nil, syscall.EADDRNOTAVAIL
		}
		if local.Is4() != remote.Is4() {
			return nil, errInvalid
		}
	}
	p, err := h.findPath(remote, local.WithZone(""), h.random())
	if err != nil {
		return nil, err
	}
	if p.iface.isBroadcast(remote) {
		return nil, errNetUnreachable
	}
	if isLinkLocal(remote) {
		remote = remote.WithZone(p.iface.name)
	}
	c, err := h.dialFrom(p, laddr.Port(), netip.AddrPortFrom(remote, raddr.Port()), &o)
	if err != nil {
		return nil, err
	}
	c.lock()
	c.output(h.now())
	c.unlock()
	return c, nil
}

// dialFrom makes the connection with a port that is free for it, and enters it
// in the flow table. Its SYN is not sent yet.
func (h *Host) dialFrom(p path, port uint16, remote netip.AddrPort, o *TCPOptions) (*TCPConn, error) {
	src := p.src
	if isLinkLocal(src) {
		src = src.WithZone(p.iface.name)
	}
	k := h.tupleOf(netip.AddrPortFrom(src, port), remote, p.iface)
	var c *TCPConn
	use := func(port uint16) bool {
		k.localPort = port
		old := h.flows.lookup(&k)
		if old != nil && !h.twList.reusable(old) {
			return false
		}
		if h.listeners.uses(binding{addr: k.local, port: port}, o.ReusePort) {
			return false
		}
		local := netip.AddrPortFrom(src, port)
		if c == nil {
			c = h.newConn(local, remote, p, o)
		} else {
			c.key = k
		}
		now := h.now()
		init := c.init(now)
		if old != nil {
			init.ISS = old.timeWait.core.NextISS(init.ISS)
		}
		c.core.Connect(c.config, init, now)
		if !h.flows.insert(c.flow(), old) {
			c.core.Release()
			return false
		}
		if old != nil {
			h.twList.replaced(old.timeWait)
		}
		return true
	}
	if port != 0 {
		if !use(port) {
			return nil, syscall.EADDRINUSE
		}
	} else if near, tries := p.portsOf(remote, use); !h.ports.pickFor(src, remote, 1+uint16(p.q.index), tries, near) &&
		!h.ports.pickFor(src, remote, 0, numEphemeral, use) {
		return nil, syscall.EADDRNOTAVAIL
	}
	h.count.activeOpens.Add(1)
	h.connNew(c)
	return c, nil
}

// connNew and connGone count the connections that the host knows.
func (h *Host) connNew(c *TCPConn) {
	h.sockets.Add(1)
	if h.closed.Load() {
		go c.abort(ErrClosed) // Close may have missed it
	}
}

func (h *Host) connGone(*TCPConn) { h.sockets.Add(-1) }
