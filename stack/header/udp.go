package header

import "encoding/binary"

// UDPLen is the length of a UDP header.
const UDPLen = 8

// UDP is a view on a UDP datagram (RFC 768), header and payload.
type UDP []byte

// ParseUDP checks the lengths of b, the payload of an IP packet, and returns
// the datagram; bytes beyond the UDP length are cut off. The checksum is left
// to ChecksumOK, and whether there may be none to the caller (over IPv6 there
// must be one, RFC 8200 section 8.1).
//
// Errors: ErrShort (fewer than UDPLen bytes, or than the length field says),
// ErrLength (a length field below UDPLen).
func ParseUDP(b []byte) (UDP, error) {
	if len(b) < UDPLen {
		return nil, ErrShort
	}
	n := int(binary.BigEndian.Uint16(b[4:6]))
	if n < UDPLen {
		return nil, ErrLength
	}
	if n > len(b) {
		return nil, ErrShort
	}
	return UDP(b[:n:n]), nil
}

// SrcPort returns the source port; zero means none.
func (u UDP) SrcPort() uint16 { return binary.BigEndian.Uint16(u[0:2]) }

// DstPort returns the destination port.
func (u UDP) DstPort() uint16 { return binary.BigEndian.Uint16(u[2:4]) }

// Length returns the length field: header and payload, in bytes.
func (u UDP) Length() int { return int(binary.BigEndian.Uint16(u[4:6])) }

// Checksum returns the checksum field; zero means that the sender computed none.
func (u UDP) Checksum() uint16 { return binary.BigEndian.Uint16(u[6:8]) }

// ChecksumOK reports whether the checksum is right, given the sum of the pseudo
// header for len(u) bytes. A checksum field of zero counts as wrong: check for
// it first where it is allowed.
func (u UDP) ChecksumOK(pseudo uint16) bool {
	return u.Checksum() != 0 && Checksum(u, pseudo) == 0xffff
}

// Payload returns what follows the header.
func (u UDP) Payload() []byte { return u[UDPLen:] }

// SetChecksum sets the checksum field to v, as it is.
func (u UDP) SetChecksum(v uint16) { binary.BigEndian.PutUint16(u[6:8], v) }

// PutUDP writes a header to b, which must be UDPLen bytes or longer. length is
// that of header and payload, UDPLen to 65535. sum is the sum of the pseudo
// header and the payload, from which the checksum is completed.
func PutUDP(b []byte, srcPort, dstPort uint16, length int, sum uint16) {
	PutUDPNoChecksum(b, srcPort, dstPort, length)
	s := ^fold64(uint64(sum) + uint64(srcPort) + uint64(dstPort) + uint64(uint16(length)))
	if s == 0 {
		s = 0xffff // zero on the wire means no checksum (RFC 768)
	}
	binary.BigEndian.PutUint16(b[6:8], s)
}

// PutUDPNoChecksum is PutUDP with a checksum field of zero.
func PutUDPNoChecksum(b []byte, srcPort, dstPort uint16, length int) {
	b = b[:UDPLen]
	binary.BigEndian.PutUint16(b[0:2], srcPort)
	binary.BigEndian.PutUint16(b[2:4], dstPort)
	binary.BigEndian.PutUint16(b[4:6], uint16(length))
	binary.BigEndian.PutUint16(b[6:8], 0)
}
