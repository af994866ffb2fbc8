package sim

import (
	"cmp"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/fastnet-go/fastnet/stack"
)

// stuck is called when nothing happens any more although applications wait. It
// lets those go whose peer is gone and could not tell, because its RST or the
// answer to its FIN was lost, and reports whether there were any.
func (w *world) stuck() (bool, error) {
	if !w.plan.lossy() {
		return false, nil
	}
	freed := false
	for _, a := range w.agents {
		if s, ok := a.(*stream); ok && !s.done() && s.gone() {
			if err := s.giveUp(); err != nil {
				return false, err
			}
			freed = true
		}
	}
	return freed, nil
}

// end judges the transfers, waits until the hosts have forgotten all, closes
// them and looks for what is left.
func (w *world) end() error {
	for _, c := range w.conns {
		if err := w.judge(c); err != nil {
			return err
		}
	}
	if err := w.drain(); err != nil {
		return err
	}
	for _, n := range w.nodes {
		if err := w.audit(n); err != nil {
			return fmt.Errorf("host %s: %w", n.host.Name(), err)
		}
	}
	if n := w.wire.InUse(); n != 0 {
		return fmt.Errorf("%d packets in use at rest", n)
	}
	for _, n := range w.nodes {
		if err := n.close(); err != nil {
			return err
		}
		if t := n.host.Timers(); t != 0 {
			return fmt.Errorf("host %s: %d timers pending after Close", n.host.Name(), t)
		}
		if b := n.host.BuffersInUse(); b != 0 {
			return fmt.Errorf("host %s: %d buffers in use after Close", n.host.Name(), b)
		}
		n.fault.Close()
	}
	if n := w.wire.InUse(); n != 0 {
		return fmt.Errorf("%d packets in use after Close", n)
	}
	return nil
}

// drain runs until no host has anything left to do: retransmissions of
// connections without an owner, TIME-WAIT, neighbours that grow stale.
func (w *world) drain() error {
	begin := w.clock
	for steps := 0; ; steps++ {
		if err := w.settle(); err != nil {
			return err
		}
		next := w.next()
		if next == stack.Never {
			return nil
		}
		if steps > maxSteps || next > begin+6*time.Hour {
			return fmt.Errorf("the hosts do not come to rest: %d steps, %v: %s", steps, w.clock-begin, w.state())
		}
		w.clock = max(w.clock, next)
	}
}

// judge says whether a connection ended as its plan allows.
func (w *world) judge(c *connection) error {
	p, s := c.plan, w.plan
	if p.Refused || p.NoHost {
		want := syscall.ECONNREFUSED
		if p.NoHost {
			want = syscall.EHOSTUNREACH
		}
		if c.ends[0] != nil || s.perfect() && p.Ends[0].Options.UserTimeout == 0 && !errors.Is(c.err, want) {
			return fmt.Errorf("connection %d: want %v, got %v", c.index, want, c.err)
		}
		return nil
	}
	if c.ends[0] == nil {
		if !s.lossy() {
			return fmt.Errorf("connection %d was not established: %w", c.index, c.err)
		}
		return nil
	}
	if !p.graceful() || s.disrupted() {
		return nil
	}
	if limit := w.longest(c); limit > 0 && c.ended-c.began > limit {
		return fmt.Errorf("connection %d took %v on a perfect network, want less than %v: does it live on probes?", c.index, c.ended-c.began, limit)
	}
	for side, e := range c.ends {
		if e != nil && e.err == nil && !e.gaveUp && e.eof && e.wrote == p.Ends[side].Bytes {
			continue
		}
		// An end that has closed gives up after a number of retransmissions,
		// answered probes of a slow reader's window included, and so does one
		// whose handshake is not complete.
		if !s.lossy() && !s.hasty() {
			return fmt.Errorf("connection %d, end %d: not complete: %v; the peer: %v", c.index, side, e, c.ends[1-side])
		}
		w.report.GivenUp++
		return nil
	}
	return nil
}

