package header

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestICMPv4RoundTrip(t *testing.T) {
	b := make([]byte, 64)
	n := PutICMPv4Echo(b, ICMPv4Echo, 0x1234, 7, []byte("ping!"))
	require.Equal(t, 13, n)
	m, err := ParseICMPv4(b[:n])
	require.NoError(t, err)
	require.True(t, m.ChecksumOK())
	require.Equal(t, uint8(ICMPv4Echo), m.Type())
	require.Equal(t, uint8(0), m.Code())
	require.Equal(t, uint16(0x1234), m.ID())
	require.Equal(t, uint16(7), m.Seq())
	require.Equal(t, "ping!", string(m.Payload()))
	require.False(t, m.IsError())
	require.Equal(t, ^naiveSum(append([]byte{8, 0, 0, 0}, b[4:n]...), 0), m.Checksum())
	b[9] ^= 1
	require.False(t, m.ChecksumOK())

	n = PutICMPv4(b, ICMPv4Unreachable, ICMPv4FragNeeded, 1400, nil)
	m = ICMPv4(b[:n])
	require.True(t, m.ChecksumOK())
	require.True(t, m.IsError())
	require.Equal(t, 1400, m.MTU())
	PutICMPv4(b, ICMPv4ParamProblem, 0, 20<<24, nil)
	require.Equal(t, uint8(20), m.Pointer())
	require.Equal(t, uint32(20<<24), m.Rest())

	_, err = ParseICMPv4(b[:7])
	require.Equal(t, ErrShort, err)
}

func TestICMPv6RoundTrip(t *testing.T) {
	b := make([]byte, 64)
	n := PutICMPv6Echo(b, ip6A, ip6B, ICMPv6EchoReply, 0x1234, 7, []byte("ping!"))
	require.Equal(t, 13, n)
	m, err := ParseICMPv6(b[:n])
	require.NoError(t, err)
	require.True(t, m.ChecksumOK(ip6A, ip6B))
	require.False(t, m.ChecksumOK(ip6A, ip6A))
	require.Equal(t, uint8(ICMPv6EchoReply), m.Type())
	require.Equal(t, uint8(0), m.Code())
	require.Equal(t, uint16(0x1234), m.ID())
	require.Equal(t, uint16(7), m.Seq())
	require.Equal(t, "ping!", string(m.Payload()))
	require.False(t, m.IsError())
	zeroed := append([]byte{129, 0, 0, 0}, b[4:n]...)
	require.Equal(t, ^naiveSum(zeroed, PseudoSum6(ip6A, ip6B, ProtoICMPv6, n)), m.Checksum())

	n = PutICMPv6(b, ip6A, ip6B, ICMPv6PacketTooBig, 0, 1400, nil)
	m = ICMPv6(b[:n])
	require.True(t, m.ChecksumOK(ip6A, ip6B))
	require.True(t, m.IsError())
	require.Equal(t, uint32(1400), m.MTU())
	require.Equal(t, uint32(1400), m.Pointer())

	_, err = ParseICMPv6(b[:7])
	require.Equal(t, ErrShort, err)
}

// An echo reply can be made where the request lies.
func TestICMPPayloadInPlace(t *testing.T) {
	b := make([]byte, 8+56)
	for i := range b {
		b[i] = byte(i)
	}
	want := append([]byte(nil), b[8:]...)
	n := PutICMPv4Echo(b, ICMPv4EchoReply, 1, 2, b[8:])
	require.True(t, ICMPv4(b[:n]).ChecksumOK())
	require.Equal(t, want, b[8:n])
	n = PutICMPv6Echo(b, ip6A, ip6B, ICMPv6EchoReply, 1, 2, b[8:])
	require.True(t, ICMPv6(b[:n]).ChecksumOK(ip6A, ip6B))
	require.Equal(t, want, b[8:n])
}

func TestQuotesKeepErrorsSmall(t *testing.T) {
	big := make([]byte, 9000)
	require.Len(t, QuoteIPv4(big), 576-28)
	require.Len(t, QuoteIPv6(big), 1280-48)
	require.Len(t, QuoteIPv4(big[:40]), 40)
	require.Len(t, QuoteIPv6(big[:60]), 60)
}

