package stack

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/stack/header"
	"github.com/fastnet-go/fastnet/stack/tcp"
)

// frame is an Ethernet frame, parsed.
type frame struct {
	bytes    []byte
	typ      uint16
	src, dst netip.Addr
	proto    uint8
	ttl      uint8
	ip       []byte // from the IP header on
	payload  []byte // of IP
	header.TCP
	opts    header.TCPOptions
	data    []byte // of TCP or UDP
	srcPort uint16
	dstPort uint16
}

// parseFrame parses a frame of the host's and checks its checksums.
func parseFrame(t testing.TB, b []byte) frame {
	t.Helper()
	f := frame{bytes: b, typ: header.Ethernet(b).Type()}
	f.ip = b[header.EthernetLen:]
	var sum uint16
	fragment := false
	switch f.typ {
	case header.TypeIPv4:
		ip, payload, err := header.ParseIPv4(f.ip)
		require.NoError(t, err)
		require.True(t, ip.ChecksumOK())
		f.src, f.dst, f.proto, f.payload, f.ttl = ip.SrcAddr(), ip.DstAddr(), ip.Protocol(), payload, ip.TTL()
		sum, fragment = ip.PseudoSum(len(payload)), ip.IsFragment()
	case header.TypeIPv6:
		ip, payload, err := header.ParseIPv6(f.ip)
		require.NoError(t, err)
		f.src, f.dst, f.proto, f.payload, f.ttl = ip.SrcAddr(), ip.DstAddr(), ip.NextHeader(), payload, ip.HopLimit()
		sum = ip.PseudoSum(f.proto, len(payload))
	default:
		return f
	}
	if fragment {
		return f
	}
	switch f.proto {
	case header.ProtoTCP:
		require.EqualValues(t, 0xffff, header.Checksum(f.payload, sum), "TCP checksum")
		var err error
		f.TCP, f.data, err = header.ParseTCP(f.payload)
		require.NoError(t, err)
		require.NoError(t, header.ParseTCPOptions(f.OptionBytes(), &f.opts))
		f.srcPort, f.dstPort = f.SrcPort(), f.DstPort()
	case header.ProtoUDP:
		u, err := header.ParseUDP(f.payload)
		require.NoError(t, err)
		require.True(t, u.ChecksumOK(sum), "UDP checksum")
		f.srcPort, f.dstPort, f.data = u.SrcPort(), u.DstPort(), u.Payload()
	case header.ProtoICMP:
		require.True(t, header.ICMPv4(f.payload).ChecksumOK(), "ICMP checksum")
	case header.ProtoICMPv6:
		require.True(t, header.ICMPv6(f.payload).ChecksumOK(f.src.As16(), f.dst.As16()), "ICMPv6 checksum")
	}
	return f
}

// eth makes a frame for the host.
func (l *lab) eth(typ uint16, payload []byte) []byte {
	b := make([]byte, header.EthernetLen+len(payload))
	header.PutEthernet(b, l.mac, l.peer, typ)
	copy(b[header.EthernetLen:], payload)
	return b
}

func (l *lab) arp(op uint16, senderMAC [6]byte, sender netip.Addr, targetMAC [6]byte, target netip.Addr) []byte {
	b := make([]byte, header.ARPLen)
	header.PutARP(b, op, senderMAC, sender, targetMAC, target)
	return l.eth(header.TypeARP, b)
}

func (l *lab) advertisement(target, dst netip.Addr, flags uint8, link *[6]byte) []byte {
	b := make([]byte, ndLen)
	n := header.PutNeighborAdvertisement(b, target.As16(), dst.As16(), target.As16(), flags, link)
	return l.ip6(header.IPv6Fields{NextHeader: header.ProtoICMPv6, HopLimit: 255, Src: target.As16(), Dst: dst.As16()}, b[:n])
}

