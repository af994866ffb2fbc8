package sim

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"time"

	"github.com/fastnet-go/fastnet/stack"
)

const (
	serverPort  = 80
	crossedPort = 4000 // + the connection's number
	refusedPort = 81
)

// connection is a connection, or the attempts to have it.
type connection struct {
	w     *world
	index int
	key   uint64 // of the patterns
	plan  *ConnPlan
	ends  [2]*stream
	err   error // of the last attempt

	began, ended time.Duration // from when it was established until the last end had closed
}

// host is the host that the application of an end runs on.
func (c *connection) host(side int) int {
	if c.plan.Loopback {
		return c.plan.From
	}
	return c.plan.From ^ side
}

// dialer is an application that connects, and tries again if that fails. With
// Again it makes one connection after the other.
type dialer struct {
	w       *world
	conn    *connection
	index   int
	plan    *ConnPlan
	at      time.Duration // of the next attempt
	tries   int
	again   int
	dialing *stack.TCPConn
	crossed *stack.TCPConn // the other end's attempt, with Crossed
	over    bool
}

func newDialer(w *world, index int) *dialer {
	p := &w.plan.Conns[index]
	d := &dialer{w: w, index: index, plan: p, at: w.clock + p.After, again: p.Again}
	d.conn = w.newConnection(index)
	return d
}

func (w *world) newConnection(index int) *connection {
	w.keys++
	c := &connection{w: w, index: index, key: w.keys, plan: &w.plan.Conns[index]}
	w.conns = append(w.conns, c)
	return c
}

func (d *dialer) String() string {
	return fmt.Sprintf("dialer of connection %d: try %d at %v, dialing %v, error %v", d.index, d.tries, d.at, d.dialing != nil, d.conn.err)
}

func (d *dialer) done() bool { return d.over }

func (d *dialer) wake() time.Duration {
	if d.dialing == nil && d.at > d.w.clock {
		return d.at
	}
	return stack.Never
}

func (d *dialer) node() *node { return d.w.nodes[d.plan.From] }

func (d *dialer) step() (bool, error) {
	switch {
	case d.conn.ends[0] != nil:
		return d.follow()
	case d.dialing != nil:
		return d.await()
	case d.w.clock < d.at:
		return false, nil
	}
	return true, d.start()
}

// start makes an attempt.
func (d *dialer) start() error {
	n := d.node()
	d.tries++
	if n.closed {
		d.over = true
		return nil
	}
	to := netip.AddrPortFrom(n.peer(), serverPort)
	from := netip.AddrPort{}
	switch {
	case d.plan.Loopback:
		to = netip.AddrPortFrom(n.scoped(n.addr), serverPort)
	case d.plan.Refused:
		to = netip.AddrPortFrom(n.peer(), refusedPort)
	case d.plan.NoHost:
		to = netip.AddrPortFrom(n.scoped(stranger(n.addr)), serverPort)
	case d.plan.Crossed:
		port := uint16(crossedPort + d.index)
		from = netip.AddrPortFrom(netip.Addr{}, port)
		to = netip.AddrPortFrom(n.peer(), port)
		if o := d.w.nodes[1-n.index]; !o.closed {
			var err error
			d.crossed, err = o.host.StartDialTCP(from, netip.AddrPortFrom(o.peer(), port), d.plan.Ends[1].Options)
			if err != nil {
				return d.failed(fmt.Errorf("crossed: %w", err))
			}
		}
	case d.plan.Again > 0:
		from = netip.AddrPortFrom(netip.Addr{}, uint16(20000+d.index))
	}
	c, err := n.host.StartDialTCP(from, to, d.plan.Ends[0].Options)
	if err != nil {
		return d.failed(err)
	}
	d.dialing = c
	if !d.plan.Crossed {
		d.w.expect(d.conn, c)
	}
	return nil
}

// stranger is an address in the subnet of a that no host has.
func stranger(a netip.Addr) netip.Addr {
	b := a.AsSlice()
	b[len(b)-1] ^= 0x40
	s, _ := netip.AddrFromSlice(b)
	return s
}

// await looks at how the attempt has gone.
func (d *dialer) await() (bool, error) {
	err := d.dialing.ConnectStatus()
	if err == stack.ErrWouldBlock {
		return false, nil
	}
	if err != nil {
		if d.node().closed {
			d.over = true
			if d.crossed != nil {
				d.crossed.Close()
			}
			return true, nil
		}
		d.dialing.Close()
		return true, d.failed(err)
	}
	if d.crossed != nil {
		switch err := d.crossed.ConnectStatus(); err {
		case stack.ErrWouldBlock:
			return false, nil
		case nil:
			d.w.start(d.conn, 1, d.crossed)
			d.crossed = nil
		default:
			d.dialing.Close()
			return true, d.failed(err)
		}
	}
	d.w.start(d.conn, 0, d.dialing)
	d.dialing = nil
	return true, nil
}

