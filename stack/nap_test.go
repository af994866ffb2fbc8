package stack

import (
	"net/netip"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/wire"
)

// The poller naps between the packets of a stream of datagrams that nobody answers,
// and then only.
func TestPollerNapsWhileOnlyDatagramsCome(t *testing.T) {
	l := newLab(t, wire.Config{})
	u, err := l.host.ListenUDP(addrPort("10.0.0.1:53"), UDPOptions{})
	require.NoError(t, err)
	w := manualWorker(t, l)
	from, to := netip.AddrPortFrom(ip4Peer, 1000), netip.AddrPortFrom(ip4Host, 53)
	read := 0
	stream := func(n int) {
		for range n {
			l.inject(l.udp(from, to, numbered(0)))
		}
		for w.work() > 0 {
		}
		read += len(readNumbers(t, u))
	}
	stream(2 * napAt)
	require.True(t, w.streams())
	require.False(t, w.streams(), "nothing came since")
	stream(napAt - 1)
	require.False(t, w.streams(), "too few to be a stream")
	for range napAt {
		stream(1)
	}
	require.True(t, w.streams(), "many since the latest look, though not at a time")

	l.inject(l.icmp(ip4Peer, ip4Host, 8, 0, 1, []byte("echo")))
	stream(2 * napAt)
	require.False(t, w.streams(), "something else, too")
	l.run() // the peer's Ethernet address is learnt, for what follows
	w.streams()
	stream(2 * napAt)
	require.True(t, w.streams())
	_, err = u.WriteTo([]byte("answer"), from)
	require.NoError(t, err)
	stream(2 * napAt)
	require.False(t, w.streams(), "who sends waits for an answer, or answers")
	for range 2 * napAt {
		l.inject(l.udp(from, netip.AddrPortFrom(ip4Host, 54), numbered(0)))
	}
	stream(0)
	require.False(t, w.streams(), "nobody listens there")
	require.Equal(t, 2*napAt+napAt-1+napAt+6*napAt, read)
}

// After a nap the worker is as awake as before: who makes work need not wake it.
func TestNapEnds(t *testing.T) {
	l := newLab(t, wire.Config{})
	_, err := l.host.ListenUDP(addrPort("10.0.0.1:53"), UDPOptions{})
	require.NoError(t, err)
	w := manualWorker(t, l)
	require.False(t, w.nap(), "nothing has come")
	for range 2 {
		for range napAt {
			l.inject(l.udp(netip.AddrPortFrom(ip4Peer, 1000), netip.AddrPortFrom(ip4Host, 53), nil))
		}
		w.work()
		require.Equal(t, runtime.GOOS == "linux", w.nap())
		require.False(t, w.parked.Load())
	}
	if w.napper != nil {
		w.napper.close()
	}
}
