package sim

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"github.com/fastnet-go/fastnet/nic"
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
	expected map[netip.AddrPort]*connection // that servers will accept, by the dialler's address; nil: have accepted
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
