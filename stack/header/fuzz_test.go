package header

import (
	"bytes"
	"net/netip"
	"testing"
)

// Every parser: no bytes make it or an accessor panic, what it returns lies
// within what it was given, and what Put wrote parses to the same fields.

func FuzzLink(f *testing.F) {
	b := make([]byte, EthernetLen+ARPLen)
	PutEthernet(b, Broadcast, macA, TypeARP)
	PutARP(b[EthernetLen:], ARPRequest, macA, netip.AddrFrom4(ip4A), macB, netip.AddrFrom4(ip4B))
	f.Add(b)
	f.Add(b[:20])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseEthernet(b)
		if err != nil {
			return
		}
		out := make([]byte, EthernetLen+ARPLen)
		PutEthernet(out, e.Dst(), e.Src(), e.Type())
		if !bytes.Equal(out[:EthernetLen], b[:EthernetLen]) {
			t.Fatalf("Ethernet: %x became %x", b, out)
		}
		a := ARP(e.Payload())
		if !a.Valid() {
			return
		}
		PutARP(out, a.Op(), a.SenderMAC(), a.SenderIP(), a.TargetMAC(), a.TargetIP())
		if !bytes.Equal(out[:ARPLen], a[:ARPLen]) {
			t.Fatalf("ARP: %x became %x", a, out)
		}
	})
}

func FuzzIPv4(f *testing.F) {
	f.Add(append(quoted4(ProtoTCP, 0), make([]byte, 1480)...))
	f.Add([]byte(withOptions(1, 131, 7, 4, 1, 2, 3, 4)))
	f.Add([]byte(withOptions(68, 8, 5, 0, 0, 0, 0, 0, 148, 4)))
	f.Add([]byte(withOptions(7, 0)))
	f.Add([]byte{0x4f})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, payload, err := ParseIPv4(b)
		if err != nil {
			if h != nil || payload != nil {
				t.Fatal("views with an error")
			}
			return
		}
		if len(h) != h.HeaderLen() || len(h)+len(payload) != h.TotalLen() || h.TotalLen() > len(b) {
			t.Fatalf("lengths: %d, %d of %d", len(h), len(payload), len(b))
		}
		info, err := h.CheckOptions()
		if err != nil && (int(info.Pointer) < IPv4MinLen || int(info.Pointer) >= len(h)) {
			t.Fatalf("pointer %d in a header of %d", info.Pointer, len(h))
		}
		if h.ChecksumOK() != (naiveSum(h, 0) == 0xffff) {
			t.Fatal("checksum")
		}
		in := IPv4Fields{h.TOS(), h.TotalLen(), h.ID(), h.DontFragment(), h.MoreFragments(), h.FragmentOffset(),
			h.TTL(), h.Protocol(), h.Src(), h.Dst()}
		out := make([]byte, max(IPv4MinLen, in.TotalLen))
		in.Put(out)
		g, _, err := ParseIPv4(out)
		if err != nil || !g.ChecksumOK() {
			t.Fatalf("%+v does not parse: %v", in, err)
		}
		if got := (IPv4Fields{g.TOS(), g.TotalLen(), g.ID(), g.DontFragment(), g.MoreFragments(), g.FragmentOffset(),
			g.TTL(), g.Protocol(), g.Src(), g.Dst()}); got != in {
			t.Fatalf("%+v became %+v", in, got)
		}
	})
}

