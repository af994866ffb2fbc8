package stack

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fastnet-go/fastnet/internal/defect"
	"github.com/fastnet-go/fastnet/stack/tcp"
)

// defaultBacklog is Linux's net.core.somaxconn.
const defaultBacklog = 4096

// ListenOptions are a listener's. The zero value of a field takes its default.
type ListenOptions struct {
	Backlog   int        // connections that are not accepted yet; default 4096
	V6Only    bool       // "::" takes no IPv4
	ReusePort bool       // others with ReusePort may listen at the same address
	FreeBind  bool       // the address need not be the host's, yet
	TCP       TCPOptions // of accepted connections
}

// TCPListener is a TCP socket that listens. It implements the accept queue; all
// methods may be called from any goroutine.
type TCPListener struct {
	host   *Host
	addr   netip.AddrPort
	bind   binding
	opts   ListenOptions
	config *tcp.Config

	draining atomic.Bool // SYNs are dropped: see Drain
	halfOpen int         // on the SYN queue, whose mutex it is under

	mu     sync.Mutex
	waits  waitList
	queue  []*TCPConn        // established, not accepted
	holder                   // the TCPListener; others are its ListenerHandles
	others []*ListenerHandle // those that are not closed
	ended  bool              // the last holder has closed it
	dead   error             // why nobody will connect any more
}

// listenTable finds listeners. Look-ups read a snapshot.
type listenTable struct {
	mu   sync.Mutex
	snap atomic.Pointer[map[binding][]*TCPListener]
}

func (t *listenTable) init() { t.snap.Store(&map[binding][]*TCPListener{}) }

// lookup returns the listener for a SYN to the local address and port of k: the
// one bound to the address before those of a wildcard.
func (t *listenTable) lookup(k *tuple) *TCPListener {
	m := *t.snap.Load()
	for _, b := range k.bindings() {
		if ls := m[b]; len(ls) == 1 {
			return ls[0]
		} else if len(ls) > 1 { // SO_REUSEPORT: the same flow, the same listener
			return ls[k.hash(&ls[0].host.flows.key)%uint64(len(ls))]
		}
	}
	return nil
}

// add enters l, unless another has its address. With port 0 it finds one.
func (t *listenTable) add(l *TCPListener) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := *t.snap.Load()
	others := func(yield func(binding) bool) {
		for o, ls := range m {
			shared := l.opts.ReusePort && ls[0].opts.ReusePort && !defect.On(defect.ReusePortIgnored)
			if !shared && !yield(o) {
				return
			}
		}
	}
	if l.bind.port != 0 && !defect.On(defect.DialledPortShared) && l.host.dialledFrom(l.bind, l.opts.ReusePort) {
		return syscall.EADDRINUSE
	}
	if err := l.host.ports.bind(&l.bind, others); err != nil {
		return err
	}
	t.change(l.bind, append(append([]*TCPListener(nil), m[l.bind]...), l))
	return nil
}

// dialledFrom reports whether a connection was dialled from an address and port
// that b covers; with reuse, one that does not share them. As in Linux, those of
// accepted connections do not count.
func (h *Host) dialledFrom(b binding, reuse bool) bool {
	found := false
	h.flows.all(func(f *flow) {
		c := f.conn
		found = found || c != nil && c.listener == nil && !(reuse && c.reusePort) &&
			b.conflicts(binding{addr: f.key.local, port: f.key.localPort})
	})
	return found
}

func (t *listenTable) remove(l *TCPListener) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var rest []*TCPListener
	for _, o := range (*t.snap.Load())[l.bind] {
		if o != l {
			rest = append(rest, o)
		}
	}
	t.change(l.bind, rest)
}

func (t *listenTable) change(b binding, ls []*TCPListener) {
	m := make(map[binding][]*TCPListener)
	for k, v := range *t.snap.Load() {
		m[k] = v
	}
	if len(ls) == 0 {
		delete(m, b)
	} else {
		m[b] = ls
	}
	t.snap.Store(&m)
}

// uses reports whether a listener has the port, at an address that b covers;
// with reuse, one that does not share it.
func (t *listenTable) uses(b binding, reuse bool) bool {
	for o, ls := range *t.snap.Load() {
		if o.conflicts(b) && !(reuse && ls[0].opts.ReusePort) {
			return true
		}
	}
	return false
}

func (t *listenTable) all() []*TCPListener {
	var all []*TCPListener
	for _, ls := range *t.snap.Load() {
		all = append(all, ls...)
	}
	return all
}