// quoted4 is an IPv4 packet with 8 bytes of transport header.
func quoted4(proto uint8, offset int, transport ...byte) []byte {
	b := append(make([]byte, IPv4MinLen), transport...)
	(&IPv4Fields{TotalLen: 1500, Protocol: proto, FragOffset: offset, Src: ip4A, Dst: ip4B}).Put(b)
	return b
}

func quoted6(next uint8, parts ...[]byte) []byte {
	b := make([]byte, IPv6Len)
	for _, p := range parts {
		b = append(b, p...)
	}
	(&IPv6Fields{PayloadLen: 1460, NextHeader: next, Src: ip6A, Dst: ip6B}).Put(b)
	return b
}

func TestParseQuote(t *testing.T) {
	eight := []byte{0x12, 0x34, 0x00, 0x50, 0xde, 0xad, 0xbe, 0xef}
	echo4, echo6 := []byte{8, 0, 0, 0, 0, 1, 0, 2}, []byte{128, 0, 0, 0, 0, 1, 0, 2}
	withOpts := append([]byte(withOptions(1, 1, 1, 1)), eight...)
	withOpts[9] = ProtoUDP
	v4 := Quote{Src: netip.AddrFrom4(ip4A), Dst: netip.AddrFrom4(ip4B), TotalLen: 1500}
	v6 := Quote{Src: netip.AddrFrom16(ip6A), Dst: netip.AddrFrom16(ip6B), TotalLen: 1500}
	with := func(q Quote, f func(*Quote)) *Quote { f(&q); return &q }
	for _, c := range []struct {
		name string
		b    []byte
		want *Quote // nil: not usable
	}{
		{"TCP over IPv4", quoted4(ProtoTCP, 0, eight...), with(v4, func(q *Quote) {
			q.Proto, q.SrcPort, q.DstPort, q.Seq = ProtoTCP, 0x1234, 80, 0xdeadbeef
		})},
		{"more than 8 bytes", append(quoted4(ProtoTCP, 0, eight...), 1, 2, 3), with(v4, func(q *Quote) {
			q.Proto, q.SrcPort, q.DstPort, q.Seq = ProtoTCP, 0x1234, 80, 0xdeadbeef
		})},
		{"IPv4 options", withOpts, with(v4, func(q *Quote) {
			q.Proto, q.SrcPort, q.DstPort, q.TotalLen = ProtoUDP, 0x1234, 80, 24
		})},
		{"echo over IPv4", quoted4(ProtoICMP, 0, echo4...), with(v4, func(q *Quote) {
			q.Proto, q.EchoID, q.EchoSeq = ProtoICMP, 1, 2
		})},
		{"echo reply", quoted4(ProtoICMP, 0, eight...), with(v4, func(q *Quote) { q.Proto = ProtoICMP })},
		{"UDP over IPv6", quoted6(ProtoUDP, eight), with(v6, func(q *Quote) {
			q.Proto, q.SrcPort, q.DstPort = ProtoUDP, 0x1234, 80
		})},
		{"echo over IPv6", quoted6(ProtoICMPv6, echo6), with(v6, func(q *Quote) {
			q.Proto, q.EchoID, q.EchoSeq = ProtoICMPv6, 1, 2
		})},
		{"extension headers", quoted6(ProtoHopByHop, options6(ProtoRouting), routing6(ProtoFragment, 0, 3),
			fragment6(ProtoDestOptions, 0, true), options6(ProtoTCP), eight), with(v6, func(q *Quote) {
			q.Proto, q.SrcPort, q.DstPort, q.Seq = ProtoTCP, 0x1234, 80, 0xdeadbeef
		})},
		{"nothing", nil, nil},
		{"neither version", []byte{0x55, 1, 2}, nil},
		{"seven bytes over IPv4", quoted4(ProtoTCP, 0, eight[:7]...), nil},
		{"seven bytes over IPv6", quoted6(ProtoTCP, eight[:7]), nil},
		{"IPv4 header cut", quoted4(ProtoTCP, 0)[:19], nil},
		{"IPv6 header cut", quoted6(ProtoTCP)[:39], nil},
		{"IPv4 options cut", withOpts[:22], nil},
		{"later IPv4 fragment", quoted4(ProtoTCP, 8, eight...), nil},
		{"later IPv6 fragment", quoted6(ProtoFragment, fragment6(ProtoTCP, 8, false), eight), nil},
		{"extension header cut", quoted6(ProtoDestOptions, []byte{ProtoTCP, 1, 1, 4, 0, 0, 0, 0}, eight[:7]), nil},
	} {
		q, ok := ParseQuote(c.b)
		require.Equal(t, c.want != nil, ok, c.name)
		if ok {
			require.Equal(t, *c.want, q, c.name)
		}
	}
}

