package sim

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/fault"
	"github.com/fastnet-go/fastnet/nic/pcap"
	"github.com/fastnet-go/fastnet/nic/wire"
	"github.com/fastnet-go/fastnet/stack"
)

const (
	// maxSpins bounds the rounds at one instant: more is two parties that
	// answer each other for ever.
	maxSpins = 100_000
	// maxQuiet is how long nothing may happen to any application while some
	// still waits: longer than a connection without an answer lives.
	maxQuiet = 40 * time.Minute
	// maxSteps bounds the turns of the clock.
	maxSteps = 3_000_000
)

// Options say what a run leaves behind.
type Options struct {
	// Pcap is a folder where the frames of each host are recorded, each host's
	// in a file of its own; empty: nowhere.
	Pcap string
}

// Report is what a run came to.
type Report struct {
	History     uint64        // equal for two runs of a seed
	Virtual     time.Duration // how long it took, on the hosts' clock
	Frames      int
	Bytes       int // read by TCP applications
	Connections int // established
	GivenUp     int // transfers that a lossy network ended: see judge
	Retransmits uint64
	Captures    []string // files
}

// Run plays a scenario. An error says what went wrong and when; a panic of the
// stack's is returned as one.
func Run(s *Scenario, o Options) (r Report, err error) {
	w := &world{plan: s, clock: s.Start, rng: rand.New(rand.NewPCG(s.Seed, 0xa11ce)), expected: make(map[netip.AddrPort]*connection)}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
		for _, c := range w.captures {
			c.Close()
		}
		r = w.report
		r.History, r.Frames, r.Virtual = w.history.sum, w.history.frames, w.clock-s.Start
		if err != nil {
			err = fmt.Errorf("at %v: %w", r.Virtual, err)
		}
	}()
	if err := w.build(o); err != nil {
		return r, err
	}
	if err := w.run(); err != nil {
		return r, err
	}
	return r, w.end()
}

// world is a run.
type world struct {
	plan     *Scenario
	rng      *rand.Rand // the applications' chance
	clock    time.Duration
	history  history
	wire     *wire.Wire
	nodes    [2]*node
	agents   []agent
	conns    []*connection
	flows    []*flow
	expected map[netip.AddrPort]*connection // that servers will accept, by the dialler's address
	keys     uint64                         // of patterns, the last one given out
	events   []Event
	buf      []byte
	captures []*pcap.Writer
	report   Report

	moved time.Duration // when an application last did something
}

// agent is an application.
type agent interface {
	// step does what can be done now without waiting, and reports whether
	// that was anything.
	step() (moved bool, err error)
	// wake is when step wants to be called although no packet has come.
	wake() time.Duration
	// done reports whether it has ended.
	done() bool
}

// node is a host with its device.
type node struct {
	w      *world
	index  int
	plan   *HostPlan
	host   *stack.Host
	port   *wire.Port
	fault  *fault.Device
	faults fault.Config
	addr   netip.Addr
	closed bool
	polled time.Duration // when last
	server *server
}

func (w *world) build(o Options) error {
	var err error
	w.buf = make([]byte, 1<<20)
	if w.wire, err = wire.New(w.plan.Wire); err != nil {
		return err
	}
	for i := range w.nodes {
		if err := w.buildNode(i, o); err != nil {
			return err
		}
	}
	for _, n := range w.nodes {
		if err := w.listen(n); err != nil {
			return err
		}
	}
	for i := range w.plan.Conns {
		w.agents = append(w.agents, newDialer(w, i))
	}
	for i := range w.plan.Flows {
		if err := w.addFlow(i); err != nil {
			return err
		}
	}
	w.events = w.plan.Events
	w.moved = w.clock
	return nil
}

func (w *world) now() time.Duration { return w.clock }

