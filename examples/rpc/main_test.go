package main

import (
	"net/rpc"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/examples/internal/wired"
)

func TestDemo(t *testing.T) {
	client, err := wired.Client()
	require.NoError(t, err)
	var out strings.Builder
	require.NoError(t, demo(client, &out))
	require.Equal(t, "17 * 8 = 136\n17 / 8 = 2, remainder 1\n17 / 0: division by zero\n", out.String())
}

func TestACallAfterTheServersEndFails(t *testing.T) {
	client, err := wired.Client()
	require.NoError(t, err)
	l, err := listen(wired.ServerIP + ":0")
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- serveCalls(l) }()
	c, err := client.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	caller := rpc.NewClient(c)
	require.ErrorContains(t, caller.Call("Arith.Nothing", 1, nil), "can't find method")
	require.NoError(t, l.Close())
	require.ErrorContains(t, <-ended, "use of closed network connection")
	_, err = client.Dial("tcp", l.Addr().String())
	require.ErrorContains(t, err, "connection refused")
	var product int
	require.NoError(t, caller.Call("Arith.Multiply", Args{2, 3}, &product), "open connections go on")
	require.Equal(t, 6, product)
	require.NoError(t, caller.Close())
}
