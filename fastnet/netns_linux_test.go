package fastnet

import (
	"log/slog"
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/internal/netlab"
	"github.com/fastnet-go/fastnet/nic/tap"
)

// newNetns makes a namespace, or skips the test where that is not allowed.
func newNetns(t *testing.T) netlab.Namespace {
	t.Helper()
	netlab.NeedTUN(t)
	// Package net finds out once whether IPv4 can be had by IPv6 sockets, and must
	// not find out in here, where the loopback interface is down.
	l, err := net.Listen("tcp", ":0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return netlab.New(t)
}

// inNetns runs f on a thread in the namespace.
func inNetns[T any](ns netlab.Namespace, f func() (T, error)) (v T, err error) {
	err = ns.Do(func() (err error) {
		v, err = f()
		return err
	})
	return v, err
}

// netnsSockets are package net's, in a namespace.
type netnsSockets struct{ ns netlab.Namespace }

func (s netnsSockets) Listen(network, address string) (net.Listener, error) {
	return inNetns(s.ns, func() (net.Listener, error) { return net.Listen(network, address) })
}

func (s netnsSockets) ListenPacket(network, address string) (net.PacketConn, error) {
	return inNetns(s.ns, func() (net.PacketConn, error) { return net.ListenPacket(network, address) })
}

func (s netnsSockets) Dial(network, address string) (net.Conn, error) {
	return inNetns(s.ns, func() (net.Conn, error) { return net.Dial(network, address) })
}

// The two ends of a TAP interface.
const (
	tapKernelIP, tapIP   = "10.178.0.1", "10.178.0.2"
	tapKernelIP6, tapIP6 = "fd78::1", "fd78::2"
)

// newTapInNetns joins a network with the kernel of a namespace of its own.
func newTapInNetns(t *testing.T, offload bool) (*Network, netnsSockets) {
	t.Helper()
	ns := newNetns(t)
	before := goroutines()
	prefixOf := func(ip string) netip.Prefix {
		a := netip.MustParseAddr(ip)
		return netip.PrefixFrom(a, a.BitLen()*3/4)
	}
	n, err := New(Config{
		Tap: &tap.Config{
			Name: "fast0", NetNS: string(ns), NoOffload: !offload,
			HostAddrs: []netip.Prefix{prefixOf(tapKernelIP), prefixOf(tapKernelIP6)},
		},
		Addresses: []netip.Prefix{prefixOf(tapIP), prefixOf(tapIP6)},
		Loopback:  LoopbackStack,
		Logger:    slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, n.Close())
		noneLeft(t, before)
	})
	return n, netnsSockets{ns}
}

// TestSuitesPassOverATap has the kernel's stack as the other end.
func TestSuitesPassOverATap(t *testing.T) {
	for name, offload := range map[string]bool{"offload": true, "no offload": false} {
		t.Run(name, func(t *testing.T) {
			n, kernel := newTapInNetns(t, offload)
			for name, e := range map[string]ends{
				"IPv4, the kernel dials":     {server: n, client: kernel, family: "4", listen: tapIP, from: tapKernelIP},
				"IPv6, the kernel dials":     {server: n, client: kernel, family: "6", listen: tapIP6, from: tapKernelIP6},
				"IPv4, the kernel listens":   {server: kernel, client: n, family: "4", listen: tapKernelIP, from: tapIP},
				"IPv6, the kernel listens":   {server: kernel, client: n, family: "6", listen: tapKernelIP6, from: tapIP6},
				"wildcard, the kernel dials": {server: n, client: kernel, dial: tapIP},
			} {
				t.Run(name, func(t *testing.T) {
					t.Run("streams", e.streams)
					t.Run("listeners", e.listeners)
					if e.from != "" {
						t.Run("datagrams", e.datagrams)
					}
				})
			}
		})
	}
}
