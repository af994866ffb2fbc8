package header

import "net/netip"

// Lengths of neighbour discovery messages (RFC 4861 sections 4.3 and 4.4)
// without options, and of a link-layer address option for Ethernet (RFC 2464
// section 6).
const (
	NDPNeighborLen   = 24
	NDPLinkOptionLen = 8
)

// Flags of a neighbour advertisement (RFC 4861 section 4.4).
const (
	NDPRouter    = 0x80 // the sender is a router
	NDPSolicited = 0x40 // sent in answer to a solicitation
	NDPOverride  = 0x20 // overrides a cached link-layer address
)

// Option types (RFC 4861 section 4.6).
const (
	NDPOptSourceLink = 1
	NDPOptTargetLink = 2
)

// NDPOptions are the options of a neighbour discovery message that hosts use
// to find each other.
type NDPOptions struct {
	SourceLink, TargetLink       [6]byte
	HasSourceLink, HasTargetLink bool
}

// ParseNDPOptions walks the options of a neighbour discovery message. Unknown
// ones are skipped, and the first of two of a type is taken. The error is
// ErrOption: a length of zero, which makes the whole message invalid (RFC 4861
// section 4.6), or one beyond the message.
func ParseNDPOptions(b []byte) (o NDPOptions, err error) {
	for len(b) > 0 {
		if len(b) < 2 {
			return o, ErrOption
		}
		n := int(b[1]) * 8
		if n == 0 || n > len(b) {
			return o, ErrOption
		}
		// An Ethernet address takes exactly one unit of 8 bytes.
		switch {
		case b[0] == NDPOptSourceLink && n == NDPLinkOptionLen && !o.HasSourceLink:
			o.SourceLink, o.HasSourceLink = [6]byte(b[2:8]), true
		case b[0] == NDPOptTargetLink && n == NDPLinkOptionLen && !o.HasTargetLink:
			o.TargetLink, o.HasTargetLink = [6]byte(b[2:8]), true
		}
		b = b[n:]
	}
	return o, nil
}

// NeighborSolicitation is a view on a neighbour solicitation, an ICMPv6 message
// (RFC 4861 section 4.3).
type NeighborSolicitation []byte

// ParseNeighborSolicitation makes the checks of RFC 4861 section 7.1.1 on a
// message m of type ICMPv6NeighborSolicitation in a packet with header h, all
// but that of the checksum.
//
// Errors: ErrShort, ErrOption, ErrNDP.
func ParseNeighborSolicitation(h IPv6, m ICMPv6) (s NeighborSolicitation, o NDPOptions, err error) {
	if o, err = checkNeighbor(h, m); err != nil {
		return nil, o, err
	}
	s = NeighborSolicitation(m)
	if src := h.Src(); src == [16]byte{} {
		// Duplicate address detection: there is nobody to answer directly.
		if o.HasSourceLink || !isSolicitedNode(h.Dst()) {
			return nil, o, ErrNDP
		}
	}
	return s, o, nil
}

// Target returns the address asked for.
func (s NeighborSolicitation) Target() [16]byte { return [16]byte(s[8:24]) }

// TargetAddr returns the address asked for, without zone.
func (s NeighborSolicitation) TargetAddr() netip.Addr { return netip.AddrFrom16(s.Target()) }

// NeighborAdvertisement is a view on a neighbour advertisement, an ICMPv6
// message (RFC 4861 section 4.4).
type NeighborAdvertisement []byte

// ParseNeighborAdvertisement makes the checks of RFC 4861 section 7.1.2 on a
// message m of type ICMPv6NeighborAdvertisement in a packet with header h, all
// but that of the checksum.
//
// Errors: ErrShort, ErrOption, ErrNDP.
func ParseNeighborAdvertisement(h IPv6, m ICMPv6) (a NeighborAdvertisement, o NDPOptions, err error) {
	if o, err = checkNeighbor(h, m); err != nil {
		return nil, o, err
	}
	a = NeighborAdvertisement(m)
	if h[24] == 0xff && a.Solicited() {
		return nil, o, ErrNDP
	}
	return a, o, nil
}

// Target returns the address advertised.
func (a NeighborAdvertisement) Target() [16]byte { return [16]byte(a[8:24]) }

// TargetAddr returns the address advertised, without zone.
func (a NeighborAdvertisement) TargetAddr() netip.Addr { return netip.AddrFrom16(a.Target()) }

// Router returns the flag that says that the sender is a router.
func (a NeighborAdvertisement) Router() bool { return a[4]&NDPRouter != 0 }

// Solicited returns the flag that marks an answer to a solicitation.
func (a NeighborAdvertisement) Solicited() bool { return a[4]&NDPSolicited != 0 }

// Override returns the flag that allows to replace a cached link-layer address.
func (a NeighborAdvertisement) Override() bool { return a[4]&NDPOverride != 0 }

// checkNeighbor makes the checks that solicitations and advertisements share
// and returns the options.
func checkNeighbor(h IPv6, m ICMPv6) (o NDPOptions, err error) {
	switch {
	case h.HopLimit() != 255: // not from this link
		return o, ErrNDP
	case len(m) < NDPNeighborLen:
		return o, ErrShort
	case m.Code() != 0:
		return o, ErrNDP
	case m[8] == 0xff: // multicast target
		return o, ErrNDP
	}
	return ParseNDPOptions(m[NDPNeighborLen:])
}

// PutNeighborSolicitation writes a solicitation with its checksum to b and
// returns its length. link is the source link-layer address option, for which
// nil means none, as is required when src is unspecified. b must hold
// NDPNeighborLen bytes and NDPLinkOptionLen for the option. dst is the
// solicited-node address of target, or target itself to probe it. The IPv6
// hop limit must be 255.
func PutNeighborSolicitation(b []byte, src, dst, target [16]byte, link *[6]byte) int {
	return putNeighbor(b, src, dst, target, ICMPv6NeighborSolicitation, 0, NDPOptSourceLink, link)
}

// PutNeighborAdvertisement writes an advertisement with its checksum to b and
// returns its length. flags are any of NDPRouter, NDPSolicited and NDPOverride;
// link is the target link-layer address option, for which nil means none. b
// must hold NDPNeighborLen bytes and NDPLinkOptionLen for the option. The IPv6
// hop limit must be 255.
func PutNeighborAdvertisement(b []byte, src, dst, target [16]byte, flags uint8, link *[6]byte) int {
	return putNeighbor(b, src, dst, target, ICMPv6NeighborAdvertisement, flags, NDPOptTargetLink, link)
}

func putNeighbor(b []byte, src, dst, target [16]byte, typ, flags, opt uint8, link *[6]byte) int {
	n := NDPNeighborLen
	if link != nil {
		n += NDPLinkOptionLen
	}
	b = b[:n]
	copy(b[8:24], target[:])
	if link != nil {
		b[24], b[25] = opt, 1
		copy(b[26:32], link[:])
	}
	return PutICMPv6(b, src, dst, typ, 0, uint32(flags)<<24, b[ICMPv6Len:])
}

// SolicitedNode returns the solicited-node multicast address of a, ff02::1:ff00:0
// with a's low 24 bits (RFC 4291 section 2.7.1).
func SolicitedNode(a [16]byte) [16]byte {
	return [16]byte{0: 0xff, 1: 0x02, 11: 1, 12: 0xff, 13: a[13], 14: a[14], 15: a[15]}
}

func isSolicitedNode(a [16]byte) bool { return a == SolicitedNode(a) }
