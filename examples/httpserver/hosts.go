package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/fastnet-go/fastnet/fastnet"
	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/fault"
	"github.com/fastnet-go/fastnet/nic/tap"
	"github.com/fastnet-go/fastnet/nic/wire"
	"github.com/fastnet-go/fastnet/stack"
)

// The addresses of the two ends. The near one is the gateway's on a wire, and
// the kernel's on a TAP interface.
var (
	serverAddress = netip.MustParsePrefix("10.77.0.2/24")
	nearAddress   = netip.MustParsePrefix("10.77.0.1/24")
)

// tapName is fixed, so that a second server says that there is one already.
const tapName = "fasthttp0"

// hosts are what the server runs on: its own host, which is fastnet's default
// network, and with a wire the gateway's.
type hosts struct {
	options
	listenAddress string // for net.Listen
	url           string // to open
	started       time.Time

	server  *fastnet.Network
	faults  *fault.Device // nil without -drop-chance
	gateway *gateway      // nil with a TAP interface
	devices []nic.Device  // to close at last
	closed  bool

	requests atomic.Uint64
	active   atomic.Int64 // requests under way
}

// newHosts makes the hosts that o asks for. Errors say what to do.
func newHosts(o options) (*hosts, error) {
	h := &hosts{options: o, started: time.Now()}
	var err error
	if o.nic == "tap" {
		err = h.onTap()
	} else {
		err = h.onWire()
	}
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// onWire joins the server's host and the gateway's. The gateway has the
// kernel's port before anything else is made.
func (h *hosts) onWire() error {
	loopback := net.JoinHostPort("127.0.0.1", strconv.Itoa(h.port))
	listener, err := net.Listen("tcp", loopback)
	if err != nil {
		return fmt.Errorf("%s cannot be had, another program uses it perhaps: choose a port with -port N, or make run PORT=N (%w)", loopback, err)
	}
	h.gateway = newGateway(listener)
	h.url = "http://" + listener.Addr().String() + "/"
	// The server's host has ports of its own: any is free, 8080 as good as 0.
	port := h.port
	if port == 0 {
		port = 8080
	}
	h.listenAddress = netip.AddrPortFrom(serverAddress.Addr(), uint16(port)).String()

	cable, err := wire.New(wire.Config{})
	if err != nil {
		return err
	}
	if err := h.configure(cable.Port(1)); err != nil {
		return err
	}
	h.devices = append(h.devices, cable.Port(0))
	h.gateway.network, err = fastnet.New(fastnet.Config{
		Name:      "gateway",
		Device:    cable.Port(0),
		Addresses: []netip.Prefix{nearAddress},
	})
	return err
}

// onTap makes a TAP interface. It vanishes with its descriptor, so nothing is
// left of it however the process ends.
func (h *hosts) onTap() error {
	dev, err := tap.Open(tap.Config{Name: tapName, HostAddrs: []netip.Prefix{nearAddress}})
	if err != nil {
		return err
	}
	h.listenAddress = netip.AddrPortFrom(serverAddress.Addr(), uint16(h.port)).String()
	return h.configure(dev)
}

// configure makes the server's host fastnet's default network: main says
// net.Listen, as any program would. FASTNET in the environment does the same
// for a program that cannot be changed.
func (h *hosts) configure(dev nic.Device) error {
	h.devices = append(h.devices, dev)
	clock := stack.SystemClock()
	if h.dropChance > 0 {
		loss := fault.Faults{Loss: h.dropChance}
		faulty, err := fault.Wrap(dev, fault.Config{Seed: uint64(time.Now().UnixNano()), Rx: loss, Tx: loss}, clock)
		if err != nil {
			return err
		}
		h.faults, dev = faulty, faulty
		h.devices[len(h.devices)-1] = faulty
	}
	err := fastnet.Configure(fastnet.Config{
		Name:      "server",
		Device:    dev,
		Addresses: []netip.Prefix{serverAddress},
		Pcap:      h.pcap,
		Clock:     clock,
	})
	if err != nil {
		return err
	}
	h.server, err = fastnet.Default()
	return err
}

// open tells the gateway where the server listens, and lets it take
// connections.
func (h *hosts) open(server net.Addr) {
	if h.gateway == nil {
		h.url = "http://" + server.String() + "/"
		return
	}
	h.gateway.serve(server.String())
}

// refuse takes no more connections of the kernel's.
func (h *hosts) refuse() {
	if h.gateway != nil {
		h.gateway.refuse()
	}
}

// Close ends the gateway, the networks and the devices. It may be called twice.
func (h *hosts) Close() error {
	if h.closed {
		return nil
	}
	h.closed = true
	var errs []error
	if h.gateway != nil {
		errs = append(errs, h.gateway.close())
	}
	if h.server != nil {
		errs = append(errs, h.server.Close())
	}
	for _, dev := range h.devices {
		if err := dev.Close(); !errors.Is(err, nic.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// announce prints the address and the path of a request.
func (h *hosts) announce(w io.Writer) {
	fmt.Fprintf(w, "An ordinary net/http server on fastnet's own TCP/IP stack.\n\n  Open  %s   (or: curl %sstatus)\n\n", h.url, h.url)
	word := "Path"
	for _, stop := range h.path() {
		fmt.Fprintf(w, "  %-4s  %-22s %s\n", word, stop.Name, stop.About)
		word = "  ->"
	}
	if h.dropChance > 0 {
		fmt.Fprintf(w, "\n  Each frame is lost with a probability of %v.\n", h.dropChance)
	}
	if h.pcap != "" {
		fmt.Fprintf(w, "\n  The packets go to %s.\n", h.pcap)
	}
	if h.gateway != nil && os.Geteuid() == 0 {
		fmt.Fprint(w, "\n  As root there is also NIC=tap: the kernel reaches the stack directly.\n")
	}
	fmt.Fprint(w, "\n  Ctrl-C ends it.\n\n")
}
