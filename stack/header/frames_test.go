package header

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	macA = [6]byte{0x02, 0, 0, 0, 0, 0x0a}
	macB = [6]byte{0x02, 0, 0, 0, 0, 0x0b}
	ip4A = [4]byte{192, 0, 2, 1}
	ip4B = [4]byte{198, 51, 100, 7}
	ip6A = netip.MustParseAddr("2001:db8::1:800:20e:8c6c").As16()
	ip6B = netip.MustParseAddr("2001:db8::b").As16()
	mc6  = netip.MustParseAddr("ff02::1").As16()
)

func TestEthernetRoundTrip(t *testing.T) {
	b := make([]byte, 20)
	PutEthernet(b, macA, macB, TypeIPv6)
	e, err := ParseEthernet(b)
	require.NoError(t, err)
	require.Equal(t, macA, e.Dst())
	require.Equal(t, macB, e.Src())
	require.Equal(t, uint16(TypeIPv6), e.Type())
	require.Len(t, e.Payload(), 6)

	_, err = ParseEthernet(b[:13])
	require.Equal(t, ErrShort, err)
}

func TestMulticastMAC(t *testing.T) {
	for _, c := range []struct {
		addr string
		mac  [6]byte
		ok   bool
	}{
		{"224.0.0.1", [6]byte{0x01, 0, 0x5e, 0, 0, 1}, true},
		{"239.255.2.3", [6]byte{0x01, 0, 0x5e, 0x7f, 2, 3}, true}, // the 24th bit is dropped
		{"255.255.255.255", Broadcast, true},
		{"192.0.2.1", [6]byte{}, false},
		{"ff02::1:ff12:3456", [6]byte{0x33, 0x33, 0xff, 0x12, 0x34, 0x56}, true},
		{"ff02::1%eth0", [6]byte{0x33, 0x33, 0, 0, 0, 1}, true},
		{"2001:db8::1", [6]byte{}, false},
		{"::ffff:224.0.0.1", [6]byte{}, false},
	} {
		mac, ok := MulticastMAC(netip.MustParseAddr(c.addr))
		require.Equal(t, c.ok, ok, c.addr)
		require.Equal(t, c.mac, mac, c.addr)
		if ok {
			require.True(t, IsMulticast(mac), c.addr)
		}
	}
	_, ok := MulticastMAC(netip.Addr{})
	require.False(t, ok)
	require.False(t, IsMulticast(macA))
}

func TestARPRoundTrip(t *testing.T) {
	b := make([]byte, 46) // with Ethernet's padding
	sip, tip := netip.AddrFrom4(ip4A), netip.AddrFrom4(ip4B)
	PutARP(b, ARPReply, macA, sip, macB, tip)
	a := ARP(b)
	require.True(t, a.Valid())
	require.Equal(t, uint16(ARPReply), a.Op())
	require.Equal(t, macA, a.SenderMAC())
	require.Equal(t, sip, a.SenderIP())
	require.Equal(t, macB, a.TargetMAC())
	require.Equal(t, tip, a.TargetIP())
}

func TestARPInvalidUnlessIPv4OverEthernet(t *testing.T) {
	b := make([]byte, ARPLen)
	PutARP(b, ARPRequest, macA, netip.AddrFrom4(ip4A), [6]byte{}, netip.AddrFrom4(ip4B))
	require.True(t, ARP(b).Valid())
	require.False(t, ARP(b[:ARPLen-1]).Valid())
	require.False(t, ARP(nil).Valid())
	for i := range 6 {
		c := append([]byte(nil), b...)
		c[i] ^= 0x10
		require.False(t, ARP(c).Valid(), "byte %d", i)
	}
}

func TestUDPRoundTrip(t *testing.T) {
	for _, data := range []string{"", "x", "odd", "even"} {
		b := append(make([]byte, UDPLen), data...)
		pseudo := PseudoSum4(ip4A, ip4B, ProtoUDP, len(b))
		PutUDP(b, 53, 40000, len(b), Checksum([]byte(data), pseudo))
		u, err := ParseUDP(append(b, 0, 0, 0)) // link padding
		require.NoError(t, err)
		require.Equal(t, uint16(53), u.SrcPort())
		require.Equal(t, uint16(40000), u.DstPort())
		require.Equal(t, len(b), u.Length())
		require.Equal(t, data, string(u.Payload()))
		require.True(t, u.ChecksumOK(pseudo))
		u[0] ^= 1
		require.False(t, u.ChecksumOK(pseudo))
		u.SetChecksum(0)
		require.False(t, u.ChecksumOK(pseudo), "zero means none")
	}
}

// RFC 768: a computed checksum of zero is sent as all ones.
func TestUDPChecksumIsNeverZero(t *testing.T) {
	b := make([]byte, UDPLen)
	// The header adds 1+2+8; with 0xffff-11 the sum is 0xffff.
	PutUDP(b, 1, 2, UDPLen, 0xffff-11)
	require.Equal(t, uint16(0xffff), UDP(b).Checksum())
	require.True(t, UDP(b).ChecksumOK(0xffff-11))
	PutUDPNoChecksum(b, 1, 2, UDPLen)
	require.Equal(t, uint16(0), UDP(b).Checksum())
}

