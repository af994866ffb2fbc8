package fastnet

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/fastnet-go/fastnet/nic/afxdp"
)

// XDP is a live interface of Linux's that the network has by AF_XDP, beside the
// kernel's own stack.
//
// Without Config.Addresses it is shared: addresses, routes, MTU and neighbours are
// the kernel's, followed as they change. A listener on the interface's address, or
// on a wildcard address, is in the stack and in the kernel, under one port, and
// accepts from both; a dial takes the stack if the kernel's routes lead out of the
// interface. Only packets of such ports and connections are taken from the kernel,
// all others pass as if nothing were there.
//
// With Config.Addresses these are the network's alone, ARP and neighbour discovery
// included, and the kernel keeps its own.
//
// Packets are taken before the kernel's firewall, connection tracking and address
// translation see them: rules of nftables and iptables for the ports that are
// served do not apply. The log names those that there are.
type XDP struct {
	afxdp.Config

	// Ports are those that may be taken from the kernel; listeners on others
	// are the kernel's alone. Empty: all that are listened on.
	Ports []PortRange

	// DialPorts is how many ports dials have, for TCP and again for UDP, bound
	// in advance; default 512. A port serves one connection to each peer at
	// a time. A dial that finds none is the kernel's. Negative: none.
	DialPorts int

	// Handover lets a second process of the same user serve the same ports: it
	// starts in the kernel, while this one has the interface, and takes the
	// interface over when this one ends. Kernel sockets have SO_REUSEPORT then.
	Handover bool
}

// AFXDP is the device of a network that Config.XDP describes: for its Report, which
// says how the interface is used, and its Filter's Counters, which say what came to
// the stack and what passed. It is nil in other networks, and until the interface is
// taken. What the filter takes is the network's affair.
func (n *Network) AFXDP() *afxdp.Device { return n.xdp.device() }

// PortRange is a range of ports.
type PortRange struct {
	Network     string // "tcp" or "udp"; both if empty
	First, Last uint16 // inclusive
}

// String is the range as ParseConfig takes it: "443", "udp:53" or "8000-8010".
func (r PortRange) String() string {
	s := strconv.Itoa(int(r.First))
	if r.Last != r.First {
		s += "-" + strconv.Itoa(int(r.Last))
	}
	if r.Network != "" {
		s = r.Network + ":" + s
	}
	return s
}

// covers reports whether the range has a port of a network ("tcp4").
func (r PortRange) covers(network string, port uint16) bool {
	return strings.HasPrefix(network, r.Network) && r.First <= port && port <= r.Last
}

// defaultDialPorts is XDP.DialPorts.
const defaultDialPorts = 512

// xdpSettings are the keys of an interface taken by AF_XDP.
var xdpSettings = map[string]setting{
	"name":      {"an interface's name of 1 to 15 characters, as eth0", func(c *Config, v string) error { return setInterface(&c.XDP.Interface, v) }},
	"ports":     {"ports, as 443, udp:53 or 8000-8010", setPorts},
	"dialports": {"a number from 0 to 8192", setDialPorts},
	"handover":  {"true or false", func(c *Config, v string) error { return setBool(&c.XDP.Handover, v) }},
	"attach":    {"auto, native or generic", setAttach},
	"copy":      {"auto, always or never", setCopy},
	"queues":    {"a number from 1 to 256", func(c *Config, v string) error { return setInt(&c.XDP.Queues, v, 1, 256) }},
	"ring":      {"a power of two from 64 to 32768", func(c *Config, v string) error { return setInt(&c.XDP.Ring, v, 64, 32768) }},
	"frames":    {"a number of buffers from 64 to 1048576", func(c *Config, v string) error { return setInt(&c.XDP.Frames, v, 64, 1<<20) }},
	"offload":   {"true or false", func(c *Config, v string) error { return setOffload(&c.XDP.NoOffload, v) }},
	"maxflows":  {"a number of connections from 64 to 16777216", func(c *Config, v string) error { return setInt(&c.XDP.MaxFlows, v, 64, 1<<24) }},
	"partial":   {"true or false", func(c *Config, v string) error { return setBool(&c.XDP.PartialChecksums, v) }},
	"hugepages": {"true or false", func(c *Config, v string) error { return setBool(&c.XDP.HugePages, v) }},
	"busypoll":  {"a number of microseconds from 0 to 10000", func(c *Config, v string) error { return setInt(&c.XDP.BusyPoll, v, 0, 10000) }},
}

