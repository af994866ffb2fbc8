package stack

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// addr is an IP address as the flow table compares it: IPv6, or IPv4 mapped
// into it (RFC 4291 section 2.5.5.2).
type addr struct{ hi, lo uint64 }

const mappedPrefix = 0xffff << 32

func addr4(a [4]byte) addr {
	return addr{lo: mappedPrefix | uint64(binary.BigEndian.Uint32(a[:]))}
}

func addr16(a [16]byte) addr {
	return addr{binary.BigEndian.Uint64(a[:8]), binary.BigEndian.Uint64(a[8:])}
}

// toAddr drops the zone: tuple.scope tells interfaces apart. The zero Addr
// becomes the IPv6 wildcard.
func toAddr(a netip.Addr) addr {
	if !a.IsValid() {
		return addr{}
	}
	return addr16(a.As16())
}

func (a addr) is4() bool { return a.hi == 0 && a.lo>>32 == 0xffff }

// tuple names a TCP connection of a host.
type tuple struct {
	local, remote         addr
	localPort, remotePort uint16
	scope                 uint32 // interface index, when remote is link-local
}

// hash mixes the tuple with the host's key, as the peer chooses half of it
// (folded multiplication; Lemire and Kaser, 2016).
func (t *tuple) hash(key *[4]uint64) uint64 {
	fold := func(a, b uint64) uint64 {
		hi, lo := bits.Mul64(a, b)
		return hi ^ lo
	}
	h := fold(t.remote.lo^key[0], uint64(t.remotePort)<<32|uint64(t.localPort)^key[1])
	h ^= fold(t.local.lo^key[2], uint64(t.scope)^key[3])
	if t.remote.hi|t.local.hi != 0 {
		h = fold(h^t.remote.hi, t.local.hi^key[1])
	}
	return fold(h, key[0]|1)
}

// isLinkLocal reports whether a says something only together with an interface.
func isLinkLocal(a netip.Addr) bool {
	return a.Is6() && (a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast())
}

// fromAddr returns a as netip has it, IPv4 unmapped.
func fromAddr(a addr) netip.Addr {
	if a.is4() {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(a.lo))
		return netip.AddrFrom4(b)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], a.hi)
	binary.BigEndian.PutUint64(b[8:], a.lo)
	return netip.AddrFrom16(b)
}
