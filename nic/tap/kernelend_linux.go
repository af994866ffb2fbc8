package tap

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic/internal/link"
)

// setUpKernelEnd gives the interface name what cfg says of it and returns its
// state. What is so already needs no privilege.
func setUpKernelEnd(name string, cfg *Config) (link.State, error) {
	n, err := link.Open()
	if err != nil {
		return link.State{}, err
	}
	defer n.Close()
	l, err := n.Get(name)
	if err != nil {
		return link.State{}, fmt.Errorf("looking up %s: %w", name, err)
	}
	if cfg.MTU != 0 && cfg.MTU != l.MTU {
		if err := n.SetMTU(l.Index, cfg.MTU); err != nil {
			return l, kernelEndError(err, "setting the MTU of %s to %d", "ip link set %s mtu %d", name, cfg.MTU)
		}
	}
	for _, a := range cfg.HostAddrs {
		if err := n.AddAddress(l.Index, a); err != nil {
			return l, kernelEndError(err, "giving %s the address %v", "ip address add dev %s %v", name, a)
		}
	}
	if (cfg.Up || len(cfg.HostAddrs) > 0) && !l.AdminUp {
		if err := n.SetUp(l.Index, true); err != nil {
			return l, kernelEndError(err, "bringing %s up", "ip link set %s up", name)
		}
	}
	if l, err = n.Get(name); err != nil {
		return l, err
	}
	for _, a := range cfg.HostAddrs {
		if a.Addr().Is6() && l.Up {
			if err := n.Settle(a.Addr()); err != nil {
				return l, fmt.Errorf("looking up the route to %v of %s: %w", a, name, err)
			}
		}
	}
	for _, a := range cfg.Addrs {
		local, err := n.IsLocal(a.Addr())
		if err != nil {
			return l, fmt.Errorf("looking up the route to %v: %w", a, err)
		}
		if local {
			return l, fmt.Errorf("addr=%v: the kernel has this address itself: choose another one for this end of %s, not that of host: %w", a, name, unix.EADDRINUSE)
		}
	}
	return l, nil
}

// kernelEndError says what failed, and with which command an administrator can
// do it beforehand.
func kernelEndError(err error, what, command string, args ...any) error {
	what = fmt.Sprintf(what, args...)
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%s needs CAP_NET_ADMIN: run as root, or do it beforehand with \"%s\": %w",
			what, fmt.Sprintf(command, args...), err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