func TestQuoteMustBeOfTheMessagesFamily(t *testing.T) {
	b := make([]byte, 256)
	q4, q6 := quoted4(ProtoTCP, 0, make([]byte, 8)...), quoted6(ProtoTCP, make([]byte, 8))
	for _, c := range []struct {
		quote  []byte
		v4, v6 bool
	}{{q4, true, false}, {q6, false, true}} {
		n := PutICMPv4(b, ICMPv4Unreachable, ICMPv4PortUnreachable, 0, c.quote)
		_, ok := ICMPv4(b[:n]).Quote()
		require.Equal(t, c.v4, ok)
		n = PutICMPv6(b, ip6A, ip6B, ICMPv6Unreachable, ICMPv6PortUnreachable, 0, c.quote)
		_, ok = ICMPv6(b[:n]).Quote()
		require.Equal(t, c.v6, ok)
	}
}

func TestNeighborSolicitationRoundTrip(t *testing.T) {
	for _, link := range []*[6]byte{nil, &macA} {
		b := make([]byte, NDPNeighborLen+NDPLinkOptionLen)
		dst := SolicitedNode(ip6B)
		n := PutNeighborSolicitation(b, ip6A, dst, ip6B, link)
		h := neighborHeader(ip6A, dst, n)
		m, err := ParseICMPv6(b[:n])
		require.NoError(t, err)
		require.True(t, m.ChecksumOK(ip6A, dst))
		require.Equal(t, uint8(ICMPv6NeighborSolicitation), m.Type())
		s, o, err := ParseNeighborSolicitation(h, m)
		require.NoError(t, err)
		require.Equal(t, ip6B, s.Target())
		require.Equal(t, netip.AddrFrom16(ip6B), s.TargetAddr())
		require.Equal(t, link != nil, o.HasSourceLink)
		require.False(t, o.HasTargetLink)
		if link != nil {
			require.Equal(t, *link, o.SourceLink)
		}
	}
}

func TestNeighborAdvertisementRoundTrip(t *testing.T) {
	b := make([]byte, NDPNeighborLen+NDPLinkOptionLen)
	n := PutNeighborAdvertisement(b, ip6B, ip6A, ip6B, NDPSolicited|NDPOverride, &macB)
	m := ICMPv6(b[:n])
	require.True(t, m.ChecksumOK(ip6B, ip6A))
	require.Equal(t, uint8(ICMPv6NeighborAdvertisement), m.Type())
	a, o, err := ParseNeighborAdvertisement(neighborHeader(ip6B, ip6A, n), m)
	require.NoError(t, err)
	require.Equal(t, ip6B, a.Target())
	require.Equal(t, netip.AddrFrom16(ip6B), a.TargetAddr())
	require.Equal(t, NDPOptions{TargetLink: macB, HasTargetLink: true}, o)
	require.True(t, a.Solicited())
	require.True(t, a.Override())
	require.False(t, a.Router())
}

func neighborHeader(src, dst [16]byte, n int) IPv6 {
	h := make([]byte, IPv6Len)
	(&IPv6Fields{PayloadLen: n, NextHeader: ProtoICMPv6, HopLimit: 255, Src: src, Dst: dst}).Put(h)
	return IPv6(h)
}

