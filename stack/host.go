package stack

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fastnet-go/fastnet/internal/bubble"
	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/wire"
	"github.com/fastnet-go/fastnet/stack/route"
	"github.com/fastnet-go/fastnet/stack/tcp"
	"github.com/fastnet-go/fastnet/stack/timer"
)

// ErrClosed is what calls on a closed socket or host return.
var ErrClosed = errors.New("use of closed socket")

// Config is what a host is made of. The zero value of a field takes its
// default.
type Config struct {
	Name   string       // in log lines; default "host"
	Clock  Clock        // default SystemClock
	Rand   func([]byte) // fills with random bytes; default the system's
	Logger *slog.Logger // default: nothing is logged
	TCP    TCPDefaults

	MaxConnections int // TCP connections, TIME-WAIT not counted; default 1 << 20
	MaxTimeWait    int // TIME-WAIT records; default 1 << 16
	// MaxHalfOpen bounds the connections whose handshake is not complete, of all
	// listeners; default 1 << 14. Beyond it, and beyond a listener's backlog, SYNs
	// are answered by cookies (RFC 4987); if it is negative all are.
	MaxHalfOpen int
	// MaxMemory bounds the bytes of what TCP connections hold: received and not
	// read, out of order, written and not acknowledged. From three quarters of it on
	// windows grow no more, and each connection has an equal share of it: who holds
	// more is offered nothing, and his new data is as if lost, so that others get in.
	// At the limit out-of-order data goes, and each may have 4 KiB unread and 16 KiB
	// written. What does not count: up to 4 KiB unread of each connection, its own
	// 1.4 KiB, and what TIME-WAIT and the SYN queue keep. So with the 2^20 connections
	// of MaxConnections some 6 GiB may come on top. Default: an eighth of the
	// machine's memory.
	MaxMemory int64

	// FlowEnded, if not nil, is called when nothing is left of a TCP connection,
	// its TIME-WAIT included, and of a half-open one that came to nothing. It is called with locks held: it returns at once
	// and calls nothing of the host's.
	// waited is whether it has been in TIME-WAIT: if not, packets of the peer's may
	// still be on their way. On a shared interface (InterfaceConfig.Failed) it is
	// called, with waited set, for a SYN that nobody takes, too: the peer has nothing
	// on the way of an earlier connection.
	FlowEnded func(local, remote netip.AddrPort, waited bool)
}

// TCPDefaults are what connections have that ask for nothing else.
type TCPDefaults struct {
	// RcvBuf and SndBuf are the receive and the send buffer, bytes. By default
	// they begin with 64 and 128 KiB and grow, with what the reader takes and with
	// the congestion window, up to RcvBufMax (at the most 16 MiB) and SndBufMax;
	// default 6 MiB each. One that is set stays as it is, unless its Max is set too.
	RcvBuf, RcvBufMax int
	SndBuf, SndBufMax int

	MinRTO    time.Duration // default 200 ms
	DelayACK  time.Duration // default 40 ms
	TimeWait  time.Duration // default 60 s
	NoSACK    bool
	NoTS      bool // no timestamps
	NoScaling bool // no window scaling
	// Congestion makes the congestion control of a connection; default NewReno.
	Congestion func() tcp.Congestion
}

// Host is a TCP/IP host: interfaces, addresses, routes, neighbours, sockets.
// All methods may be called from any goroutine, but for Poll, NextEvent and
// FlushIdle, which belong to who drives the host.
type Host struct {
	cfg         Config
	clock       Clock
	systemClock bool // clock is the system's
	log         *slog.Logger
	secret      [16]byte // keys initial sequence numbers and timestamps (RFC 6528)

	wheel  *timer.Wheel
	routes route.Table
	flows  flowTable
	memory tcp.Memory
	chunks *tcp.ChunkPool
	held   *nic.Pool // what is copied out of received packets
	big    *nic.Pool // whole datagrams: reassembled, or joined from parts

	listeners listenTable
	synq      synQueue
	udp       udpTable
	icmp      icmpSockets
	ports     portAllocator
	twList    timeWaits
	ended     endedConns
	fragments fragments
	limiter   icmpLimiter
	pathMTUs  pathMTUs
	large     largeSent
	count     counters
	waiters   waiters

	configMu   sync.Mutex
	tcpConfigs map[TCPOptions]*tcp.Config

	rngMu sync.Mutex
	rng   *rand.Rand

	ifaces       atomic.Pointer[[]*Interface]
	locals       atomic.Pointer[localAddrs]
	loop         *Interface
	mu           sync.Mutex             // changes of ifaces, locals, driver
	driver       atomic.Pointer[worker] // advances the timers
	resetsFrom   atomic.Int64           // see HoldResets
	establishing atomic.Int32           // handshakes that are complete, but not on an accept queue yet
	parkUntil    atomic.Int64           // when the driver's sleep ends, at the latest
	poller       *Poller
	closed       atomic.Bool

	_       [64]byte     // of the above each packet reads
	sockets atomic.Int64 // TCP connections, TIME-WAIT not counted
}

