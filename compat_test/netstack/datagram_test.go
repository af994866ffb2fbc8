package netstack

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Datagrams of all sizes come back, those larger than the MTU in fragments.
func TestDatagrams(t *testing.T) {
	forEachNetwork(t, steady, func(t *testing.T, n *network) {
		server, err := n.server.listenPacket(n.address)
		require.NoError(t, err)
		defer server.Close()
		client, err := n.client.dialPacket(n.address)
		require.NoError(t, err)
		defer client.Close()
		require.NoError(t, client.SetDeadline(time.Now().Add(patience)))
		require.NoError(t, server.SetDeadline(time.Now().Add(patience)))

		const most = 20_000
		in, back := make([]byte, most+1), make([]byte, most+1)
		for _, size := range []int{1, 2, 100, 1231, 1232, 1233, 1452, 1453, 1472, 1473, 2800, 8000, most} {
			out := bytes.Repeat([]byte(fmt.Sprintf("%d.", size)), size)[:size]
			_, err := client.Write(out)
			require.NoError(t, err, "%d bytes", size)
			k, from, err := server.ReadFrom(in)
			require.NoError(t, err, "%d bytes", size)
			require.True(t, bytes.Equal(out, in[:k]), "%d bytes arrive as %d", size, k)
			_, err = server.WriteTo(in[:k], from)
			require.NoError(t, err, "%d bytes", size)
			k, err = client.Read(back)
			require.NoError(t, err, "%d bytes", size)
			require.True(t, bytes.Equal(out, back[:k]), "%d bytes come back as %d", size, k)
		}
	})
}

// An empty datagram is one.
func TestAnEmptyDatagram(t *testing.T) {
	forEachNetwork(t, steady, func(t *testing.T, n *network) {
		server, err := n.server.listenPacket(n.address)
		require.NoError(t, err)
		defer server.Close()
		client, err := n.client.dialPacket(n.address)
		require.NoError(t, err)
		defer client.Close()
		require.NoError(t, server.SetDeadline(time.Now().Add(patience)))
		_, err = client.Write(nil)
		require.NoError(t, err)
		k, from, err := server.ReadFrom(make([]byte, 10))
		require.NoError(t, err)
		require.Zero(t, k)
		require.Equal(t, client.LocalAddr().String(), from.String())
	})
}

// What netstack pings answers, whoever it is.
func TestEchoRequestsAreAnswered(t *testing.T) {
	forEachNetwork(t, steady, func(t *testing.T, n *network) { n.ping(t, 0, 1, 56, 1200) })
}

// A request that came in fragments is answered in full (RFC 1122, section
// 3.2.2.6).
func TestFragmentedEchoRequestsAreAnswered(t *testing.T) {
	forEachNetwork(t, few, func(t *testing.T, n *network) {
		n.ping(t, 2000, 4000)
	})
}

func (n *network) ping(t *testing.T, sizes ...int) {
	client, ok := n.client.(netstackEnd)
	if !ok {
		t.Skip("there is no ping in package net's API")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, size := range sizes {
		require.NoError(t, client.Ping(ctx, n.address.Addr(), size), "%d bytes", size)
	}
}

func (e netstackEnd) listenPacket(on netip.AddrPort) (net.PacketConn, error) { return e.ListenUDP(on) }
func (e netstackEnd) dialPacket(to netip.AddrPort) (net.Conn, error)         { return e.DialUDP(to) }
