package header

import (
	"encoding/binary"
	"net/netip"
)

// EthernetLen is the length of an Ethernet II header without VLAN tags.
const EthernetLen = 14

// EtherTypes (IEEE 802 numbers, as listed by IANA).
const (
	TypeIPv4 = 0x0800
	TypeARP  = 0x0806
	TypeVLAN = 0x8100 // IEEE 802.1Q customer tag
	TypeIPv6 = 0x86dd
)

// Broadcast is the Ethernet broadcast address.
var Broadcast = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// Ethernet is a view on an Ethernet II frame, without the frame check sequence.
type Ethernet []byte

// ParseEthernet checks that b holds an Ethernet header; the error is ErrShort.
func ParseEthernet(b []byte) (Ethernet, error) {
	if len(b) < EthernetLen {
		return nil, ErrShort
	}
	return Ethernet(b), nil
}

// Dst returns the destination address.
func (e Ethernet) Dst() [6]byte { return [6]byte(e[0:6]) }

// Src returns the source address.
func (e Ethernet) Src() [6]byte { return [6]byte(e[6:12]) }

// Type returns the EtherType; values below 0x600 are IEEE 802.3 lengths.
func (e Ethernet) Type() uint16 { return binary.BigEndian.Uint16(e[12:14]) }

// Payload returns what follows the header, any padding included.
func (e Ethernet) Payload() []byte { return e[EthernetLen:] }

// PutEthernet writes a header to b, which must be EthernetLen bytes or longer.
func PutEthernet(b []byte, dst, src [6]byte, typ uint16) {
	b = b[:EthernetLen]
	copy(b[0:6], dst[:])
	copy(b[6:12], src[:])
	binary.BigEndian.PutUint16(b[12:14], typ)
}

// IsMulticast reports whether mac is a group address, which includes the
// broadcast address (IEEE 802: the first bit on the wire).
func IsMulticast(mac [6]byte) bool { return mac[0]&1 != 0 }

// MulticastMAC returns the Ethernet address to which packets for the multicast
// address a go: 01:00:5e and its low 23 bits for IPv4 (RFC 1112 section 6.4),
// 33:33 and its low 32 bits for IPv6 (RFC 2464 section 7). The IPv4 limited
// broadcast address gives Broadcast. ok is false for any other address, an
// IPv4-mapped IPv6 one included.
func MulticastMAC(a netip.Addr) (mac [6]byte, ok bool) {
	switch {
	case a.Is4():
		v := a.As4()
		if v[0]>>4 == 0xe {
			return [6]byte{0x01, 0x00, 0x5e, v[1] & 0x7f, v[2], v[3]}, true
		}
		if v == [4]byte{255, 255, 255, 255} {
			return Broadcast, true
		}
	case a.Is6():
		v := a.As16()
		if v[0] == 0xff {
			return [6]byte{0x33, 0x33, v[12], v[13], v[14], v[15]}, true
		}
	}
	return mac, false
}
