package stack

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/stack/header"
)

// IGMP: a host's part of version 3 (RFC 3376), and of version 2 (RFC 2236)
// while a router speaks that. One that speaks version 1 hears version 2.
const (
	igmpQuery    = 0x11
	igmpReportV2 = 0x16
	igmpLeaveV2  = 0x17
	igmpReportV3 = 0x22

	igmpLen   = 8  // of messages of version 2
	igmpLenV3 = 12 // the least of a query of version 3
	igmpTOS   = 0xc0
)

var (
	allRouters4 = netip.AddrFrom4([4]byte{224, 0, 0, 2})
	allIGMPv3   = netip.AddrFrom4([4]byte{224, 0, 0, 22})
)

// receiveIGMP handles a message (RFC 3376 section 4). Those that did not begin
// on the link are forged (section 9.1).
func (q *queue) receiveIGMP(p *nic.Packet, d *ipPacket, now time.Duration) {
	h, b := q.host, p.Bytes()
	if len(b) < igmpLen || header.Checksum(b, 0) != 0xffff || d.ttl != 1 || !d.dst.IsMulticast() || q.iface.loopback {
		h.drop(p, DropICMP)
		return
	}
	group := netip.AddrFrom4([4]byte(b[4:8]))
	if !group.IsMulticast() && !group.IsUnspecified() {
		h.drop(p, DropICMP)
		return
	}
	switch b[0] {
	case igmpQuery:
		older := len(b) < igmpLenV3
		limit := time.Duration(b[1]) * time.Second / 10
		switch {
		case older && b[1] == 0: // version 1
			limit = 10 * time.Second
		case !older:
			limit = time.Duration(floatCode(uint32(b[1]), 4)) * time.Second / 10
		}
		q.iface.groups.queried(group, limit, older, now)
	case igmpReportV2:
		q.iface.groups.overheard(group, now)
	}
	p.Release()
}

// floatCode is the value of a code with a mantissa of so many bits below an
// exponent of three bits and a bit that says that there is one (RFC 3376 section
// 4.1.1, RFC 3810 section 5.1.3).
func floatCode(code uint32, mantissa uint) uint32 {
	if code < 1<<(mantissa+3) {
		return code
	}
	exp := code >> mantissa & 7
	return (code&(1<<mantissa-1) | 1<<mantissa) << (exp + 3)
}

// report4 builds a report of a group: of version 3 to all routers that speak
// it, of version 2 to the group itself, or to all routers when it was left.
func (g *groups) report4(a netip.Addr, record uint8, older bool) *nic.Packet {
	const v3Len = 8 + 8
	group := a.As4()
	var b [v3Len]byte
	n, dst := v3Len, allIGMPv3
	switch {
	case !older:
		b[0], b[7] = igmpReportV3, 1 // one record
		b[8] = record
		copy(b[12:], group[:])
	case record == hasLeft:
		b[0], n, dst = igmpLeaveV2, igmpLen, allRouters4
		copy(b[4:], group[:])
	default:
		b[0], n, dst = igmpReportV2, igmpLen, a
		copy(b[4:], group[:])
	}
	binary.BigEndian.PutUint16(b[2:], ^header.Checksum(b[:n], 0))

	var src [4]byte // RFC 3376 section 4.2.13: 0.0.0.0 while there is no address
	for _, p := range g.iface.addresses() {
		if p.Addr().Is4() {
			src = p.Addr().As4()
			break
		}
	}
	const hl = header.IPv4MinLen + routerAlert
	pkt := g.iface.queues[0].dev.Alloc(header.EthernetLen + hl + n)
	if pkt == nil {
		return nil
	}
	f := pkt.Extend(header.EthernetLen + hl + n)
	mac, _ := header.MulticastMAC(dst)
	header.PutEthernet(f, mac, g.iface.hwAddr(), header.TypeIPv4)
	ip := header.IPv4(f[header.EthernetLen : header.EthernetLen+hl])
	fields := header.IPv4Fields{TotalLen: hl + n, DF: true, TTL: 1, TOS: igmpTOS, Protocol: header.ProtoIGMP, Src: src, Dst: dst.As4()}
	fields.Put(ip)
	ip[0] = 4<<4 | hl/4
	copy(ip[header.IPv4MinLen:], []byte{148, routerAlert, 0, 0})
	ip.UpdateChecksum()
	copy(f[header.EthernetLen+hl:], b[:n])
	return pkt
}