// ip4 makes a frame with an IPv4 packet. Zero fields take the obvious value.
func (l *lab) ip4(f header.IPv4Fields, payload []byte) []byte {
	setDefault(&f.Src, ip4Peer.As4())
	setDefault(&f.Dst, ip4Host.As4())
	setDefault(&f.TTL, 64)
	setDefault(&f.TotalLen, header.IPv4MinLen+len(payload))
	b := make([]byte, header.IPv4MinLen+len(payload))
	f.Put(b)
	copy(b[header.IPv4MinLen:], payload)
	return l.eth(header.TypeIPv4, b)
}

func (l *lab) ip6(f header.IPv6Fields, payload []byte) []byte {
	setDefault(&f.Src, ip6Peer.As16())
	setDefault(&f.Dst, ip6Host.As16())
	setDefault(&f.HopLimit, 64)
	setDefault(&f.PayloadLen, len(payload))
	b := make([]byte, header.IPv6Len+len(payload))
	f.Put(b)
	copy(b[header.IPv6Len:], payload)
	return l.eth(header.TypeIPv6, b)
}

// packet makes a frame with an IP packet of either family.
func (l *lab) packet(src, dst netip.Addr, proto uint8, payload []byte) []byte {
	if src.Is4() {
		return l.ip4(header.IPv4Fields{Src: src.As4(), Dst: dst.As4(), Protocol: proto}, payload)
	}
	return l.ip6(header.IPv6Fields{Src: src.As16(), Dst: dst.As16(), NextHeader: proto}, payload)
}

func pseudoSum(src, dst netip.Addr, proto uint8, n int) uint16 {
	if src.Is4() {
		return header.PseudoSum4(src.As4(), dst.As4(), proto, n)
	}
	return header.PseudoSum6(src.As16(), dst.As16(), proto, n)
}

// udpBytes makes a UDP datagram.
func udpBytes(src, dst netip.AddrPort, data []byte) []byte {
	b := make([]byte, header.UDPLen+len(data))
	sum := header.CopyChecksum(b[header.UDPLen:], data, pseudoSum(src.Addr(), dst.Addr(), header.ProtoUDP, len(b)))
	header.PutUDP(b, src.Port(), dst.Port(), len(b), sum)
	return b
}

// udp makes a frame with a UDP datagram.
func (l *lab) udp(src, dst netip.AddrPort, data []byte) []byte {
	return l.packet(src.Addr(), dst.Addr(), header.ProtoUDP, udpBytes(src, dst, data))
}

// tcpBytes makes a TCP segment.
func tcpBytes(src, dst netip.AddrPort, seg tcp.Segment) []byte {
	if seg.Options == (header.TCPOptions{}) {
		seg.Options.Reset()
	}
	n := seg.Options.Len()
	b := make([]byte, header.TCPMinLen+n+len(seg.Payload))
	f := header.TCPFields{SrcPort: src.Port(), DstPort: dst.Port(), Seq: uint32(seg.Seq), Ack: uint32(seg.Ack), Flags: seg.Flags, Window: seg.Window}
	f.Put(b, n)
	seg.Options.Put(b[header.TCPMinLen:])
	copy(b[header.TCPMinLen+n:], seg.Payload)
	sum := pseudoSum(src.Addr(), dst.Addr(), header.ProtoTCP, len(b))
	header.TCP(b).SetChecksum(^header.Checksum(b, sum))
	return b
}

// segment makes a frame with a TCP segment.
func (l *lab) segment(src, dst netip.AddrPort, seg tcp.Segment) []byte {
	return l.packet(src.Addr(), dst.Addr(), header.ProtoTCP, tcpBytes(src, dst, seg))
}

// icmp makes a frame with an ICMP or ICMPv6 message from the peer.
func (l *lab) icmp(src, dst netip.Addr, typ, code uint8, rest uint32, payload []byte) []byte {
	b := make([]byte, header.ICMPv4Len+len(payload))
	if src.Is4() {
		header.PutICMPv4(b, typ, code, rest, payload)
		return l.packet(src, dst, header.ProtoICMP, b)
	}
	header.PutICMPv6(b, src.As16(), dst.As16(), typ, code, rest, payload)
	return l.packet(src, dst, header.ProtoICMPv6, b)
}
