package sim

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/fault"
	"github.com/fastnet-go/fastnet/nic/pcap"
	"github.com/fastnet-go/fastnet/nic/wire"
	"github.com/fastnet-go/fastnet/stack"
)

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

func (w *world) buildNode(i int, o Options) error {
	plan := &w.plan.Hosts[i]
	n := &node{w: w, index: i, plan: plan, port: w.wire.Port(i), polled: w.clock - plan.PollEvery}
	chance := rand.NewChaCha8([32]byte{0: byte(i), 1: byte(w.plan.Seed), 2: byte(w.plan.Seed >> 8), 3: byte(w.plan.Seed >> 16), 4: byte(w.plan.Seed >> 24)})
	cfg := stack.Config{
		Name:  string(rune('a' + i)),
		Clock: w.now,
		Rand:  func(b []byte) { chance.Read(b) },
		TCP:   plan.TCP,

		MaxMemory: plan.Memory,
	}
	if plan.Cookies {
		cfg.MaxHalfOpen = -1
	}
	n.host = stack.NewHost(cfg)
	faults := &n.faults
	faults.Seed = w.plan.Seed*2 + uint64(i)
	if out := &w.plan.Lanes[i]; !out.AtReceiver {
		faults.Tx = out.Faults
	}
	if in := &w.plan.Lanes[1-i]; in.AtReceiver {
		faults.Rx = in.Faults
	}
	var err error
	if n.fault, err = fault.Wrap(n.port, *faults, w.now); err != nil {
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

// stats are the wire's own counters, beneath the faults.
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
