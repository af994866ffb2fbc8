package fastnet

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fastnet-go/fastnet/nic/afpacket"
	"github.com/fastnet-go/fastnet/nic/fault"
	"github.com/fastnet-go/fastnet/nic/tap"
	"github.com/fastnet-go/fastnet/stack/route"
)

// setting is a key of the text form of a Config, for FASTNET and TOML files.
type setting struct {
	want string // what a value looks like, for error messages
	set  func(c *Config, value string) error
}

// settings are the keys that a value may have besides the device's own.
var settings = map[string]setting{
	"addr":      {"an address with its prefix length, as 10.77.0.2/24", setAddr},
	"gw":        {"an address in one of the subnets of addr, as 10.77.0.1", setGateway},
	"route":     {`a subnet and its gateway, as "10.0.0.0/8 via 10.77.0.1"`, setRoute},
	"kernel":    {"tcp, udp, a subnet as 192.0.2.0/24, or udp:192.0.2.0/24", setKernel},
	"dns":       {"the address of a name server, as 10.77.0.1 or [fd77::1]:53", setDNS},
	"mtu":       {"a number of bytes from 1280 to 65535", func(c *Config, v string) error { return setInt(&c.MTU, v, 1280, 65535) }},
	"backlog":   {"a number of connections from 1 to 1048576", func(c *Config, v string) error { return setInt(&c.Backlog, v, 1, 1<<20) }},
	"loopback":  {"kernel or stack", setLoopback},
	"require":   {"true or false", func(c *Config, v string) error { return setBool(&c.Require, v) }},
	"pcap":      {"the name of a file to write", func(c *Config, v string) error { return setText(&c.Pcap, v) }},
	"loss":      {"a probability from 0 to 1", setChance(func(f *fault.Faults) *float64 { return &f.Loss })},
	"duplicate": {"a probability from 0 to 1", setChance(func(f *fault.Faults) *float64 { return &f.Duplicate })},
	"reorder":   {"a probability from 0 to 1", setChance(func(f *fault.Faults) *float64 { return &f.Reorder })},
	"corrupt":   {"a probability from 0 to 1", setChance(func(f *fault.Faults) *float64 { return &f.Corrupt })},
	"delay":     {"a time, as 10ms", setTime(func(f *fault.Faults) *time.Duration { return &f.Delay })},
	"jitter":    {"a time, as 2ms", setTime(func(f *fault.Faults) *time.Duration { return &f.Jitter })},
	"seed":      {"a number", setSeed},
}

// tapSettings are the keys of a TAP device.
var tapSettings = map[string]setting{
	"name":    {"an interface's name of 1 to 15 characters, as fast0", func(c *Config, v string) error { return setInterface(&c.Tap.Name, v) }},
	"host":    {"the kernel's address with its prefix length, as 10.77.0.1/24", setTapHost},
	"queues":  {"a number from 1 to 256", func(c *Config, v string) error { return setInt(&c.Tap.Queues, v, 1, 256) }},
	"netns":   {"the path of a network namespace, as /run/netns/NAME", func(c *Config, v string) error { return setText(&c.Tap.NetNS, v) }},
	"offload": {"true or false", func(c *Config, v string) error { return setOffload(&c.Tap.NoOffload, v) }},
	"vhost":   {"true or false", func(c *Config, v string) error { return setBool(&c.Tap.VHost, v) }},
}

// wireSettings are the keys of a registered device.
var wireSettings = map[string]setting{
	"name": {"the name of a device given to RegisterDevice", func(c *Config, v string) error { return setText(&c.Wire, v) }},
}

// loopbackSettings are the keys of a host without a device, and all of them.
var loopbackSettings = map[string]setting{
	"name":    {"a name for log lines", func(c *Config, v string) error { return setText(&c.Name, v) }},
	"backlog": settings["backlog"],
	"dns":     settings["dns"],
	"require": settings["require"],
}

// schemes are the devices that a text can name, with their own keys.
var schemes = map[string]struct {
	keys map[string]setting
	bare bool // no other keys
	init func(*Config)
}{
	"tap":      {keys: tapSettings, init: func(c *Config) { c.Tap = &tap.Config{} }},
	"packet":   {keys: packetSettings, init: func(c *Config) { c.Packet = &afpacket.Config{} }},
	"xdp":      {keys: xdpSettings, init: func(c *Config) { c.XDP = &XDP{} }},
	"wire":     {keys: wireSettings, init: func(*Config) {}},
	"loopback": {keys: loopbackSettings, bare: true, init: func(c *Config) { c.LoopbackOnly = true }},
}

// plannedSchemes are devices that will come.
var plannedSchemes = []string{"virtio", "vfio", "e1000e", "igb", "ixgbe", "vhostuser", "memif"}

// apply sets one key. source is where it stands, for the error.
func (c *Config) apply(source, scheme, key, value string) error {
	s, ok := schemes[scheme].keys[key]
	if !ok && !schemes[scheme].bare {
		s, ok = settings[key]
	}
	if !ok {
		return fmt.Errorf("fastnet: %s: unknown key %q: %s: takes %s", source, key, scheme, strings.Join(keysOf(scheme), ", "))
	}
	if err := s.set(c, strings.TrimSpace(value)); err != nil {
		return fmt.Errorf("fastnet: %s: %s=%s: %w: write %s", source, key, value, err, s.want)
	}
	return nil
}

