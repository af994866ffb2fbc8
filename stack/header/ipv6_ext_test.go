package header

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// packet6 is an IPv6 packet to dst whose payload is parts in a row.
func packet6(dst [16]byte, next uint8, parts ...[]byte) (IPv6, []byte) {
	b := make([]byte, IPv6Len)
	for _, p := range parts {
		b = append(b, p...)
	}
	(&IPv6Fields{PayloadLen: len(b) - IPv6Len, NextHeader: next, HopLimit: 64, Src: ip6A, Dst: dst}).Put(b)
	h, payload, err := ParseIPv6(b)
	if err != nil {
		panic(err)
	}
	return h, payload
}

// options6 is an options header with opts, padded with Pad1.
func options6(next uint8, opts ...byte) []byte {
	b := append([]byte{next, 0}, opts...)
	for len(b)%8 != 0 {
		b = append(b, 0)
	}
	b[1] = byte(len(b)/8 - 1)
	return b
}

func routing6(next, typ, left uint8) []byte { return []byte{next, 0, typ, left, 0, 0, 0, 0} }

func fragment6(next uint8, offset int, more bool) []byte {
	b := make([]byte, IPv6FragmentLen)
	PutIPv6Fragment(b, next, offset, more, 0xdeadbeef)
	return b
}

func TestWalkIPv6FindsUpperLayer(t *testing.T) {
	data := []byte("transport")
	for _, c := range []struct {
		name        string
		next        uint8
		chain       [][]byte
		proto       uint8
		field, hlen int
		alert       bool
	}{
		{"no extension", ProtoTCP, nil, ProtoTCP, 6, 40, false},
		{"no next header", ProtoNoNext, nil, ProtoNoNext, 6, 40, false},
		{"unknown protocol is the caller's", 253, nil, 253, 6, 40, false},
		{"ESP is the caller's", ProtoESP, nil, ProtoESP, 6, 40, false},
		{"hop-by-hop", ProtoHopByHop, [][]byte{options6(ProtoUDP)}, ProtoUDP, 40, 48, false},
		{"router alert", ProtoHopByHop, [][]byte{options6(ProtoICMPv6, 5, 2, 0, 0, 1, 0)}, ProtoICMPv6, 40, 48, true},
		{"router alert means nothing to destinations", ProtoDestOptions,
			[][]byte{options6(ProtoICMPv6, 5, 2, 0, 0)}, ProtoICMPv6, 40, 48, false},
		{"option to be skipped", ProtoDestOptions, [][]byte{options6(ProtoTCP, 0x1e, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9)},
			ProtoTCP, 40, 56, false},
		{"routing header without segments left", ProtoRouting, [][]byte{routing6(ProtoTCP, 0, 0)}, ProtoTCP, 40, 48, false},
		{"whole packet with a fragment header", ProtoFragment, [][]byte{fragment6(ProtoTCP, 0, false)}, ProtoTCP, 40, 48, false},
		{"all of them", ProtoHopByHop, [][]byte{options6(ProtoDestOptions, 1, 4, 0, 0, 0, 0), options6(ProtoRouting),
			routing6(ProtoFragment, 4, 0), fragment6(ProtoDestOptions, 0, false), options6(ProtoTCP)}, ProtoTCP, 72, 80, false},
	} {
		h, payload := packet6(ip6B, c.next, append(c.chain, data)...)
		r, err := WalkIPv6(h, payload)
		require.NoError(t, err, c.name)
		require.Equal(t, ExtResult{Proto: c.proto, Payload: data, NextHeaderOffset: c.field, HeaderLen: c.hlen,
			RouterAlert: c.alert, Problem: ParamProblem{true, ICMPv6UnknownHeader, uint32(c.field)}}, r, c.name)
	}
}

