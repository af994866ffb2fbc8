package fastnet

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// echoRequest is an ICMP echo request.
func echoRequest(t *testing.T, v6 bool, id int) []byte {
	m := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: id, Seq: 1, Data: []byte("hello")}}
	if v6 {
		m.Type = ipv6.ICMPTypeEchoRequest
	}
	b, err := m.Marshal(nil)
	require.NoError(t, err)
	return b
}

// reply reads until the answer to an echo request comes.
func reply(t *testing.T, v6 bool, id int, read func(b []byte) (int, error)) {
	t.Helper()
	for b := make([]byte, 1500); ; {
		n, err := read(b)
		require.NoError(t, err)
		proto := 1
		if v6 {
			proto = 58
		}
		m, err := icmp.ParseMessage(proto, b[:n])
		require.NoError(t, err)
		if e, ok := m.Body.(*icmp.Echo); ok && (m.Type == ipv4.ICMPTypeEchoReply || m.Type == ipv6.ICMPTypeEchoReply) {
			require.Equal(t, id, e.ID)
			require.Equal(t, "hello", string(e.Data))
			return
		}
	}
}

func TestPing(t *testing.T) {
	for _, tt := range []struct {
		network, any, server string
		v6                   bool
	}{
		{"ip4:icmp", "0.0.0.0", serverIP, false}, {"ip4:1", "", serverIP, false}, {"ip:icmp", clientIP, serverIP, false},
		{"ip6:ipv6-icmp", "::", serverIP6, true}, {"ip6:58", clientIP6, serverIP6, true}, {"ip4:icmp", "", "127.0.0.1", false},
	} {
		l := newLab(t, labConfig{change: func(c *Config) { c.Require = true }})
		pc, err := l.client.ListenPacket(tt.network, tt.any)
		require.NoError(t, err)
		c := pc.(*IPConn)
		require.NotNil(t, c.Stack())
		require.Equal(t, "ip", c.LocalAddr().Network())
		_, err = c.WriteTo(echoRequest(t, tt.v6, 7), &IPAddr{IP: ParseIP(tt.server)})
		require.NoError(t, err)
		reply(t, tt.v6, 7, func(b []byte) (int, error) {
			n, from, err := c.ReadFrom(b)
			if err == nil && tt.server != "127.0.0.1" {
				require.Equal(t, tt.server, from.String())
			}
			return n, err
		})
		require.NoError(t, c.Close())
		require.ErrorIs(t, c.Close(), net.ErrClosed)

		conn, err := l.client.Dial(tt.network, tt.server)
		require.NoError(t, err)
		require.Equal(t, tt.server, conn.RemoteAddr().String())
		_, err = conn.Write(echoRequest(t, tt.v6, 8))
		require.NoError(t, err)
		reply(t, tt.v6, 8, func(b []byte) (int, error) {
			n, err := conn.Read(b)
			if err == nil && !tt.v6 { // Read returns the header too, as package net's
				require.EqualValues(t, 0x45, b[0])
				n = copy(b, b[20:n])
			}
			return n, err
		})
		_, err = conn.(*IPConn).WriteTo([]byte("x"), conn.RemoteAddr())
		require.ErrorIs(t, err, ErrWriteToConnected)
		require.NoError(t, conn.SetReadDeadline(past))
		_, err = conn.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.NoError(t, conn.Close())
	}
}

func TestRawSocketsThatTheStackHasNot(t *testing.T) {
	l := newLab(t, labConfig{change: func(c *Config) { c.Require = true }})
	for _, network := range []string{"ip4:tcp", "ip4:58", "ip6:icmp", "ip4:89"} {
		_, err := l.client.ListenPacket(network, "")
		require.ErrorContains(t, err, "require=true", network)
		_, err = l.client.Dial(network, serverIP)
		require.ErrorContains(t, err, "require=true", network)
	}
	_, err := l.client.Dial("ip4:icmp", "")
	require.EqualError(t, err, "dial ip4:icmp: missing address")
	_, err = l.client.ListenPacket("ip4:icmp", serverIP)
	require.EqualError(t, err, "listen ip4:icmp "+serverIP+": bind: cannot assign requested address")
	_, err = l.client.Dial("ip4:icmp", serverIP6)
	require.ErrorContains(t, err, "no suitable address found")
	c, err := l.client.ListenIP("ip4:icmp", nil)
	require.NoError(t, err)
	_, err = c.WriteToIP([]byte("x"), nil)
	require.ErrorContains(t, err, "missing address")
	require.NoError(t, c.SetDeadline(time.Now().Add(time.Hour)))
	require.NoError(t, c.Close())
	var none *IPConn
	require.Error(t, none.Close())
}

// TestRemoteAddrOfARawSocketIsAsGiven: the kernel tells no peer of a raw socket, so
// package net shows the address as it was passed, and one out of a name in 16
// bytes; so does the stack's socket.
func TestRemoteAddrOfARawSocketIsAsGiven(t *testing.T) {
	l := newLab(t, labConfig{})
	kernel := newKernelNetwork()
	for _, ip := range []IP{ParseIP(serverIP), ParseIP(serverIP).To4(), IPv4(127, 0, 0, 1).To4(), IPv4zero, nil} {
		given := &IPAddr{IP: ip}
		for network, n := range map[string]*Network{"ip4:icmp": l.client, "ip4:tcp": kernel} {
			if len(ip) != 0 && ip.IsPrivate() && n == kernel {
				continue
			}
			c, err := n.dialIP(t.Context(), new(Dialer), network, nil, given)
			if errors.Is(err, os.ErrPermission) {
				t.Log("a raw socket of the kernel's needs root:", err)
				continue
			}
			require.NoError(t, err)
			require.Equal(t, given, c.RemoteAddr())
			require.NoError(t, c.Close())
		}
	}
	c, err := l.client.Dial("ip4:icmp", serverIP)
	require.NoError(t, err)
	require.Equal(t, &IPAddr{IP: ParseIP(serverIP).To16()}, c.RemoteAddr())
	require.Equal(t, &IPAddr{IP: ParseIP(clientIP).To4()}, c.LocalAddr())
	require.NoError(t, c.Close())
}
