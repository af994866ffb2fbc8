package header

import "encoding/binary"

// ICMPv6Len is the length of the header that all ICMPv6 messages used here
// share: type, code, checksum and four bytes whose meaning depends on the type.
const ICMPv6Len = 8

// ICMPv6 message types (RFC 4443, RFC 4861, RFC 2710, RFC 3810). Those below
// 128 are errors.
const (
	ICMPv6Unreachable           = 1
	ICMPv6PacketTooBig          = 2
	ICMPv6TimeExceeded          = 3
	ICMPv6ParamProblem          = 4
	ICMPv6Echo                  = 128
	ICMPv6EchoReply             = 129
	ICMPv6MulticastQuery        = 130
	ICMPv6MulticastReport       = 131
	ICMPv6MulticastDone         = 132
	ICMPv6RouterSolicitation    = 133
	ICMPv6RouterAdvertisement   = 134
	ICMPv6NeighborSolicitation  = 135
	ICMPv6NeighborAdvertisement = 136
	ICMPv6Redirect              = 137
	ICMPv6MulticastReportV2     = 143
)

// Codes of ICMPv6Unreachable (RFC 4443 section 3.1).
const (
	ICMPv6NoRoute            = 0
	ICMPv6AdminProhibited    = 1
	ICMPv6BeyondScope        = 2
	ICMPv6AddressUnreachable = 3
	ICMPv6PortUnreachable    = 4
	ICMPv6SourcePolicy       = 5
	ICMPv6RejectRoute        = 6
)

// Codes of ICMPv6TimeExceeded (RFC 4443 section 3.3).
const (
	ICMPv6HopLimitExceeded   = 0
	ICMPv6ReassemblyExceeded = 1
)

// Codes of ICMPv6ParamProblem (RFC 4443 section 3.4, RFC 7112 section 5).
const (
	ICMPv6BadField        = 0
	ICMPv6UnknownHeader   = 1
	ICMPv6UnknownOption   = 2
	ICMPv6FirstIncomplete = 3
)

// ICMPv6 is a view on an ICMPv6 message (RFC 4443 section 2.1).
type ICMPv6 []byte

// ParseICMPv6 checks that b holds a header; the error is ErrShort. The checksum
// is left to ChecksumOK.
func ParseICMPv6(b []byte) (ICMPv6, error) {
	if len(b) < ICMPv6Len {
		return nil, ErrShort
	}
	return ICMPv6(b), nil
}

// Type returns the message type.
func (m ICMPv6) Type() uint8 { return m[0] }

// Code returns the code, whose meaning depends on the type.
func (m ICMPv6) Code() uint8 { return m[1] }

// Checksum returns the checksum field.
func (m ICMPv6) Checksum() uint16 { return binary.BigEndian.Uint16(m[2:4]) }

// ChecksumOK reports whether the checksum, which covers a pseudo header (RFC
// 4443 section 2.3), is right for these addresses.
func (m ICMPv6) ChecksumOK(src, dst [16]byte) bool {
	return Checksum(m, PseudoSum6(src, dst, ProtoICMPv6, len(m))) == 0xffff
}

// Rest returns the four bytes whose meaning depends on the type.
func (m ICMPv6) Rest() uint32 { return binary.BigEndian.Uint32(m[4:8]) }

// ID returns the identifier of an echo message.
func (m ICMPv6) ID() uint16 { return binary.BigEndian.Uint16(m[4:6]) }

// Seq returns the sequence number of an echo message.
func (m ICMPv6) Seq() uint16 { return binary.BigEndian.Uint16(m[6:8]) }

// MTU returns the next hop's MTU from ICMPv6PacketTooBig.
func (m ICMPv6) MTU() uint32 { return m.Rest() }

// Pointer returns the offset in the quoted packet at which ICMPv6ParamProblem
// found fault.
func (m ICMPv6) Pointer() uint32 { return m.Rest() }

// Payload returns what follows the header: echo data or the quote.
func (m ICMPv6) Payload() []byte { return m[ICMPv6Len:] }

// IsError reports whether the message is an error, of a known type or not (RFC
// 4443 section 2.1). No error may be sent about an error or a redirect
// (section 2.4 (e)).
func (m ICMPv6) IsError() bool { return m[0] < 128 }

// PutICMPv6 writes a message with its checksum to b, which must hold it, and
// returns its length, ICMPv6Len+len(payload). src and dst are the addresses of
// the IPv6 header. The payload may already be in its place, b[ICMPv6Len:], and
// must not overlap b otherwise.
//
// For an error the payload is what QuoteIPv6 returns and rest is zero, the MTU
// (ICMPv6PacketTooBig) or the pointer (ICMPv6ParamProblem).
func PutICMPv6(b []byte, src, dst [16]byte, typ, code uint8, rest uint32, payload []byte) int {
	h, n := b[:ICMPv6Len], ICMPv6Len+len(payload)
	sum := CopyChecksum(b[ICMPv6Len:], payload, PseudoSum6(src, dst, ProtoICMPv6, n))
	binary.BigEndian.PutUint32(h[0:4], uint32(typ)<<24|uint32(code)<<16)
	binary.BigEndian.PutUint32(h[4:8], rest)
	binary.BigEndian.PutUint16(h[2:4], ^icmpSum(sum, typ, code, rest))
	return n
}

// PutICMPv6Echo is PutICMPv6 for typ ICMPv6Echo or ICMPv6EchoReply.
func PutICMPv6Echo(b []byte, src, dst [16]byte, typ uint8, id, seq uint16, data []byte) int {
	return PutICMPv6(b, src, dst, typ, 0, uint32(id)<<16|uint32(seq), data)
}

// QuoteIPv6 returns the part of packet, an IPv6 packet from its header on, that
// an error about it quotes: as much as fits in the minimum MTU (RFC 4443
// section 2.4 (c)).
func QuoteIPv6(packet []byte) []byte {
	return packet[:min(len(packet), IPv6MinMTU-IPv6Len-ICMPv6Len)]
}
