package stack

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/wire"
)

// When the device dies every call that waits for something from it ends, on
// connections, UDP sockets and listeners.
func TestDeviceFailureEndsAllCalls(t *testing.T) {
	p := newPair(t, wire.Config{})
	s, c := p.connect(t, "10.0.0.1:80")
	u, err := p.a.ListenUDP(addrPort("10.0.0.1:53"), UDPOptions{})
	require.NoError(t, err)
	anyUDP, err := p.a.ListenUDP(netip.AddrPort{}, UDPOptions{})
	require.NoError(t, err)
	l, err := p.a.ListenTCP(addrPort("0.0.0.0:81"), ListenOptions{})
	require.NoError(t, err)
	local, err := p.a.ListenTCP(addrPort("127.0.0.1:82"), ListenOptions{})
	require.NoError(t, err)
	results := make(chan error, 4)
	b := make([]byte, 10)
	go func() { _, err := s.Read(b[:]); results <- err }()
	go func() { _, _, _, err := u.ReadFrom(make([]byte, 10)); results <- err }()
	go func() { _, _, _, err := anyUDP.ReadFrom(make([]byte, 10)); results <- err }()
	go func() { _, err := l.Accept(); results <- err }()
	time.Sleep(20 * time.Millisecond)
	p.wire.Port(0).Fail(errors.New("unplugged"))
	for range cap(results) {
		select {
		case err := <-results:
			require.Equal(t, syscall.ENETDOWN, err)
		case <-time.After(patience):
			t.Fatal("a call is stuck")
		}
	}
	_, err = local.TryAccept()
	require.Equal(t, ErrWouldBlock, err, "loopback lives on")
	c.SetLinger(0)
	c.Close()
	s.Close()
	u.Close()
	anyUDP.Close()
	l.Close()
	local.Close()
}

// Where somebody else has the addresses too, what ends with the device is what needs
// it: listeners and unconnected sockets go on.
func TestDeviceFailureOfASharedInterface(t *testing.T) {
	w, err := wire.New(wire.Config{})
	require.NoError(t, err)
	h := NewHost(Config{})
	failed := make(chan error, 1)
	_, err = h.Attach(w.Port(0), InterfaceConfig{
		Addrs: []netip.Prefix{netip.PrefixFrom(ip4Host, 24)}, Failed: func(err error) { failed <- err },
	})
	require.NoError(t, err)
	l, err := h.ListenTCP(addrPort("0.0.0.0:81"), ListenOptions{})
	require.NoError(t, err)
	u, err := h.ListenUDP(netip.AddrPortFrom(ip4Host, 53), UDPOptions{})
	require.NoError(t, err)
	dialled, err := h.DialUDP(netip.AddrPort{}, netip.AddrPortFrom(ip4Peer, 53), UDPOptions{})
	require.NoError(t, err)
	unplugged := errors.New("unplugged")
	w.Port(0).Fail(unplugged)
	select {
	case err := <-failed:
		require.Equal(t, unplugged, err)
	case <-time.After(patience):
		t.Fatal("nobody was told")
	}
	_, err = l.TryAccept()
	require.Equal(t, ErrWouldBlock, err)
	b := make([]byte, 10)
	_, err = dialled.Read(b)
	require.Equal(t, syscall.ENETDOWN, err)
	u.Deliver([]byte("by the other"), netip.AddrPortFrom(ip4Peer, 9), DatagramInfo{})
	n, _, _, err := u.ReadFrom(b)
	require.NoError(t, err)
	require.Equal(t, "by the oth", string(b[:n]))
	for _, c := range []interface{ Close() error }{l, u, dialled, h} {
		require.NoError(t, c.Close())
	}
	w.Port(1).Close()
	require.Zero(t, w.InUse())
}

// A path that is narrower than the interface is learnt from ICMP, for UDP too,
// and forgotten after a while.
func TestPathMTUIsRememberedForAWhile(t *testing.T) {
	m := pathMTUs{key: [4]uint64{0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb, 0xd6e8feb86659fd93}}
	dst := netip.MustParseAddr("192.0.2.1")
	require.Zero(t, m.lookup(dst, 0).mtu)
	require.Equal(t, 1400, m.lower(dst, 1400, time.Second))
	require.Equal(t, 1400, m.lookup(dst, time.Minute).mtu)
	require.Equal(t, 1400, m.lower(dst, 1450, time.Minute), "it does not grow by a message")
	require.Equal(t, minMTU4, m.lower(dst, 68, time.Minute), "nor shrink to nothing")
	require.Equal(t, minMTU6, m.lower(netip.MustParseAddr("2001:db8::1"), 68, time.Minute))
	require.Zero(t, m.lookup(dst, time.Hour).mtu)
	for i := range 2 * maxPathMTUs {
		m.lower(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 1000, time.Minute)
	}
	known := 0
	for i := range 2 * maxPathMTUs {
		if m.lookup(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), time.Minute).mtu != 0 {
			known++
		}
	}
	require.LessOrEqual(t, known, maxPathMTUs)
	require.Greater(t, known, maxPathMTUs*3/4)
}