func TestWalkIPv6StopsAtFragment(t *testing.T) {
	data := make([]byte, 24)
	for _, c := range []struct {
		name   string
		offset int
		more   bool
		n      int
	}{
		{"first", 0, true, 24},
		{"middle", 1232, true, 24},
		{"last", 1232, false, 23},
		{"last, up to the limit", 65512, false, 15}, // with 8 bytes of hop-by-hop
	} {
		h, payload := packet6(ip6B, ProtoHopByHop, options6(ProtoFragment), fragment6(ProtoTCP, c.offset, c.more), data[:c.n])
		r, err := WalkIPv6(h, payload)
		require.NoError(t, err, c.name)
		require.NotNil(t, r.Fragment, c.name)
		require.Equal(t, c.offset, r.Fragment.Offset(), c.name)
		require.Equal(t, c.more, r.Fragment.More(), c.name)
		require.Equal(t, uint32(0xdeadbeef), r.Fragment.ID(), c.name)
		require.Equal(t, uint8(ProtoTCP), r.Fragment.NextHeader(), c.name)
		require.Equal(t, uint8(ProtoTCP), r.Proto, c.name)
		require.Equal(t, data[:c.n], r.Payload, c.name)
		require.Equal(t, 40, r.NextHeaderOffset, c.name)
		require.Equal(t, 48, r.HeaderLen, c.name)
	}
}

func TestWalkIPv6Errors(t *testing.T) {
	tcp := make([]byte, 24)
	var nine [][]byte
	for range MaxExtensions {
		nine = append(nine, options6(ProtoDestOptions))
	}
	nine = append(nine, options6(ProtoTCP), tcp)
	for _, c := range []struct {
		name  string
		dst   [16]byte
		next  uint8
		chain [][]byte
		err   error
		want  ParamProblem
	}{
		{"hop-by-hop second", ip6B, ProtoDestOptions, [][]byte{options6(ProtoHopByHop), options6(ProtoTCP), tcp},
			ErrExtensionOrder, ParamProblem{true, ICMPv6UnknownHeader, 40}},
		{"hop-by-hop twice", ip6B, ProtoHopByHop, [][]byte{options6(ProtoHopByHop), options6(ProtoTCP), tcp},
			ErrExtensionOrder, ParamProblem{true, ICMPv6UnknownHeader, 40}},
		{"option: discard in silence", ip6B, ProtoDestOptions, [][]byte{options6(ProtoTCP, 0x41, 0), tcp},
			ErrOptionUnknown, ParamProblem{false, ICMPv6UnknownOption, 42}},
		{"option: answer always", mc6, ProtoDestOptions, [][]byte{options6(ProtoTCP, 0, 0x81, 0), tcp},
			ErrOptionUnknown, ParamProblem{true, ICMPv6UnknownOption, 43}},
		{"option: answer unicast", ip6B, ProtoHopByHop, [][]byte{options6(ProtoTCP, 1, 1, 0, 0xc2, 4, 0, 1, 0, 0), tcp},
			ErrOptionUnknown, ParamProblem{true, ICMPv6UnknownOption, 45}},
		{"option: not to multicast", mc6, ProtoDestOptions, [][]byte{options6(ProtoTCP, 0xc1, 0), tcp},
			ErrOptionUnknown, ParamProblem{false, ICMPv6UnknownOption, 42}},
		{"option beyond header", ip6B, ProtoDestOptions, [][]byte{{ProtoTCP, 0, 1, 5, 0, 0, 0, 0}, tcp},
			ErrOption, ParamProblem{true, ICMPv6BadField, 43}},
		{"option without length", ip6B, ProtoDestOptions, [][]byte{{ProtoTCP, 0, 0, 0, 0, 0, 0, 1}, tcp},
			ErrOption, ParamProblem{true, ICMPv6BadField, 47}},
		{"header beyond packet", ip6B, ProtoDestOptions, [][]byte{{ProtoTCP, 1, 1, 4, 0, 0, 0, 0}},
			ErrShort, ParamProblem{true, ICMPv6BadField, 41}},
		{"header missing", ip6B, ProtoRouting, [][]byte{{ProtoTCP, 0, 0}},
			ErrShort, ParamProblem{true, ICMPv6BadField, 6}},
		{"fragment header missing", ip6B, ProtoFragment, nil,
			ErrShort, ParamProblem{true, ICMPv6BadField, 6}},
		{"segments left", ip6B, ProtoRouting, [][]byte{routing6(ProtoTCP, 0, 1), tcp},
			ErrRouting, ParamProblem{true, ICMPv6BadField, 42}},
		{"segments left, multicast", mc6, ProtoRouting, [][]byte{routing6(ProtoTCP, 4, 1), tcp},
			ErrRouting, ParamProblem{false, ICMPv6BadField, 42}},
		{"fragment length not a multiple of 8", ip6B, ProtoFragment, [][]byte{fragment6(ProtoTCP, 0, true), tcp[:23]},
			ErrFragment, ParamProblem{true, ICMPv6BadField, 4}},
		{"fragment beyond 65535", ip6B, ProtoFragment, [][]byte{fragment6(ProtoTCP, 65528, false), tcp[:8]},
			ErrFragment, ParamProblem{true, ICMPv6BadField, 42}},
		{"first fragment without TCP header", ip6B, ProtoFragment, [][]byte{fragment6(ProtoTCP, 0, true), tcp[:16]},
			ErrFirstFragment, ParamProblem{true, ICMPv6FirstIncomplete, 0}},
		{"first fragment cut in options", ip6B, ProtoFragment,
			[][]byte{fragment6(ProtoDestOptions, 0, true), {ProtoTCP, 2, 1, 4, 0, 0, 0, 0}, tcp[:8]},
			ErrFirstFragment, ParamProblem{true, ICMPv6FirstIncomplete, 0}},
		{"too many", ip6B, ProtoDestOptions, nine, ErrExtensionCount, ParamProblem{}},
	} {
		h, payload := packet6(c.dst, c.next, c.chain...)
		r, err := WalkIPv6(h, payload)
		require.Equal(t, c.err, err, c.name)
		require.Equal(t, c.want, r.Problem, c.name)
		require.Nil(t, r.Payload, c.name)
		require.Nil(t, r.Fragment, c.name)
	}
}