func FuzzIPv6(f *testing.F) {
	add := func(next uint8, parts ...[]byte) {
		h, payload := packet6(ip6B, next, parts...)
		f.Add(append([]byte(h), payload...))
	}
	add(ProtoTCP, make([]byte, 20))
	add(ProtoHopByHop, options6(ProtoRouting, 5, 2, 0, 0), routing6(ProtoDestOptions, 0, 0), options6(ProtoUDP, 0xc1, 0))
	add(ProtoFragment, fragment6(ProtoTCP, 0, true), make([]byte, 24))
	add(ProtoFragment, fragment6(ProtoFragment, 0, false), fragment6(ProtoDestOptions, 0, true), options6(ProtoUDP), make([]byte, 8))
	add(ProtoFragment, fragment6(ProtoUDP, 65528, false), make([]byte, 7))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, payload, err := ParseIPv6(b)
		if err != nil {
			if h != nil || payload != nil {
				t.Fatal("views with an error")
			}
			return
		}
		in := IPv6Fields{h.TrafficClass(), h.FlowLabel(), h.PayloadLen(), h.NextHeader(), h.HopLimit(), h.Src(), h.Dst()}
		out := make([]byte, IPv6Len)
		in.Put(out)
		if !bytes.Equal(out, h) {
			t.Fatalf("%x became %x", []byte(h), out)
		}
		packet := b[:IPv6Len+len(payload)]
		r, err := WalkIPv6(h, payload)
		if int(r.Problem.Pointer) >= len(packet) {
			t.Fatalf("pointer %d in a packet of %d: %v", r.Problem.Pointer, len(packet), err)
		}
		if err != nil {
			if r.Payload != nil || r.Fragment != nil {
				t.Fatal("payload with an error")
			}
			return
		}
		start := r.HeaderLen
		if fr := r.Fragment; fr != nil {
			PutIPv6Fragment(out, fr.NextHeader(), fr.Offset(), fr.More(), fr.ID())
			if out[0] != fr[0] || out[2] != fr[2] || out[3] != fr[3]&^6 || !bytes.Equal(out[4:8], fr[4:8]) {
				t.Fatalf("fragment header %x became %x", []byte(fr), out[:8])
			}
			if packet[r.NextHeaderOffset] != ProtoFragment || fr.NextHeader() != r.Proto {
				t.Fatal("next header before the fragment header")
			}
			if fr.Offset() == 0 && !fr.More() {
				t.Fatal("a whole packet is no fragment")
			}
			start += IPv6FragmentLen
		} else if packet[r.NextHeaderOffset] != r.Proto || r.Problem.Pointer != uint32(r.NextHeaderOffset) {
			t.Fatal("next header before the upper layer")
		}
		if !bytes.Equal(packet[start:], r.Payload) {
			t.Fatal("payload is not the rest of the packet")
		}
	})
}

func FuzzUDP(f *testing.F) {
	b := make([]byte, 12)
	PutUDPNoChecksum(b, 1, 2, 12)
	f.Add(b, uint16(0))
	f.Add(b[:8], uint16(0xffff))
	f.Add([]byte{0, 0, 0, 0, 0, 7, 0, 0}, uint16(1))
	f.Fuzz(func(t *testing.T, b []byte, pseudo uint16) {
		u, err := ParseUDP(b)
		if err != nil {
			return
		}
		if len(u) != u.Length() || len(u.Payload()) != len(u)-UDPLen || len(u) > len(b) {
			t.Fatalf("lengths: %d of %d", len(u), len(b))
		}
		_ = u.ChecksumOK(pseudo)
		out := append(make([]byte, UDPLen), u.Payload()...)
		PutUDP(out, u.SrcPort(), u.DstPort(), len(out), Checksum(u.Payload(), pseudo))
		g, err := ParseUDP(out)
		if err != nil || !g.ChecksumOK(pseudo) || g.SrcPort() != u.SrcPort() || g.DstPort() != u.DstPort() {
			t.Fatalf("%x became %x: %v", []byte(u), out, err)
		}
	})
}