// RFC 4861 sections 7.1.1 and 7.1.2, check by check.
func TestNeighborMessagesToDiscard(t *testing.T) {
	solicited := SolicitedNode(ip6B)
	for _, c := range []struct {
		name   string
		advert bool
		change func(h IPv6, b []byte) []byte
		err    error
	}{
		{"hop limit below 255", false, func(h IPv6, b []byte) []byte { h.SetHopLimit(254); return b }, ErrNDP},
		{"code", false, func(h IPv6, b []byte) []byte { b[1] = 1; return b }, ErrNDP},
		{"under 24 bytes", false, func(h IPv6, b []byte) []byte { return b[:23] }, ErrShort},
		{"multicast target", false, func(h IPv6, b []byte) []byte { b[8] = 0xff; return b }, ErrNDP},
		{"option of length zero", false, func(h IPv6, b []byte) []byte { b[25] = 0; return b }, ErrOption},
		{"option beyond the message", false, func(h IPv6, b []byte) []byte { b[25] = 2; return b }, ErrOption},
		{"option without length", false, func(h IPv6, b []byte) []byte { return b[:25] }, ErrOption},
		{"unspecified source with its link address", false, func(h IPv6, b []byte) []byte { h.SetSrc([16]byte{}); return b }, ErrNDP},
		{"unspecified source to unicast", false, func(h IPv6, b []byte) []byte {
			h.SetSrc([16]byte{})
			h.SetDst(ip6B)
			return b[:24]
		}, ErrNDP},
		{"duplicate address detection is fine", false, func(h IPv6, b []byte) []byte { h.SetSrc([16]byte{}); return b[:24] }, nil},
		{"unknown options are fine", false, func(h IPv6, b []byte) []byte { b[24] = 14; return b }, nil},
		{"solicited but to multicast", true, func(h IPv6, b []byte) []byte { b[4] |= NDPSolicited; return b }, ErrNDP},
		{"unsolicited to multicast is fine", true, func(h IPv6, b []byte) []byte { return b }, nil},
		{"advertisement from afar", true, func(h IPv6, b []byte) []byte { h.SetHopLimit(64); return b }, ErrNDP},
	} {
		b := make([]byte, NDPNeighborLen+NDPLinkOptionLen)
		var err error
		if c.advert {
			PutNeighborAdvertisement(b, ip6B, mc6, ip6B, NDPOverride, &macB)
			h := neighborHeader(ip6B, mc6, len(b))
			_, _, err = ParseNeighborAdvertisement(h, ICMPv6(c.change(h, b)))
		} else {
			PutNeighborSolicitation(b, ip6A, solicited, ip6B, &macA)
			h := neighborHeader(ip6A, solicited, len(b))
			_, _, err = ParseNeighborSolicitation(h, ICMPv6(c.change(h, b)))
		}
		require.Equal(t, c.err, err, c.name)
	}
}

func TestNDPOptionsTakeTheFirstOfAType(t *testing.T) {
	opt := func(typ uint8, mac [6]byte) []byte { return append([]byte{typ, 1}, mac[:]...) }
	b := append(opt(NDPOptSourceLink, macA), opt(NDPOptSourceLink, macB)...)
	b = append(b, 1, 2) // a source link-layer address too long for Ethernet is not one
	b = append(b, make([]byte, 14)...)
	b = append(b, opt(NDPOptTargetLink, macB)...)
	o, err := ParseNDPOptions(b)
	require.NoError(t, err)
	require.Equal(t, NDPOptions{SourceLink: macA, TargetLink: macB, HasSourceLink: true, HasTargetLink: true}, o)
}

// RFC 4291 section 2.7.1 gives this example.
func TestSolicitedNode(t *testing.T) {
	a := netip.MustParseAddr("4037::01:800:200e:8c6c").As16()
	require.Equal(t, netip.MustParseAddr("ff02::1:ff0e:8c6c"), netip.AddrFrom16(SolicitedNode(a)))
}

// No method or function of the data path allocates.
func TestNothingAllocates(t *testing.T) {
	b := make([]byte, 2048)
	h6, payload := packet6(ip6B, ProtoDestOptions, options6(ProtoTCP), make([]byte, 20))
	quote := quoted4(ProtoTCP, 0, make([]byte, 8)...)
	f4 := IPv4Fields{TotalLen: 100, Src: ip4A, Dst: ip4B}
	var n int
	require.Zero(t, testing.AllocsPerRun(100, func() {
		f4.Put(b)
		h, p, _ := ParseIPv4(b)
		_, _ = h.CheckOptions()
		_, _ = ParseUDP(p)
		_, _ = WalkIPv6(h6, payload)
		_, _ = ParseQuote(quote)
		n += PutICMPv4(b, ICMPv4Unreachable, 0, 0, quote)
		n += PutNeighborSolicitation(b, ip6A, ip6B, ip6B, &macA)
		_, _, _ = ParseNeighborSolicitation(h6, b[:32])
		n += int(CopyChecksum(b[:1000], b[1000:2000], 0))
		n += int(binary.BigEndian.Uint16(b))
	}))
}
