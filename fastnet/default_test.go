package fastnet

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/wire"
)

// withDefault runs f as a program begins, with FASTNET=text, and returns what
// was logged.
func withDefault(t *testing.T, text string, f func()) string {
	t.Setenv("FASTNET", text)
	before := goroutines()
	reset := func() {
		theDefault.network.Store(nil)
		theDefault.err = nil
	}
	reset()
	var log bytes.Buffer
	old := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	defer func() {
		slog.SetDefault(old)
		if n := theDefault.network.Load(); n != nil {
			n.Close()
		}
		reset()
		noneLeft(t, before)
	}()
	f()
	return log.String()
}

// program is a server and its client, as somebody would write them with
// package net.
func program(t *testing.T, address string) (server, client net.Conn) {
	ln, err := Listen("tcp", address)
	require.NoError(t, err)
	defer ln.Close()
	client, err = Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	server, err = ln.Accept()
	require.NoError(t, err)
	_, err = client.Write([]byte("hello"))
	require.NoError(t, err)
	b := make([]byte, 5)
	_, err = io.ReadFull(server, b)
	require.NoError(t, err)
	require.Equal(t, "hello", string(b))
	require.NoError(t, client.Close())
	require.NoError(t, server.Close())
	return server, client
}

func TestWithoutConfigurationEverythingIsPackageNets(t *testing.T) {
	log := withDefault(t, "", func() {
		for range 2 {
			s, c := program(t, "127.0.0.1:0")
			require.Nil(t, s.(*TCPConn).Stack())
			require.Nil(t, c.(*TCPConn).Stack())
		}
		u, err := ListenPacket("udp", "127.0.0.1:0")
		require.NoError(t, err)
		require.Nil(t, u.(*UDPConn).Stack())
		d, err := DialUDP("udp", nil, u.LocalAddr().(*net.UDPAddr))
		require.NoError(t, err)
		_, err = d.Write([]byte("x"))
		require.NoError(t, err)
		_, from, err := u.(*UDPConn).ReadFromUDP(make([]byte, 1))
		require.NoError(t, err)
		require.Equal(t, d.LocalAddr().String(), from.String())
		require.NoError(t, d.Close())
		require.NoError(t, u.Close())

		// Sockets of the kernel's have descriptors.
		ln, err := ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		require.NoError(t, err)
		f, err := ln.File()
		require.NoError(t, err)
		l2, err := FileListener(f)
		require.NoError(t, err)
		require.IsType(t, &TCPListener{}, l2)
		require.NoError(t, l2.Close())
		require.NoError(t, f.Close())
		require.NoError(t, ln.Close())

		n, err := Default()
		require.NoError(t, err)
		require.Nil(t, n.Host())
		require.Empty(t, n.Connections())
		require.Empty(t, n.Stats().Fallbacks)
	})
	require.Equal(t, 1, strings.Count(log, "FASTNET is not set"), log)
}

func TestHTTPServerWithPackageFunctions(t *testing.T) {
	withDefault(t, "", func() {
		ln, err := Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		s := &http.Server{Handler: http.HandlerFunc(site)}
		go s.Serve(ln)
		defer s.Close()
		tr := &http.Transport{DialContext: new(Dialer).DialContext}
		defer tr.CloseIdleConnections()
		require.Equal(t, "GET /x ", get(t, &http.Client{Transport: tr}, "http://"+ln.Addr().String()+"/x"))
	})
}

func TestEnvironmentNamesAWire(t *testing.T) {
	w, err := wire.New(wire.Config{})
	require.NoError(t, err)
	RegisterDevice("lab", w.Port(0))
	defer RegisterDevice("lab", nil)
	pcap := filepath.Join(t.TempDir(), "out.pcapng")
	log := withDefault(t, "wire:lab,addr=10.0.0.1/24,delay=1ms,pcap="+pcap, func() {
		// On a device that somebody brings the loopback addresses are the stack's.
		for _, address := range []string{"127.0.0.1:0", "10.0.0.1:0", ":0"} {
			s, c := program(t, address)
			require.NotNil(t, s.(*TCPConn).Stack(), address)
			require.NotNil(t, c.(*TCPConn).Stack(), address)
		}
		require.Equal(t, ErrConfigured, Configure(Config{Wire: "lab"}))
		n, err := Default()
		require.NoError(t, err)
		require.NotEmpty(t, n.Interfaces())
	})
	require.NotContains(t, log, "FASTNET is not set")
	info, err := os.Stat(pcap)
	require.NoError(t, err)
	require.NotZero(t, info.Size())
	require.NoError(t, w.Port(0).Close())
	require.NoError(t, w.Port(1).Close())
	require.Zero(t, w.InUse())
}

