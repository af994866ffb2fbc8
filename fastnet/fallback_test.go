package fastnet

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// fallback is a call that only the kernel can serve.
type fallback struct {
	kind, reason string
	call         func(t *testing.T) error
}

// tried closes what a call returned, and passes its error on.
func tried[C interface{ Close() error }](c C, err error) error {
	if err == nil {
		c.Close()
	}
	return err
}

// fallbacks are all of them, through the package's functions and types. Each call
// is as it would be to package net; whether that succeeds does not matter here.
func fallbacks(t *testing.T) []fallback {
	dir, err := os.MkdirTemp("", "fn") // t.TempDir may be too long a path
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	count := 0
	path := func(network string) *UnixAddr {
		count++
		return &UnixAddr{Net: network, Name: filepath.Join(dir, fmt.Sprint(count))}
	}
	descriptor := func(t *testing.T, s interface{ File() (*os.File, error) }, err error) *os.File {
		require.NoError(t, err)
		f, err := s.File()
		require.NoError(t, err)
		t.Cleanup(func() { f.Close() })
		return f
	}
	const (
		unix   = "the stack has none"
		raw    = "of raw sockets the stack has those for ICMP only"
		handle = "a descriptor is the kernel's"
	)
	return []fallback{
		{"unix", unix, func(*testing.T) error { return tried(Listen("unix", path("").Name)) }},
		{"unix", unix, func(*testing.T) error { return tried(Dial("unix", path("").Name)) }},
		{"unix", unix, func(*testing.T) error { return tried(ListenUnix("unix", path("unix"))) }},
		{"unix", unix, func(*testing.T) error { return tried(DialUnix("unix", nil, path("unix"))) }},
		{"unix", unix, func(*testing.T) error {
			return tried(new(Dialer).DialUnix(context.Background(), "unix", nil, path("unix")))
		}},
		{"unixpacket", unix, func(*testing.T) error { return tried(Listen("unixpacket", path("").Name)) }},
		{"unixgram", unix, func(*testing.T) error { return tried(ListenPacket("unixgram", path("").Name)) }},
		{"unixgram", unix, func(*testing.T) error { return tried(ListenUnixgram("unixgram", path("unixgram"))) }},
		{"ip4", raw, func(*testing.T) error { return tried(Dial("ip4:tcp", "192.0.2.1")) }},
		{"ip4", raw, func(*testing.T) error { return tried(ListenPacket("ip4:tcp", "")) }},
		{"ip4", raw, func(*testing.T) error { return tried(ListenIP("ip4:89", nil)) }},
		{"ip6", raw, func(*testing.T) error { return tried(DialIP("ip6:89", nil, &IPAddr{IP: ParseIP("2001:db8::1")})) }},
		{"descriptor", handle, func(t *testing.T) error {
			c, err := net.ListenUDP("udp", &UDPAddr{IP: IPv4(127, 0, 0, 1)})
			f := descriptor(t, c, err)
			defer c.Close()
			return tried(FilePacketConn(f))
		}},
		{"descriptor", handle, func(t *testing.T) error {
			c, err := net.DialUDP("udp", nil, &UDPAddr{IP: IPv4(127, 0, 0, 1), Port: 9})
			f := descriptor(t, c, err)
			defer c.Close()
			return tried(FileConn(f))
		}},
		{"descriptor", handle, func(t *testing.T) error {
			l, err := net.ListenTCP("tcp", &TCPAddr{IP: IPv4(127, 0, 0, 1)})
			f := descriptor(t, l, err)
			defer l.Close()
			return tried(FileListener(f))
		}},
		{"multicast udp4", "the interface is not one of the network's", func(*testing.T) error {
			ifi := &Interface{Index: 1 << 29, Name: "none"}
			return tried(ListenMulticastUDP("udp4", ifi, &UDPAddr{IP: IPv4(224, 0, 0, 99), Port: 5999}))
		}},
		{"tcp", "kernel=tcp:127.0.0.0/8", func(*testing.T) error { return tried(Listen("tcp4", "127.0.0.1:0")) }},
		{"tcp", "kernel=tcp:127.0.0.0/8", func(*testing.T) error { return tried(Dial("tcp", "127.0.0.1:1")) }},
		{"tcp", "kernel=tcp:127.0.0.0/8", func(*testing.T) error {
			return tried(DialTCP("tcp", nil, &TCPAddr{IP: IPv4(127, 0, 0, 1), Port: 1}))
		}},
		{"tcp", "kernel=::1/128", func(*testing.T) error { return tried(Dial("tcp", "[::1]:1")) }},
		{"udp", "kernel=udp", func(*testing.T) error { return tried(ListenPacket("udp", ":0")) }},
		{"udp", "kernel=udp", func(*testing.T) error { return tried(Dial("udp", "127.0.0.1:9")) }},
		{"udp", "kernel=udp", func(*testing.T) error { return tried(ListenUDP("udp4", nil)) }},
	}
}

