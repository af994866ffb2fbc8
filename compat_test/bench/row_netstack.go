package main

import (
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/nested"
	"gvisor.dev/gvisor/pkg/tcpip/link/pipe"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// netstackTransport joins two of gVisor's stacks by its own pipe, which hands
// a packet over within the sender's call: no link header, neighbour or queue,
// so this is netstack at its best, with checksums computed and verified.
type netstackTransport struct {
	server, client *stack.Stack
	packets        atomic.Uint64
}

const (
	netstackMTU = 1500
	netstackNIC = tcpip.NICID(1)
)

var (
	netstackServer = netip.MustParseAddrPort("10.0.0.1:80")
	netstackClient = netip.MustParseAddr("10.0.0.2")
)

func openNetstack() (Transport, error) {
	t := &netstackTransport{}
	a, b := pipe.New("\x02\x00\x00\x00\x00\x01", "\x02\x00\x00\x00\x00\x02", netstackMTU)
	var err error
	if t.server, err = newNetstack(countPackets(a, &t.packets), netstackServer.Addr()); err != nil {
		return nil, err
	}
	if t.client, err = newNetstack(countPackets(b, &t.packets), netstackClient); err != nil {
		return nil, err
	}
	return t, nil
}

func newNetstack(link stack.LinkEndpoint, addr netip.Addr) (*stack.Stack, error) {
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol},
	})
	// SACK is off and the buffers are small unless asked for: give it what
	// programs that embed netstack give it.
	sack := tcpip.TCPSACKEnabled(true)
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: 1 << 20, Max: 8 << 20}
	send := tcpip.TCPSendBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: 1 << 20, Max: 8 << 20}
	for _, o := range []tcpip.SettableTransportProtocolOption{&sack, &receive, &send} {
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, o); err != nil {
			return nil, fmt.Errorf("netstack: setting %T: %v", o, err)
		}
	}
	if err := s.CreateNIC(netstackNIC, link); err != nil {
		return nil, fmt.Errorf("netstack: creating the interface: %v", err)
	}
	protocolAddress := tcpip.ProtocolAddress{
		Protocol: ipv4.ProtocolNumber,
		AddressWithPrefix: tcpip.AddressWithPrefix{
			Address:   tcpip.AddrFromSlice(addr.AsSlice()),
			PrefixLen: 24,
		},
	}
	if err := s.AddProtocolAddress(netstackNIC, protocolAddress, stack.AddressProperties{}); err != nil {
		return nil, fmt.Errorf("netstack: adding the address: %v", err)
	}
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: netstackNIC}})
	return s, nil
}

func netstackServerAddress() tcpip.FullAddress {
	return tcpip.FullAddress{
		NIC:  netstackNIC,
		Addr: tcpip.AddrFromSlice(netstackServer.Addr().AsSlice()),
		Port: netstackServer.Port(),
	}
}

func (t *netstackTransport) Listen() (net.Listener, error) {
	l, err := gonet.ListenTCP(t.server, netstackServerAddress(), ipv4.ProtocolNumber)
	if err != nil {
		return nil, err
	}
	return netstackListener{l}, nil
}

// netstackListener ends a waiting Accept when it is closed, as package net
// promises and gonet's Close alone does not do.
type netstackListener struct{ *gonet.TCPListener }

func (l netstackListener) Close() error {
	l.Shutdown()
	return l.TCPListener.Close()
}

func (t *netstackTransport) Dial() (net.Conn, error) {
	c, err := gonet.DialTCP(t.client, netstackServerAddress(), ipv4.ProtocolNumber)
	if err != nil {
		return nil, err // not c: a nil *gonet.TCPConn is not a nil net.Conn
	}
	return c, nil
}

func (t *netstackTransport) Packets() uint64 { return t.packets.Load() }

func (t *netstackTransport) Close() error {
	t.client.Close()
	t.server.Close()
	return nil
}

// packetCounter counts what is written through an endpoint.
type packetCounter struct {
	nested.Endpoint
	packets *atomic.Uint64
}

func countPackets(child stack.LinkEndpoint, packets *atomic.Uint64) stack.LinkEndpoint {
	c := &packetCounter{packets: packets}
	c.Init(child, &c.Endpoint)
	return c
}

func (c *packetCounter) WritePackets(list stack.PacketBufferList) (int, tcpip.Error) {
	c.packets.Add(uint64(list.Len()))
	return c.Endpoint.WritePackets(list)
}
