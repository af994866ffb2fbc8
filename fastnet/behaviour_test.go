package fastnet

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAddressesHaveTheFormOfPackageNets(t *testing.T) {
	l := newLab(t, labConfig{})
	for _, c := range []struct {
		network, address string
		want             string
		bytes            int
	}{
		{"tcp", ":0", "::", 16}, {"tcp", "0.0.0.0:0", "::", 16}, {"tcp", "[::]:0", "::", 16},
		{"tcp4", ":0", "0.0.0.0", 4}, {"tcp6", ":0", "::", 16}, {"tcp", serverIP + ":0", serverIP, 4},
		{"tcp", "[" + serverIP6 + "]:0", serverIP6, 16}, {"tcp", "127.0.0.1:0", "127.0.0.1", 4}, {"tcp", "localhost:0", "127.0.0.1", 4},
	} {
		ln, err := l.server.Listen(c.network, c.address)
		require.NoError(t, err, c.address)
		a := ln.Addr().(*net.TCPAddr)
		require.Equal(t, c.want, a.IP.String(), c.address)
		require.Len(t, a.IP, c.bytes, c.address)
		require.NotZero(t, a.Port)
		require.NoError(t, ln.Close())
	}
}

func TestWildcardListenersTakeWhatTheirNetworkSays(t *testing.T) {
	l := newLab(t, labConfig{})
	for _, c := range []struct {
		network, address string
		takes4, takes6   bool
	}{
		{"tcp", ":0", true, true}, {"tcp", "0.0.0.0:0", true, true}, {"tcp", "[::]:0", true, true},
		{"tcp4", ":0", true, false}, {"tcp6", ":0", false, true}, {"tcp6", "[::]:0", false, true},
	} {
		ln, err := l.server.Listen(c.network, c.address)
		require.NoError(t, err)
		go echo(ln)
		port := fmt.Sprint(ln.Addr().(*net.TCPAddr).Port)
		for ip, takes := range map[string]bool{serverIP: c.takes4, serverIP6: c.takes6} {
			d, err := l.client.Dial("tcp", net.JoinHostPort(ip, port))
			require.Equal(t, takes, err == nil, "%s %s from %s: %v", c.network, c.address, ip, err)
			if err == nil {
				d.Close()
			} else {
				require.ErrorIs(t, err, syscall.ECONNREFUSED)
			}
		}
		ln.Close()
	}
}

func TestDialingAnUnspecifiedAddressReachesTheLocalSystem(t *testing.T) {
	l := newLab(t, labConfig{})
	ln, err := l.server.Listen("tcp", ":8080")
	require.NoError(t, err)
	defer ln.Close()
	go echo(ln)
	for address, want := range map[string]string{
		":8080": "127.0.0.1:8080", "0.0.0.0:8080": "127.0.0.1:8080", "[::]:8080": "[::1]:8080", "localhost:8080": "",
	} {
		c, err := l.server.Dial("tcp", address)
		require.NoError(t, err, address)
		if want != "" {
			require.Equal(t, want, c.RemoteAddr().String(), address)
		}
		require.NoError(t, c.Close())
	}
}

func TestHalfClose(t *testing.T) {
	l := newLab(t, labConfig{})
	c, s := l.connect(t, "tcp", serverIP+":0")
	atServer := readAll(s)
	_, err := c.Write([]byte("request"))
	require.NoError(t, err)
	require.NoError(t, c.CloseWrite())
	require.Equal(t, "request", <-atServer)
	atClient := readAll(c)
	_, err = s.Write([]byte("answer"))
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.Equal(t, "answer", <-atClient)
}

func TestReadFromAndWriteToCopyEverything(t *testing.T) {
	l := newLab(t, labConfig{})
	c, s := l.connect(t, "tcp", serverIP+":0")
	data := bytes.Repeat([]byte("fastnet"), 100_000)
	go func() {
		io.Copy(c, struct{ io.Reader }{bytes.NewReader(data)}) // by ReadFrom
		c.CloseWrite()
	}()
	var got bytes.Buffer
	n, err := io.Copy(&got, s) // by WriteTo
	require.NoError(t, err)
	require.Equal(t, int64(len(data)), n)
	require.True(t, bytes.Equal(data, got.Bytes()))
}

func TestBuffersAreWrittenInOrder(t *testing.T) {
	l := newLab(t, labConfig{})
	c, s := l.connect(t, "tcp", serverIP+":0")
	got := readAll(s)
	var want strings.Builder
	var v Buffers
	for i := range 300 {
		b := []byte(strings.Repeat(string(rune('a'+i%26)), i*7))
		want.Write(b)
		v = append(v, b)
	}
	n, err := v.WriteTo(c)
	require.NoError(t, err)
	require.Equal(t, int64(want.Len()), n)
	require.Empty(t, v)
	require.NoError(t, c.CloseWrite())
	require.True(t, <-got == want.String())

	v = Buffers{[]byte("x")}
	_, err = v.WriteTo(c)
	var op *net.OpError
	require.ErrorAs(t, err, &op)
	require.Equal(t, "writev", op.Op)
	require.ErrorIs(t, err, syscall.EPIPE)
	require.Len(t, v, 1)

	w := Buffers{[]byte("ab"), []byte("c")}
	b, err := io.ReadAll(&w)
	require.NoError(t, err)
	require.Equal(t, "abc", string(b))
}

