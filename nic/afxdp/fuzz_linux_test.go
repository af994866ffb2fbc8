package afxdp

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/stack/header"
)

// verdict is what the stack's own parsers say of a frame, with the ports and
// flows of newSteering. known is false where the program may decide otherwise:
// what the stack would drop, fragments, and ICMP.
func verdict(frame []byte) (ours, known bool) {
	e, err := header.ParseEthernet(frame)
	if err != nil {
		return false, true
	}
	if nic.MAC(e.Dst()) != steerMAC {
		return false, e.Dst()[0]&1 == 0
	}
	var src, dst netip.Addr
	var protocol uint8
	var payload []byte
	kind, inside := e.Type(), e.Payload()
	if kind == header.TypeVLAN {
		if len(inside) < 4 || binary.BigEndian.Uint16(inside)&0xfff != 0 {
			return false, true
		}
		kind, inside = binary.BigEndian.Uint16(inside[2:]), inside[4:]
	}
	switch kind {
	case header.TypeIPv4:
		ip, rest, err := header.ParseIPv4(inside)
		if err != nil || ip.IsFragment() {
			return false, false
		}
		src, dst, protocol, payload = ip.SrcAddr(), ip.DstAddr(), ip.Protocol(), rest
	case header.TypeIPv6:
		ip, rest, err := header.ParseIPv6(inside)
		if err != nil {
			return false, false
		}
		x, err := header.WalkIPv6(ip, rest)
		if err != nil || x.Fragment != nil {
			return false, false
		}
		src, dst, protocol, payload = ip.SrcAddr(), ip.DstAddr(), x.Proto, x.Payload
	case header.TypeARP:
		return false, false
	default:
		return false, true
	}
	switch {
	case dst == exclusive4 || dst == exclusive6:
		return true, true
	case dst == flows4 || dst == flows6:
		return false, protocol != header.ProtoTCP && protocol != header.ProtoICMP && protocol != header.ProtoICMPv6
	case !slices.Contains([]netip.Addr{shared4, single4, shared6, single6}, dst):
		return false, protocol != header.ProtoICMPv6 // a solicitation may be for one of ours
	case protocol != header.ProtoTCP && protocol != header.ProtoUDP:
		return false, protocol != header.ProtoICMP && protocol != header.ProtoICMPv6
	case len(payload) < 4:
		return false, true
	}
	from, to := binary.BigEndian.Uint16(payload), binary.BigEndian.Uint16(payload[2:])
	if protocol == header.ProtoUDP {
		return to == 53, true
	}
	switch to {
	case 443:
		return true, true
	case 80:
		return dst == single4 || dst == single6, true
	case 4000:
		return dst.Is4(), true
	case 6000:
		return dst.Is6(), true
	case 30000:
		return from == 22 && (dst == shared4 && src == remote4 || dst == shared6 && src == remote6), true
	}
	return false, true
}

// agrees checks one frame.
func (s *steering) agrees(frame []byte) {
	s.t.Helper()
	answer := s.run(frame)
	require.Truef(s.t, answer == xdpPass || answer == xdpToSocket, "answer %d for % x", answer, frame)
	if ours, known := verdict(frame); known {
		require.Equalf(s.t, ours, answer == xdpToSocket, "% x", frame)
	}
}

// frames are what the fuzzer and the random test begin with.
func frames() [][]byte {
	return [][]byte{
		to4(shared4, 443), to4(shared4, 22), to6(shared6, 443), to6(single6, 80), ext6(shared6, 443, 0, 60, 43, 44),
		piece6(shared6, 0, true, 5, transport(1, 443)), to4(exclusive4, 1), to6(exclusive6, 1),
		ip4{src: remote4, dst: shared4, protocol: 6}.frame(transport(22, 30000)),
		ip4{src: remote4, dst: shared4, protocol: 17, fragment: firstFragment}.frame(transport(1, 53)),
		ip4{src: remote4, dst: shared4, protocol: 6, options: 40}.frame(transport(1, 443)),
		error4(3, shared4, sent4(shared4, 443, 9)), error6(2, shared6, sent6(shared6, 443, 9)),
		arpFrame(broadcast, 1, remote4, exclusive4), solicit(exclusive6), vlan(to4(shared4, 443), 0x8100),
		priority(to4(shared4, 443)), priority(ext6(shared6, 443, 0, 60)), to4(flows4, 443),
	}
}

// FuzzSteer compares the program with the stack's parsers.
func FuzzSteer(f *testing.F) {
	for _, frame := range frames() {
		f.Add(frame)
	}
	s := newSteering(f, true)
	f.Fuzz(func(t *testing.T, frame []byte) {
		if len(frame) < 14 || len(frame) > 3000 {
			return // the kernel runs no program on less than an Ethernet header
		}
		each := *s
		each.t = t
		each.agrees(frame)
	})
}
