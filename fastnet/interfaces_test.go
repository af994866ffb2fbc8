package fastnet

import (
	"net"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestInterfacesOfTheDefaultNetwork: they are the stack's, package net's functions
// answer alike for those that the kernel has too, and no index is the kernel's
// of another interface.
func TestInterfacesOfTheDefaultNetwork(t *testing.T) {
	dev := newSpareWire(t)
	withDefault(t, "nonsense", func() {
		require.NoError(t, Configure(Config{Device: dev, Addresses: prefixes("10.0.0.1/24", "2001:db8::1/64")}))
		all, err := Interfaces()
		require.NoError(t, err)
		require.Len(t, all, 2)
		require.Equal(t, "lo", all[0].Name)
		require.NotZero(t, all[0].Flags&FlagLoopback)
		require.Equal(t, dev.Info().Name, all[1].Name)
		require.Equal(t, FlagUp|FlagRunning|FlagBroadcast|FlagMulticast, all[1].Flags)
		require.Equal(t, dev.Info().MTU, all[1].MTU)
		mac := dev.Info().MAC
		require.Equal(t, HardwareAddr(mac[:]), all[1].HardwareAddr)
		require.Greater(t, all[1].Index, firstIndex)
		for i := range all {
			byIndex, err := InterfaceByIndex(all[i].Index)
			require.NoError(t, err)
			require.Equal(t, &all[i], byIndex)
			byName, err := InterfaceByName(all[i].Name)
			require.NoError(t, err)
			require.Equal(t, &all[i], byName)
		}
		if twin, err := net.InterfaceByName("lo"); err == nil {
			require.Equal(t, twin.Index, all[0].Index)
		}
		addrs, err := InterfaceAddrs()
		require.NoError(t, err)
		var texts []string
		for _, a := range addrs {
			texts = append(texts, a.String())
		}
		require.Subset(t, texts, []string{"127.0.0.1/8", "::1/128", "10.0.0.1/24", "2001:db8::1/64"})
		require.Len(t, texts, 5, "and a link-local one")

		_, theirs := net.InterfaceByName("no such name")
		_, err = InterfaceByName("eth0 of the kernel")
		require.EqualError(t, err, theirs.Error())
		_, theirs = net.InterfaceByIndex(-1)
		_, err = InterfaceByIndex(-1)
		require.EqualError(t, err, theirs.Error())
		_, theirs = net.InterfaceByName("")
		_, err = InterfaceByName("")
		require.EqualError(t, err, theirs.Error())
	})
}

func TestInterfacesAreTheKernelsWithoutAStack(t *testing.T) {
	withDefault(t, "", func() {
		// The kernel's may come and go between two looks, as those of other tests do.
		same := func() bool {
			want, err := net.Interfaces()
			require.NoError(t, err)
			got, err := Interfaces()
			require.NoError(t, err)
			if !reflect.DeepEqual(want, got) {
				t.Logf("%v, not %v", got, want)
				return false
			}
			for _, i := range want {
				if ifi, err := InterfaceByName(i.Name); err != nil || i.Index != ifi.Index {
					t.Logf("%s: %v, %v", i.Name, ifi, err)
					return false
				}
			}
			return true
		}
		for deadline := time.Now().Add(time.Minute); !same(); time.Sleep(10 * time.Millisecond) {
			require.True(t, time.Now().Before(deadline), "never alike")
		}
	})
}