func TestParseUDPLengths(t *testing.T) {
	b := make([]byte, 16)
	for _, c := range []struct {
		have, field int
		err         error
	}{
		{0, 8, ErrShort}, {7, 8, ErrShort}, {8, 8, nil}, {16, 16, nil}, {16, 9, nil},
		{8, 9, ErrShort}, {16, 7, ErrLength}, {16, 0, ErrLength}, {16, 65535, ErrShort},
	} {
		PutUDPNoChecksum(b, 1, 2, c.field)
		u, err := ParseUDP(b[:c.have])
		require.Equal(t, c.err, err, "%+v", c)
		if err == nil {
			require.Len(t, u, c.field)
		}
	}
}

func TestIPv4RoundTrip(t *testing.T) {
	f := IPv4Fields{TOS: 0xb9, TotalLen: 24, ID: 0xbeef, MF: true, FragOffset: 65528 - 8,
		TTL: 64, Protocol: ProtoTCP, Src: ip4A, Dst: ip4B}
	b := make([]byte, 46) // with Ethernet's padding
	f.Put(b)
	h, payload, err := ParseIPv4(b)
	require.NoError(t, err)
	require.Len(t, h, IPv4MinLen)
	require.Len(t, payload, 4)
	require.Equal(t, cap(payload), len(payload))
	require.True(t, h.ChecksumOK())
	require.Equal(t, f, IPv4Fields{h.TOS(), h.TotalLen(), h.ID(), h.DontFragment(), h.MoreFragments(),
		h.FragmentOffset(), h.TTL(), h.Protocol(), h.Src(), h.Dst()})
	require.Equal(t, "192.0.2.1", h.SrcAddr().String())
	require.Equal(t, "198.51.100.7", h.DstAddr().String())
	require.Equal(t, IPv4MinLen, h.HeaderLen())
	require.True(t, h.IsFragment())
	require.Empty(t, h.Options())
	require.Equal(t, PseudoSum4(ip4A, ip4B, ProtoTCP, 4), h.PseudoSum(4))
	for i := range IPv4MinLen {
		b[i] ^= 0x08
		require.False(t, h.ChecksumOK(), "byte %d", i)
		b[i] ^= 0x08
	}
}

func TestIPv4Setters(t *testing.T) {
	want, b := make([]byte, IPv4MinLen), make([]byte, IPv4MinLen)
	f := IPv4Fields{TOS: 3, TotalLen: 1500, ID: 7, DF: true, TTL: 9, Protocol: ProtoUDP, Src: ip4A, Dst: ip4B}
	f.Put(want)
	(&IPv4Fields{}).Put(b)
	h := IPv4(b)
	h.SetTOS(3)
	h.SetTotalLen(1500)
	h.SetID(7)
	h.SetFragment(true, false, 0)
	h.SetTTL(9)
	h.SetProtocol(ProtoUDP)
	h.SetSrc(ip4A)
	h.SetDst(ip4B)
	require.False(t, h.ChecksumOK())
	h.UpdateChecksum()
	require.Equal(t, want, b)
	require.False(t, h.IsFragment())
	require.Equal(t, IPv4(want).Checksum(), h.Checksum())
}

func TestParseIPv4Errors(t *testing.T) {
	for _, c := range []struct {
		name           string
		have           int
		version, words byte
		total          int
		err            error
	}{
		{"empty", 0, 4, 5, 20, ErrShort},
		{"short", 19, 4, 5, 20, ErrShort},
		{"least", 20, 4, 5, 20, nil},
		{"version", 40, 6, 5, 20, ErrVersion},
		{"header too short", 40, 4, 4, 20, ErrHeaderLen},
		{"header beyond packet", 40, 4, 15, 60, ErrHeaderLen},
		{"total below header", 40, 4, 6, 23, ErrLength},
		{"total beyond bytes", 40, 4, 5, 41, ErrShort},
		{"options", 40, 4, 6, 40, nil},
	} {
		b := make([]byte, 60)
		(&IPv4Fields{TotalLen: c.total}).Put(b)
		b[0] = c.version<<4 | c.words
		h, payload, err := ParseIPv4(b[:c.have])
		require.Equal(t, c.err, err, c.name)
		if err == nil {
			require.Len(t, h, int(c.words)*4, c.name)
			require.Len(t, payload, c.total-int(c.words)*4, c.name)
		}
	}
}

// withOptions is an IPv4 header with opts, padded to whole words.
func withOptions(opts ...byte) IPv4 {
	for len(opts)%4 != 0 {
		opts = append(opts, 0)
	}
	b := append(make([]byte, IPv4MinLen), opts...)
	(&IPv4Fields{TotalLen: len(b), Src: ip4A, Dst: ip4B}).Put(b)
	b[0] = 0x40 | byte(len(b)/4)
	IPv4(b).UpdateChecksum()
	return IPv4(b)
}