// withRules runs f with a default network whose rules fallbacks knows, and returns
// its log.
func withRules(t *testing.T, more string, f func(n *Network)) string {
	var log bytes.Buffer
	RegisterDevice("fallback", newSpareWire(t))
	defer RegisterDevice("fallback", nil)
	withDefault(t, "wire:fallback,addr=10.0.0.1/24,kernel=tcp:127.0.0.0/8,kernel=udp,kernel=::1/128"+more, func() {
		slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil))) // withDefault sets back what was there
		n, err := Default()
		require.NoError(t, err)
		f(n)
	})
	return log.String()
}

// TestEachFallbackIsCountedAndItsKindLoggedOnce: with its reason.
func TestEachFallbackIsCountedAndItsKindLoggedOnce(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("package net has no descriptors there")
	}
	all := fallbacks(t)
	log := withRules(t, "", func(n *Network) {
		want := map[string]uint64{}
		for i, f := range all {
			err := f.call(t)
			if err != nil {
				require.NotContains(t, err.Error(), "require=true")
			}
			want[f.kind]++
			require.Equal(t, want, n.Stats().Fallbacks, "call %d: %v", i, err)
		}
	})
	distinct := map[string]bool{}
	for _, f := range all {
		distinct[f.kind+f.reason] = true
		lines := 0
		for line := range strings.Lines(log) {
			what := strings.Contains(line, " what="+f.kind+" ") || strings.Contains(line, fmt.Sprintf(" what=%q ", f.kind))
			if what && strings.Contains(line, fmt.Sprintf(" reason=%q", f.reason)) {
				lines++
			}
		}
		require.Equal(t, 1, lines, "%s: %s", f.kind, f.reason)
	}
	require.Equal(t, len(distinct), strings.Count(log, "served by the kernel, not by the stack"), log)
}

// TestRequireRefusesEachFallback: in one line that names the reason, and without
// any socket of the kernel's.
func TestRequireRefusesEachFallback(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("package net has no descriptors there")
	}
	all := fallbacks(t)
	log := withRules(t, ",require=true", func(n *Network) {
		for i, f := range all {
			err := f.call(t)
			require.ErrorContains(t, err, "require=true forbids that", "call %d", i)
			require.ErrorContains(t, err, f.reason, "call %d", i)
			require.NotContains(t, err.Error(), "\n")
			require.IsType(t, &OpError{}, err)
			require.False(t, err.(net.Error).Timeout())
		}
		require.Empty(t, n.Stats().Fallbacks)
	})
	require.NotContains(t, log, "served by the kernel")
}

// TestWhatTheStackServesIsNoFallback: nor is what goes to the kernel by the rule
// for loopback addresses.
func TestWhatTheStackServesIsNoFallback(t *testing.T) {
	l := newLab(t, labConfig{change: func(c *Config) { c.Loopback, c.Require = LoopbackKernel, true }})
	for _, err := range []error{
		tried(l.server.Listen("tcp", ":0")), tried(l.server.Listen("tcp", "127.0.0.1:0")),
		tried(l.server.ListenPacket("udp", "127.0.0.1:0")), tried(l.server.ListenPacket("udp", ":0")),
		tried(l.server.ListenPacket("ip4:icmp", "")), tried(l.server.Dial("udp", clientIP+":9")),
	} {
		require.NoError(t, err)
	}
	require.Empty(t, l.server.Stats().Fallbacks)
}
