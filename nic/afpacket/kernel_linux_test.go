package afpacket

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/internal/netlab"
	"github.com/fastnet-go/fastnet/internal/nictest"
)

// host is an open device on one end of a veth pair, "fnb", and the tests' side of
// it: the kernel's stack at the other end, "fna".
type host struct {
	*nictest.Host
	netlab.Cable
	t   *testing.T
	dev *device
}

// cable makes a veth pair between two namespaces.
func cable(t *testing.T) *host {
	t.Helper()
	c := netlab.NewCable(t, nictest.HostIP.String()+"/24")
	c.Theirs.TrustNeighbors("fna")
	return &host{t: t, Cable: c}
}

// openHost opens a device on one end of a cable, and checks afterwards that
// nothing is left.
func openHost(t *testing.T, cfg Config) *host {
	t.Helper()
	h := cable(t)
	h.open(cfg)
	return h
}

func (h *host) config(cfg Config) Config {
	cfg.Interface, cfg.NetNS = "fnb", string(h.Ours)
	if cfg.Addrs == nil {
		cfg.Addrs = []netip.Prefix{netip.PrefixFrom(nictest.OurIP, 24)}
	}
	return cfg
}

// traces shows what a device could leave behind: counts of who wants frames that
// are for others, and packet sockets.
const traces = "ip -d link show fnb 2>/dev/null | grep -o 'promiscuity.*allmulti [0-9]*'; wc -l </proc/net/packet"

func (h *host) open(cfg Config) {
	h.t.Helper()
	before := h.Ours.Shell(h.t, traces)
	dev, err := open(h.config(cfg))
	require.NoError(h.t, err)
	h.dev = dev
	gone := false
	h.t.Cleanup(func() {
		if !gone && !h.t.Failed() {
			require.Equal(h.t, before, h.Ours.Shell(h.t, traces), "a trace is left")
		}
	})
	h.Host = nictest.Attach(h.t, h.Theirs, dev)
	h.t.Cleanup(func() { gone = dev.Link().Err != nil })
}
