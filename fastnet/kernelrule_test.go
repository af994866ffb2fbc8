package fastnet

import (
	"bytes"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// ruled is a network with rules, and what it logs.
func ruled(t *testing.T, more string) (*Network, *bytes.Buffer) {
	cfg, err := ParseConfig("wire:none,addr=10.0.0.1/24," + more)
	require.NoError(t, err)
	var log bytes.Buffer
	cfg.Wire, cfg.Device = "", newSpareWire(t)
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	n, err := New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { n.Close() })
	return n, &log
}

func TestRulesGiveSocketsToTheKernel(t *testing.T) {
	k, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer k.Close()

	n, log := ruled(t, "kernel=tcp:127.0.0.0/8,kernel=udp")
	for range 2 {
		c, err := n.Dial("tcp", k.Addr().String())
		require.NoError(t, err)
		require.Nil(t, c.(*TCPConn).Stack(), "the kernel's server is reached")
		c.Close()
	}
	l, err := n.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	require.Nil(t, l.(*TCPListener).Stack())
	l.Close()
	l, err = n.Listen("tcp", ":0")
	require.NoError(t, err)
	require.NotNil(t, l.(*TCPListener).Stack(), "a wildcard address is in no subnet")
	l.Close()
	l, err = n.Listen("tcp", "10.0.0.1:0")
	require.NoError(t, err)
	require.NotNil(t, l.(*TCPListener).Stack())
	l.Close()
	u, err := n.ListenPacket("udp", ":0")
	require.NoError(t, err)
	require.Nil(t, u.(*UDPConn).Stack(), "all of UDP")
	u.Close()
	c, err := n.Dial("udp4", "127.0.0.1:9")
	require.NoError(t, err)
	require.Nil(t, c.(*UDPConn).Stack())
	c.Close()
	require.Equal(t, map[string]uint64{"tcp": 3, "udp": 2}, n.Stats().Fallbacks)
	require.Equal(t, 1, strings.Count(log.String(), "what=tcp "), log.String())
	require.Contains(t, log.String(), `reason="kernel=tcp:127.0.0.0/8"`)
}

func TestRequireForbidsWhatRulesSay(t *testing.T) {
	n, _ := ruled(t, "kernel=192.0.2.0/24,require=true")
	_, err := n.Dial("tcp", "192.0.2.1:80")
	require.EqualError(t, err, "dial tcp 192.0.2.1:80: fastnet: tcp sockets are served by the kernel only (kernel=192.0.2.0/24), "+
		"and require=true forbids that: do without, or set require=false")
	require.Empty(t, n.Stats().Fallbacks)
}

func TestRulesThatAreNone(t *testing.T) {
	for _, rule := range []string{"sctp", "tcp:", "tcp:10.0.0.1", "10.0.0.1", "10.0.0.0/8:udp", "udp4"} {
		_, err := ParseConfig("wire:none,addr=10.0.0.1/24,kernel=" + rule)
		require.ErrorContains(t, err, "kernel="+rule+": neither a network nor a subnet", rule)
	}
	for _, rule := range []string{"tcp", "udp", "10.0.0.0/8", "udp:2001:db8::/32"} {
		c, err := ParseConfig("wire:none,addr=10.0.0.1/24,kernel=" + rule)
		require.NoError(t, err)
		require.Equal(t, rule, c.Kernel[0].String())
	}
	_, err := New(Config{Device: newSpareWire(t), Kernel: []KernelRule{{Network: "ip"}}})
	require.ErrorContains(t, err, "kernel=ip is no rule")
}
