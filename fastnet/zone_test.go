package fastnet

import (
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLinkLocalAddressesHaveZones: an address that means something only together
// with an interface names it, whoever tells it.
func TestLinkLocalAddressesHaveZones(t *testing.T) {
	link := map[string]string{"host0": "fe80::1", "host1": "fe80::2"}
	l := newLab(t, labConfig{change: func(c *Config) {
		c.Addresses = append(c.Addresses, netip.MustParsePrefix(link[c.Name]+"/64"))
	}})
	device := func(n *Network) string {
		for _, i := range n.Interfaces() {
			if !i.Loopback {
				return i.Name
			}
		}
		return ""
	}
	toServer, toClient := "fe80::2%"+device(l.client), "fe80::1%"+device(l.server)

	u, err := l.server.ListenUDP("udp", nil)
	require.NoError(t, err)
	defer u.Close()
	_, port, err := net.SplitHostPort(u.LocalAddr().String())
	require.NoError(t, err)
	c, err := l.client.Dial("udp", net.JoinHostPort(toServer, port))
	require.NoError(t, err)
	defer c.Close()
	require.Equal(t, net.JoinHostPort(toServer, port), c.RemoteAddr().String())
	b := make([]byte, 8)
	for range 2 {
		_, err = c.Write([]byte("x"))
		require.NoError(t, err)
	}
	_, from, err := u.ReadFromUDP(b)
	require.NoError(t, err)
	require.Equal(t, toClient, from.AddrPort().Addr().String())
	_, ap, err := u.ReadFromUDPAddrPort(b)
	require.NoError(t, err)
	require.Equal(t, toClient, ap.Addr().String())
	_, err = u.WriteTo([]byte("back"), from)
	require.NoError(t, err)
	n, err := c.Read(b)
	require.NoError(t, err)
	require.Equal(t, "back", string(b[:n]))

	ln, err := l.server.Listen("tcp", "[fe80::2%"+device(l.server)+"]:0")
	require.NoError(t, err)
	defer ln.Close()
	_, port, err = net.SplitHostPort(ln.Addr().String())
	require.NoError(t, err)
	d, err := l.client.Dial("tcp", net.JoinHostPort(toServer, port))
	require.NoError(t, err)
	defer d.Close()
	s, err := ln.Accept()
	require.NoError(t, err)
	defer s.Close()
	require.Equal(t, toClient, s.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().String())
	require.Equal(t, s.RemoteAddr().String()[:len("[fe80::1%")], "[fe80::1%")
}