func BenchmarkWalkIPv6(b *testing.B) {
	for name, chain := range map[string][][]byte{
		"none":  {make([]byte, 20)},
		"three": {options6(ProtoRouting), routing6(ProtoDestOptions, 0, 0), options6(ProtoTCP), make([]byte, 20)},
	} {
		next := uint8(ProtoTCP)
		if name == "three" {
			next = ProtoHopByHop
		}
		h, payload := packet6(ip6B, next, chain...)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := WalkIPv6(h, payload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// RFC 7112: what a first fragment must hold.
func TestFirstFragmentHoldsTheHeaderChain(t *testing.T) {
	join := func(parts ...[]byte) (b []byte) {
		for _, p := range parts {
			b = append(b, p...)
		}
		return b
	}
	zero := make([]byte, 32)
	for _, c := range []struct {
		name  string
		proto uint8
		data  []byte
		whole bool
	}{
		{"UDP", ProtoUDP, zero[:8], true},
		{"UDP cut", ProtoUDP, zero[:0], false},
		{"ICMPv6", ProtoICMPv6, zero[:8], true},
		{"ICMPv6 cut", ProtoICMPv6, zero[:0], false},
		{"TCP", ProtoTCP, zero[:24], true},
		{"a protocol unknown here", ProtoESP, zero[:0], true},
		{"routing, then UDP", ProtoRouting, join(routing6(ProtoUDP, 0, 0), zero[:8]), true},
		{"routing, then nothing", ProtoRouting, routing6(ProtoUDP, 0, 0), false},
		{"fragment header, then UDP", ProtoFragment, join(fragment6(ProtoUDP, 0, false), zero[:8]), true},
		{"fragment header cut", ProtoFragment, zero[:0], false},
		{"extension header cut", ProtoDestOptions, []byte{ProtoUDP, 1, 1, 4, 0, 0, 0, 0}, false},
	} {
		h, payload := packet6(ip6B, ProtoFragment, fragment6(c.proto, 0, true), c.data)
		r, err := WalkIPv6(h, payload)
		if c.whole {
			require.NoError(t, err, c.name)
			require.Equal(t, len(c.data), len(r.Payload), c.name)
		} else {
			require.Equal(t, ErrFirstFragment, err, c.name)
		}
	}
}