func TestConfigureComesBeforeTheEnvironment(t *testing.T) {
	dev := newSpareWire(t)
	withDefault(t, "nonsense", func() {
		require.NoError(t, Configure(Config{Device: dev, Addresses: prefixes("10.0.0.1/24")}))
		s, _ := program(t, "10.0.0.1:0")
		require.NotNil(t, s.(*TCPConn).Stack())
	})
}

func TestWrongEnvironmentFailsEveryCallAlike(t *testing.T) {
	withDefault(t, "tap:name=fast0,addr=10.77.0.2", func() {
		const why = "fastnet: FASTNET: addr=10.77.0.2: it has no prefix length: write an address with its prefix length, as 10.77.0.2/24"
		var err error
		fails := func(want string) {
			t.Helper()
			require.EqualError(t, err, want+why)
			require.IsType(t, &net.OpError{}, err)
		}
		for range 2 {
			_, err = Listen("tcp", ":0")
			fails("listen tcp: ")
			_, err = Dial("tcp", "127.0.0.1:80")
			fails("dial tcp: ")
			_, err = ListenPacket("udp", ":0")
			fails("listen udp: ")
			_, err = DialTCP("tcp", nil, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80})
			fails("dial tcp 127.0.0.1:80: ")
			_, err = DialUDP("udp", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80})
			fails("dial udp 127.0.0.1:80: ")
			_, err = ListenTCP("tcp", &net.TCPAddr{Port: 80})
			fails("listen tcp :80: ")
			_, err = ListenUDP("udp", nil)
			fails("listen udp: ")
			_, err = DialUnix("unix", nil, &net.UnixAddr{Name: "x"})
			fails("dial unix x: ")
		}
	})
}

func TestNetworksThatCannotBeSaySo(t *testing.T) {
	dev := newSpareWire(t)
	for want, cfg := range map[string]Config{
		"fastnet: a network is on one device: set one of Config.Device, Tap, ": {},
		"call RegisterDevice":                          {Wire: "nowhere"},
		"addr 127.0.0.1/8 is not an address of a host": {Device: dev, Addresses: prefixes("127.0.0.1/8")},
		"addr 0.0.0.0/0 is not an address of a host":   {Device: dev, Addresses: prefixes("0.0.0.0/0")},
		"is not in the subnet":                         {Device: dev, Addresses: prefixes("10.0.0.1/24"), Gateway: prefixes("10.1.0.1/24")[0].Addr()},
		"name a file that can be written":              {Device: dev, Addresses: prefixes("10.0.0.1/24"), Pcap: "/nonexistent/x.pcapng"},
	} {
		before := goroutines()
		_, err := New(cfg)
		require.ErrorContains(t, err, want)
		require.True(t, strings.HasPrefix(err.Error(), "fastnet: "), err)
		require.NotContains(t, err.Error(), "\n")
		noneLeft(t, before)
	}
}

