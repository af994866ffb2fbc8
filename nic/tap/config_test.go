package tap

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic"
)

func TestConfigIsChecked(t *testing.T) {
	for want, cfg := range map[string]Config{
		"15 at most":     {Name: strings.Repeat("x", 16)},
		"257 queues":     {Queues: 257},
		"-1 queues":      {Queues: -1},
		"MTU of 67":      {MTU: 67},
		"MTU of 65536":   {MTU: 65536},
		"pool of 1":      {Pool: 1},
		"multicast":      {MAC: nic.MAC{1}},
		"invalid Prefix": {HostAddrs: []netip.Prefix{{}}},
	} {
		_, err := Open(cfg)
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "tap: ")
	}
	cfg, err := Config{}.check()
	require.NoError(t, err)
	require.EqualValues(t, 2, cfg.MAC[0], "locally administered, unicast")
}
