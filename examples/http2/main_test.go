package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/examples/internal/wired"
	"github.com/fastnet-go/fastnet/fastnet"
)

func TestDemo(t *testing.T) {
	client, err := wired.Client()
	require.NoError(t, err)
	var out strings.Builder
	require.NoError(t, demo(client, &out))
	require.Equal(t, `protocol: HTTP/2.0
100 requests at once, on 1 connection
a line -> A LINE
and another -> AND ANOTHER
`, out.String())
}

func TestOldClientsAreServedToo(t *testing.T) {
	client, err := wired.Client()
	require.NoError(t, err)
	l, err := fastnet.Listen("tcp", wired.ServerIP+":0")
	require.NoError(t, err)
	server := newServer("")
	go server.Serve(l)
	defer server.Close()
	transport := &http.Transport{DialContext: client.DialContext}
	defer transport.CloseIdleConnections()
	body, err := get(&http.Client{Transport: transport}, "http://"+l.Addr().String()+"/proto")
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1", body)
}