// NewHost returns a host with a loopback interface (127.0.0.1/8, ::1/128) and
// nothing else. It does nothing before it is polled.
func NewHost(cfg Config) *Host {
	setDefault(&cfg.Name, "host")
	if cfg.TCP.RcvBuf == 0 {
		cfg.TCP.RcvBuf = firstRcvBuf
		setDefault(&cfg.TCP.RcvBufMax, defaultBufMax)
	}
	if cfg.TCP.SndBuf == 0 {
		cfg.TCP.SndBuf = firstSndBuf
		setDefault(&cfg.TCP.SndBufMax, defaultBufMax)
	}
	cfg.TCP.RcvBufMax = min(cfg.TCP.RcvBufMax, maxRcvBuf)
	setDefault(&cfg.MaxConnections, 1<<20)
	setDefault(&cfg.MaxTimeWait, 1<<16)
	setDefault(&cfg.MaxHalfOpen, defaultHalfOpen)
	if cfg.MaxMemory == 0 {
		cfg.MaxMemory = defaultMemory()
	}
	shared := cfg.Clock == nil && !bubble.Inside()
	if cfg.Clock == nil {
		cfg.Clock = SystemClock()
	}
	if cfg.Rand == nil {
		cfg.Rand = systemRand
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	h := &Host{cfg: cfg, clock: cfg.Clock, log: cfg.Logger.With("host", cfg.Name), systemClock: shared}
	h.waiters.bubbled = bubble.Inside()
	h.tcpConfigs = make(map[TCPOptions]*tcp.Config)
	cfg.Rand(h.secret[:])
	var seed [32]byte
	cfg.Rand(seed[:])
	h.rng = rand.New(rand.NewChaCha8(seed))
	now := h.clock()
	h.wheel = timer.New(now)
	h.flows.init([4]uint64{h.random(), h.random(), h.random(), h.random()})
	h.pathMTUs.key = [4]uint64{h.random(), h.random(), h.random(), h.random()}
	h.memory.SetLimit(cfg.MaxMemory, &h.sockets)
	h.chunks = &tcp.ChunkPool{Memory: &h.memory}
	h.held = mustPool(nic.PoolConfig{BufferSize: 4096, Headroom: 16, Max: 1 << 16, Slab: 16})
	h.big = mustPool(nic.PoolConfig{BufferSize: 66 << 10, Headroom: 128, Max: 256, Slab: 1})
	if ended := cfg.FlowEnded; ended != nil {
		h.flows.ended = func(k *tuple, waited bool) {
			local, remote := k.addrPorts()
			ended(local, remote, waited)
		}
	}
	h.listeners.init()
	h.synq.init(h)
	h.udp.init(h)
	h.ports.init(h)
	h.twList.init(h)
	h.fragments.init(h)
	h.limiter.init(now, h.random)
	h.ifaces.Store(&[]*Interface{})
	h.locals.Store(&localAddrs{})
	h.attachLoopback()
	h.trimAfterCollections(trimPause)
	return h
}

func mustPool(cfg nic.PoolConfig) *nic.Pool {
	p, err := nic.NewPool(cfg)
	if err != nil {
		panic(err) // cfg is a constant of ours
	}
	return p
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

func (h *Host) attachLoopback() {
	w, err := wire.New(wire.Config{Ports: 1, MTU: 65535, TSO: true})
	if err != nil {
		panic(err) // the constants above
	}
	h.loop, err = h.attach(w.Port(0), InterfaceConfig{
		Name:  "lo",
		Addrs: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("::1/128")},
	}, true)
	if err != nil {
		panic(err)
	}
}

// now tells the time on the host's clock.
func (h *Host) now() time.Duration { return h.clock() }

// random returns 64 random bits.
func (h *Host) random() uint64 {
	h.rngMu.Lock()
	defer h.rngMu.Unlock()
	return h.rng.Uint64()
}

// randomN returns a random number from 0 to n-1.
func (h *Host) randomN(n int) int { return int(h.random() % uint64(n)) }

// Name is the name from the host's Config.
func (h *Host) Name() string { return h.cfg.Name }

func (h *Host) interfaces() []*Interface { return *h.ifaces.Load() }

// Interfaces describes the host's interfaces.
func (h *Host) Interfaces() []InterfaceInfo {
	var is []InterfaceInfo
	for _, i := range h.interfaces() {
		is = append(is, i.info())
	}
	return is
}

// AddRoute adds a route. Its Ifindex may be zero if it has a gateway that an
// interface's prefix covers.
func (h *Host) AddRoute(r route.Route) error {
	if r.Ifindex == 0 {
		via, ok := h.routes.Lookup(r.Gateway)
		if !r.Gateway.IsValid() || !ok || via.Gateway.IsValid() {
			return fmt.Errorf("stack: route to %s: the gateway %s is not in the subnet of an interface: give the interface an address there", r.Prefix, r.Gateway)
		}
		r.Ifindex = via.Ifindex
	}
	return h.routes.Add(r)
}

// Routes returns the routing table.
func (h *Host) Routes() []route.Route { return h.routes.Routes() }

// arm makes t expire at when at the latest, and wakes the poller if it sleeps
// longer than that.
func (h *Host) arm(t *timer.Timer, when time.Duration) {
	if h.wheel.Arm(t, when) {
		h.wakeBefore(when)
	}
}

// wakeBefore ends the sleep of the worker that advances the host's timers, if it
// would last beyond when.
func (h *Host) wakeBefore(when time.Duration) {
	if w := h.driver.Load(); w != nil && w.parked.Load() && int64(when) < h.parkUntil.Load() {
		w.wake()
	}
}

// Poll does what there is to do: a burst of each queue, the timers that are
// due. It returns how many packets it handled. It is for a single goroutine
// that drives the host instead of a Poller.
func (h *Host) Poll() int {
	h.tick(h.now())
	n := 0
	for _, i := range h.interfaces() {
		for _, q := range i.queues {
			n += q.poll()
		}
	}
	for _, i := range h.interfaces() {
		for _, q := range i.queues {
			q.kickNow()
		}
	}
	return n
}

// tick handles the timers that are due.
func (h *Host) tick(now time.Duration) {
	h.wheel.Advance(now) // which also turns an idle wheel
}

// FlushIdle sends the acknowledgements that wait for data to ride on: to be
// called when there is nothing else to do. It returns how many it looked at.
func (h *Host) FlushIdle() int {
	n := 0
	for _, i := range h.interfaces() {
		for _, q := range i.queues {
			n += q.flushAcks(pendingAck)
			q.kickNow()
		}
	}
	return n
}

// NextEvent is the time at which Poll has something to do, if no packet comes
// before: Never if nothing.
func (h *Host) NextEvent() time.Duration {
	next := h.wheel.Next()
	for _, i := range h.interfaces() {
		for _, q := range i.queues {
			next = min(next, q.nextEvent())
		}
	}
	return next
}

// Timers is the number of timers that are pending: for tests that look for
// leaks.
func (h *Host) Timers() int { return h.wheel.Len() }

// BuffersInUse is the number of buffers of the host's own, packets' and send
// buffers', that are in use: for tests that look for leaks.
func (h *Host) BuffersInUse() int {
	n := h.held.InUse() + h.big.InUse() + h.chunks.InUse()
	for _, i := range h.interfaces() {
		if i.loopback {
			n += i.dev.(*wire.Port).InUse()
		}
	}
	return n
}

// Close aborts all connections, closes all sockets, whose pending calls return
// ErrClosed, and takes the host off its poller. Devices stay open: they belong
// to who made them. A second Close returns ErrClosed.
func (h *Host) Close() error {
	if h.closed.Swap(true) {
		return ErrClosed
	}
	for _, l := range h.listeners.all() {
		l.end()
	}
	for _, u := range h.udp.all() {
		u.end()
	}
	for _, c := range h.icmp.all() {
		c.end()
	}
	h.flows.all(func(f *flow) {
		if f.conn != nil {
			f.conn.abort(ErrClosed)
		}
	})
	for _, c := range h.ended.all() {
		c.abort(ErrClosed)
	}
	h.twList.close()
	h.synq.close()
	h.mu.Lock()
	poller := h.poller
	h.mu.Unlock()
	if poller != nil {
		poller.Remove(h)
	}
	for _, i := range h.interfaces() {
		for _, q := range i.queues {
			q.kickNow() // a worker that was awake was to do it, with the resets
		}
		i.dev.Notify(nil)
		i.shut()
	}
	h.fragments.clear()
	return h.loop.dev.Close()
}
