package fastnet

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"

	"github.com/fastnet-go/fastnet/fastnet/internal/kernel"
	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/afxdp"
)

// watched is what is known of the things around an interface that may change after
// it was taken.
type watched struct {
	told  map[string]string   // what is wrong, by its kind, that was said
	rules map[string][]string // of the firewall, by their chains
	grown map[string]bool     // chains whose new rules were told
}

// look looks again at what was looked at when the interface was taken. What is wrong
// is said when it begins to be. Nothing is ended for it: what the filter takes stays
// what it is, and the machine as reachable as it was. The one exception is an
// exclusive address that the kernel is given.
func (x *xdp) look() {
	x.mu.Lock()
	dev, lost := x.dev, x.lost
	x.mu.Unlock()
	if lost {
		return
	}
	state := x.follower.State()
	var o kernel.Obstacle
	if err := x.follower.Check(); err == nil || errors.As(err, &o) {
		x.tell("kind", string(o))
	}
	served := dev.Report().Queues
	if n, parameter := kernel.RxQueues(state.Name); n > served {
		x.tell("queues", fmt.Sprintf("%s receives on %d queues now, and %d are served: what comes on the others reaches the kernel, which resets the stack's connections: put it back (ethtool -L %s %s %d), or start the program again",
			state.Name, n, served, state.Name, parameter, served))
	} else {
		x.tell("queues", "")
	}
	x.yield()
	x.warnOfFirewall()
}

// tell logs what is wrong, once until it is another thing or right again.
func (x *xdp) tell(kind, wrong string) {
	if x.watched.told == nil {
		x.watched.told = make(map[string]string)
	}
	if x.watched.told[kind] == wrong {
		return
	}
	x.watched.told[kind] = wrong
	if wrong != "" {
		x.n.log.Warn("fastnet: a change since the interface was taken: "+wrong, slog.String("interface", x.n.cfg.XDP.Interface))
	}
}

// yield leaves to the kernel the exclusive addresses that it has been given
// meanwhile, for as long as it has them: somebody may want to log in by one.
func (x *xdp) yield() {
	x.mu.Lock()
	defer x.mu.Unlock()
	var list []afxdp.Address
	for _, a := range x.own {
		name, wrong := x.follower.HasAddress(a.Addr), ""
		if name != "" {
			wrong = fmt.Sprintf("the kernel was given the address %s, on %s, and has it from now on: connections of the network's on it end; take it from the kernel again (ip address delete %s dev %s), or give addr= another one",
				a.Addr, name, a.Addr, name)
		} else {
			list = append(list, a)
		}
		x.tell("address "+a.Addr.String(), wrong)
	}
	if x.own == nil {
		return
	}
	if err := x.filter.SetAddresses(list); err != nil && !errors.Is(err, nic.ErrClosed) {
		x.n.log.Warn("fastnet: the addresses cannot be changed", slog.String("interface", x.n.cfg.XDP.Interface), slog.Any("error", err))
	}
}

// warnOfFirewall names the rules that do not apply to what is taken: those that there
// are at the start, and then the first that come to a chain. Programs that add rules
// all day are not followed further.
func (x *xdp) warnOfFirewall() {
	w := &x.watched
	first := w.rules == nil
	if first {
		w.rules, w.grown = make(map[string][]string), make(map[string]bool)
	}
	var news []string
	for _, c := range kernel.FirewallChains() {
		known, there := w.rules[c.Name]
		w.rules[c.Name] = c.Rules
		if first || !there {
			news = append(news, c.String())
			continue
		}
		c.Rules = slices.DeleteFunc(slices.Clone(c.Rules), func(r string) bool { return slices.Contains(known, r) })
		if len(c.Rules) > 0 && !w.grown[c.Name] {
			w.grown[c.Name] = true
			news = append(news, c.String())
		}
	}
	if len(news) > 0 {
		x.n.log.Warn("fastnet: XDP takes packets before the kernel's firewall: its rules do not apply to "+x.n.takes(),
			slog.String("interface", x.n.cfg.XDP.Interface), slog.String("rules", strings.Join(news, "; ")))
	}
}

// takes says what the kernel's firewall does not see.
func (n *Network) takes() string {
	switch {
	case len(n.cfg.Addresses) > 0:
		var list []netip.Addr
		for _, a := range n.cfg.Addresses {
			list = append(list, a.Addr())
		}
		return "packets for " + fmt.Sprint(list)
	case len(n.cfg.XDP.Ports) > 0:
		return "ports " + fmt.Sprint(n.cfg.XDP.Ports)
	}
	return "the ports that are listened on"
}
