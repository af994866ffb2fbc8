package afxdp

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A bond's packets come from its ports, whose queues no socket of the bond's is
// bound to: only a generic attach, on the bond itself, gets them.
func TestProgramIsNotHandedOnToPorts(t *testing.T) {
	for _, driver := range []string{"bonding", "hv_netvsc"} {
		f := &face{driver: driver, told: true, features: xdpRedirect}
		for _, p := range plans(&Config{}, f) {
			require.True(t, p.generic)
		}
		require.Equal(t, generic, f.willAttach(&Config{}).Value)
		require.Equal(t, native, f.willAttach(&Config{Attach: AttachNative}).Value)
	}
	for _, attach := range []Attach{AttachAuto, AttachNative, AttachGeneric} {
		for _, mode := range []Copy{CopyAuto, CopyAlways, CopyNever} {
			cfg := Config{Interface: "eth0", Attach: attach, Copy: mode}
			if _, err := cfg.check(); err == nil {
				require.NotEmpty(t, plans(&cfg, &face{driver: "bonding", told: true}))
				require.NotEmpty(t, plans(&cfg, &face{driver: "veth", told: true}))
			}
		}
	}
}

// Partial checksums are expected where local senders leave them, or where one is
// told of them.
func TestWhoDeliversPartialChecksums(t *testing.T) {
	for _, c := range []struct {
		driver, attached string
		told, want       bool
	}{
		{"veth", native, false, true}, {"tun", generic, false, true}, {"virtio_net", generic, false, true}, {"virtio_net", native, false, false},
		{"ixgbe", generic, false, false}, {"vif", native, false, false}, {"vif", native, true, true},
	} {
		f := face{driver: c.driver}
		require.Equal(t, c.want, f.barePartial(&Config{PartialChecksums: c.told}, c.attached), c)
	}
}
