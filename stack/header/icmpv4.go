package header

import "encoding/binary"

// ICMPv4Len is the length of the header that all ICMP messages used here share:
// type, code, checksum and four bytes whose meaning depends on the type.
const ICMPv4Len = 8

// ICMPv4 message types (RFC 792).
const (
	ICMPv4EchoReply      = 0
	ICMPv4Unreachable    = 3
	ICMPv4SourceQuench   = 4 // deprecated by RFC 6633: ignore
	ICMPv4Redirect       = 5
	ICMPv4Echo           = 8
	ICMPv4TimeExceeded   = 11
	ICMPv4ParamProblem   = 12
	ICMPv4Timestamp      = 13
	ICMPv4TimestampReply = 14
)

// Codes of ICMPv4Unreachable (RFC 792, RFC 1122 section 3.2.2.1, RFC 1812
// section 5.2.7.1).
const (
	ICMPv4NetUnreachable     = 0
	ICMPv4HostUnreachable    = 1
	ICMPv4ProtoUnreachable   = 2
	ICMPv4PortUnreachable    = 3
	ICMPv4FragNeeded         = 4
	ICMPv4SourceRouteFailed  = 5
	ICMPv4NetUnknown         = 6
	ICMPv4HostUnknown        = 7
	ICMPv4HostIsolated       = 8
	ICMPv4NetProhibited      = 9
	ICMPv4HostProhibited     = 10
	ICMPv4NetTOS             = 11
	ICMPv4HostTOS            = 12
	ICMPv4AdminProhibited    = 13
	ICMPv4PrecedenceViolated = 14
	ICMPv4PrecedenceCutoff   = 15
)

// Codes of ICMPv4TimeExceeded.
const (
	ICMPv4TTLExceeded        = 0
	ICMPv4ReassemblyExceeded = 1
)

// ICMPv4MaxError is the size to which ICMP errors are limited, IP header
// included (RFC 1812 section 4.3.2.3).
const ICMPv4MaxError = 576

// ICMPv4 is a view on an ICMP message (RFC 792).
type ICMPv4 []byte

// ParseICMPv4 checks that b holds a header; the error is ErrShort. The checksum
// is left to ChecksumOK.
func ParseICMPv4(b []byte) (ICMPv4, error) {
	if len(b) < ICMPv4Len {
		return nil, ErrShort
	}
	return ICMPv4(b), nil
}

// Type returns the message type.
func (m ICMPv4) Type() uint8 { return m[0] }

// Code returns the code, whose meaning depends on the type.
func (m ICMPv4) Code() uint8 { return m[1] }

// Checksum returns the checksum field.
func (m ICMPv4) Checksum() uint16 { return binary.BigEndian.Uint16(m[2:4]) }

// ChecksumOK reports whether the checksum is right.
func (m ICMPv4) ChecksumOK() bool { return Checksum(m, 0) == 0xffff }

// Rest returns the four bytes whose meaning depends on the type.
func (m ICMPv4) Rest() uint32 { return binary.BigEndian.Uint32(m[4:8]) }

// ID returns the identifier of an echo message.
func (m ICMPv4) ID() uint16 { return binary.BigEndian.Uint16(m[4:6]) }

// Seq returns the sequence number of an echo message.
func (m ICMPv4) Seq() uint16 { return binary.BigEndian.Uint16(m[6:8]) }

// MTU returns the next hop's MTU from ICMPv4FragNeeded (RFC 1191 section 4);
// zero if the router is too old to tell.
func (m ICMPv4) MTU() int { return int(binary.BigEndian.Uint16(m[6:8])) }

// Pointer returns the offset in the quoted packet at which ICMPv4ParamProblem
// found fault.
func (m ICMPv4) Pointer() uint8 { return m[4] }

// Payload returns what follows the header: echo data or the quote.
func (m ICMPv4) Payload() []byte { return m[ICMPv4Len:] }

// IsError reports whether the message is an error, about which no other error
// may be sent (RFC 1122 section 3.2.2). An unknown type is not one.
func (m ICMPv4) IsError() bool {
	switch m[0] {
	case ICMPv4Unreachable, ICMPv4SourceQuench, ICMPv4Redirect, ICMPv4TimeExceeded, ICMPv4ParamProblem:
		return true
	}
	return false
}

// PutICMPv4 writes a message with its checksum to b, which must hold it, and
// returns its length, ICMPv4Len+len(payload). The payload may already be in
// its place, b[ICMPv4Len:], and must not overlap b otherwise.
//
// For an error the payload is what QuoteIPv4 returns and rest is zero, or the
// MTU with ICMPv4FragNeeded, or the pointer shifted left by 24 with
// ICMPv4ParamProblem.
func PutICMPv4(b []byte, typ, code uint8, rest uint32, payload []byte) int {
	h := b[:ICMPv4Len]
	sum := CopyChecksum(b[ICMPv4Len:], payload, 0)
	binary.BigEndian.PutUint32(h[0:4], uint32(typ)<<24|uint32(code)<<16)
	binary.BigEndian.PutUint32(h[4:8], rest)
	binary.BigEndian.PutUint16(h[2:4], ^icmpSum(sum, typ, code, rest))
	return ICMPv4Len + len(payload)
}

// PutICMPv4Echo is PutICMPv4 for typ ICMPv4Echo or ICMPv4EchoReply.
func PutICMPv4Echo(b []byte, typ uint8, id, seq uint16, data []byte) int {
	return PutICMPv4(b, typ, 0, uint32(id)<<16|uint32(seq), data)
}

// QuoteIPv4 returns the part of packet, an IPv4 packet from its header on, that
// an error about it quotes: as much as ICMPv4MaxError leaves room for.
func QuoteIPv4(packet []byte) []byte {
	return packet[:min(len(packet), ICMPv4MaxError-IPv4MinLen-ICMPv4Len)]
}

// icmpSum adds an ICMP header without checksum to sum.
func icmpSum(sum uint16, typ, code uint8, rest uint32) uint16 {
	return fold64(uint64(sum) + uint64(typ)<<8 + uint64(code) + uint64(rest))
}