// ListenTCP listens at laddr. A zero address, or "::" without V6Only, takes
// IPv4 and IPv6; port 0 is replaced by a free one. Errors are EADDRINUSE and
// EADDRNOTAVAIL, or ErrClosed.
func (h *Host) ListenTCP(laddr netip.AddrPort, o ListenOptions) (*TCPListener, error) {
	if h.closed.Load() {
		return nil, ErrClosed
	}
	b, err := h.bindAddr(laddr, o.V6Only)
	if err != nil && !o.FreeBind {
		return nil, err
	}
	setDefault(&o.Backlog, defaultBacklog)
	l := &TCPListener{host: h, bind: b, opts: o}
	l.holder.init()
	l.timer.Init(l, 0)
	l.config = h.tcpConfig(&o.TCP)
	if err := h.listeners.add(l); err != nil {
		return nil, err
	}
	ip := laddr.Addr()
	if !ip.IsValid() {
		ip = netip.IPv6Unspecified()
	}
	l.addr = netip.AddrPortFrom(ip, l.bind.port)
	if h.closed.Load() { // Close may have missed it
		l.Close()
		return nil, ErrClosed
	}
	return l, nil
}

// Addr is the address that the listener is bound to.
func (l *TCPListener) Addr() netip.AddrPort { return l.addr }

// Accept returns the next connection. It waits for one, until the deadline.
func (l *TCPListener) Accept() (*TCPConn, error) { return l.accept(&l.holder) }

func (l *TCPListener) accept(by *holder) (*TCPConn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		c, err := l.next(by)
		if err != ErrWouldBlock {
			return c, err
		}
		l.waits.wait(l.host, &l.mu)
	}
}

// TryAccept is Accept that returns ErrWouldBlock instead of waiting.
func (l *TCPListener) TryAccept() (*TCPConn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next(&l.holder)
}

// next takes the first connection off the queue. l.mu is held.
func (l *TCPListener) next(by *holder) (*TCPConn, error) {
	switch {
	case by.closed || l.ended:
		return nil, ErrClosed
	case by.expired:
		return nil, errDeadline
	case len(l.queue) == 0 && l.dead != nil:
		return nil, l.dead
	case len(l.queue) == 0:
		return nil, ErrWouldBlock
	}
	c := l.queue[0]
	l.queue[0] = nil
	l.queue = l.queue[1:]
	return c, nil
}

// kill makes Accept return err once the queue is empty: the device is gone.
func (l *TCPListener) kill(err error) {
	l.mu.Lock()
	l.dead = err
	l.waits.wakeAll()
	l.mu.Unlock()
}

// SetDeadline makes Accept return os.ErrDeadlineExceeded from t on. The zero
// time means never.
func (l *TCPListener) SetDeadline(t time.Time) error { return l.setDeadline(&l.holder, t) }

func (l *TCPListener) setDeadline(by *holder, t time.Time) error {
	when, past := l.host.instant(t)
	l.mu.Lock()
	defer l.mu.Unlock()
	if by.closed || l.ended {
		return ErrClosed
	}
	if defect.On(defect.AcceptDeadlineOff) {
		return nil
	}
	if by.expireAt(l.host, when, past) {
		l.waits.wakeAll()
	}
	return nil
}

// Expire is called by the host's timer wheel.
func (l *TCPListener) Expire(_ int, now time.Duration) { l.expire(&l.holder, now) }

func (l *TCPListener) expire(by *holder, now time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if by.expire(l.host, now) {
		l.waits.wakeAll()
	}
}

// Close stops listening. Connections that nobody has accepted are reset. While
// there are handles (see Dup) it only ends the TCPListener's own calls. A second
// Close returns ErrClosed.
func (l *TCPListener) Close() error { return l.close(&l.holder) }

func (l *TCPListener) close(by *holder) error {
	l.mu.Lock()
	if by.closed || l.ended {
		l.mu.Unlock()
		return ErrClosed
	}
	by.closed = true
	l.others = slices.DeleteFunc(l.others, func(h *ListenerHandle) bool { return &h.holder == by })
	last := l.closed && len(l.others) == 0
	l.wakeClosed()
	l.mu.Unlock()
	l.host.wheel.Stop(&by.timer)
	if last {
		l.end()
	}
	return nil
}

// wakeClosed wakes those whose Accept a Close has ended. l.mu is held.
func (l *TCPListener) wakeClosed() {
	if !defect.On(defect.AcceptHangs) {
		l.waits.wakeAll()
	}
}

// end stops listening whoever holds the listener still.
func (l *TCPListener) end() {
	l.mu.Lock()
	if l.ended {
		l.mu.Unlock()
		return
	}
	l.ended = true
	for _, h := range l.others {
		l.host.wheel.Stop(&h.holder.timer)
	}
	conns := l.queue
	l.queue = nil
	l.wakeClosed()
	l.mu.Unlock()
	l.host.wheel.Stop(&l.timer)
	l.host.listeners.remove(l)
	l.host.synq.drop(l)
	for _, c := range conns {
		if !defect.On(defect.BacklogLeaks) {
			c.abort(ErrClosed)
		}
	}
}
