package fastnet

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/fault"
	"github.com/fastnet-go/fastnet/nic/pcap"
	"github.com/fastnet-go/fastnet/nic/tap"
	"github.com/fastnet-go/fastnet/stack"
)

// Network is a host of the stack's with the API of package net. As many may
// exist in a process as are wanted. All methods may be called from any
// goroutine.
type Network struct {
	cfg            Config
	log            *slog.Logger
	host           *stack.Host // nil: everything goes to package net
	kernelLoopback bool
	atClose        []func() error // in reverse order
	servers        *nameServers   // nil: names are looked up outside
	indexOnce      sync.Once
	indexes        []int                            // of the interfaces, as programs see them
	ifaceAddrs     atomic.Pointer[[][]netip.Prefix] // their addresses
	xdp            *xdp                             // nil: none
	shared         *shared                          // not nil: the interface is the kernel's too

	mu        sync.Mutex
	fallbacks map[string]uint64
	told      map[string]bool // kinds and reasons of fallbacks that are in the log
	listeners map[*TCPListener]struct{}
	closed    bool

	kernelConns kernelConns // accepted by the kernel
}

// New opens the device of cfg and starts a host on it. An error is one line
// that says what to do.
func New(cfg Config) (*Network, error) {
	n := &Network{cfg: cfg, fallbacks: make(map[string]uint64), listeners: make(map[*TCPListener]struct{})}
	if n.cfg.Clock == nil {
		n.cfg.Clock = stack.SystemClock()
	}
	n.log = cfg.Logger
	if n.log == nil {
		n.log = slog.Default()
	}
	if len(cfg.DNS) > 0 {
		n.servers = newNameServers(n, cfg.DNS)
	}
	if err := n.start(); err != nil {
		n.release()
		if !n.unavailable(err) || n.cfg.Require {
			return nil, err
		}
		n.log.Warn("fastnet: all sockets are the kernel's, through package net; require=true would make this an error", slog.Any("error", err))
		n.host, n.shared = nil, nil
	}
	return n, nil
}

// newKernelNetwork returns a network without a stack.
func newKernelNetwork() *Network {
	return &Network{log: slog.Default(), listeners: make(map[*TCPListener]struct{})}
}

func (n *Network) start() error {
	dev, err := n.openDevice()
	if err != nil {
		return err
	}
	cfg := &n.cfg
	switch {
	case cfg.Name != "":
	case dev == nil && cfg.XDP != nil: // another process has it still
		cfg.Name = cfg.XDP.Interface
	case dev == nil:
		cfg.Name = "loopback"
	default:
		cfg.Name = dev.Info().Name
	}
	n.kernelLoopback = cfg.Loopback == LoopbackKernel || cfg.Loopback == LoopbackDefault && (cfg.Tap != nil || cfg.XDP != nil || cfg.Packet != nil)
	for _, a := range cfg.Addresses {
		if !a.IsValid() || a.Addr().IsUnspecified() || a.Addr().IsMulticast() || a.Addr().IsLoopback() {
			return fmt.Errorf("fastnet: %s: addr %s is not an address of a host: give it one of its subnet, as 10.77.0.2/24", cfg.Name, a)
		}
	}
	for _, r := range cfg.Kernel {
		if r.Network != "" && r.Network != "tcp" && r.Network != "udp" || r == (KernelRule{}) {
			return fmt.Errorf("fastnet: %s: kernel=%s is no rule: write tcp, udp, a subnet as 192.0.2.0/24, or udp:192.0.2.0/24", cfg.Name, r)
		}
	}
	host := stack.NewHost(stack.Config{
		Name: cfg.Name, Clock: cfg.Clock, Rand: cfg.Rand, Logger: n.log, TCP: cfg.TCP, FlowEnded: n.flowEnded(),
	})
	n.host = host
	poller, release := cfg.Poller, func() {}
	if poller == nil {
		p := acquirePoller()
		poller, release = p.Poller, p.release
	}
	n.atClose = append(n.atClose, func() error { release(); return nil }, host.Close)
	if dev != nil || cfg.XDP != nil {
		if err := n.attach(dev); err != nil {
			return err
		}
	}
	if err := poller.Add(host); err != nil {
		return fmt.Errorf("fastnet: %s: the poller cannot take the host: %w", cfg.Name, err)
	}
	return nil
}

// attach gives the host its interface and routes.
func (n *Network) attach(dev nic.Device) error {
	if n.cfg.XDP != nil {
		return n.attachXDP(dev)
	}
	return n.attachAs(dev, stack.InterfaceConfig{Name: dev.Info().Name, Addrs: n.cfg.Addresses, MTU: n.cfg.MTU})
}

func (n *Network) attachAs(dev nic.Device, as stack.InterfaceConfig) error {
	cfg, host := &n.cfg, n.host
	if _, err := host.Attach(dev, as); err != nil {
		return fmt.Errorf("fastnet: %s: the device cannot be used: %w", cfg.Name, err)
	}
	if cfg.Gateway.IsValid() {
		if err := host.AddRoute(defaultRoute(cfg.Gateway)); err != nil {
			return fmt.Errorf("fastnet: %s: gw=%s: %w", cfg.Name, cfg.Gateway, err)
		}
	}
	for _, r := range cfg.Routes {
		if err := host.AddRoute(r); err != nil {
			return fmt.Errorf("fastnet: %s: route=%s via %s: %w", cfg.Name, r.Prefix, r.Gateway, err)
		}
	}
	return nil
}