// longest is how long a connection may take on a perfect network: beside the
// applications' pauses each buffer full, and each turn, costs a round trip and a
// delayed acknowledgement, but no timer of a sender's. 0: unknown.
func (w *world) longest(c *connection) time.Duration {
	s, p := w.plan, c.plan
	a, b := &p.Ends[0], &p.Ends[1]
	if !s.perfect() || a.Retune+b.Retune > 0 || a.Options.Delay || b.Options.Delay {
		return 0
	}
	trip, buffer := time.Millisecond, 2048
	for i := range s.Lanes {
		h := &s.Hosts[i]
		if h.AcceptPause > 0 {
			return 0
		}
		trip += s.Lanes[i].Delay + s.Lanes[i].Jitter + 2*h.PollEvery + 2*time.Millisecond
		trip += cmp.Or(h.TCP.DelayACK, 40*time.Millisecond)
		if h.TCP.SndBuf > 0 {
			buffer = min(buffer, h.TCP.SndBuf)
		}
	}
	n := a.Bytes + b.Bytes
	rounds := 10 + n/buffer
	if a.Turn > 0 {
		rounds += n/a.Turn + n/b.Turn
	}
	limit := time.Duration(rounds) * trip
	for _, e := range c.ends {
		if e != nil {
			limit += e.paused
		}
	}
	return limit
}

// audit looks for what a host at rest still has, or should not have done.
func (w *world) audit(n *node) error {
	h := n.host
	if n.closed {
		return nil
	}
	st := h.Stats()
	w.report.Retransmits += st.TCP.Retransmits
	if cs := h.Connections(); len(cs) > 0 || st.TCP.Connections != 0 || st.TCP.Established != 0 {
		return fmt.Errorf("%d connections at rest, %d established: %+v", st.TCP.Connections, st.TCP.Established, cs)
	}
	if b := h.BuffersInUse(); b != 0 {
		return fmt.Errorf("%d buffers in use at rest", b)
	}
	if held := n.fault.Held(); held != 0 {
		return fmt.Errorf("%d frames under way at rest", held)
	}
	for why, count := range st.Drops {
		if !w.mayDrop(why) {
			return fmt.Errorf("%d packets dropped: %s", count, why)
		}
	}
	if probes := st.TCP.LossProbes; w.plan.perfect() && st.TCP.Retransmits != 0 &&
		(st.TCP.Retransmits > probes || probes > w.plan.vainProbes()) {
		return fmt.Errorf("%d segments sent again on a perfect network, %d probes", st.TCP.Retransmits, probes)
	}
	return nil
}

// mayDrop reports whether the scenario explains packets dropped for a reason.
func (w *world) mayDrop(why string) bool {
	s := w.plan
	switch why {
	case "no-port", "receive-buffer", "neighbor-pending":
		return true
	case "no-neighbor":
		for i := range s.Conns {
			if s.Conns[i].NoHost {
				return true
			}
		}
		return s.lossy()
	case "listen-overflow":
		return s.Hosts[0].Backlog > 0 || s.Hosts[1].Backlog > 0 || s.disrupted()
	case "memory":
		return s.Hosts[0].Memory > 0 || s.Hosts[1].Memory > 0
	case "syn-cookie": // data for a connection that is over
		return s.Hosts[0].Cookies || s.Hosts[1].Cookies
	case "rate-limit": // of ICMP errors, and of RSTs for what came after an early Close
		for i := range s.Flows {
			if s.Flows[i].Refused {
				return true
			}
		}
		for i := range s.Conns {
			if !s.Conns[i].graceful() {
				return true
			}
		}
		return s.disrupted()
	case "no-buffer":
		return s.Wire.Pool > 0
	case "transmit-queue":
		return s.Wire.Ring > 0
	case "fragment":
		return s.corrupts() || s.Lanes[0].Duplicate > 0 || s.Lanes[1].Duplicate > 0
	case "closed":
		return s.disrupted()
	}
	return s.corrupts()
}

// dropsOf sums the drop counters of hosts.
func dropsOf(hosts ...*stack.Host) map[string]uint64 {
	sum := make(map[string]uint64)
	for _, h := range hosts {
		for why, n := range h.Stats().Drops {
			sum[why] += n
		}
	}
	return sum
}
