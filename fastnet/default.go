package fastnet

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"

	"github.com/fastnet-go/fastnet/nic"
)

// theDefault is the network of the package's functions.
var theDefault struct {
	network atomic.Pointer[Network]
	mu      sync.Mutex
	err     error // why there is none
}

// ErrConfigured is what Configure returns when the default network is in use
// already.
var ErrConfigured = errors.New("fastnet: the default network is in use already: call Configure before the first Listen or Dial")

// Configure makes the default network from cfg, instead of the environment
// variable FASTNET. It is called at most once, before anything else of the
// package.
func Configure(cfg Config) error {
	theDefault.mu.Lock()
	defer theDefault.mu.Unlock()
	if theDefault.network.Load() != nil || theDefault.err != nil {
		return ErrConfigured
	}
	var n *Network
	var err error
	outside(func() { n, err = New(cfg) })
	if err != nil {
		return err
	}
	if n.servers != nil && DefaultResolver == net.DefaultResolver {
		DefaultResolver = n.servers.resolver
	}
	theDefault.network.Store(n)
	return nil
}

// Default returns the default network, for its statistics, and for its Close at
// the end of a program. The first use makes it. The error is that of a wrong
// FASTNET, which all of the package's functions return too.
func Default() (*Network, error) { return defaultNetwork() }

func defaultNetwork() (*Network, error) {
	if n := theDefault.network.Load(); n != nil {
		return n, nil
	}
	theDefault.mu.Lock()
	defer theDefault.mu.Unlock()
	if n := theDefault.network.Load(); n != nil || theDefault.err != nil {
		return n, theDefault.err
	}
	var n *Network
	var err error
	outside(func() { n, err = fromEnvironment(os.Getenv("FASTNET")) })
	if err != nil {
		theDefault.err = err
		return nil, err
	}
	theDefault.network.Store(n)
	return n, nil
}

// nursery takes what makes the default network to a goroutine that was started
// before any bubble of testing/synctest, and ends with it: the first use may be a
// bubble's, to which the network's goroutines and channels must not belong. It is
// nil once the goroutine has ended, and where FASTNET is not set. It is under
// theDefault's mutex.
var nursery chan func()

func init() {
	if os.Getenv("FASTNET") != "" {
		calls := make(chan func())
		nursery = calls
		go func() { (<-calls)() }()
	}
}

// outside calls f on the nursery's goroutine, if there is one. theDefault's mutex
// is held.
func outside(f func()) {
	calls := nursery
	if calls == nil {
		f()
		return
	}
	nursery = nil
	var done sync.Mutex // a channel would be the bubble's
	done.Lock()
	calls <- func() { defer done.Unlock(); f() }
	done.Lock()
}

// fromEnvironment makes the network that FASTNET describes.
func fromEnvironment(text string) (*Network, error) {
	if text == "" {
		slog.Warn("fastnet: FASTNET is not set: all sockets are the kernel's, through package net. " +
			"Set it, as FASTNET=tap:name=fast0,addr=10.77.0.2/24, or call fastnet.Configure")
		return newKernelNetwork(), nil
	}
	cfg, err := parseConfig("FASTNET", text)
	if err != nil {
		return nil, err
	}
	return New(cfg)
}

// devices are those that a Config's Wire can name.
var devices struct {
	sync.Mutex
	byName map[string]nic.Device
}

// RegisterDevice gives a device a name, for Config.Wire and for
// FASTNET=wire:NAME. A nil device takes the name back. The device remains the
// caller's to close.
func RegisterDevice(name string, dev nic.Device) {
	devices.Lock()
	defer devices.Unlock()
	if dev == nil {
		delete(devices.byName, name)
		return
	}
	if devices.byName == nil {
		devices.byName = make(map[string]nic.Device)
	}
	devices.byName[name] = dev
}

func registered(name string) nic.Device {
	devices.Lock()
	defer devices.Unlock()
	return devices.byName[name]
}