func setPorts(c *Config, v string) error {
	r := PortRange{}
	network, ports, ok := strings.Cut(v, ":")
	if ok {
		if r.Network = network; network != "tcp" && network != "udp" {
			return errors.New("neither tcp nor udp")
		}
	} else {
		ports = v
	}
	first, last, ok := strings.Cut(ports, "-")
	if !ok {
		last = first
	}
	a, err := strconv.ParseUint(first, 10, 16)
	if err != nil {
		return errors.New("not a port")
	}
	b, err := strconv.ParseUint(last, 10, 16)
	if err != nil || a == 0 || b < a {
		return errors.New("not a range of ports")
	}
	r.First, r.Last = uint16(a), uint16(b)
	c.XDP.Ports = append(c.XDP.Ports, r)
	return nil
}

func setDialPorts(c *Config, v string) error {
	err := setInt(&c.XDP.DialPorts, v, 0, 8192)
	if err == nil && c.XDP.DialPorts == 0 {
		c.XDP.DialPorts = -1
	}
	return err
}

func setAttach(c *Config, v string) error {
	switch v {
	case "auto":
		c.XDP.Attach = afxdp.AttachAuto
	case "native":
		c.XDP.Attach = afxdp.AttachNative
	case "generic":
		c.XDP.Attach = afxdp.AttachGeneric
	default:
		return errors.New("none of the three")
	}
	return nil
}

func setCopy(c *Config, v string) error {
	switch v {
	case "auto":
		c.XDP.Copy = afxdp.CopyAuto
	case "always":
		c.XDP.Copy = afxdp.CopyAlways
	case "never":
		c.XDP.Copy = afxdp.CopyNever
	default:
		return errors.New("none of the three")
	}
	return nil
}

// checkXDP says what is wrong with a Config for XDP.
func (c *Config) checkXDP() error {
	x := c.XDP
	if x.Interface == "" {
		return errors.New("fastnet: xdp: no interface: name the one to use, as xdp:eth0")
	}
	if x.NetNS != "" {
		return fmt.Errorf("fastnet: xdp:%s: netns=%s: the kernel's sockets are in the program's own namespace: start it there, as ip netns exec NAME", x.Interface, x.NetNS)
	}
	if len(c.Addresses) > 0 { // exclusive
		if x.Handover {
			return fmt.Errorf("fastnet: xdp:%s: handover is for an interface whose addresses are shared with the kernel: leave it out, or leave addr out", x.Interface)
		}
		if len(x.Ports) > 0 {
			return fmt.Errorf("fastnet: xdp:%s: ports is for an interface whose addresses are shared with the kernel: leave it out, or leave addr out", x.Interface)
		}
		return nil
	}
	if x.Handover && (c.Pcap != "" || c.Faults != nil) {
		return fmt.Errorf("fastnet: xdp:%s: handover=true: a network that waits for its interface takes no capture and no faults: leave pcap, loss and the like out", x.Interface)
	}
	for _, k := range []struct {
		key string
		set bool
	}{
		{"gw", c.Gateway.IsValid()}, {"route", len(c.Routes) > 0}, {"mtu", c.MTU != 0}, {"loopback=stack", c.Loopback == LoopbackStack},
	} {
		if k.set {
			return fmt.Errorf("fastnet: xdp:%s: %s: addresses, routes and MTU are the kernel's on a shared interface: leave it out, or give addr=10.0.0.2/24, an address that the kernel has not", x.Interface, k.key)
		}
	}
	return nil
}

// filterPort is what the filter takes for a socket bound to local.
func filterPort(protocol uint8, local netip.AddrPort, v6only bool) afxdp.Port {
	p := afxdp.Port{Protocol: protocol, Addr: local.Addr().WithZone(""), Port: local.Port()}
	if p.Addr.Is6() && p.Addr.IsUnspecified() && !v6only {
		p.Addr = netip.Addr{} // both families
	}
	return p
}
