package main

import (
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/examples/internal/wired"
)

func TestARequestGoesToFastnetAndBack(t *testing.T) {
	var out strings.Builder
	require.NoError(t, run("", &out))
	require.Equal(t, "for: 127.0.0.1, 10.77.0.1\nthrough: kernel to fastnet\nthrough: fastnet to kernel\n", out.String())
}

func TestAServerThatIsGoneIsABadGateway(t *testing.T) {
	log.SetOutput(io.Discard) // the proxy tells of it
	defer log.SetOutput(os.Stderr)
	client, err := wired.Client()
	require.NoError(t, err)
	c, url, err := start(client, "127.0.0.1:0")
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.servers[0].Close())
	resp, err := http.Get(url)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusBadGateway, resp.StatusCode)
}

func TestAnAddressInUseLeavesNothingBehind(t *testing.T) {
	client, err := wired.Client()
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	for range 2 {
		_, _, err = start(client, l.Addr().String())
		require.ErrorContains(t, err, "address already in use")
	}
}
