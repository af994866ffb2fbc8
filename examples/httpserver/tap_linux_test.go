package main

import (
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestServerOnATap runs itself again in a network namespace, which the
// machine's own interfaces and addresses are not in.
func TestServerOnATap(t *testing.T) {
	const within = "HTTPSERVER_TEST_NAMESPACE"
	if os.Getenv(within) == "" {
		if os.Geteuid() != 0 {
			t.Skip("creating network namespaces and TAP interfaces needs root")
		}
		if _, err := os.Stat("/dev/net/tun"); err != nil {
			t.Skipf("no TAP interfaces here: %v", err)
		}
		again(t, within, &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET})
		return
	}
	url, stop := start(t, options{nic: "tap", port: 8080})
	require.Equal(t, "http://10.77.0.2:8080/", url)
	client := &http.Client{Transport: new(http.Transport), Timeout: patience}
	_, body := get(t, client, url+"hello")
	require.Contains(t, body, "Hello 10.77.0.1:")
	_, err := net.InterfaceByName(tapName)
	require.NoError(t, err)
	client.CloseIdleConnections()
	stop()
	_, err = net.InterfaceByName(tapName)
	require.Error(t, err, "the interface is left")
}
