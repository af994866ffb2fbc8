package header

import (
	"encoding/binary"
	"net/netip"
)

// ToeplitzKeyLen is the length of a key that covers two IPv6 addresses and two
// ports: the usual one of receive side scaling.
const ToeplitzKeyLen = 40

// Toeplitz is the hash by which devices spread received packets over their
// queues (Microsoft, "RSS hashing functions": ComputeHash). Bits of the input
// beyond what the key covers, which needs 32 bits more than the input, count as
// zero.
func Toeplitz(key, input []byte) uint32 {
	if len(key) < 8 {
		return 0
	}
	hash := uint32(0)
	window := binary.BigEndian.Uint64(key) // 32 bits of the key, and those to come
	for i, b := range input {
		for bit := 7; bit >= 0; bit-- {
			if b>>bit&1 != 0 {
				hash ^= uint32(window >> 32)
			}
			window <<= 1
		}
		if next := i + 8; next < len(key) {
			window |= uint64(key[next])
		}
	}
	return hash
}

// ToeplitzTCP is the hash of a TCP segment from src to dst over its addresses
// and ports, in the order in which the wire has them (NDIS_HASH_TCP_IPV4 and
// NDIS_HASH_TCP_IPV6).
func ToeplitzTCP(key []byte, src, dst netip.AddrPort) uint32 {
	var b [ToeplitzKeyLen - 4]byte
	in := b[:0]
	if src.Addr().Is4() {
		s, d := src.Addr().As4(), dst.Addr().As4()
		in = append(append(in, s[:]...), d[:]...)
	} else {
		s, d := src.Addr().As16(), dst.Addr().As16()
		in = append(append(in, s[:]...), d[:]...)
	}
	in = binary.BigEndian.AppendUint16(in, src.Port())
	in = binary.BigEndian.AppendUint16(in, dst.Port())
	return Toeplitz(key, in)
}

// ReceiveHash is the hash that a device with receive side scaling has of an
// Ethernet frame: over addresses and ports of a TCP segment that is no fragment,
// over addresses of other IP packets, and zero of anything else.
func ReceiveHash(key, frame []byte) uint32 {
	if len(frame) < EthernetLen {
		return 0
	}
	b := frame[EthernetLen:]
	switch Ethernet(frame).Type() {
	case TypeIPv4:
		ip, payload, err := ParseIPv4(b)
		if err != nil {
			return 0
		}
		if ip.Protocol() == ProtoTCP && !ip.IsFragment() && len(payload) >= TCPMinLen {
			return ToeplitzTCP(key, netip.AddrPortFrom(ip.SrcAddr(), TCP(payload).SrcPort()), netip.AddrPortFrom(ip.DstAddr(), TCP(payload).DstPort()))
		}
		return Toeplitz(key, ip[12:20])
	case TypeIPv6:
		ip, payload, err := ParseIPv6(b)
		if err != nil {
			return 0
		}
		if ip.NextHeader() == ProtoTCP && len(payload) >= TCPMinLen {
			return ToeplitzTCP(key, netip.AddrPortFrom(ip.SrcAddr(), TCP(payload).SrcPort()), netip.AddrPortFrom(ip.DstAddr(), TCP(payload).DstPort()))
		}
		return Toeplitz(key, ip[8:40])
	}
	return 0
}
