package tap

import (
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/internal/netlab"
	"github.com/fastnet-go/fastnet/internal/nictest"
	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/internal/link"
)

var ourMAC = nic.MAC{0x02, 0, 0, 0, 0, 0x77}

// viaVhost makes all tests here go by vhost-net: compat_test/vm/run.sh does it, in
// a virtual machine whose kernel has that.
var viaVhost = os.Getenv("FASTNET_TEST_VHOST") != ""

// namespace returns a network namespace of its own, which is gone after the test.
func namespace(t *testing.T) netlab.Namespace {
	t.Helper()
	ns := netlab.New(t)
	netlab.NeedTUN(t)
	return ns
}

// rtnl runs f with an rtnetlink socket of a namespace.
func rtnl(t *testing.T, ns netlab.Namespace, f func(n *link.Socket) error) {
	t.Helper()
	require.NoError(t, ns.Do(func() error {
		n, err := link.Open()
		if err != nil {
			return err
		}
		defer n.Close()
		return f(n)
	}))
}

// linkIndex is the index of an interface, 0 if there is none.
func linkIndex(t *testing.T, ns netlab.Namespace, name string) (index int32) {
	t.Helper()
	rtnl(t, ns, func(n *link.Socket) error {
		l, err := n.Get(name)
		if err == unix.ENODEV {
			return nil
		}
		index = l.Index
		return err
	})
	return index
}

// host is an open device and the tests' side of it: the kernel's end.
type host struct {
	*nictest.Host
	dev *device
}

// openHost opens a device in a namespace of its own, and checks afterwards that
// nothing is left.
func openHost(t *testing.T, cfg Config) *host {
	t.Helper()
	ns := namespace(t)
	cfg.NetNS = string(ns)
	cfg.MAC = ourMAC
	cfg.VHost = viaVhost
	if cfg.HostAddrs == nil {
		cfg.HostAddrs = []netip.Prefix{netip.PrefixFrom(nictest.HostIP, 24)}
	}
	if !slices.ContainsFunc(cfg.HostAddrs, func(a netip.Prefix) bool { return a.Addr().Is6() }) {
		ns.NoIPv6() // so that nothing comes which nobody sent
	}
	dev, err := open(cfg)
	require.NoError(t, err)
	ns.TrustNeighbors(dev.Info().Name)
	t.Cleanup(func() {
		require.Zero(t, linkIndex(t, ns, dev.Info().Name), "the interface is left")
	})
	return &host{nictest.Attach(t, ns, dev), dev}
}
