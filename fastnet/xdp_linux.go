package fastnet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/fastnet/internal/kernel"
	"github.com/fastnet-go/fastnet/fastnet/internal/steer"
	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/afxdp"
	"github.com/fastnet-go/fastnet/stack"
)

// xdp is what a network has of an interface that the kernel has too.
type xdp struct {
	n        *Network
	follower *kernel.Follower

	undo     []func() error // what was taken, in this order; undone by release
	stopping chan struct{}  // closed to end the wait for the interface, by stop
	stopped  sync.Once
	waiting  sync.WaitGroup

	mu     sync.Mutex
	iface  *stack.Interface // nil until it is attached
	dev    *afxdp.Device    // nil until the interface is taken
	filter *afxdp.Filter
	addrs  map[netip.Addr]time.Time // that the filter takes; since when the kernel has one no more, or zero
	lost   bool                     // the device has ended
	again  *time.Timer              // looks at those that the kernel has no more
	own    []afxdp.Address          // the network's own: with Config.Addresses

	watched watched // of look's alone
}

// device is the interface, or nil until it is taken.
func (x *xdp) device() *afxdp.Device {
	if x == nil {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.dev
}

// release gives up the interface.
func (x *xdp) release() error {
	var first error
	x.mu.Lock()
	x.iface = nil // nothing is followed any more
	if x.again != nil {
		x.again.Stop()
	}
	x.mu.Unlock()
	for i := len(x.undo) - 1; i >= 0; i-- {
		if err := x.undo[i](); err != nil && first == nil {
			first = err
		}
	}
	x.undo = nil
	return first
}

// unavailable reports whether an error says that this machine cannot do it, or
// that another process does it, so that the configuration is not wrong.
func (n *Network) unavailable(err error) bool {
	_, taken := errors.AsType[*kernel.Taken](err)
	_, obstacle := errors.AsType[kernel.Obstacle](err)
	return n.cfg.XDP != nil && (taken || obstacle || errors.Is(err, afxdp.ErrUnavailable) || errors.Is(err, afxdp.ErrBusy))
}

// openXDP follows the interface and takes it. The device is nil if another process has
// the interface still and this one is to take it over.
func (n *Network) openXDP() (nic.Device, error) {
	cfg := n.cfg.XDP
	if err := n.cfg.checkXDP(); err != nil {
		return nil, err
	}
	failed := func(err error) error { return fmt.Errorf("fastnet: xdp:%s: %w", cfg.Interface, err) }
	if missing := kernel.MissingCapabilities(); missing != "" {
		return nil, failed(kernel.Obstacle(fmt.Sprintf("the process has not %s: run it as root, or give it these capabilities (setcap, or AmbientCapabilities= of systemd)", missing)))
	}
	x := &xdp{n: n, stopping: make(chan struct{})}
	shared := len(n.cfg.Addresses) == 0
	handler := kernel.Handler{}
	if shared {
		handler = kernel.Handler{Changed: x.changed, Neighbor: x.neighbor, Routing: x.routing}
	}
	var err error
	if x.follower, err = kernel.Follow(cfg.Interface, handler); err != nil {
		if errors.Is(err, kernel.ErrNoInterface) {
			return nil, fmt.Errorf("fastnet: xdp:%s: no such interface: ip link lists those that there are", cfg.Interface)
		}
		return nil, failed(err)
	}
	n.xdp = x
	n.atClose = append(n.atClose, func() error { x.follower.Close(); return nil }, x.release)
	for _, a := range n.cfg.Addresses {
		if name := x.follower.HasAddress(a.Addr()); name != "" {
			return nil, fmt.Errorf("fastnet: xdp:%s: addr=%s: the kernel has this address, on %s, and would be cut off from it with all that listens there, as sshd: leave addr out to share it, or give an address that nobody has", cfg.Interface, a, name)
		}
	}
	dev, err := x.take()
	if taken, ok := errors.AsType[*kernel.Taken](err); ok && cfg.Handover {
		n.log.Info("fastnet: the kernel serves until the interface is free", slog.String("interface", cfg.Interface), slog.String("holder", taken.Holder().String()))
		return nil, nil
	}
	if err != nil {
		return nil, failed(err)
	}
	return dev, nil
}

// take takes the interface, once it is sure that nobody else has it and that it can
// be taken.
func (x *xdp) take() (dev nic.Device, err error) {
	n, cfg := x.n, x.n.cfg.XDP
	defer func() {
		if err != nil {
			x.release()
		}
	}()
	if err := x.follower.Check(); err != nil {
		return nil, err
	}
	state := x.follower.State()
	claim, err := kernel.NewClaim(state.Index)
	if err != nil {
		return nil, err
	}
	x.undo = append(x.undo, claim.Close)
	journal, left, err := kernel.OpenJournal(cfg.Interface, state.Index)
	if err != nil {
		return nil, err
	}
	x.undo = append(x.undo, journal.Close)
	if len(left) > 0 {
		n.log.Warn("fastnet: settings that a process had changed and not put back are put back", slog.String("interface", cfg.Interface), slog.String("settings", strings.Join(left, " ")))
	}
	if cfg.Queues > 0 {
		// Answers to dials, and what hashes or moves there, would meet the
		// kernel, which resets what it does not know.
		if r, err := afxdp.Probe(cfg.Config); err == nil && r.Queues < r.RxQueues {
			return nil, fmt.Errorf("queues=%d: %s receives on %d, and packets on the others would reach the kernel, which resets their connections: leave queues out, or let the interface have no more (ethtool -L %s combined %d)",
				cfg.Queues, cfg.Interface, r.RxQueues, cfg.Interface, cfg.Queues)
		}
	}
	n.announce(&state)
	if cfg.BusyPoll > 0 {
		if err := setBusyPoll(journal, cfg.BusyPoll); err != nil {
			return nil, fmt.Errorf("busypoll=%d: %w", cfg.BusyPoll, err)
		}
	}
	// A generic attach turns these off for good. A driver turns on again itself
	// what it has turned off.
	forget, err := journal.Keep(kernel.MergingFeatures)
	if err != nil {
		n.log.Warn("fastnet: large receive offload, if it is turned off, will stay off", slog.String("interface", cfg.Interface), slog.Any("error", err))
	}
	d, err := afxdp.Open(cfg.Config)
	if err != nil {
		return nil, err
	}
	x.undo = append(x.undo, d.Close)
	if d.Report().Attach.Value != "generic" {
		if err := forget(); err != nil {
			return nil, err
		}
	}
	x.mu.Lock()
	x.dev, x.filter = d, d.Filter()
	x.mu.Unlock()
	watch := kernel.NewWatch(x.look)
	x.undo = append(x.undo, watch.Close)
	r := d.Report()
	n.log.Info("fastnet: the interface is taken", slog.String("interface", cfg.Interface), slog.Bool("shared", len(n.cfg.Addresses) == 0),
		slog.String("attach", r.Attach.String()), slog.String("copy", r.Copy.String()), slog.Int("queues", r.Queues))
	return d, nil
}

// takeOverTime is for how long taking over is tried again: after a process's end
// the kernel takes a while to let go of its queues and its locked memory.
const takeOverTime = 5 * time.Second

// takeOver waits for another process to give the interface up.
func (x *xdp) takeOver() {
	pause := 50 * time.Millisecond
	var failing time.Time // since when
	for {
		select {
		case <-x.stopping:
			return
		case <-time.After(pause):
		}
		dev, err := x.take()
		if _, taken := errors.AsType[*kernel.Taken](err); taken {
			continue
		}
		if err == nil {
			if err = x.attachShared(dev); err != nil {
				x.release() // or it would be nobody's
			}
		} else if failing.IsZero() || time.Since(failing) < takeOverTime {
			if failing.IsZero() {
				failing = time.Now()
			}
			pause = time.Second / 2
			continue
		}
		if err != nil {
			x.n.log.Error("fastnet: the interface cannot be taken over: the kernel goes on", slog.String("interface", x.n.cfg.XDP.Interface), slog.Any("error", err))
		}
		return
	}
}

// announce says what taking the interface will do, before it is done.
func (n *Network) announce(state *kernel.State) {
	cfg := n.cfg.XDP
	if r, err := afxdp.Probe(cfg.Config); err == nil {
		for _, effect := range r.Effects {
			level, hint := slog.LevelInfo, ""
			if state.HasDefaultRoute() && cfg.Attach == afxdp.AttachAuto && strings.Contains(effect, "link") {
				// The way by which somebody may be logged in.
				level, hint = slog.LevelWarn, "the default route is on this interface: attach=generic leaves its driver alone"
			}
			n.log.Log(context.Background(), level, "fastnet: taking the interface: "+effect, slog.String("interface", cfg.Interface), slog.String("hint", hint))
		}
	}
	n.xdp.warnOfFirewall()
}

// setBusyPoll defers the device's interrupts while its sockets are polled
// (Documentation/networking/napi.rst, "IRQ mitigation").
func setBusyPoll(j *kernel.Journal, us int) error {
	if err := j.Set("napi_defer_hard_irqs", "2"); err != nil {
		return err
	}
	return j.Set("gro_flush_timeout", strconv.Itoa(us*4*1000))
}

// attachXDP gives the host the interface: with addresses of its own, or with the
// kernel's, which it follows.
func (n *Network) attachXDP(dev nic.Device) error {
	x, cfg := n.xdp, &n.cfg
	if len(cfg.Addresses) > 0 {
		return x.attachExclusive(dev)
	}
	sh := &shared{host: n.host, cfg: cfg.XDP, kernel: x.follower}
	sh.steer = steer.New(nil, n.host, x.kernelFlows)
	n.atClose = append(n.atClose, func() error { sh.steer.Close(); return nil })
	ports := cfg.XDP.DialPorts
	if ports == 0 {
		ports = defaultDialPorts
	}
	for _, b := range []struct {
		kind  int
		ports *[]uint16
	}{{unix.SOCK_STREAM, &sh.tcpPorts}, {unix.SOCK_DGRAM, &sh.udpPorts}} {
		block, err := kernel.ReserveBlock(b.kind, max(ports, 0))
		if err != nil {
			return fmt.Errorf("fastnet: %s: dialports=%d: %w: set it lower, or raise the limit of open files", cfg.Name, ports, err)
		}
		n.atClose = append(n.atClose, block.Close)
		*b.ports = block.Ports()
	}
	x.mu.Lock()
	n.shared = sh
	x.mu.Unlock()
	if dev != nil {
		return x.attachShared(dev)
	}
	x.waiting.Go(x.takeOver)
	n.atClose = append(n.atClose, func() error { x.stop(); return nil })
	return nil
}

// stop ends the wait for the interface: a process that ends leaves it to the next.
func (x *xdp) stop() {
	if x != nil {
		x.stopped.Do(func() { close(x.stopping) })
		x.waiting.Wait()
	}
}

// attachShared attaches the interface with the kernel's addresses.
func (x *xdp) attachShared(dev nic.Device) error {
	n := x.n
	state := x.follower.State()
	iface, err := n.host.Attach(dev, stack.InterfaceConfig{
		Name: dev.Info().Name, Addrs: state.Addrs, NoLinkLocal: true, Resolve: x.follower.Resolve, Failed: x.failed,
	})
	if err != nil {
		return fmt.Errorf("fastnet: %s: the device cannot be used: %w", n.cfg.Name, err)
	}
	x.mu.Lock()
	if !x.lost {
		x.iface = iface
	}
	x.mu.Unlock()
	x.changed(state) // and what has changed since
	if len(state.Addrs) == 0 {
		n.log.Warn("fastnet: the interface has no address yet: what listens on it is reached when it has one", slog.String("interface", state.Name))
	}
	if err := n.shared.steer.SetFilter(x.filter); err != nil {
		return fmt.Errorf("fastnet: %s: the ports: %w", n.cfg.Name, err)
	}
	x.mu.Lock()
	n.shared.live.Store(!x.lost)
	x.mu.Unlock()
	return nil
}

// failed leaves everything to the kernel once the device has ended: it was deleted,
// say, or has another Ethernet address. Listeners and sockets go on in the kernel.
func (x *xdp) failed(err error) {
	x.mu.Lock()
	x.iface, x.lost = nil, true
	x.n.shared.live.Store(false)
	x.mu.Unlock()
	if e := x.filter.SetAddresses(nil); e != nil && !errors.Is(e, nic.ErrClosed) {
		err = errors.Join(err, e)
	}
	x.n.log.Error("fastnet: the interface is lost: its connections have ended, and the kernel serves from now on; start the program again to have it back",
		slog.String("interface", x.n.cfg.XDP.Interface), slog.Any("error", err))
}

// attachExclusive attaches the interface with the network's own addresses.
func (x *xdp) attachExclusive(dev nic.Device) error {
	n, cfg := x.n, &x.n.cfg
	// The link-local address of the interface's Ethernet address is the
	// kernel's.
	if err := n.attachAs(dev, stack.InterfaceConfig{Name: dev.Info().Name, Addrs: cfg.Addresses, MTU: cfg.MTU, NoLinkLocal: true}); err != nil {
		return err
	}
	var list []afxdp.Address
	for _, a := range cfg.Addresses {
		list = append(list, afxdp.Address{Addr: a.Addr(), Mode: afxdp.Exclusive})
		if a.Addr().Is6() {
			leave, err := kernel.JoinSolicitedNode(a.Addr(), x.follower.State().Index)
			if err != nil {
				return fmt.Errorf("fastnet: %s: addr=%s: the group of its neighbour solicitations: %w", cfg.Name, a, err)
			}
			n.atClose = append(n.atClose, leave)
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.filter.SetAddresses(list); err != nil {
		return fmt.Errorf("fastnet: %s: the addresses: %w", cfg.Name, err)
	}
	x.own = list
	return nil
}
