package fastnet

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMultipathTCPIsAcceptedAndIgnored: as by package net on a kernel without it.
func TestMultipathTCPIsAcceptedAndIgnored(t *testing.T) {
	l := newLab(t, labConfig{})
	for _, use := range []bool{true, false} {
		var lc ListenConfig
		var d Dialer
		require.Equal(t, new(net.ListenConfig).MultipathTCP(), lc.MultipathTCP(), "the default")
		lc.SetMultipathTCP(use)
		d.SetMultipathTCP(use)
		require.Equal(t, use, lc.MultipathTCP())
		require.Equal(t, use, d.MultipathTCP())
		ln, err := l.server.ListenWith(t.Context(), &lc, "tcp", serverIP+":0")
		require.NoError(t, err)
		c, err := l.client.DialWith(t.Context(), &d, "tcp", ln.Addr().String())
		require.NoError(t, err)
		s, err := ln.Accept()
		require.NoError(t, err)
		for _, c := range []Conn{c, s} {
			used, err := c.(*TCPConn).MultipathTCP()
			require.NoError(t, err)
			require.False(t, used)
			require.NoError(t, c.Close())
			used, err = c.(*TCPConn).MultipathTCP()
			require.False(t, used)
			require.NoError(t, err)
		}
		require.NoError(t, ln.Close())
	}
}
