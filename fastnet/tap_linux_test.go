package fastnet

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/tap"
)

// tapNetwork makes a network on a TAP device as FASTNET would; x keeps the
// subnets of tests apart.
func tapNetwork(t *testing.T, x int, more string) (n *Network, kernelIP, ourIP string) {
	before := goroutines()
	if os.Getenv("FASTNET_TEST_VHOST") != "" { // compat_test/vm/run.sh sets it
		more += ",vhost=true"
	}
	kernelIP, ourIP = fmt.Sprintf("10.177.%d.1", x), fmt.Sprintf("10.177.%d.2", x)
	cfg, err := ParseConfig(fmt.Sprintf("tap:name=fntest%%d,addr=%s/24,host=%s/24,gw=%s%s", ourIP, kernelIP, kernelIP, more))
	require.NoError(t, err)
	n, err = New(cfg)
	if err != nil && (os.Geteuid() != 0 || os.IsNotExist(err)) {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, n.Close())
		noneLeft(t, before)
	})
	return n, kernelIP, ourIP
}

func TestTapServesTheKernelsClients(t *testing.T) {
	for i, more := range []string{"", ",offload=false"} {
		n, kernelIP, ourIP := tapNetwork(t, 10+i, more)
		ln, err := n.Listen("tcp", ":0")
		require.NoError(t, err)
		serve(t, ln, http.HandlerFunc(site))
		port := ln.Addr().(*net.TCPAddr).Port
		tr := &http.Transport{}
		defer tr.CloseIdleConnections()
		c := &http.Client{Transport: tr}
		big := strings.Repeat("0123456789abcdef", 1<<14)
		// Through the TAP, and by the kernel's loopback, to the same server.
		for _, ip := range []string{ourIP, "127.0.0.1", "[::1]"} {
			url := fmt.Sprintf("http://%s:%d/x", ip, port)
			require.Equal(t, "GET /x ", get(t, c, url))
			r, err := c.Post(url, "text/plain", strings.NewReader(big))
			require.NoError(t, err)
			require.Equal(t, int64(len("POST /x ")+3*len(big)), readLen(t, r))
		}

		// The other way.
		k, err := net.Listen("tcp", kernelIP+":0")
		require.NoError(t, err)
		serve(t, k, http.HandlerFunc(site))
		require.Equal(t, "GET /y ", get(t, client(t, n), "http://"+k.Addr().String()+"/y"))
		require.Empty(t, n.Stats().Fallbacks)
		require.NotZero(t, n.Stats().Device.RxPackets)
	}
}

func readLen(t *testing.T, r *http.Response) int64 {
	t.Helper()
	defer r.Body.Close()
	n, err := io.Copy(io.Discard, r.Body)
	require.NoError(t, err)
	return n
}

func TestTapWithoutTheKernelsLoopback(t *testing.T) {
	n, _, ourIP := tapNetwork(t, 20, ",loopback=stack")
	k, err := net.Listen("tcp", ":0") // the port in the kernel is another's
	require.NoError(t, err)
	defer k.Close()
	port := k.Addr().(*net.TCPAddr).Port
	ln, err := n.Listen("tcp", fmt.Sprintf(":%d", port))
	require.NoError(t, err)
	go echo(ln)
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	require.NoError(t, err)
	defer c.Close()
	s, err := k.Accept()
	require.NoError(t, err)
	defer s.Close()
	require.Equal(t, c.LocalAddr().String(), s.RemoteAddr().String())
	for _, ip := range []string{"127.0.0.1", ourIP} {
		c, err := n.Dial("tcp", fmt.Sprintf("%s:%d", ip, port))
		require.NoError(t, err)
		require.NotNil(t, c.(*TCPConn).Stack())
		write(t, c, "echo")
		says(t, c, "echo")
		require.NoError(t, c.Close())
	}
	require.NoError(t, ln.Close())
}

func TestTapUDP(t *testing.T) {
	n, _, ourIP := tapNetwork(t, 30, "")
	u, err := n.ListenUDP("udp", nil)
	require.NoError(t, err)
	defer u.Close()
	k, err := net.DialUDP("udp", nil, &net.UDPAddr{IP: net.ParseIP(ourIP), Port: u.LocalAddr().(*net.UDPAddr).Port})
	require.NoError(t, err)
	defer k.Close()
	_, err = k.Write([]byte("ping"))
	require.NoError(t, err)
	b := make([]byte, 16)
	m, from, err := u.ReadFromUDPAddrPort(b)
	require.NoError(t, err)
	_, err = u.WriteToUDPAddrPort(b[:m], from)
	require.NoError(t, err)
	m, err = k.Read(b)
	require.NoError(t, err)
	require.Equal(t, "ping", string(b[:m]))
}

func TestTapThatCannotBeSaysWhatToDo(t *testing.T) {
	_, err := New(Config{Tap: &tap.Config{Name: "much-too-long-for-linux"}, Addresses: prefixes("10.177.40.2/24")})
	require.ErrorContains(t, err, "fastnet: tap: ")
	require.NotContains(t, err.Error(), "\n")
}

// TestTapHasItsKernelTwinsIndex: what package net and x/net tell of the index is
// about the same wire.
func TestTapHasItsKernelTwinsIndex(t *testing.T) {
	n, _, _ := tapNetwork(t, 50, "")
	all, err := n.NetInterfaces()
	require.NoError(t, err)
	twin, err := net.InterfaceByName(all[1].Name)
	require.NoError(t, err)
	require.Equal(t, twin.Index, all[1].Index)
}
