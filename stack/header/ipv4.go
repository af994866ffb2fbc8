package header

import (
	"encoding/binary"
	"net/netip"
)

// IPv4MinLen is the length of an IPv4 header without options, and IPv4MaxLen
// that with the most.
const (
	IPv4MinLen = 20
	IPv4MaxLen = 60
)

// IPv4 flags, in the word that also holds the fragment offset (RFC 791 section
// 3.1).
const (
	ipv4DF         = 0x4000
	ipv4MF         = 0x2000
	ipv4OffsetMask = 0x1fff
)

// IPv4 is a view on an IPv4 header (RFC 791 section 3.1), options included.
type IPv4 []byte

// ParseIPv4 splits b, the payload of a frame, into header and payload; bytes
// beyond the total length are link padding and cut off. The checksum is left
// to ChecksumOK and the options to CheckOptions.
//
// Errors: ErrShort (b shorter than a header or than the total length),
// ErrVersion, ErrHeaderLen (header length below 20 or beyond b), ErrLength
// (total length below the header's).
func ParseIPv4(b []byte) (h IPv4, payload []byte, err error) {
	if len(b) < IPv4MinLen {
		return nil, nil, ErrShort
	}
	if b[0]>>4 != 4 {
		return nil, nil, ErrVersion
	}
	hl, tl := int(b[0]&0xf)*4, int(binary.BigEndian.Uint16(b[2:4]))
	switch {
	case hl < IPv4MinLen || hl > len(b):
		return nil, nil, ErrHeaderLen
	case tl < hl:
		return nil, nil, ErrLength
	case tl > len(b):
		return nil, nil, ErrShort
	}
	return IPv4(b[:hl:hl]), b[hl:tl:tl], nil
}

// HeaderLen returns the header's length in bytes, options included.
func (h IPv4) HeaderLen() int { return int(h[0]&0xf) * 4 }

// TOS returns the type of service byte: DSCP (RFC 2474) and ECN (RFC 3168).
func (h IPv4) TOS() uint8 { return h[1] }

// TotalLen returns the packet's length in bytes, header included.
func (h IPv4) TotalLen() int { return int(binary.BigEndian.Uint16(h[2:4])) }

// ID returns the identification that fragments of a packet share.
func (h IPv4) ID() uint16 { return binary.BigEndian.Uint16(h[4:6]) }

// DontFragment returns the DF flag.
func (h IPv4) DontFragment() bool { return h.frag()&ipv4DF != 0 }

// MoreFragments returns the MF flag.
func (h IPv4) MoreFragments() bool { return h.frag()&ipv4MF != 0 }

// FragmentOffset returns the offset of the payload in the original packet's
// payload, in bytes.
func (h IPv4) FragmentOffset() int { return int(h.frag()&ipv4OffsetMask) * 8 }

// IsFragment reports whether the packet is a part of a larger one.
func (h IPv4) IsFragment() bool { return h.frag()&(ipv4MF|ipv4OffsetMask) != 0 }

// TTL returns the time to live.
func (h IPv4) TTL() uint8 { return h[8] }

// Protocol returns the payload's protocol, one of the Proto constants.
func (h IPv4) Protocol() uint8 { return h[9] }

// Checksum returns the value of the checksum field.
func (h IPv4) Checksum() uint16 { return binary.BigEndian.Uint16(h[10:12]) }

// ChecksumOK reports whether the header's checksum is right.
func (h IPv4) ChecksumOK() bool {
	if len(h) == IPv4MinLen {
		return sum20(h) == 0xffff
	}
	return Checksum(h[:h.HeaderLen()], 0) == 0xffff
}

// Src returns the source address.
func (h IPv4) Src() [4]byte { return [4]byte(h[12:16]) }

// Dst returns the destination address.
func (h IPv4) Dst() [4]byte { return [4]byte(h[16:20]) }

// SrcAddr returns the source address.
func (h IPv4) SrcAddr() netip.Addr { return netip.AddrFrom4(h.Src()) }

