package netstack

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/waiter"
)

// Ping sends one echo request with size bytes of data and waits for its reply,
// which must carry the same data.
func (h *Host) Ping(ctx context.Context, to netip.Addr, size int) error {
	protocol, echoRequest, echoReply := header.ICMPv4ProtocolNumber, byte(header.ICMPv4Echo), byte(header.ICMPv4EchoReply)
	if to.Is6() {
		protocol, echoRequest, echoReply = header.ICMPv6ProtocolNumber, byte(header.ICMPv6EchoRequest), byte(header.ICMPv6EchoReply)
	}
	var queue waiter.Queue
	ep, terr := h.stack.NewEndpoint(protocol, protocolOf(to), &queue)
	if terr != nil {
		return fmt.Errorf("netstack: ping %v: %v", to, terr)
	}
	defer ep.Close()
	entry, ready := waiter.NewChannelEntry(waiter.ReadableEvents)
	queue.EventRegister(&entry)
	defer queue.EventUnregister(&entry)

	// Type, code, checksum and identifier, which the endpoint fills in, and a
	// sequence number (RFC 792; RFC 4443 section 4.1).
	const headerLen = 8
	request := make([]byte, headerLen+size)
	request[0] = echoRequest
	binary.BigEndian.PutUint16(request[6:], 1)
	for i := range request[headerLen:] {
		request[headerLen+i] = byte(i * 3)
	}
	destination := fullAddress(netip.AddrPortFrom(to, 0))
	if _, terr := ep.Write(bytes.NewReader(request), tcpip.WriteOptions{To: &destination}); terr != nil {
		return fmt.Errorf("netstack: ping %v: %v", to, terr)
	}
	for {
		select {
		case <-ready:
		case <-ctx.Done():
			return fmt.Errorf("netstack: ping %v: %w", to, ctx.Err())
		}
		var reply bytes.Buffer
		_, terr := ep.Read(&reply, tcpip.ReadOptions{})
		if _, none := terr.(*tcpip.ErrWouldBlock); none {
			continue
		}
		if terr != nil {
			return fmt.Errorf("netstack: ping %v: %v", to, terr)
		}
		b := reply.Bytes()
		if len(b) != len(request) || b[0] != echoReply || !bytes.Equal(b[headerLen:], request[headerLen:]) {
			return fmt.Errorf("netstack: ping %v: the reply of %d bytes, type %d, does not match the request", to, len(b), b[0])
		}
		return nil
	}
}
