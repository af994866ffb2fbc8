package fastnet

import (
	"context"
	"maps"
	"net"
	"slices"
	"time"
)

// handshakeTime is for how long Shutdown lets handshakes finish, and the program
// accept what has come of them: a SYN that comes meanwhile is sent again after a
// second (RFC 6298 section 2.1).
const handshakeTime = time.Second

// Shutdown ends the network as its work ends: it closes the listeners, waits until
// the stack's connections are closed by both ends, and then closes the network. If
// ctx ends before, the connections that are left are reset, and the error is ctx's.
// Who is in the middle of something is told by other means, as
// http.Server.Shutdown.
//
// On an interface shared with the kernel the ports are the kernel's again from the
// beginning, so that the next process may listen on them; connections, and those
// in TIME-WAIT, stay the stack's. With XDP.Handover the next one listens already,
// and no client is refused.
func (n *Network) Shutdown(ctx context.Context) error {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return net.ErrClosed
	}
	listeners := slices.Collect(maps.Keys(n.listeners))
	n.mu.Unlock()
	if n.host == nil {
		return n.Close()
	}
	for _, l := range listeners {
		if l.stack != nil {
			l.stack.Drain()
		}
	}
	begun := time.Now()
	n.await(ctx, func() bool {
		_, pending := n.host.OpenConnections()
		for _, l := range listeners {
			if l.stack != nil {
				pending += l.stack.Waiting() // until the program accepts them
			}
		}
		return pending == 0 || time.Since(begun) > handshakeTime
	})
	for _, l := range listeners {
		if l.unshare != nil {
			l.unshare()
		}
	}
	if n.shared != nil && n.cfg.XDP.Handover {
		// What the kernel had begun with us is accepted still.
		begun = time.Now()
		n.await(ctx, func() bool { return time.Since(begun) > 5*handshakeTime/10 })
	}
	for _, l := range listeners {
		l.Close()
	}
	err := n.await(ctx, func() bool {
		open, _ := n.host.OpenConnections()
		return open == 0
	})
	if e := n.Close(); err == nil {
		err = e
	}
	return err
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
