package stack

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/wire"
)

// numbered is a datagram's payload.
func numbered(i int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(i)) }

// readNumbers reads what waits.
func readNumbers(t *testing.T, u *UDPConn) (all []int) {
	t.Helper()
	b := make([]byte, 100)
	for {
		n, _, _, err := u.TryReadFrom(b)
		if err == ErrWouldBlock {
			return all
		}
		require.NoError(t, err)
		require.Equal(t, 4, n)
		all = append(all, int(binary.BigEndian.Uint32(b)))
	}
}

// However the datagrams of a burst are mixed, each socket gets its own in their
// order, those to a group among them.
func TestDatagramsOfABurstKeepTheirOrder(t *testing.T) {
	l := newLab(t, wire.Config{})
	a, err := l.host.ListenUDP(addrPort("0.0.0.0:53"), UDPOptions{})
	require.NoError(t, err)
	require.NoError(t, a.JoinGroup(0, group4))
	b, err := l.host.ListenUDP(addrPort("10.0.0.1:54"), UDPOptions{})
	require.NoError(t, err)
	l.run()
	from := netip.AddrPortFrom(ip4Peer, 1000)
	var wantA, wantB []int
	for i := range 200 {
		to := netip.AddrPortFrom(ip4Host, 53)
		switch i * 2654435761 >> 8 % 7 { // in runs of any length
		case 0:
			to = netip.AddrPortFrom(group4, 53)
		case 1, 2:
			to = netip.AddrPortFrom(ip4Host, 54)
		}
		if to.Port() == 53 {
			wantA = append(wantA, i)
		} else {
			wantB = append(wantB, i)
		}
		l.inject(l.udp(from, to, numbered(i)))
		if i%100 == 99 {
			l.run()
		}
	}
	l.run()
	require.Equal(t, wantA, readNumbers(t, a))
	require.Equal(t, wantB, readNumbers(t, b))
}

func TestARunBeyondTheBufferIsCutShort(t *testing.T) {
	l := newLab(t, wire.Config{})
	u, err := l.host.ListenUDP(addrPort("10.0.0.1:53"), UDPOptions{})
	require.NoError(t, err)
	require.NoError(t, u.SetReadBuffer(10*(datagramCost+4)))
	for i := range 16 {
		l.inject(l.udp(netip.AddrPortFrom(ip4Peer, 1000), netip.AddrPortFrom(ip4Host, 53), numbered(i)))
	}
	l.run()
	require.Equal(t, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, readNumbers(t, u))
	require.EqualValues(t, 6, l.drops(DropReceiveBuffer))
}

func TestEachDatagramOfARunWakesAReader(t *testing.T) {
	l := newLab(t, wire.Config{})
	u, err := l.host.ListenUDP(addrPort("10.0.0.1:53"), UDPOptions{})
	require.NoError(t, err)
	const readers = 8
	got := make(chan error, readers)
	for range readers {
		go func() {
			_, _, _, err := u.ReadFrom(make([]byte, 100))
			got <- err
		}()
	}
	require.Eventually(t, func() bool {
		u.mu.Lock()
		defer u.mu.Unlock()
		return u.waits.waiting == readers
	}, patience, time.Millisecond)
	for i := range readers {
		l.inject(l.udp(netip.AddrPortFrom(ip4Peer, 1000), netip.AddrPortFrom(ip4Host, 53), numbered(i)))
	}
	l.run()
	for range readers {
		select {
		case err := <-got:
			require.NoError(t, err)
		case <-time.After(patience):
			t.Fatal("a reader sleeps although there was a datagram for it")
		}
	}
}

// The socket that the latest datagram was for is not that of the next when the
// sockets have changed.
func TestDatagramsFindTheSocketsOfTheMoment(t *testing.T) {
	l := newLab(t, wire.Config{})
	send := func(i int) {
		l.inject(l.udp(netip.AddrPortFrom(ip4Peer, 1000), netip.AddrPortFrom(ip4Host, 53), numbered(i)))
		l.run()
	}
	a, err := l.host.ListenUDP(addrPort("0.0.0.0:53"), UDPOptions{ReuseAddr: true})
	require.NoError(t, err)
	send(0)
	require.Equal(t, []int{0}, readNumbers(t, a))
	b, err := l.host.ListenUDP(addrPort("10.0.0.1:53"), UDPOptions{ReuseAddr: true})
	require.NoError(t, err)
	send(1)
	require.Equal(t, []int{1}, readNumbers(t, b), "its address is more specific")
	require.NoError(t, b.Close())
	send(2)
	require.Equal(t, []int{2}, readNumbers(t, a))
	require.NoError(t, a.Close())
	before := l.drops(DropNoPort)
	send(3)
	require.Equal(t, before+1, l.drops(DropNoPort))
}
