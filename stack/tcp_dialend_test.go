package stack

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/wire"
)

// The answer to the SYN may come after the context's end was noted, and before
// the goroutine that dials has seen it.
func TestDialThatEndedDoesNotSucceedAfterwards(t *testing.T) {
	p := newPair(t, wire.Config{})
	l, err := p.a.ListenTCP(addrPort("10.0.0.1:80"), ListenOptions{})
	require.NoError(t, err)
	defer l.Close()
	c, err := p.b.StartDialTCP(netip.AddrPort{}, addrPort("10.0.0.1:80"), TCPOptions{})
	require.NoError(t, err)
	defer c.Close()
	require.Eventually(t, func() bool { return c.ConnectStatus() == nil }, patience, time.Millisecond)
	c.lock()
	c.dialEnded, c.sendErr = true, context.Canceled
	c.unlock()
	require.Equal(t, context.Canceled, c.awaitConnect())
}