// start begins the application of an end.
func (w *world) start(c *connection, side int, tc *stack.TCPConn) {
	c.ends[side] = newStream(c, side, tc)
	w.agents = append(w.agents, c.ends[side])
	if side == 0 {
		c.began = w.clock
		w.report.Connections++
	}
}

// failed takes note of an attempt that failed and plans the next.
func (d *dialer) failed(err error) error {
	if d.crossed != nil {
		d.crossed.Close()
		d.crossed = nil
	}
	d.dialing = nil
	d.conn.err = err
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ETIMEDOUT), errors.Is(err, syscall.EHOSTUNREACH),
		errors.Is(err, syscall.ECONNRESET):
	case errors.Is(err, stack.ErrClosed) && d.w.plan.disrupted():
	case errors.Is(err, syscall.EADDRINUSE) && (d.plan.Again > 0 || d.plan.Crossed): // the one before is in TIME-WAIT
	default:
		return fmt.Errorf("connection %d: unexpected error of a connect: %w", d.index, err)
	}
	if d.tries >= d.plan.Attempts || d.plan.Refused || d.plan.NoHost {
		d.over = true
		return nil
	}
	d.at = d.w.clock + time.Second + d.w.pause(5*time.Second)
	if errors.Is(err, syscall.EADDRINUSE) {
		d.at = d.w.clock + 61*time.Second
	}
	return nil
}

// follow makes the next connection when the last one has ended at both ends.
func (d *dialer) follow() (bool, error) {
	if d.again == 0 {
		d.over = true
		return true, nil
	}
	for _, s := range d.conn.ends {
		if s == nil {
			if d.conn.ends[0].closed {
				d.over = true // the other end never saw it
				return true, nil
			}
			return false, nil
		}
		if !s.closed {
			return false, nil
		}
	}
	d.again--
	d.conn = d.w.newConnection(d.index)
	d.tries = 0
	d.at = d.w.clock + d.w.pause(pick(d.w.rng, time.Millisecond, 3*time.Second))
	return true, nil
}

// server is the application that accepts a host's connections.
type server struct {
	n      *node
	l      *stack.TCPListener
	at     time.Duration // of the next Accept
	closed bool
}

func (w *world) listen(n *node) error {
	l, err := n.host.ListenTCP(netip.AddrPortFrom(netip.Addr{}, serverPort), stack.ListenOptions{Backlog: n.plan.Backlog})
	if err != nil {
		return err
	}
	n.server = &server{n: n, l: l}
	w.agents = append(w.agents, n.server)
	return nil
}

func (s *server) String() string {
	return fmt.Sprintf("server of %s: next accept %v", s.n.host.Name(), s.at)
}

// done: a server never keeps a run from its end.
func (s *server) done() bool { return s.closed }

func (s *server) wake() time.Duration {
	if s.at > s.n.w.clock {
		return s.at
	}
	return stack.Never
}

func (s *server) step() (bool, error) {
	w := s.n.w
	if w.clock < s.at {
		return false, nil
	}
	c, err := s.l.TryAccept()
	switch {
	case err == stack.ErrWouldBlock:
		if w.idle() {
			return true, s.close()
		}
		return false, nil
	case err == stack.ErrClosed && s.n.closed:
		s.closed = true
		return true, nil
	case err != nil:
		return true, fmt.Errorf("%v: accept: %w", s, err)
	}
	from := bare(c.RemoteAddr())
	conn, known := w.expected[from]
	if conn == nil && known && s.n.plan.Cookies {
		// A segment that was overtaken brings the cookie back again, after the end
		// of its connection, of which nothing is kept to tell (RFC 4987 section 3.6).
		c.SetLinger(0)
		return true, c.Close()
	}
	if conn == nil {
		return true, fmt.Errorf("%v: accepted a connection from %v that nobody made", s, c.RemoteAddr())
	}
	w.expected[from] = nil
	w.start(conn, 1, c)
	s.at = w.clock + w.pause(s.n.plan.AcceptPause)
	return true, nil
}

// close stops listening.
func (s *server) close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	if s.n.closed {
		return nil
	}
	return s.l.Close()
}

// expect tells the servers of a connection that was made.
func (w *world) expect(c *connection, tc *stack.TCPConn) {
	w.expected[bare(tc.LocalAddr())] = c
}

// idle reports whether no application will connect or send any more. Servers
// may then close.
func (w *world) idle() bool {
	for _, a := range w.agents {
		if _, ok := a.(*server); !ok && !a.done() {
			return false
		}
	}
	return true
}

// bare is an address without its zone, which each host names in its own way.
func bare(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().WithZone(""), a.Port())
}