// start begins the Config of a scheme.
func (c *Config) start(source, scheme string) error {
	s, ok := schemes[scheme]
	switch {
	case ok:
		s.init(c)
		return nil
	case slices.Contains(plannedSchemes, scheme):
		return fmt.Errorf("fastnet: %s: the device %q is not there yet: use tap:name=fast0,addr=10.77.0.2/24", source, scheme)
	}
	return fmt.Errorf("fastnet: %s: unknown device %q: use tap, xdp, packet, wire or loopback, as tap:name=fast0,addr=10.77.0.2/24", source, scheme)
}

func keysOf(scheme string) []string {
	var keys []string
	for k := range schemes[scheme].keys {
		keys = append(keys, k)
	}
	if !schemes[scheme].bare {
		for k := range settings {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

func setText(p *string, v string) error {
	if v == "" {
		return fmt.Errorf("it is empty")
	}
	*p = v
	return nil
}

func setBool(p *bool, v string) error {
	b, err := strconv.ParseBool(v)
	if err != nil {
		return fmt.Errorf("not a truth value")
	}
	*p = b
	return nil
}

func setInt(p *int, v string, least, most int) error {
	n, err := strconv.Atoi(v)
	if err != nil {
		return fmt.Errorf("not a whole number")
	}
	if n < least || n > most {
		return fmt.Errorf("out of range")
	}
	*p = n
	return nil
}

func parsePrefix(v string) (netip.Prefix, error) {
	if _, err := netip.ParseAddr(v); err == nil {
		return netip.Prefix{}, fmt.Errorf("it has no prefix length")
	}
	p, err := netip.ParsePrefix(v)
	if err != nil {
		return p, fmt.Errorf("not an address with a prefix length")
	}
	return p, nil
}

func setAddr(c *Config, v string) error {
	p, err := parsePrefix(v)
	if err != nil {
		return err
	}
	c.Addresses = append(c.Addresses, p)
	return nil
}

func setTapHost(c *Config, v string) error {
	p, err := parsePrefix(v)
	if err != nil {
		return err
	}
	c.Tap.HostAddrs = append(c.Tap.HostAddrs, p)
	return nil
}

// setInterface takes a name that an interface of Linux's may have.
func setInterface(p *string, v string) error {
	if v == "" || len(v) > 15 || strings.ContainsAny(v, "/ :") {
		return fmt.Errorf("not an interface's name")
	}
	*p = v
	return nil
}

// setOffload sets a driver's NoOffload.
func setOffload(no *bool, v string) error {
	offload := false
	err := setBool(&offload, v)
	*no = !offload
	return err
}

// setGateway takes one gateway a family: the second becomes a route.
func setGateway(c *Config, v string) error {
	a, err := netip.ParseAddr(v)
	if err != nil {
		return fmt.Errorf("not an address")
	}
	if !c.Gateway.IsValid() {
		c.Gateway = a
		return nil
	}
	if c.Gateway.Is4() == a.Is4() {
		return fmt.Errorf("a second gateway of this family")
	}
	c.Routes = append(c.Routes, defaultRoute(a))
	return nil
}

// defaultRoute is the route of everything through gw.
func defaultRoute(gw netip.Addr) route.Route {
	all := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if gw.Is6() {
		all = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return route.Route{Prefix: all, Gateway: gw}
}

func setRoute(c *Config, v string) error {
	f := strings.Fields(v)
	if len(f) != 3 || f[1] != "via" {
		return fmt.Errorf("not a route")
	}
	p, err := parsePrefix(f[0])
	if err != nil {
		return err
	}
	gw, err := netip.ParseAddr(f[2])
	if err != nil || gw.Is4() != p.Addr().Is4() {
		return fmt.Errorf("%s is no gateway for it", f[2])
	}
	c.Routes = append(c.Routes, route.Route{Prefix: p.Masked(), Gateway: gw})
	return nil
}

// setDNS takes a server with or without a port, 53.
func setDNS(c *Config, v string) error {
	server, err := netip.ParseAddrPort(v)
	if err != nil {
		a, err := netip.ParseAddr(v)
		if err != nil {
			return fmt.Errorf("not an address")
		}
		server = netip.AddrPortFrom(a, 53)
	}
	c.DNS = append(c.DNS, server)
	return nil
}

func setLoopback(c *Config, v string) error {
	switch v {
	case "kernel":
		c.Loopback = LoopbackKernel
	case "stack":
		c.Loopback = LoopbackStack
	default:
		return fmt.Errorf("neither of the two")
	}
	return nil
}

// faults returns c's faults, of which the text form sets both directions alike.
func (c *Config) faults() *fault.Config {
	if c.Faults == nil {
		c.Faults = &fault.Config{Seed: 1}
	}
	return c.Faults
}

func setChance(field func(*fault.Faults) *float64) func(*Config, string) error {
	return func(c *Config, v string) error {
		p, err := strconv.ParseFloat(v, 64)
		if err != nil || !(p >= 0 && p <= 1) {
			return fmt.Errorf("not a probability")
		}
		f := c.faults()
		*field(&f.Rx), *field(&f.Tx) = p, p
		return nil
	}
}

func setTime(field func(*fault.Faults) *time.Duration) func(*Config, string) error {
	return func(c *Config, v string) error {
		d, err := time.ParseDuration(v)
		if err != nil || d < 0 {
			return fmt.Errorf("not a time")
		}
		f := c.faults()
		*field(&f.Rx), *field(&f.Tx) = d, d
		return nil
	}
}

func setSeed(c *Config, v string) error {
	n, err := strconv.ParseUint(v, 0, 64)
	if err != nil {
		return fmt.Errorf("not a number")
	}
	c.faults().Seed = n
	return nil
}