func TestDatagramsKeepTheirBordersAndSources(t *testing.T) {
	l := newLab(t, labConfig{})
	s, err := l.server.ListenUDP("udp", nil)
	require.NoError(t, err)
	defer s.Close()
	port := s.LocalAddr().(*net.UDPAddr).Port
	b := make([]byte, 4)
	for _, ip := range []string{serverIP, serverIP6} {
		c, err := l.client.Dial("udp", net.JoinHostPort(ip, fmt.Sprint(port)))
		require.NoError(t, err)
		defer c.Close()
		local := c.LocalAddr().(*net.UDPAddr).AddrPort()

		_, err = c.Write(nil) // a datagram all the same
		require.NoError(t, err)
		n, from, err := s.ReadFrom(b)
		require.NoError(t, err)
		require.Zero(t, n)
		require.Equal(t, c.LocalAddr().String(), from.String())
		require.Len(t, from.(*net.UDPAddr).IP, 16, "the socket is one for IPv6")

		_, err = c.Write([]byte("too long"))
		require.NoError(t, err)
		n, ap, err := s.ReadFromUDPAddrPort(b)
		require.NoError(t, err)
		require.Equal(t, "too ", string(b[:n]))
		require.Equal(t, netip.AddrFrom16(local.Addr().As16()), ap.Addr(), "an IPv4 source is a mapped one")

		_, err = c.Write([]byte("too long"))
		require.NoError(t, err)
		_, oobn, flags, _, err := s.ReadMsgUDP(b, nil)
		require.NoError(t, err)
		require.Zero(t, oobn)
		require.Equal(t, msgTrunc, flags)

		n, err = s.WriteToUDPAddrPort([]byte("back"), ap)
		require.NoError(t, err)
		require.Equal(t, 4, n)
		n, err = c.Read(b)
		require.NoError(t, err)
		require.Equal(t, "back", string(b[:n]))
	}
}

func TestLargeDatagramsCrossInFragments(t *testing.T) {
	l := newLab(t, labConfig{})
	s, err := l.server.ListenUDP("udp", nil)
	require.NoError(t, err)
	defer s.Close()
	c, err := l.client.ListenUDP("udp4", nil)
	require.NoError(t, err)
	defer c.Close()
	for _, size := range []int{1472, 1473, 9000, 65507} {
		want := bytes.Repeat([]byte{byte(size)}, size)
		_, err = c.WriteTo(want, &net.UDPAddr{IP: net.ParseIP(serverIP), Port: s.LocalAddr().(*net.UDPAddr).Port})
		require.NoError(t, err, size)
		got := make([]byte, 65536)
		n, _, err := s.ReadFrom(got)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got[:n]), size)
	}
}

func TestDialerSetsTheSource(t *testing.T) {
	l := newLab(t, labConfig{})
	ln, err := l.server.Listen("tcp", ":0")
	require.NoError(t, err)
	defer ln.Close()
	port := ln.Addr().(*net.TCPAddr).Port
	d := &Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(clientIP), Port: 4321}}
	c, err := l.client.DialWith(t.Context(), d, "tcp", fmt.Sprintf("%s:%d", serverIP, port))
	require.NoError(t, err)
	defer c.Close()
	s, err := ln.Accept()
	require.NoError(t, err)
	defer s.Close()
	require.Equal(t, clientIP+":4321", s.RemoteAddr().String())

	// The port alone, too.
	d = &Dialer{LocalAddr: &net.TCPAddr{Port: 4322}}
	c, err = l.client.DialWith(t.Context(), d, "tcp", fmt.Sprintf("[%s]:%d", serverIP6, port))
	require.NoError(t, err)
	defer c.Close()
	require.Equal(t, fmt.Sprintf("[%s]:4322", clientIP6), c.LocalAddr().String())
}

func TestAddressWithoutARouteIsUnreachable(t *testing.T) {
	l := newLab(t, labConfig{})
	_, err := l.client.Dial("tcp", "192.0.2.1:80")
	require.EqualError(t, err, "dial tcp 192.0.2.1:80: connect: network is unreachable")
	_, err = l.client.Dial("udp", "192.0.2.1:80")
	require.EqualError(t, err, "dial udp 192.0.2.1:80: connect: network is unreachable")
	u, err := l.client.ListenUDP("udp4", nil)
	require.NoError(t, err)
	defer u.Close()
	_, err = u.WriteTo([]byte("x"), &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80})
	require.ErrorIs(t, err, syscall.ENETUNREACH)
	require.ErrorContains(t, err, "sendto: network is unreachable")
}

func TestCloseOfTheNetworkEndsItsSockets(t *testing.T) {
	l := newLab(t, labConfig{})
	n := l.server
	c, s := l.connect(t, "tcp", serverIP+":0")
	ln, err := n.Listen("tcp", ":0")
	require.NoError(t, err)
	u, err := n.ListenUDP("udp", nil)
	require.NoError(t, err)
	ended := make(chan error, 3)
	go func() { ended <- errOf(ln.Accept()) }()
	go func() { ended <- errOf(s.Read(make([]byte, 1))) }()
	go func() { ended <- errOf(u.Read(make([]byte, 1))) }()
	time.Sleep(20 * time.Millisecond)
	require.NoError(t, n.Close())
	for range 3 {
		require.ErrorIs(t, <-ended, net.ErrClosed)
	}
	require.ErrorIs(t, errOf(s.Write([]byte("x"))), net.ErrClosed)
	require.ErrorIs(t, errOf(n.Listen("tcp", ":0")), net.ErrClosed)
	require.ErrorIs(t, errOf(n.Dial("tcp", clientIP+":80")), net.ErrClosed)
	require.ErrorIs(t, errOf(n.ListenPacket("udp", ":0")), net.ErrClosed)
	require.ErrorIs(t, errOf(n.Dial("udp", clientIP+":80")), net.ErrClosed)
	require.ErrorIs(t, n.Close(), net.ErrClosed)
	require.ErrorIs(t, errOf(c.Read(make([]byte, 1))), syscall.ECONNRESET, "the peer is told")
}
