package fastnet

import (
	"errors"
	"net/netip"
	"strings"
)

// KernelRule says which sockets are the kernel's although a stack is there:
// those of a network, with addresses of a subnet. A dial goes by the address
// dialled, a listener and a UDP socket by the one they are bound to; a listener
// on a wildcard address is covered by a rule without a subnet only.
//
// Each such socket is a fallback: counted by rule, logged once, and refused with
// Config.Require.
type KernelRule struct {
	Network string       // "tcp" or "udp"; both if empty
	Prefix  netip.Prefix // all addresses if not valid
}

// String is the rule as ParseConfig takes it: "udp", "192.0.2.0/24" or
// "udp:192.0.2.0/24".
func (r KernelRule) String() string {
	switch {
	case !r.Prefix.IsValid():
		return r.Network
	case r.Network == "":
		return r.Prefix.String()
	}
	return r.Network + ":" + r.Prefix.String()
}

// covers reports whether the rule is for a socket of a network ("tcp4") with an
// address.
func (r KernelRule) covers(network string, a netip.Addr) bool {
	return strings.HasPrefix(network, r.Network) && (!r.Prefix.IsValid() || r.Prefix.Contains(a.Unmap().WithZone("")))
}

// byKernel reports whether a socket of a network with an address is the
// kernel's, by the rule for loopback addresses or by one of Config.Kernel. The
// error is that a rule says so and Config.Require forbids it.
func (n *Network) byKernel(network string, a netip.Addr) (bool, error) {
	if n.host == nil || n.onKernel(a) {
		return true, nil
	}
	for _, r := range n.cfg.Kernel {
		if r.covers(network, a) {
			return true, n.fallbackFor(network[:3], "kernel="+r.String())
		}
	}
	return false, nil
}

// setKernel adds a rule.
func setKernel(c *Config, v string) error {
	r := KernelRule{}
	network, subnet, both := strings.Cut(v, ":")
	if network == "tcp" || network == "udp" {
		r.Network = network
	} else {
		subnet, both = v, true
	}
	if both {
		p, err := parsePrefix(subnet)
		if err != nil {
			return errors.New("neither a network nor a subnet")
		}
		r.Prefix = p.Masked()
	}
	c.Kernel = append(c.Kernel, r)
	return nil
}