func FuzzICMP(f *testing.F) {
	b := make([]byte, 128)
	f.Add(append([]byte(nil), b[:PutICMPv4Echo(b, ICMPv4Echo, 1, 2, []byte("abc"))]...))
	f.Add(append([]byte(nil), b[:PutICMPv4(b, 3, 4, 1400, quoted4(ProtoTCP, 0, make([]byte, 8)...))]...))
	f.Add(append([]byte(nil), b[:PutICMPv6(b, ip6A, ip6B, 2, 0, 1400, quoted6(ProtoHopByHop, options6(ProtoUDP), make([]byte, 8)))]...))
	f.Add(quoted6(ProtoFragment, fragment6(ProtoTCP, 8, true)))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = ParseQuote(b)
		m, err := ParseICMPv4(b)
		if err != nil {
			return
		}
		_, _, _ = m.IsError(), m.MTU(), m.Pointer()
		if q, ok := m.Quote(); ok && (!q.Src.Is4() || !q.Dst.Is4()) {
			t.Fatalf("%+v", q)
		}
		out := make([]byte, len(b))
		n := PutICMPv4(out, m.Type(), m.Code(), m.Rest(), m.Payload())
		if g := ICMPv4(out); n != len(b) || !g.ChecksumOK() || !bytes.Equal(out[4:], b[4:]) || !bytes.Equal(out[:2], b[:2]) {
			t.Fatalf("%x became %x", b, out)
		}
		m6, err := ParseICMPv6(b)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = m6.IsError(), m6.MTU()
		if q, ok := m6.Quote(); ok && (!q.Src.Is6() || !q.Dst.Is6()) {
			t.Fatalf("%+v", q)
		}
		n = PutICMPv6(out, ip6A, ip6B, m6.Type(), m6.Code(), m6.Rest(), m6.Payload())
		if g := ICMPv6(out); n != len(b) || !g.ChecksumOK(ip6A, ip6B) || !bytes.Equal(out[4:], b[4:]) {
			t.Fatalf("%x became %x", b, out)
		}
	})
}

// The header's fields that matter come first in the input, then the message.
func FuzzNDP(f *testing.F) {
	b := make([]byte, 32)
	PutNeighborSolicitation(b, ip6A, SolicitedNode(ip6B), ip6B, &macA)
	f.Add(append([]byte(neighborHeader(ip6A, SolicitedNode(ip6B), 32)), b...))
	PutNeighborAdvertisement(b, ip6B, ip6A, ip6B, NDPSolicited, &macB)
	f.Add(append([]byte(neighborHeader(ip6B, ip6A, 32)), b...))
	b[25] = 0
	f.Add(append([]byte(neighborHeader(ip6B, ip6A, 32)), b...))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, payload, err := ParseIPv6(b)
		if err != nil {
			return
		}
		m, err := ParseICMPv6(payload)
		if err != nil {
			return
		}
		out := make([]byte, NDPNeighborLen+NDPLinkOptionLen)
		if s, o, err := ParseNeighborSolicitation(h, m); err == nil {
			var link *[6]byte
			if o.HasSourceLink {
				link = &o.SourceLink
			}
			n := PutNeighborSolicitation(out, h.Src(), h.Dst(), s.Target(), link)
			g, p, err := ParseNeighborSolicitation(h, ICMPv6(out[:n]))
			if err != nil || g.Target() != s.Target() || p.HasSourceLink != o.HasSourceLink || p.SourceLink != o.SourceLink {
				t.Fatalf("%x became %x: %v", []byte(m), out[:n], err)
			}
		}
		if a, o, err := ParseNeighborAdvertisement(h, m); err == nil {
			var link *[6]byte
			if o.HasTargetLink {
				link = &o.TargetLink
			}
			n := PutNeighborAdvertisement(out, h.Src(), h.Dst(), a.Target(), a[4]&0xe0, link)
			g, p, err := ParseNeighborAdvertisement(h, ICMPv6(out[:n]))
			if err != nil || g.Target() != a.Target() || g.Solicited() != a.Solicited() || g.Override() != a.Override() ||
				g.Router() != a.Router() || p.HasTargetLink != o.HasTargetLink || p.TargetLink != o.TargetLink {
				t.Fatalf("%x became %x: %v", []byte(m), out[:n], err)
			}
		}
	})
}
