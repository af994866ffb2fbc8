package fastnet

import (
	"io"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestHostWithoutADeviceTalksToItself: both ends are the stack's, on loopback
// and wildcard addresses, and everything else is out of reach.
func TestHostWithoutADeviceTalksToItself(t *testing.T) {
	n, err := New(Config{LoopbackOnly: true, Require: true})
	require.NoError(t, err)
	defer n.Close()
	for _, tt := range []struct{ listen, dial string }{
		{"127.0.0.1:0", "127.0.0.1:"}, {"[::1]:0", "[::1]:"}, {":0", "127.0.0.1:"}, {":0", "[::1]:"}, {":0", ":"},
	} {
		l, err := n.Listen("tcp", tt.listen)
		require.NoError(t, err)
		_, port, err := SplitHostPort(l.Addr().String())
		require.NoError(t, err)
		c, err := n.Dial("tcp", tt.dial+port)
		require.NoError(t, err, tt)
		s, err := l.Accept()
		require.NoError(t, err)
		_, err = io.WriteString(c, "ping")
		require.NoError(t, err)
		require.NoError(t, c.Close())
		got, err := io.ReadAll(s)
		require.NoError(t, err)
		require.Equal(t, "ping", string(got))
		require.NoError(t, s.Close())
		require.NoError(t, l.Close())
	}
	_, err = n.Dial("tcp", "192.0.2.1:80")
	require.ErrorContains(t, err, "network is unreachable")
	require.Empty(t, n.Stats().Fallbacks)
}

func TestHostWithoutADeviceHasNothingThatBelongsToOne(t *testing.T) {
	for _, c := range []Config{
		{LoopbackOnly: true, Wire: "lab"},
		{LoopbackOnly: true, Pcap: "f.pcapng"},
		{LoopbackOnly: true, Loopback: LoopbackKernel},
		{LoopbackOnly: true, Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}},
	} {
		_, err := New(c)
		require.ErrorContains(t, err, "LoopbackOnly")
	}
}