func (w *world) buildNode(i int, o Options) error {
	plan := &w.plan.Hosts[i]
	n := &node{w: w, index: i, plan: plan, port: w.wire.Port(i), polled: w.clock - plan.PollEvery}
	chance := rand.NewChaCha8([32]byte{0: byte(i), 1: byte(w.plan.Seed), 2: byte(w.plan.Seed >> 8), 3: byte(w.plan.Seed >> 16), 4: byte(w.plan.Seed >> 24)})
	n.host = stack.NewHost(stack.Config{
		Name:  string(rune('a' + i)),
		Clock: w.now,
		Rand:  func(b []byte) { chance.Read(b) },
		TCP:   plan.TCP,
	})
	cfg := &n.faults
	cfg.Seed = w.plan.Seed*2 + uint64(i)
	if out := &w.plan.Lanes[i]; !out.AtReceiver {
		cfg.Tx = out.Faults
	}
	if in := &w.plan.Lanes[1-i]; in.AtReceiver {
		cfg.Rx = in.Faults
	}
	var err error
	if n.fault, err = fault.Wrap(n.port, *cfg, w.now); err != nil {
		return err
	}
	var dev nic.Device = observe(n.fault, i, w)
	if o.Pcap != "" {
		name := filepath.Join(o.Pcap, fmt.Sprintf("seed%d-%s.pcapng", w.plan.Seed, n.host.Name()))
		c, err := pcap.Create(name, pcap.Config{Sync: true, Application: "fastnet simulation"})
		if err != nil {
			return err
		}
		w.captures = append(w.captures, c)
		w.report.Captures = append(w.report.Captures, name)
		dev = pcap.Wrap(dev, c, w.now)
	}
	prefix := netip.MustParsePrefix(fmt.Sprintf("10.0.0.%d/24", i+1))
	if w.plan.IPv6 {
		prefix = netip.MustParsePrefix(fmt.Sprintf("fd00::%d/64", i+1))
	}
	n.addr = prefix.Addr()
	iface, err := n.host.Attach(dev, stack.InterfaceConfig{Name: "eth0", Addrs: []netip.Prefix{prefix}, MTU: plan.MTU})
	if err != nil {
		return err
	}
	if w.plan.LinkLocal {
		addrs := iface.Info().Addrs
		n.addr = addrs[len(addrs)-1].Addr()
	}
	w.nodes[i] = n
	return nil
}

// run lets things happen until all applications have ended.
func (w *world) run() error {
	for steps := 0; ; steps++ {
		if err := w.settle(); err != nil {
			return err
		}
		if w.finished() {
			return nil
		}
		next := w.next()
		if next == stack.Never || next-w.moved > maxQuiet {
			freed, err := w.stuck()
			if err != nil {
				return err
			}
			if !freed {
				return fmt.Errorf("deadlock: %s", w.state())
			}
			w.moved = w.clock
			continue
		}
		if steps > maxSteps {
			return fmt.Errorf("no end after %d steps: %s", steps, w.state())
		}
		w.clock = max(w.clock, next)
	}
}

// settle polls the hosts and calls the applications until nothing moves at this
// instant.
func (w *world) settle() error {
	for len(w.events) > 0 && w.plan.Start+w.events[0].At <= w.clock {
		if err := w.happen(w.events[0]); err != nil {
			return err
		}
		w.events = w.events[1:]
	}
	for spins := 0; ; spins++ {
		if spins > maxSpins {
			return fmt.Errorf("livelock: %d rounds at one instant: %s", spins, w.state())
		}
		before := w.transfers()
		polled := 0
		for _, n := range w.nodes {
			polled += n.poll()
		}
		stepped := false
		for i := 0; i < len(w.agents); i++ { // a step may add agents
			a := w.agents[i]
			if a.done() {
				continue
			}
			moved, err := a.step()
			if err != nil {
				return err
			}
			stepped = stepped || moved
		}
		if stepped {
			w.moved = w.clock
		}
		if stepped || polled > 0 || w.transfers() != before {
			continue
		}
		for _, n := range w.nodes {
			if n.plan.FlushIdle && n.polled == w.clock && !n.closed {
				n.host.FlushIdle()
			}
		}
		if w.transfers() == before {
			return nil
		}
	}
}

