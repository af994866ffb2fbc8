package stack

import (
	"time"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/stack/header"
)

// receive takes a frame from the device. q.mu is held; p is the stack's.
func (q *queue) receive(p *nic.Packet, now time.Duration) {
	if p.Next() != nil {
		if q.receiveSuper(p, now) {
			return
		}
		if p = q.host.linear(p); p == nil {
			return
		}
	}
	b := p.Bytes()
	if q.run.head != nil && q.continueRun(p, b) {
		return
	}
	if len(b) < header.EthernetLen {
		q.host.drop(p, DropShort)
		return
	}
	e := header.Ethernet(b)
	if dst := e.Dst(); !q.iface.loopback && dst != *q.iface.mac.Load() && dst[0]&1 == 0 {
		q.host.drop(p, DropNotForUs)
		return
	}
	q.group = b[0]&1 != 0
	q.frame, q.framePacket = b, p
	p.TrimFront(header.EthernetLen)
	switch e.Type() {
	case header.TypeIPv4:
		q.receiveIPv4(p, now)
	case header.TypeIPv6:
		q.receiveIPv6(p, now)
	case header.TypeARP:
		q.receiveARP(p, now)
	case header.TypeVLAN:
		q.receiveTagged(p, now)
	default:
		q.host.drop(p, DropEtherType)
	}
}

// linear copies a frame of several parts into one buffer: a device with small
// buffers received a jumbo frame. It returns nil, and p is released, if there is
// no memory.
func (h *Host) linear(p *nic.Packet) *nic.Packet {
	h.count.joined.Add(1)
	n := p.FrameLen()
	c := h.big.Get()
	if c == nil || n > c.Tailroom() {
		if c != nil {
			c.Release()
		}
		h.drop(p, DropNoBuffer)
		return nil
	}
	p.CopyTo(c.Extend(n), 0)
	c.Meta = p.Meta
	p.Release()
	return c
}

// datagram copies the parts of an IP packet into one packet of the host's.
func (h *Host) datagram(hdr, payload []byte) *nic.Packet {
	p := h.big.Get()
	if p == nil || len(hdr)+len(payload) > p.Tailroom() {
		if p != nil {
			p.Release()
		}
		h.count.drops[DropNoBuffer].Add(1)
		return nil
	}
	copy(p.Extend(len(hdr)), hdr)
	copy(p.Extend(len(payload)), payload)
	return p
}
