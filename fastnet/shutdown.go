package fastnet

import (
	"context"
	"maps"
	"net"
	"slices"
	"time"
)

const (
	// handshakeTime is for how long Shutdown lets handshakes finish before the ports
	// are given back: a SYN that comes meanwhile is sent again after a second (RFC
	// 6298 section 2.1).
	handshakeTime = time.Second
	// lateHandshakeTime is for how long those that have not finished by then may
	// take. Nobody waits for them.
	lateHandshakeTime = 5 * time.Second
	// acceptTime is for how long the program may take to accept what has come of
	// them: what it has not by then is reset. One that still accepts takes a moment,
	// on a machine that stands still some seconds.
	acceptTime = 15 * time.Second
)

// Shutdown ends the network as its work ends: it closes the listeners, waits until
// the stack's connections are closed by both ends, and those that its listeners have
// accepted from the kernel by the program, and then closes the network. If
// ctx ends before, the connections that are left are reset, and the error is ctx's.
// Who is in the middle of something is told by other means, as
// http.Server.Shutdown. UDP sockets work until the end. What the kernel has dialled for
// the network is not waited for: it works on when the network is closed.
//
// On an interface shared with the kernel the ports are the kernel's again from the
// beginning, so that the next process may listen on them; connections, and those
// in TIME-WAIT, stay the stack's. With XDP.Handover the next one listens already,
// and no client is refused. A network that waits for its interface then waits no
// longer: it leaves it to the next one.
func (n *Network) Shutdown(ctx context.Context) error {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return net.ErrClosed
	}
	listeners := slices.Collect(maps.Keys(n.listeners))
	n.mu.Unlock()
	n.xdp.stop()
	for _, l := range listeners {
		l.drain()
	}
	accepted := time.Now().Add(acceptTime)
	n.settle(ctx, listeners, handshakeTime, accepted)
	for _, l := range listeners {
		l.leave()
	}
	n.settle(ctx, listeners, lateHandshakeTime, accepted)
	for _, l := range listeners {
		l.Close()
	}
	err := n.await(ctx, func() bool { return n.openConnections() == 0 })
	if e := n.Close(); err == nil {
		err = e
	}
	return err
}

// settle waits until no handshake is under way, but no longer than d, and nothing is
// left to accept, but no longer than until accepted.
func (n *Network) settle(ctx context.Context, listeners []*TCPListener, d time.Duration, accepted time.Time) {
	begun := time.Now()
	n.await(ctx, func() bool {
		now, pending := time.Now(), 0
		if now.Sub(begun) <= d {
			pending = n.halfOpen() // before those that it may be among next
		}
		if now.Before(accepted) {
			for _, l := range listeners {
				pending += l.waiting()
			}
		}
		return pending == 0
	})
}

// drain has the listener begin no more connections; Accept returns those that have
// begun. The kernel's half begins more where the next process may listen already:
// leave passes on to that what is not accepted here.
func (l *TCPListener) drain() {
	if l.stack != nil {
		l.stack.Drain()
	}
	// What has come of them by then waits in a socket that is somebody else's too:
	// systemd's, a child's. That is to take connections when this process has ended.
	if k := l.inKernel(); k != nil && !l.owner.handsOver() && !l.lent.Load() {
		dropSYNs(k)
	}
}

// inKernel is the kernel's socket, or nil.
func (l *TCPListener) inKernel() *net.TCPListener {
	if l.stack == nil {
		return l.kernel
	}
	return l.half
}

// leave gives the port back. What the kernel's half has not accepted goes to the next
// process that listens, or is reset; the stack's connections, and those that Accept is
// still to return, go on.
func (l *TCPListener) leave() {
	switch {
	case l.stack == nil:
		l.kernel.Close()
		for l.accepting.Load() > 0 { // with a connection, perhaps: such a call waits no longer
			time.Sleep(time.Millisecond)
		}
	case l.merged != nil:
		// The kernel's half first: what comes to the port once it is the
		// kernel's again is for whoever else listens there, or refused, and
		// not begun by a listener that ends.
		l.merged.CloseKernel()
	}
	if l.unshare != nil {
		l.parted.Do(func() {
			if l.attached().leavesPort() {
				l.unshare()
			}
		})
	}
}

// waiting is how many connections Accept would return without waiting.
func (l *TCPListener) waiting() int {
	n := 0
	if l.stack != nil {
		n = l.stack.Waiting()
	}
	if l.merged != nil {
		n += l.merged.Waiting()
	}
	if k := l.inKernel(); k != nil {
		n += acceptQueue(k)
	}
	return n
}

// halfOpen is how many handshakes have begun that others began.
func (n *Network) halfOpen() int {
	if n.host == nil {
		return 0
	}
	_, halfOpen := n.host.OpenConnections()
	return halfOpen
}

// openConnections is how many connections Shutdown waits for.
func (n *Network) openConnections() int {
	open := n.kernelConns.open()
	if n.host != nil {
		c, _ := n.host.OpenConnections()
		open += c
	}
	return open
}

// await looks now and then until ok or the context's end.
func (n *Network) await(ctx context.Context, ok func() bool) error {
	for !ok() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}