// transfers counts the frames that the wire took and gave.
func (w *world) transfers() uint64 {
	sum := uint64(0)
	for _, n := range w.nodes {
		s := n.stats()
		sum += s.RxPackets + s.TxPackets
	}
	return sum
}

func (n *node) stats() nic.QueueStats { return nic.DeviceStats(n.port) }

// poll polls the host, if it is time.
func (n *node) poll() int {
	if n.closed || n.w.clock < n.polled+n.plan.PollEvery && n.w.clock != n.polled {
		return 0
	}
	n.polled = n.w.clock
	return n.host.Poll()
}

// next is when the host must be polled.
func (n *node) next() time.Duration {
	if n.closed {
		return stack.Never
	}
	next := n.host.NextEvent()
	peer, own := n.w.nodes[1-n.index].stats(), n.stats()
	if peer.TxPackets != own.RxPackets+own.RxDropped {
		next = n.w.clock // frames wait on its ring
	}
	if next != stack.Never && n.plan.PollEvery > 0 {
		next = max(next, n.polled+n.plan.PollEvery)
	}
	return next
}

// next is the time of the next event.
func (w *world) next() time.Duration {
	next := stack.Never
	for _, n := range w.nodes {
		next = min(next, n.next())
	}
	for _, a := range w.agents {
		if !a.done() {
			next = min(next, a.wake())
		}
	}
	if len(w.events) > 0 {
		next = min(next, w.plan.Start+w.events[0].At)
	}
	return next
}

func (w *world) finished() bool {
	for _, a := range w.agents {
		if !a.done() {
			return false
		}
	}
	return true
}

// happen carries out an event.
func (w *world) happen(e Event) error {
	n := w.nodes[e.Host]
	switch e.What {
	case LinkDown:
		n.port.SetUp(false)
	case LinkUp:
		n.port.SetUp(true)
	case Mute, Unmute:
		n.faults.Tx.LoseIf = nil
		if e.What == Mute {
			n.faults.Tx.LoseIf = func(*nic.Packet) bool { return true }
		}
		return n.fault.Set(n.faults.Rx, n.faults.Tx)
	case CloseListener:
		return n.server.close()
	case CloseHost:
		if err := n.close(); err != nil {
			return err
		}
		return n.fault.Close() // nobody would look after its frames
	}
	return nil
}

// close closes the host.
func (n *node) close() error {
	if n.closed {
		return nil
	}
	n.closed = true
	if err := n.host.Close(); err != nil {
		return fmt.Errorf("closing host %s: %w", n.host.Name(), err)
	}
	if err := n.host.Close(); err != stack.ErrClosed {
		return fmt.Errorf("closing host %s again: %v", n.host.Name(), err)
	}
	return nil
}

// peer is the address of the host's peer, for its own use.
func (n *node) peer() netip.Addr { return n.scoped(n.w.nodes[1-n.index].addr) }

// scoped adds the zone that a link-local address needs.
func (n *node) scoped(a netip.Addr) netip.Addr {
	if a.IsLinkLocalUnicast() {
		return a.WithZone("eth0")
	}
	return a
}

// pause draws for how long an application pauses.
func (w *world) pause(longest time.Duration) time.Duration {
	if longest <= 0 {
		return 0
	}
	return time.Duration(w.rng.Int64N(int64(longest))) + 1
}

// state describes who waits for what.
func (w *world) state() string {
	var b strings.Builder
	for _, a := range w.agents {
		if !a.done() {
			fmt.Fprintf(&b, "\n  %v", a)
		}
	}
	for _, n := range w.nodes {
		if n.closed {
			continue
		}
		for _, c := range n.host.Connections() {
			fmt.Fprintf(&b, "\n  %s: %+v", n.host.Name(), c)
		}
	}
	return b.String()
}