// openDevice returns the configured device with its wrappers: the capture is
// the innermost of what the stack sees. It is nil if there is to be none.
func (n *Network) openDevice() (nic.Device, error) {
	cfg := &n.cfg
	var dev nic.Device
	switch {
	case cfg.LoopbackOnly:
		if cfg.devices() > 0 || len(cfg.Addresses) > 0 || len(cfg.Routes) > 0 ||
			cfg.Gateway.IsValid() || cfg.MTU != 0 || cfg.Pcap != "" || cfg.Faults != nil || cfg.Loopback == LoopbackKernel {
			return nil, errors.New("fastnet: LoopbackOnly is a host without a device: leave what belongs to one out")
		}
		return nil, nil
	case cfg.devices() != 1:
		return nil, errOneDevice
	case cfg.Device != nil:
		dev = cfg.Device
	case cfg.Packet != nil:
		d, err := n.openPacket()
		if err != nil {
			return nil, err
		}
		dev = d
	case cfg.XDP != nil:
		d, err := n.openXDP()
		if err != nil {
			return nil, err
		}
		dev = d // closed by what openXDP has left in atClose
	case cfg.Tap != nil:
		t := *cfg.Tap
		if t.MTU == 0 {
			t.MTU = cfg.MTU
		}
		t.Addrs = cfg.Addresses
		d, err := tap.Open(t)
		if err != nil {
			return nil, fmt.Errorf("fastnet: %w", err)
		}
		dev = d
		n.atClose = append(n.atClose, dev.Close)
	case cfg.Wire != "":
		if dev = registered(cfg.Wire); dev == nil {
			return nil, fmt.Errorf("fastnet: wire:%s: no such device: call RegisterDevice(%q, dev) before", cfg.Wire, cfg.Wire)
		}
	}
	if cfg.Faults != nil {
		d, err := fault.Wrap(keepOpen{dev}, *cfg.Faults, cfg.Clock)
		if err != nil {
			return nil, fmt.Errorf("fastnet: the faults to inject: %w", err)
		}
		dev = d
		n.atClose = append(n.atClose, dev.Close) // releases frames under way
	}
	if cfg.Pcap != "" {
		w, err := pcap.Create(cfg.Pcap, pcap.Config{Origin: time.Now().Add(-cfg.Clock()), Application: "fastnet"})
		if err != nil {
			return nil, fmt.Errorf("fastnet: pcap=%s: %w: name a file that can be written", cfg.Pcap, err)
		}
		n.atClose = append(n.atClose, w.Close)
		dev = pcap.Wrap(dev, w, cfg.Clock)
	}
	return dev, nil
}

var errOneDevice = errors.New("fastnet: a network is on one device: set one of Config.Device, Tap, XDP, Packet, Wire and LoopbackOnly")

// keepOpen is a device that outlives its wrapper.
type keepOpen struct{ nic.Device }

func (keepOpen) Close() error { return nil }

// release undoes what start did, last things first.
func (n *Network) release() error {
	var first error
	for i := len(n.atClose) - 1; i >= 0; i-- {
		if err := n.atClose[i](); err != nil && first == nil {
			first = err
		}
	}
	n.atClose = nil
	return first
}

// Close resets the network's connections, closes its listeners, the kernel's
// halves too, ends its goroutines, and closes its device unless that came from
// Config.Device or RegisterDevice. Calls on its sockets return net.ErrClosed.
// A second Close does too.
func (n *Network) Close() error {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return net.ErrClosed
	}
	n.closed = true
	listeners := n.listeners
	n.listeners = nil
	n.mu.Unlock()
	if n.shared != nil {
		n.shared.steer.Closing() // nothing is left to outlive a listener
	}
	for l := range listeners {
		l.Close()
	}
	if n.shared != nil {
		n.shared.udp.close()
	}
	n.kernelConns.close()
	return n.release()
}

// own notes a listener, for Close and Shutdown.
func (n *Network) own(l *TCPListener) (*TCPListener, error) {
	l.owner = n
	n.mu.Lock()
	closed := n.closed
	if !closed {
		n.listeners[l] = struct{}{}
	}
	n.mu.Unlock()
	if closed {
		l.Close()
		return nil, net.ErrClosed
	}
	return l, nil
}

// forget is the opposite of own.
func (n *Network) forget(l *TCPListener) {
	if n == nil {
		return
	}
	n.mu.Lock()
	delete(n.listeners, l)
	n.mu.Unlock()
}

// Stats is a snapshot of a network's counters.
type Stats struct {
	stack.Stats
	Fallbacks map[string]uint64 // calls served by the kernel for want of it in the stack, by kind
	// KernelAcceptErrors is how often a listener that is in the kernel too could
	// not accept there for want of descriptors or memory, and tried again.
	KernelAcceptErrors uint64
}

// Stats returns the network's counters.
func (n *Network) Stats() Stats {
	var s Stats
	if n.host != nil {
		s.Stats = n.host.Stats()
	}
	n.mu.Lock()
	s.Fallbacks = maps.Clone(n.fallbacks)
	n.mu.Unlock()
	n.kernelConns.mu.Lock()
	s.KernelAcceptErrors = n.kernelConns.errors
	n.kernelConns.mu.Unlock()
	return s
}

// Connections describes the stack's connections.
func (n *Network) Connections() []stack.TCPInfo {
	if n.host == nil {
		return nil
	}
	return n.host.Connections()
}

// Interfaces describes the stack's interfaces. Their indexes are the stack's own;
// NetInterfaces has those that programs see.
func (n *Network) Interfaces() []stack.InterfaceInfo {
	if n.host == nil {
		return nil
	}
	return n.host.Interfaces()
}

// Host returns the stack's host, or nil in a network without a stack.
func (n *Network) Host() *stack.Host { return n.host }
