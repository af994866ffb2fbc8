package header

import (
	"encoding/binary"
	"net/netip"
)

// ARPLen is the length of an ARP packet for IPv4 over Ethernet.
const ARPLen = 28

// Operations (RFC 826).
const (
	ARPRequest = 1
	ARPReply   = 2
)

// ARP is a view on an ARP packet (RFC 826). Call Valid before any accessor.
type ARP []byte

// Valid reports whether the packet is long enough and speaks of IPv4 (protocol
// 0x0800, 4 bytes) over Ethernet (hardware 1, 6 bytes). It does not check the
// operation. Bytes after the packet, such as padding, do not matter.
func (a ARP) Valid() bool {
	return len(a) >= ARPLen &&
		binary.BigEndian.Uint16(a[0:2]) == 1 &&
		binary.BigEndian.Uint16(a[2:4]) == TypeIPv4 &&
		a[4] == 6 && a[5] == 4
}

// Op returns the operation: ARPRequest, ARPReply or another.
func (a ARP) Op() uint16 { return binary.BigEndian.Uint16(a[6:8]) }

// SenderMAC returns the sender's hardware address.
func (a ARP) SenderMAC() [6]byte { return [6]byte(a[8:14]) }

// SenderIP returns the sender's protocol address; unspecified in a probe
// (RFC 5227 section 2.1.1).
func (a ARP) SenderIP() netip.Addr { return netip.AddrFrom4([4]byte(a[14:18])) }

// TargetMAC returns the target's hardware address; meaningless in a request.
func (a ARP) TargetMAC() [6]byte { return [6]byte(a[18:24]) }

// TargetIP returns the target's protocol address.
func (a ARP) TargetIP() netip.Addr { return netip.AddrFrom4([4]byte(a[24:28])) }

// PutARP writes a packet to b, which must be ARPLen bytes or longer. The
// addresses must be IPv4 ones (IPv4-mapped IPv6 will do).
func PutARP(b []byte, op uint16, senderMAC [6]byte, senderIP netip.Addr, targetMAC [6]byte, targetIP netip.Addr) {
	b = b[:ARPLen]
	binary.BigEndian.PutUint16(b[0:2], 1)
	binary.BigEndian.PutUint16(b[2:4], TypeIPv4)
	b[4], b[5] = 6, 4
	binary.BigEndian.PutUint16(b[6:8], op)
	sip, tip := senderIP.As4(), targetIP.As4()
	copy(b[8:14], senderMAC[:])
	copy(b[14:18], sip[:])
	copy(b[18:24], targetMAC[:])
	copy(b[24:28], tip[:])
}
