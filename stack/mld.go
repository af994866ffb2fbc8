package stack

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/stack/header"
)

// MLD: a host's part of version 2 (RFC 3810), and of version 1 (RFC 2710) while
// a router speaks that.
const (
	mldLen   = 24 // of messages of version 1
	mldLenV2 = 28 // the least of a query of version 2
)

var (
	allRouters6 = netip.IPv6LinkLocalAllRouters()
	allMLDv2    = netip.AddrFrom16([16]byte{0: 0xff, 1: 2, 15: 22})
)

// receiveMLD handles a message and reports whether it was acceptable: it must
// come from the link itself (RFC 3810 sections 5.1.14 and 6.2).
func (q *queue) receiveMLD(m header.ICMPv6, d *ipPacket, now time.Duration) bool {
	if len(m) < mldLen || d.ttl != 1 || !d.src.IsLinkLocalUnicast() || q.iface.loopback {
		return false
	}
	group := netip.AddrFrom16([16]byte(m[8:24]))
	if !group.IsMulticast() && !group.IsUnspecified() {
		return false
	}
	switch m.Type() {
	case header.ICMPv6MulticastQuery:
		older := len(m) < mldLenV2
		limit := uint32(binary.BigEndian.Uint16(m[4:6]))
		if !older {
			limit = floatCode(limit, 12)
		}
		q.iface.groups.queried(group, time.Duration(limit)*time.Millisecond, older, now)
	case header.ICMPv6MulticastReport:
		q.iface.groups.overheard(group, now)
	}
	return true
}

// report6 builds a report of a group, as report4 does.
func (g *groups) report6(a netip.Addr, record uint8, older bool) *nic.Packet {
	const recordLen = 4 + 16
	group := a.As16()
	var body [recordLen]byte
	typ, rest, n, dst := uint8(header.ICMPv6MulticastReportV2), uint32(1), recordLen, allMLDv2
	switch {
	case !older:
		body[0] = record
		copy(body[4:], group[:])
	case record == hasLeft:
		typ, rest, n, dst = header.ICMPv6MulticastDone, 0, 16, allRouters6
		copy(body[:], group[:])
	default:
		typ, rest, n, dst = header.ICMPv6MulticastReport, 0, 16, a
		copy(body[:], group[:])
	}
	src := netip.IPv6Unspecified()
	for _, p := range g.iface.addresses() {
		if p.Addr().IsLinkLocalUnicast() && p.Addr().Is6() {
			src = p.Addr()
			break
		}
	}
	const ext = 8
	size := header.EthernetLen + header.IPv6Len + ext + header.ICMPv6Len + n
	pkt := g.iface.queues[0].dev.Alloc(size)
	if pkt == nil {
		return nil
	}
	f := pkt.Extend(size)
	mac, _ := header.MulticastMAC(dst)
	header.PutEthernet(f, mac, g.iface.hwAddr(), header.TypeIPv6)
	fields := header.IPv6Fields{
		PayloadLen: ext + header.ICMPv6Len + n, NextHeader: header.ProtoHopByHop, HopLimit: 1, Src: src.As16(), Dst: dst.As16(),
	}
	fields.Put(f[header.EthernetLen:])
	// Router Alert for MLD (RFC 2711), and two bytes of padding.
	h := f[header.EthernetLen+header.IPv6Len:]
	copy(h, []byte{header.ProtoICMPv6, 0, 5, 2, 0, 0, 1, 0})
	header.PutICMPv6(h[ext:], src.As16(), dst.As16(), typ, 0, rest, body[:n])
	return pkt
}
