package stack

import (
	"net/netip"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/wire"
)

var portsFrom = netip.MustParseAddr("10.0.0.1")

// The one port that is left is found, wherever the search begins and however many
// others look at the same time.
func TestTheLastPortIsFound(t *testing.T) {
	l := newLab(t, wire.Config{})
	remote := addrPort("10.0.0.2:80")
	for _, left := range []uint16{firstEphemeral, firstEphemeral + 1, 40000, lastEphemeral - 1, lastEphemeral} {
		for range 4 {
			looked := 0
			require.True(t, l.host.ports.pickFor(portsFrom, remote, 0, numEphemeral, func(port uint16) bool {
				looked++
				require.False(t, port < firstEphemeral || port > lastEphemeral)
				if looked%100 == 1 { // others begin, and find nothing
					l.host.ports.pickFor(portsFrom, remote, 0, 50, func(uint16) bool { return false })
				}
				return port == left
			}), "port %d", left)
			require.LessOrEqual(t, looked, numEphemeral)
		}
	}
}

// A search that finds nothing has looked at each port once.
func TestNoPortIsLookedAtTwice(t *testing.T) {
	l := newLab(t, wire.Config{})
	for i := range 10 {
		var seen [1 << 16]bool
		n := 0
		require.False(t, l.host.ports.pickFor(portsFrom, netip.AddrPortFrom(ip4Peer, uint16(i+1)), 0, numEphemeral, func(port uint16) bool {
			require.False(t, seen[port])
			seen[port] = true
			n++
			return false
		}))
		require.Equal(t, numEphemeral, n)
	}
}

// What a stranger sees of the ports that are chosen for his addresses does not tell
// how many others were dialled, nor which of his addresses share a counter with
// which (CVE-2022-1012): counters are many, and go on by chance.
func TestPortsTellNothing(t *testing.T) {
	l := newLab(t, wire.Config{})
	a := &l.host.ports
	next := func(remote netip.AddrPort) (port uint16) {
		require.True(t, a.pickFor(portsFrom, remote, 0, numEphemeral, func(p uint16) bool {
			port = p
			return true
		}))
		return port
	}
	// One destination: each choice is 1 to portNoise+1 after the one before.
	remote := addrPort("10.0.0.2:80")
	steps := [portNoise + 2]int{}
	last := next(remote)
	const rounds = 8000
	for range rounds {
		p := next(remote)
		step := (int(p) - int(last) + numEphemeral) % numEphemeral
		require.True(t, 1 <= step && step <= portNoise+1, "a step of %d", step)
		steps[step]++
		last = p
	}
	for step := 1; step <= portNoise+1; step++ {
		require.InDelta(t, rounds/(portNoise+1), steps[step], 200, "steps of %d", step)
	}
	// Many: they begin everywhere, and nearly all have a counter of their own.
	const destinations = 4096
	begun := [8]int{}
	for i := range destinations {
		p := next(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 443))
		begun[int(p-firstEphemeral)*len(begun)/numEphemeral]++
	}
	for _, n := range begun {
		require.InDelta(t, destinations/len(begun), n, 120)
	}
	used := 0
	for i := range a.slots.Load() {
		if a.slots.Load()[i].Load() != 0 {
			used++
		}
	}
	require.Greater(t, used, destinations*9/10)
	// Another host, or the same one after a restart, begins elsewhere.
	b := NewHost(Config{})
	defer b.Close()
	same := 0
	for i := range 64 {
		to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 2, 0, byte(i)}), 443)
		b.ports.pickFor(portsFrom, to, 0, 1, func(p uint16) bool {
			if p == next(to) {
				same++
			}
			return true
		})
	}
	require.LessOrEqual(t, same, 2)
}

// Sockets take every port there is, and then an error that comes at once.
func TestUDPPortsRunOut(t *testing.T) {
	l := newLab(t, wire.Config{})
	h := l.host
	snap := &udpSockets{bound: make(map[binding][]*UDPConn)}
	u := &UDPConn{host: h}
	for p := range uint16(numEphemeral) {
		if p != 12345 && p != 20000 { // bound to another address, or of the other family
			snap.bound[binding{addr: any6, port: firstEphemeral + p}] = []*UDPConn{u}
		}
	}
	snap.bound[binding{addr: toAddr(ip4Peer), port: firstEphemeral + 12345}] = []*UDPConn{u}
	h.udp.snap.Store(snap)
	got := map[uint16]bool{}
	for range 2 {
		c, err := h.ListenUDP(netip.AddrPortFrom(ip4Host, 0), UDPOptions{})
		require.NoError(t, err)
		got[c.LocalAddr().Port()] = true
	}
	require.Equal(t, map[uint16]bool{firstEphemeral + 12345: true, firstEphemeral + 20000: true}, got)
	for range 20 {
		_, err := h.ListenUDP(netip.AddrPortFrom(ip4Host, 0), UDPOptions{})
		require.Equal(t, syscall.EADDRINUSE, err)
	}
	h.udp.snap.Store(&udpSockets{})
}

func BenchmarkPickPort(b *testing.B) {
	l := newLab(b, wire.Config{})
	remote := addrPort("10.0.0.2:80")
	b.ReportAllocs()
	for b.Loop() {
		l.host.ports.pickFor(portsFrom, remote, 0, numEphemeral, func(uint16) bool { return true })
	}
}