// DstAddr returns the destination address.
func (h IPv4) DstAddr() netip.Addr { return netip.AddrFrom4(h.Dst()) }

// Options returns the options with their padding; empty if there are none.
func (h IPv4) Options() []byte { return h[IPv4MinLen:h.HeaderLen()] }

// PseudoSum returns PseudoSum4 for an unfragmented packet whose payload is
// length bytes.
func (h IPv4) PseudoSum(length int) uint16 {
	return PseudoSum4(h.Src(), h.Dst(), h.Protocol(), length)
}

func (h IPv4) frag() uint16 { return binary.BigEndian.Uint16(h[6:8]) }

// SetTOS sets the type of service byte. Like all setters but UpdateChecksum, it
// leaves the checksum as it is.
func (h IPv4) SetTOS(v uint8) { h[1] = v }

// SetTotalLen sets the packet's length in bytes, 0 to 65535.
func (h IPv4) SetTotalLen(n int) { binary.BigEndian.PutUint16(h[2:4], uint16(n)) }

// SetID sets the identification.
func (h IPv4) SetID(id uint16) { binary.BigEndian.PutUint16(h[4:6], id) }

// SetFragment sets the flags and the fragment offset, in bytes and a multiple
// of 8.
func (h IPv4) SetFragment(df, mf bool, offset int) {
	binary.BigEndian.PutUint16(h[6:8], fragWord(df, mf, offset))
}

// SetTTL sets the time to live.
func (h IPv4) SetTTL(v uint8) { h[8] = v }

// SetProtocol sets the payload's protocol.
func (h IPv4) SetProtocol(v uint8) { h[9] = v }

// SetSrc sets the source address.
func (h IPv4) SetSrc(a [4]byte) { copy(h[12:16], a[:]) }

// SetDst sets the destination address.
func (h IPv4) SetDst(a [4]byte) { copy(h[16:20], a[:]) }

// SetChecksum sets the checksum field to v.
func (h IPv4) SetChecksum(v uint16) { binary.BigEndian.PutUint16(h[10:12], v) }

// UpdateChecksum computes the checksum and writes it to its field.
func (h IPv4) UpdateChecksum() {
	h.SetChecksum(0)
	h.SetChecksum(^Checksum(h[:h.HeaderLen()], 0))
}

// IPv4Fields are the fields of an IPv4 header without options.
type IPv4Fields struct {
	TOS        uint8
	TotalLen   int // bytes, header included, 20 to 65535
	ID         uint16
	DF, MF     bool
	FragOffset int // bytes, a multiple of 8
	TTL        uint8
	Protocol   uint8
	Src, Dst   [4]byte
}

// Put writes a header of IPv4MinLen bytes, with its checksum, to b, which must
// be that long.
func (f *IPv4Fields) Put(b []byte) {
	b = b[:IPv4MinLen]
	binary.BigEndian.PutUint32(b[0:4], 0x45<<24|uint32(f.TOS)<<16|uint32(uint16(f.TotalLen)))
	binary.BigEndian.PutUint32(b[4:8], uint32(f.ID)<<16|uint32(fragWord(f.DF, f.MF, f.FragOffset)))
	binary.BigEndian.PutUint32(b[8:12], uint32(f.TTL)<<24|uint32(f.Protocol)<<16)
	copy(b[12:16], f.Src[:])
	copy(b[16:20], f.Dst[:])
	binary.BigEndian.PutUint16(b[10:12], ^sum20(b))
}

func fragWord(df, mf bool, offset int) uint16 {
	v := uint16(offset>>3) & ipv4OffsetMask
	if df {
		v |= ipv4DF
	}
	if mf {
		v |= ipv4MF
	}
	return v
}

// sum20 is Checksum for a header without options.
func sum20(b []byte) uint16 {
	b = b[:IPv4MinLen]
	be := binary.BigEndian
	return fold64(uint64(be.Uint32(b[0:])) + uint64(be.Uint32(b[4:])) + uint64(be.Uint32(b[8:])) +
		uint64(be.Uint32(b[12:])) + uint64(be.Uint32(b[16:])))
}
