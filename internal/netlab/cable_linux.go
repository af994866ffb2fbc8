package netlab

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Cable is a veth pair between two namespaces: fnb is for what is tested, fna is
// the kernel's end.
type Cable struct{ Ours, Theirs Namespace }

// NewCable makes a veth pair, and gives the kernel's end these addresses. Without one
// of IPv6 it says nothing of its own accord.
func NewCable(t testing.TB, addresses ...string) Cable {
	t.Helper()
	NeedTools(t, "ip", "ethtool")
	c := Cable{New(t), New(t)}
	c.Theirs.Shell(t, "echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad")
	if !slices.ContainsFunc(addresses, func(a string) bool { return strings.Contains(a, ":") }) {
		c.Theirs.NoIPv6()
	}
	c.Theirs.Shell(t, fmt.Sprintf("ip link add fna numtxqueues 2 numrxqueues 2 type veth peer name fnb numtxqueues 2 numrxqueues 2 netns %s", c.Ours))
	for _, a := range addresses {
		if strings.Contains(a, ":") {
			a += " nodad"
		}
		c.Theirs.Shell(t, "ip address add dev fna "+a)
	}
	c.Theirs.Shell(t, "ip link set fna up; ip link set lo up")
	c.Ours.Shell(t, "ip link set fnb up")
	// The kernel starts to transmit some time after the carrier is there, from a
	// worker of its own (linkwatch); what is sent before is lost.
	for ns, end := range map[Namespace]string{c.Ours: "fnb", c.Theirs: "fna"} {
		ns.Shell(t, fmt.Sprintf(`for i in $(seq 6000); do ip link show %s | grep -q "qdisc noqueue state UP" && break; sleep 0.01; done`, end))
	}
	return c
}
