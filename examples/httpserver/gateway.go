package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fastnet-go/fastnet/fastnet"
)

// Tests have more time.
var (
	dialTime  = 5 * time.Second // for the server to answer
	drainTime = time.Second     // for connections to end after the server's shutdown
)

// gateway takes connections of the kernel's and carries their bytes over a host
// of its own to the server: a TCP proxy whose two sides are two stacks.
type gateway struct {
	network  *fastnet.Network
	listener net.Listener // the kernel's
	server   string       // address

	accepted, failed atomic.Uint64
	all              sync.WaitGroup // goroutines

	mu     sync.Mutex
	pairs  map[*pair]struct{}
	closed bool
}

// pair is a connection of each side.
type pair struct{ kernel, stack halfCloser }

// halfCloser is a TCP connection of either kind.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

func newGateway(listener net.Listener) *gateway {
	return &gateway{listener: listener, pairs: make(map[*pair]struct{})}
}

// serve starts to take connections.
func (g *gateway) serve(server string) {
	g.server = server
	g.all.Go(func() {
		for {
			c, err := g.listener.Accept()
			switch {
			case errors.Is(err, net.ErrClosed):
				return
			case err != nil: // out of descriptors, for example
				time.Sleep(10 * time.Millisecond)
				continue
			}
			g.accepted.Add(1)
			g.all.Go(func() { g.carry(c.(halfCloser)) })
		}
	})
}

// carry joins a connection to one of its own to the server, until both ends
// have said that they are done, or one fails.
func (g *gateway) carry(kernel halfCloser) {
	defer kernel.Close()
	ctx, cancel := context.WithTimeout(context.Background(), dialTime)
	defer cancel()
	c, err := g.network.DialContext(ctx, "tcp", g.server)
	if err != nil {
		g.failed.Add(1)
		return
	}
	defer c.Close()
	p := &pair{kernel, c.(halfCloser)}
	if !g.add(p) {
		return
	}
	defer g.remove(p)
	done := make(chan struct{})
	go func() {
		defer close(done)
		pump(p.stack, p.kernel)
	}()
	pump(p.kernel, p.stack)
	<-done
}

// pump copies until from ends, and passes the end on. A failure ends both
// directions.
func pump(to, from halfCloser) {
	_, err := io.Copy(to, from)
	if err == nil {
		err = to.CloseWrite()
	}
	if err != nil {
		to.Close()
		from.Close()
	}
}

func (g *gateway) add(p *pair) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.pairs[p] = struct{}{}
	}
	return !g.closed
}

func (g *gateway) remove(p *pair) {
	g.mu.Lock()
	delete(g.pairs, p)
	g.mu.Unlock()
}

// clients tells for each connection to the server, by the address that the
// server sees, which connection of the kernel's it carries.
func (g *gateway) clients() map[netip.AddrPort]string {
	g.mu.Lock()
	defer g.mu.Unlock()
	m := make(map[netip.AddrPort]string, len(g.pairs))
	for p := range g.pairs {
		if a, ok := p.stack.LocalAddr().(*net.TCPAddr); ok {
			m[a.AddrPort()] = p.kernel.RemoteAddr().String()
		}
	}
	return m
}

// refuse takes no more connections; those that are open go on.
func (g *gateway) refuse() { g.listener.Close() }

// close ends the gateway: connections may end of themselves for a moment, and
// are then closed.
func (g *gateway) close() error {
	g.refuse()
	ended := make(chan struct{})
	go func() {
		g.all.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(drainTime):
	}
	g.mu.Lock()
	g.closed = true
	for p := range g.pairs {
		p.kernel.Close()
		p.stack.Close()
	}
	g.mu.Unlock()
	var err error
	if g.network != nil {
		err = g.network.Close() // ends dials under way, too
	}
	<-ended
	return err
}
