package fastnet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/fastnet/internal/kernel"
	"github.com/fastnet-go/fastnet/fastnet/internal/steer"
	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/afxdp"
)

// fullFilter takes no flows, for a reason.
type fullFilter struct{ why error }

func (fullFilter) AddPort(afxdp.Port) error      { return nil }
func (fullFilter) RemovePort(afxdp.Port) error   { return nil }
func (f fullFilter) AddFlow(afxdp.Flow) error    { return f.why }
func (f fullFilter) RemoveFlow(afxdp.Flow) error { return nil }

// A dial that the stack does not make says why, in one line with what to do, and the
// kernel makes it where that is allowed.
func TestWhyADialIsTheKernels(t *testing.T) {
	for _, c := range []struct {
		what   string
		filter steer.Filter
		ports  int // of dials
		want   string
	}{
		{"no filter", nil, 0, "another process has the interface still"},
		{"full", fullFilter{fmt.Errorf("afxdp: adding the flow: there are 64 flows already: %w", syscall.E2BIG)}, 0, "the filter has no room for another connection: set maxflows higher, or have fewer"},
		{"closed", fullFilter{nic.ErrClosed}, 0, "the interface is lost: start the program again to have it back"},
		{"odd", fullFilter{fmt.Errorf("adding: %w", syscall.EPERM)}, 0, "the filter does not take the connection: operation not permitted"},
		{"odder", fullFilter{errors.New("10.0.0.1:1 is odd")}, 0, "the filter does not take the connection: an error that is not the kernel's"},
		{"no ports", fullFilter{nil}, -1, "dialports=0"},
		{"used ports", fullFilter{nil}, 0, "all dial ports are in use for this peer: set dialports higher"},
	} {
		for _, network := range []string{"tcp", "udp"} {
			n, err := New(Config{LoopbackOnly: true})
			require.NoError(t, err)
			n.cfg.XDP = &XDP{DialPorts: c.ports}
			sh, r := newShared(*n.cfg.XDP)
			sh.host = n.host
			sh.steer = steer.New(c.filter, n.host, nil)
			sh.live.Store(true)
			far := netip.MustParseAddr("127.0.0.9") // where nobody listens
			r.ways[far] = kernel.Way{Ours: true, Source: netip.MustParseAddr("127.0.0.1")}
			if c.ports >= 0 && c.what != "used ports" {
				sh.tcpPorts, sh.udpPorts = []uint16{40000}, []uint16{40000}
			}
			n.shared = sh
			to := net.JoinHostPort(far.String(), "9")
			n.kernelLoopback = false
			_, err = n.Dial(network, to)
			if network == "tcp" {
				require.ErrorIs(t, err, syscall.ECONNREFUSED, c.what) // the kernel's answer
			} else {
				require.NoError(t, err, c.what)
			}
			require.EqualValues(t, 1, n.Stats().Fallbacks[network], c.what)
			n.cfg.Require = true
			_, err = n.Dial(network, to)
			require.ErrorContains(t, err, c.want, c.what)
			require.NotContains(t, err.Error(), "\n")
			n.shared = nil
			sh.steer.Close()
			require.NoError(t, n.Close())
		}
	}
}
