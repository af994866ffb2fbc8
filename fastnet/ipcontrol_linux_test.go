package fastnet

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestControlOfAnICMPSocket: its shadow is a raw socket.
func TestControlOfAnICMPSocket(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a raw socket of the kernel's, for the shadow, needs root")
	}
	l := newLab(t, labConfig{change: func(c *Config) { c.Require = true }})
	told := ""
	with := func(level, opt, value int) func(network, address string, c syscall.RawConn) error {
		return func(network, address string, c syscall.RawConn) (err error) {
			told = network + " " + address
			if e := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), level, opt, value) }); e != nil {
				return e
			}
			return err
		}
	}
	// The reply's time to live is the host's own, so it is the request that shows it.
	s, err := l.server.ListenPacket("ip4:icmp", serverIP)
	require.NoError(t, err)
	defer s.Close()
	ttl := func() byte {
		t.Helper()
		b := make([]byte, 1500)
		n, err := s.(*IPConn).Read(b)
		require.NoError(t, err)
		require.Greater(t, n, 20)
		return b[8]
	}
	d := Dialer{Control: with(unix.IPPROTO_IP, unix.IP_TTL, 7)}
	c, err := l.client.DialWith(t.Context(), &d, "ip4:icmp", serverIP)
	require.NoError(t, err)
	require.Equal(t, "ip4 "+serverIP, told, "as package net says")
	_, err = c.Write(echoRequest(t, false, 1))
	require.NoError(t, err)
	require.EqualValues(t, 7, ttl())
	require.NoError(t, c.Close())

	lc := ListenConfig{Control: with(unix.IPPROTO_IP, unix.IP_TTL, 9)}
	p, err := l.client.ListenPacketWith(t.Context(), &lc, "ip4:icmp", "")
	require.NoError(t, err)
	_, err = p.WriteTo(echoRequest(t, false, 2), &IPAddr{IP: ParseIP(serverIP)})
	require.NoError(t, err)
	require.EqualValues(t, 9, ttl())
	require.NoError(t, p.Close())

	for opt, name := range map[int]string{unix.IP_PKTINFO: "control messages", unix.IP_TRANSPARENT: "IP_TRANSPARENT"} {
		lc.Control = with(unix.IPPROTO_IP, opt, 1)
		_, err = l.client.ListenPacketWith(t.Context(), &lc, "ip4:icmp", "")
		require.ErrorContains(t, err, name)
		require.True(t, errors.Is(err, errors.ErrUnsupported))
	}
}
