package afxdp

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/fastnet-go/fastnet/nic"
)

// Frames, from the inside out.

func ether(dst nic.MAC, kind uint16, payload []byte) []byte {
	b := append(append([]byte{}, dst[:]...), otherMAC[:]...)
	return append(binary.BigEndian.AppendUint16(b, kind), payload...)
}

// transport is a TCP segment or UDP datagram as far as the program reads it.
func transport(from, to uint16) []byte {
	b := make([]byte, 20)
	binary.BigEndian.PutUint16(b, from)
	binary.BigEndian.PutUint16(b[2:], to)
	return b
}

type ip4 struct {
	src, dst netip.Addr
	protocol byte
	fragment uint16 // flags and offset
	id       uint16
	options  int // bytes
	total    int // added to the total length
}

func (h ip4) packet(payload []byte) []byte {
	b := make([]byte, 20+h.options)
	b[0] = 0x40 | byte(len(b)/4)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)+len(payload)+h.total))
	binary.BigEndian.PutUint16(b[4:], h.id)
	binary.BigEndian.PutUint16(b[6:], h.fragment)
	b[8], b[9] = 64, h.protocol
	copy(b[12:], h.src.AsSlice())
	copy(b[16:], h.dst.AsSlice())
	return append(b, payload...)
}

func (h ip4) frame(payload []byte) []byte { return ether(steerMAC, 0x0800, h.packet(payload)) }

// to4 is a TCP segment.
func to4(dst netip.Addr, port uint16) []byte {
	return ip4{src: remote4, dst: dst, protocol: 6}.frame(transport(1234, port))
}

type ip6 struct {
	src, dst netip.Addr
	next     byte
	cut      int // taken off the payload length
}

func (h ip6) packet(payload []byte) []byte {
	b := make([]byte, 40)
	b[0] = 0x60
	binary.BigEndian.PutUint16(b[4:], uint16(len(payload)-h.cut))
	b[6], b[7] = h.next, 64
	copy(b[8:], h.src.AsSlice())
	copy(b[24:], h.dst.AsSlice())
	return append(b, payload...)
}

func (h ip6) frame(payload []byte) []byte { return ether(steerMAC, 0x86dd, h.packet(payload)) }

func to6(dst netip.Addr, port uint16) []byte {
	return ip6{src: remote6, dst: dst, next: 6}.frame(transport(1234, port))
}

// extensions puts headers of the kinds given, 8 bytes and more each, in front of
// a payload.
func extensions(next byte, payload []byte, kinds ...byte) (byte, []byte) {
	for i, kind := range slices.Backward(kinds) {
		h := make([]byte, 8+8*(i%3))
		if kind == 44 {
			h = h[:8] // offset 0, no more: a whole packet
		} else {
			h[1] = byte(i % 3)
		}
		h[0] = next
		payload = append(h, payload...)
		next = kind
	}
	return next, payload
}

func ext6(dst netip.Addr, port uint16, kinds ...byte) []byte {
	next, payload := extensions(6, transport(1234, port), kinds...)
	return ip6{src: remote6, dst: dst, next: next}.frame(payload)
}

// piece6 is a fragment.
func piece6(dst netip.Addr, offset uint16, more bool, id uint32, payload []byte) []byte {
	h := make([]byte, 8)
	h[0] = 6
	if more {
		offset |= 1
	}
	binary.BigEndian.PutUint16(h[2:], offset)
	binary.BigEndian.PutUint32(h[4:], id)
	return ip6{src: remote6, dst: dst, next: 44}.frame(append(h, payload...))
}

// error4 is an ICMP error about a packet.
func error4(kind byte, dst netip.Addr, quoted []byte) []byte {
	return ip4{src: addr("203.0.113.1"), dst: dst, protocol: 1}.frame(append([]byte{kind, 0, 0, 0, 0, 0, 0, 0}, quoted...))
}

func error6(kind byte, dst netip.Addr, quoted []byte) []byte {
	return ip6{src: addr("2001:db8:2::1"), dst: dst, next: 58}.frame(append([]byte{kind, 0, 0, 0, 0, 0, 0, 0}, quoted...))
}

// sent4 is the beginning of a packet of ours, as an error quotes it.
func sent4(src netip.Addr, from, to uint16) []byte {
	return ip4{src: src, dst: remote4, protocol: 6}.packet(transport(from, to)[:8])
}

func sent6(src netip.Addr, from, to uint16) []byte {
	return ip6{src: src, dst: remote6, next: 6}.packet(transport(from, to)[:8])
}

func arpFrame(dst nic.MAC, operation byte, sender, target netip.Addr) []byte {
	b := []byte{0, 1, 8, 0, 6, 4, 0, operation}
	b = append(append(b, otherMAC[:]...), sender.AsSlice()...)
	b = append(append(b, make([]byte, 6)...), target.AsSlice()...)
	return ether(dst, 0x0806, b)
}

// solicit asks for the Ethernet address of target.
func solicit(target netip.Addr) []byte {
	group := addr("ff02::1:ff00:0").As16()
	b := target.As16()
	copy(group[13:], b[13:])
	icmp := append([]byte{135, 0, 0, 0, 0, 0, 0, 0}, b[:]...)
	p := ip6{src: remote6, dst: netip.AddrFrom16(group), next: 58}.packet(icmp)
	return ether(nic.MAC{0x33, 0x33, 0xff, b[13], b[14], b[15]}, 0x86dd, p)
}

func vlan(frame []byte, tag uint16) []byte {
	b := append([]byte{}, frame[:12]...)
	b = binary.BigEndian.AppendUint16(b, tag)
	return append(append(b, 0, 5), frame[12:]...)
}

// priority puts a tag with a priority and without a VLAN into a frame.
func priority(frame []byte) []byte {
	return append(append(append([]byte{}, frame[:12]...), 0x81, 0, 0xa0, 0), frame[12:]...)
}

// big makes a frame one of more than 64 KiB, whose IP header tells no length.
func big(frame []byte) []byte {
	at := 16
	if frame[12] == 0x86 {
		at = 18
	}
	frame[at], frame[at+1] = 0, 0
	return append(frame, make([]byte, 70000)...)
}

func cut(frame []byte, n int) []byte { return frame[:n] }

func to(frame []byte, dst nic.MAC) []byte {
	copy(frame, dst[:])
	return frame
}
