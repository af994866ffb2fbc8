package main

import (
	"io"
	"log"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/examples/internal/wired"
)

func TestDemo(t *testing.T) {
	log.SetOutput(io.Discard) // the server tells of the client that mistrusts it
	defer log.SetOutput(os.Stderr)
	client, err := wired.Client()
	require.NoError(t, err)
	var out strings.Builder
	require.NoError(t, demo(client, &out))
	first, second, _ := strings.Cut(out.String(), "\n")
	require.Contains(t, first, "hello over TLS 1.3 with TLS_")
	require.Contains(t, second, "without the certificate: Get \"https://10.77.0.2/\": tls: failed to verify certificate: x509: ")
	require.Empty(t, client.Stats().Fallbacks)
}

func TestAnAddressWithoutAPortIsAnError(t *testing.T) {
	require.ErrorContains(t, serve("10.77.0.2"), "missing port in address")
}
