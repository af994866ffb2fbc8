package fastnet

import (
	"context"
	"net"
	"net/http/httptrace"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestDialTellsHTTPTraceOfItsAttempts: ConnectStart and ConnectDone come once
// for each address, and not for name resolution.
func TestDialTellsHTTPTraceOfItsAttempts(t *testing.T) {
	n, err := New(Config{LoopbackOnly: true})
	require.NoError(t, err)
	defer n.Close()
	l, err := n.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	shared := newLab(t, labConfig{change: func(c *Config) { c.Loopback = LoopbackKernel }}).client
	kernel, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer kernel.Close()
	_, port, _ := SplitHostPort(l.Addr().String())
	for _, tt := range []struct {
		name   string
		on     *Network
		addr   string
		events []string
	}{
		{"an address of the stack's", n, l.Addr().String(),
			[]string{"start tcp " + l.Addr().String(), "done tcp " + l.Addr().String() + " <nil>"}},
		{"a name", n, "localhost:" + port,
			[]string{"start tcp 127.0.0.1:" + port, "done tcp 127.0.0.1:" + port + " <nil>"}},
		{"nobody there", n, "127.0.0.1:1",
			[]string{"start tcp 127.0.0.1:1", "done tcp 127.0.0.1:1 dial tcp 127.0.0.1:1: connect: connection refused"}},
		{"an address of the kernel's", shared, kernel.Addr().String(),
			[]string{"start tcp " + kernel.Addr().String(), "done tcp " + kernel.Addr().String() + " <nil>"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var mu sync.Mutex
			var events []string
			note := func(e string) {
				mu.Lock()
				defer mu.Unlock()
				events = append(events, e)
			}
			ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
				ConnectStart: func(network, addr string) { note("start " + network + " " + addr) },
				ConnectDone: func(network, addr string, err error) {
					if err == nil {
						note("done " + network + " " + addr + " <nil>")
					} else {
						note("done " + network + " " + addr + " " + err.Error())
					}
				},
			})
			// One address after the other, however long one takes.
			d := Dialer{FallbackDelay: time.Hour}
			c, err := tt.on.DialWith(ctx, &d, "tcp", tt.addr)
			if err == nil {
				c.Close()
			}
			if tt.name == "a name" && len(events) == 4 {
				events = events[2:] // ::1 was tried before
			}
			require.Equal(t, tt.events, events)
		})
	}
}
