package stack

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/wire"
)

// What is learnt of one path makes no other look again, but for one in some
// hundreds: who can invent ICMP messages about his own connections must not make all
// look.
func TestPathsToOthersStayAsTheyAre(t *testing.T) {
	l := newLab(t, wire.Config{})
	var paths []path
	for i := range 1000 {
		p, err := l.host.findPath(netip.AddrFrom4([4]byte{10, 0, 0, byte(2 + i%250)}), netip.Addr{}, 0)
		require.NoError(t, err)
		require.True(t, p.current())
		paths = append(paths, p)
	}
	dst := ip4Peer
	for mtu := 1400; mtu > 1300; mtu-- {
		l.host.pathMTUs.lower(dst, mtu, l.now)
	}
	others := 0
	for _, p := range paths {
		if p.dst == dst {
			require.False(t, p.current())
		} else if !p.current() {
			others++
		}
	}
	require.LessOrEqual(t, others, len(paths)/20)
	require.Equal(t, 1301, l.host.pathMTUs.lookup(dst, l.now).mtu)

	// Addresses and routes are everybody's.
	l.host.pathMTUs.gen.Add(1)
	for _, p := range paths {
		require.False(t, p.current())
	}
}

// A look-up of a server that sends to one after the other takes no lock.
func TestPathMTULookupTakesNoLock(t *testing.T) {
	l := newLab(t, wire.Config{})
	m := &l.host.pathMTUs
	m.lower(ip4Peer, 1300, l.now)
	m.mu.Lock()
	defer m.mu.Unlock()
	done := make(chan int, 1)
	go func() { done <- m.lookup(ip4Peer, l.now).mtu + m.lookup(ip6Peer, l.now).mtu }()
	select {
	case mtu := <-done:
		require.Equal(t, 1300, mtu)
	case <-time.After(20 * time.Second):
		t.Fatal("it waits")
	}
}

func BenchmarkPathMTULookup(b *testing.B) {
	l := newLab(b, wire.Config{})
	m := &l.host.pathMTUs
	m.lower(ip4Peer, 1300, l.now)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.lookup(ip4Host, l.now)
		}
	})
}
