package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/fastnet-go/fastnet/fastnet"
	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/wire"
)

// fastnetTransport is two hosts of ours at the ends of a wire, everything but
// the wire's settings left at its default.
type fastnetTransport struct {
	wire           *wire.Wire
	server, client *fastnet.Network
}

var (
	fastnetServer = netip.MustParsePrefix("10.0.0.1/24")
	fastnetClient = netip.MustParsePrefix("10.0.0.2/24")
)

// fastnetAddress is where the server listens.
const fastnetAddress = "10.0.0.1:80"

func openFastnet(cfg wire.Config) func() (Transport, error) {
	return func() (Transport, error) {
		w, err := wire.New(cfg)
		if err != nil {
			return nil, err
		}
		t := &fastnetTransport{wire: w}
		if t.server, err = fastnet.New(fastnet.Config{Device: w.Port(0), Addresses: []netip.Prefix{fastnetServer}}); err != nil {
			return nil, err
		}
		if t.client, err = fastnet.New(fastnet.Config{Device: w.Port(1), Addresses: []netip.Prefix{fastnetClient}}); err != nil {
			return nil, errors.Join(err, t.server.Close())
		}
		return t, nil
	}
}

func (t *fastnetTransport) Listen() (net.Listener, error) {
	return t.server.Listen("tcp", fastnetAddress)
}
func (t *fastnetTransport) Dial() (net.Conn, error) { return t.client.Dial("tcp", fastnetAddress) }

func (t *fastnetTransport) Packets() uint64 {
	return nic.DeviceStats(t.wire.Port(0)).TxPackets + nic.DeviceStats(t.wire.Port(1)).TxPackets
}

// Close fails if a packet is lost track of.
func (t *fastnetTransport) Close() error {
	err := errors.Join(t.client.Close(), t.server.Close(), t.wire.Port(0).Close(), t.wire.Port(1).Close())
	if n := t.wire.InUse(); n > 0 && err == nil {
		err = fmt.Errorf("%d packets still in use after both ends closed", n)
	}
	return err
}