func TestWhatOnlyTheKernelHasIsCountedAndLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	n, err := New(Config{
		Name: "lab", Device: newSpareWire(t), Addresses: prefixes("10.0.0.1/24"),
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	require.NoError(t, err)
	defer n.Close()
	path := filepath.Join(t.TempDir(), "socket")
	ln, err := n.Listen("unix", path)
	require.NoError(t, err)
	defer ln.Close()
	c, err := n.Dial("unix", path)
	require.NoError(t, err)
	require.NoError(t, c.Close())
	require.Equal(t, map[string]uint64{"unix": 2}, n.Stats().Fallbacks)
	require.Equal(t, 1, strings.Count(log.String(), "what=unix"), log.String())
	_, err = n.Listen("tcp5", ":0")
	require.Equal(t, net.UnknownNetworkError("tcp5"), err.(*net.OpError).Err)
	require.Len(t, n.Stats().Fallbacks, 1, "what package net refuses is no fallback")
}

func TestRequireRefusesWhatOnlyTheKernelHas(t *testing.T) {
	n, err := New(Config{Device: newSpareWire(t), Addresses: prefixes("10.0.0.1/24"), Require: true})
	require.NoError(t, err)
	defer n.Close()
	_, err = n.Listen("unix", filepath.Join(t.TempDir(), "socket"))
	require.ErrorContains(t, err, "require=true forbids that")
	require.IsType(t, &net.OpError{}, err)
	_, err = n.Dial("ip4:tcp", "10.0.0.1")
	require.ErrorContains(t, err, "require=true forbids that")
	_, err = n.Dial("tcp5", "10.0.0.1:80")
	require.Equal(t, net.UnknownNetworkError("tcp5"), err.(*net.OpError).Err)
}

// TestListenerInBothPlaces has loopback addresses with the kernel, as a network
// on a TAP device has them.
func TestListenerInBothPlaces(t *testing.T) {
	l := newLab(t, labConfig{change: func(c *Config) { c.Loopback = LoopbackKernel }})
	// Once it is closed the port is still nobody else's.
	port := quietPort(t)
	ln, err := l.server.Listen("tcp", fmt.Sprintf(":%d", port))
	require.NoError(t, err)
	accept := func() *TCPConn {
		t.Helper()
		c, err := ln.Accept()
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		return c.(*TCPConn)
	}
	dial := func(f func(network, address string) (net.Conn, error), ip string) net.Conn {
		t.Helper()
		c, err := f("tcp", fmt.Sprintf("%s:%d", ip, port))
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		return c
	}
	for range 3 {
		dial(net.Dial, "127.0.0.1") // another program of this machine
		require.Nil(t, accept().Stack())
		dial(l.client.Dial, serverIP) // a host on the wire
		require.NotNil(t, accept().Stack())
		c := dial(l.server.Dial, "127.0.0.1") // the server to itself, through the kernel
		require.Nil(t, c.(*TCPConn).Stack())
		require.Nil(t, accept().Stack())
		c = dial(l.server.Dial, serverIP) // the server to itself, through the stack
		require.NotNil(t, c.(*TCPConn).Stack())
		require.NotNil(t, accept().Stack())
	}

	// A port is taken in both places.
	_, err = l.server.Listen("tcp", fmt.Sprintf(":%d", port))
	require.ErrorContains(t, err, "bind: address already in use")
	_, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	require.Error(t, err)

	// Loopback only: in the kernel alone.
	k, err := l.server.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", quietPort(t)))
	require.NoError(t, err)
	require.Nil(t, k.(*TCPListener).Stack())
	u, err := l.server.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	require.Nil(t, u.(*UDPConn).Stack())
	require.NoError(t, u.Close())

	// The errors are one listener's.
	pending := make(chan error)
	go func() { pending <- errOf(ln.Accept()) }()
	require.NoError(t, ln.Close())
	err = <-pending
	require.EqualError(t, err, fmt.Sprintf("accept tcp [::]:%d: use of closed network connection", port))
	require.ErrorIs(t, err, net.ErrClosed)
	require.EqualError(t, ln.Close(), fmt.Sprintf("close tcp [::]:%d: use of closed network connection", port))
	_, err = net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	require.ErrorContains(t, err, "connection refused")

	// The network's Close closes those in the kernel too.
	ln2, err := l.server.Listen("tcp", ":0")
	require.NoError(t, err)
	go func() { pending <- errOf(ln2.Accept()) }()
	go func() { pending <- errOf(k.Accept()) }()
	require.NoError(t, l.server.Close())
	require.ErrorIs(t, <-pending, net.ErrClosed)
	require.ErrorIs(t, <-pending, net.ErrClosed)
	_, err = net.Dial("tcp", k.Addr().String())
	require.ErrorContains(t, err, "connection refused")
}

func TestPollerIsSharedAndEndsWithTheLastNetwork(t *testing.T) {
	before := goroutines()
	var ns []*Network
	for i := range 4 {
		n, err := New(Config{Device: newSpareWire(t), Addresses: prefixes(fmt.Sprintf("10.0.%d.1/24", i))})
		require.NoError(t, err)
		ns = append(ns, n)
	}
	pollers.Lock()
	total := pollers.shared.networks
	pollers.Unlock()
	require.Equal(t, 4, total)
	for _, n := range ns {
		require.NoError(t, n.Close())
	}
	require.Nil(t, pollers.shared)
	noneLeft(t, before)
}
