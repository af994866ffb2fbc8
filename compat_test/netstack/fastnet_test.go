package netstack

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/fastnet"
	"github.com/fastnet-go/fastnet/nic"
)

// fastnetEnd is ours.
type fastnetEnd struct {
	*fastnet.Network
	device nic.Device
}

func newFastnetEnd(t *testing.T, dev nic.Device, addresses []netip.Prefix, now func() time.Duration) end {
	n, err := fastnet.New(fastnet.Config{Device: dev, Addresses: addresses, Clock: now})
	require.NoError(t, err)
	return fastnetEnd{n, dev}
}

func (e fastnetEnd) listen(t *testing.T, on netip.AddrPort) net.Listener {
	l, err := e.Listen("tcp", on.String())
	require.NoError(t, err)
	return l
}

func (e fastnetEnd) dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	return e.DialContext(ctx, "tcp", to.String())
}

func (e fastnetEnd) listenPacket(on netip.AddrPort) (net.PacketConn, error) {
	return e.ListenPacket("udp", on.String())
}

func (e fastnetEnd) dialPacket(to netip.AddrPort) (net.Conn, error) {
	return e.Dial("udp", to.String())
}

func (e fastnetEnd) close(t *testing.T) {
	require.NoError(t, e.Close())
	require.NoError(t, e.device.Close())
}
