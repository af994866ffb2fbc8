package stack

import (
	"time"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/stack/header"
	"github.com/fastnet-go/fastnet/stack/tcp"
)

// receiveSuper takes a TCP segment that a device delivers in several parts: one
// that it joined of many, with all headers in the first part. It reports false,
// with nothing done, for everything else in parts, and for what only the general
// path can judge.
func (q *queue) receiveSuper(p *nic.Packet, now time.Duration) bool {
	b := p.Bytes()
	if p.Checksum == nic.ChecksumNone || len(b) < header.EthernetLen+header.IPv4MinLen {
		return false
	}
	e, ip := header.Ethernet(b), b[header.EthernetLen:]
	if !q.iface.loopback && e.Dst() != *q.iface.mac.Load() {
		return false
	}
	length := p.FrameLen() - header.EthernetLen
	var k tuple
	var hl int
	switch {
	case e.Type() == header.TypeIPv4 && ip[0] == 4<<4|header.IPv4MinLen/4:
		h := header.IPv4(ip[:header.IPv4MinLen])
		if h.Protocol() != header.ProtoTCP || h.IsFragment() || h.TotalLen() != length || !h.ChecksumOK() ||
			!q.iface.loopback && (h.Src()[0] == 127 || h.Dst()[0] == 127) {
			return false
		}
		hl, k = header.IPv4MinLen, tuple{local: addr4(h.Dst()), remote: addr4(h.Src())}
	case e.Type() == header.TypeIPv6 && ip[0]>>4 == 6 && len(ip) >= header.IPv6Len:
		h := header.IPv6(ip[:header.IPv6Len])
		if h.NextHeader() != header.ProtoTCP || header.IPv6Len+h.PayloadLen() != length ||
			h.SrcAddr().IsLinkLocalUnicast() || q.martian6(h.SrcAddr(), h.DstAddr()) {
			return false
		}
		hl, k = header.IPv6Len, tuple{local: addr16(h.Dst()), remote: addr16(h.Src())}
	default:
		return false
	}
	if _, _, err := header.ParseTCP(ip[hl:]); err != nil || q.host.flows.lookup(k.withPorts(ip[hl:])) == nil {
		return false
	}
	p.TrimFront(header.EthernetLen + hl)
	q.receiveTCP(p, &k, 0, now)
	return true
}

// withPorts fills in the ports of a received TCP header.
func (k *tuple) withPorts(b []byte) *tuple {
	k.remotePort = header.TCP(b).SrcPort()
	k.localPort = header.TCP(b).DstPort()
	return k
}

// inputSuper hands a segment in parts to the state machine, each part as a
// segment of its own, and keeps their bytes where they are. seg is what the
// headers say, with the first part's payload. The lock is held.
func (c *TCPConn) inputSuper(p *nic.Packet, seg *tcp.Segment, hdrLen int, now time.Duration) {
	const atEnd = header.TCPFlagFIN | header.TCPFlagPSH
	flags := seg.Flags
	for p != nil {
		rest := p.Split()
		seg.Payload = p.Bytes()[hdrLen:]
		seg.Flags = flags
		if rest != nil {
			seg.Flags &^= atEnd
		}
		n := len(seg.Payload)
		c.inputSegment(p, seg, hdrLen, now)
		seg.Seq = seg.Seq.Add(n)
		p, hdrLen = rest, 0
	}
}
