package main

import (
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
	require.Equal(t, "tcp 10.77.0.2:7: hello over tcp\nudp 10.77.0.2:7: hello over udp\n", out.String())
	require.Empty(t, client.Stats().Fallbacks)
}

func TestMuchIsEchoedToo(t *testing.T) {
	client, err := wired.Client()
	require.NoError(t, err)
	l, p, err := listen(wired.ServerIP + ":0")
	require.NoError(t, err)
	defer l.Close()
	defer p.Close()
	go echoStreams(l)
	go echoPackets(p)
	for network, text := range map[string]string{
		"tcp": strings.Repeat("0123456789", 1<<18),
		"udp": strings.Repeat("0123456789", 6500), // 45 fragments
	} {
		c, err := client.Dial(network, l.Addr().String())
		require.NoError(t, err)
		answer, err := ask(c, text)
		require.NoError(t, err, network)
		require.True(t, answer == text, network)
		require.NoError(t, c.Close())
	}
}

func TestAnAddressOfNobodysIsAnError(t *testing.T) {
	_, err := wired.Client()
	require.NoError(t, err)
	require.ErrorContains(t, serve("192.0.2.1:7"), "listen tcp 192.0.2.1:7: bind: ")
}