func TestIPv4Options(t *testing.T) {
	for _, c := range []struct {
		name string
		opts []byte
		info IPv4OptionInfo
		err  error
	}{
		{"none", nil, IPv4OptionInfo{}, nil},
		{"no operation", []byte{1, 1, 1, 1}, IPv4OptionInfo{}, nil},
		{"end hides the rest", []byte{0, 131, 1, 1}, IPv4OptionInfo{}, nil},
		{"router alert", []byte{148, 4, 0, 0}, IPv4OptionInfo{RouterAlert: true}, nil},
		{"loose route", []byte{1, 131, 7, 4, 1, 2, 3, 4}, IPv4OptionInfo{SourceRoute: true}, nil},
		{"strict route", []byte{137, 3, 4}, IPv4OptionInfo{SourceRoute: true}, nil},
		{"record route", []byte{7, 7, 4, 0, 0, 0, 0}, IPv4OptionInfo{RecordRoute: true}, nil},
		{"timestamp", []byte{68, 8, 5, 0, 0, 0, 0, 0}, IPv4OptionInfo{Timestamp: true}, nil},
		{"unknown is skipped", []byte{0x1e, 4, 9, 9, 148, 4, 0, 0}, IPv4OptionInfo{RouterAlert: true}, nil},
		{"length missing", []byte{1, 1, 1, 7}, IPv4OptionInfo{Pointer: 23}, ErrOption},
		{"length zero", []byte{0x1e, 0, 0, 0}, IPv4OptionInfo{Pointer: 21}, ErrOption},
		{"length one", []byte{0x1e, 1, 0, 0}, IPv4OptionInfo{Pointer: 21}, ErrOption},
		{"length beyond", []byte{1, 0x1e, 4, 0}, IPv4OptionInfo{Pointer: 22}, ErrOption},
		{"two source routes", []byte{131, 3, 4, 137, 3, 4}, IPv4OptionInfo{SourceRoute: true, Pointer: 23}, ErrOption},
		{"route without pointer", []byte{131, 2, 0, 0}, IPv4OptionInfo{Pointer: 21}, ErrOption},
		{"route pointer too low", []byte{131, 3, 3, 0}, IPv4OptionInfo{Pointer: 22}, ErrOption},
		{"timestamp too short", []byte{68, 3, 5, 0}, IPv4OptionInfo{Pointer: 21}, ErrOption},
		{"timestamp pointer too low", []byte{68, 4, 4, 0}, IPv4OptionInfo{Pointer: 22}, ErrOption},
		{"router alert of wrong length", []byte{148, 3, 0, 0}, IPv4OptionInfo{Pointer: 21}, ErrOption},
	} {
		h := withOptions(c.opts...)
		require.True(t, h.ChecksumOK(), c.name)
		info, err := h.CheckOptions()
		require.Equal(t, c.err, err, c.name)
		require.Equal(t, c.info, info, c.name)
	}
}

func TestIPv6RoundTrip(t *testing.T) {
	f := IPv6Fields{TrafficClass: 0xb9, FlowLabel: 0xabcde, PayloadLen: 3, NextHeader: ProtoUDP,
		HopLimit: 255, Src: ip6A, Dst: ip6B}
	b := make([]byte, IPv6Len+6)
	f.Put(b)
	h, payload, err := ParseIPv6(b)
	require.NoError(t, err)
	require.Len(t, payload, 3)
	require.Equal(t, f, IPv6Fields{h.TrafficClass(), h.FlowLabel(), h.PayloadLen(), h.NextHeader(),
		h.HopLimit(), h.Src(), h.Dst()})
	require.Equal(t, netip.AddrFrom16(ip6A), h.SrcAddr())
	require.Equal(t, netip.AddrFrom16(ip6B), h.DstAddr())
	require.Equal(t, PseudoSum6(ip6A, ip6B, ProtoUDP, 3), h.PseudoSum(ProtoUDP, 3))

	c := make([]byte, IPv6Len)
	(&IPv6Fields{}).Put(c)
	s := IPv6(c)
	s.SetFlowLabel(0xffabcde)
	s.SetTrafficClass(0xb9)
	s.SetPayloadLen(3)
	s.SetNextHeader(ProtoUDP)
	s.SetHopLimit(255)
	s.SetSrc(ip6A)
	s.SetDst(ip6B)
	require.Equal(t, b[:IPv6Len], c)
}

func TestParseIPv6Errors(t *testing.T) {
	b := make([]byte, IPv6Len+8)
	(&IPv6Fields{PayloadLen: 8}).Put(b)
	_, _, err := ParseIPv6(b[:IPv6Len-1])
	require.Equal(t, ErrShort, err)
	_, _, err = ParseIPv6(b[:IPv6Len+7])
	require.Equal(t, ErrShort, err)
	b[0] = 0x45
	_, _, err = ParseIPv6(b)
	require.Equal(t, ErrVersion, err)
}
