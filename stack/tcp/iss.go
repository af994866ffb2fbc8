package tcp

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"time"
)

// issTick is the period of the clock of RFC 9293 section 3.4.1.
const issTick = 4 * time.Microsecond

// ISS returns the initial sequence number of RFC 6528 section 3: a 4 us clock
// plus a keyed hash of the two addresses. The secret is drawn once a host.
func ISS(secret *[16]byte, local, remote netip.AddrPort, now time.Duration) Seq {
	return Seq(now/issTick) + Seq(hashPair(secret, local, remote))
}

// TSOffset returns the timestamp offset of RFC 7323 section 5.4 for the two
// addresses.
func TSOffset(secret *[16]byte, local, remote netip.AddrPort) uint32 {
	return uint32(hashPair(secret, local, remote) >> 32)
}

// PortHash is the keyed hash of RFC 6056 section 3.3.4 from which the local port of a
// connection to remote is chosen. The port of local is any number of the caller's.
func PortHash(secret *[16]byte, local, remote netip.AddrPort) uint64 {
	return hashPair(secret, local, remote)
}

// hashPair is SipHash-2-4 of the two addresses and ports.
func hashPair(secret *[16]byte, local, remote netip.AddrPort) uint64 {
	if l, r := local.Addr(), remote.Addr(); l.Is4() && r.Is4() {
		var b [16]byte // which no message of the other family is as long as
		l4, r4 := l.As4(), r.As4()
		copy(b[0:4], l4[:])
		copy(b[4:8], r4[:])
		binary.BigEndian.PutUint16(b[8:10], local.Port())
		binary.BigEndian.PutUint16(b[10:12], remote.Port())
		return sipHash(secret, b[:])
	}
	var b [40]byte
	putPair((*[36]byte)(b[:]), local, remote)
	return sipHash(secret, b[:])
}

func putPair(b *[36]byte, local, remote netip.AddrPort) {
	l, r := local.Addr().As16(), remote.Addr().As16()
	copy(b[0:16], l[:])
	copy(b[16:32], r[:])
	binary.BigEndian.PutUint16(b[32:34], local.Port())
	binary.BigEndian.PutUint16(b[34:36], remote.Port())
}

// sipHash is SipHash-2-4 (Aumasson and Bernstein, 2012) of a message whose
// length is a multiple of eight.
func sipHash(key *[16]byte, msg []byte) uint64 {
	k0 := binary.LittleEndian.Uint64(key[0:8])
	k1 := binary.LittleEndian.Uint64(key[8:16])
	v0 := k0 ^ 0x736f6d6570736575
	v1 := k1 ^ 0x646f72616e646f6d
	v2 := k0 ^ 0x6c7967656e657261
	v3 := k1 ^ 0x7465646279746573
	round := func() {
		v0 += v1
		v1 = bits.RotateLeft64(v1, 13) ^ v0
		v0 = bits.RotateLeft64(v0, 32)
		v2 += v3
		v3 = bits.RotateLeft64(v3, 16) ^ v2
		v0 += v3
		v3 = bits.RotateLeft64(v3, 21) ^ v0
		v2 += v1
		v1 = bits.RotateLeft64(v1, 17) ^ v2
		v2 = bits.RotateLeft64(v2, 32)
	}
	for i := 0; i < len(msg); i += 8 {
		m := binary.LittleEndian.Uint64(msg[i : i+8])
		v3 ^= m
		round()
		round()
		v0 ^= m
	}
	last := uint64(len(msg)) << 56 // no byte is left over
	v3 ^= last
	round()
	round()
	v0 ^= last
	v2 ^= 0xff
	for range 4 {
		round()
	}
	return v0 ^ v1 ^ v2 ^ v3
}
