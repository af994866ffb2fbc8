package stack

import (
	"time"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/stack/header"
)

// sendFragments sends a datagram that is larger than the MTU in several packets
// (RFC 791 section 3.2, RFC 8200 section 4.5). whole is what follows the IP
// header, id tells it from others. The error is errNoBuffer, or that of send.
func (p *path) sendFragments(proto uint8, whole []byte, id uint32, now time.Duration) error {
	v6 := p.dst.Is6()
	hl, ext := header.EthernetLen+header.IPv4MinLen, 0
	if v6 {
		hl, ext = header.EthernetLen+header.IPv6Len, header.IPv6FragmentLen
	}
	room := (p.mtu() - (hl - header.EthernetLen) - ext) &^ 7
	pkts := make([]*nic.Packet, 0, len(whole)/room+1)
	for off := 0; off < len(whole); off += room {
		part := whole[off:min(off+room, len(whole))]
		more := off+room < len(whole)
		pkt := p.q.dev.Alloc(hl + ext + len(part))
		if pkt == nil || pkt.Tailroom() < hl+ext+len(part) {
			if pkt != nil {
				pkts = append(pkts, pkt)
			}
			for _, pkt := range pkts {
				pkt.Release()
			}
			return errNoBuffer
		}
		f := pkt.Extend(hl + ext + len(part))
		p.header(f, proto, p.ttl(), p.tos)
		if v6 {
			ip := header.IPv6(f[header.EthernetLen:])
			ip.SetNextHeader(header.ProtoFragment)
			ip.SetPayloadLen(ext + len(part))
			header.PutIPv6Fragment(f[hl:], proto, off, more, id)
		} else {
			ip := header.IPv4(f[header.EthernetLen:hl])
			ip.SetTotalLen(len(ip) + len(part))
			ip.SetID(uint16(id))
			ip.SetFragment(false, more, off)
			ip.UpdateChecksum()
		}
		copy(f[hl+ext:], part)
		pkts = append(pkts, pkt)
	}
	p.iface.host.count.fragmentsOut.Add(uint64(len(pkts)))
	return p.send(pkts, now)
}
