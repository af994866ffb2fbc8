package vnet

import (
	"encoding/binary"

	"github.com/fastnet-go/fastnet/nic"
)

// Datagrams cuts a frame that holds several UDP datagrams (a sender's
// UDP_SEGMENT, on an interface that nobody asked whether it takes them) into the
// frames that they are on a wire: nic.Meta has no word for it, and no stack has to
// know it. The zero value holds none.
type Datagrams struct {
	frame *nic.Packet
	off   int // of the payload that comes next
	start int // of the UDP header
	size  int // of each payload but the last
	left  int // bytes of payload
	count int // datagrams cut
}

// Set begins with a frame that came with the header h, and takes it over. It
// returns false, and the frame is still the caller's, if it is none of those.
func (d *Datagrams) Set(h *[HeaderSize]byte, frame *nic.Packet) bool {
	ne := binary.NativeEndian
	start, size := int(ne.Uint16(h[6:])), int(ne.Uint16(h[4:]))
	b := frame.Bytes()
	if h[1] != gsoUDP || h[0]&needsCsum == 0 || ne.Uint16(h[8:]) != 6 || size == 0 || len(b) < start+8 {
		return false
	}
	switch { // the headers in front are what they must be
	case start >= 14+20 && binary.BigEndian.Uint16(b[12:]) == 0x0800 && b[14]>>4 == 4 && 14+int(b[14]&15)*4 == start:
	case start >= 14+40 && binary.BigEndian.Uint16(b[12:]) == 0x86dd && b[14]>>4 == 6:
	default:
		return false
	}
	payload := frame.FrameLen() - start - 8
	if payload <= 0 || payload > 65535 {
		return false
	}
	*d = Datagrams{frame: frame, off: start + 8, start: start, size: size, left: payload}
	return true
}

// Any reports whether there is a datagram left.
func (d *Datagrams) Any() bool { return d.frame != nil }

// Next fills p, an empty packet, with the next frame. It returns false if p has no
// room for it; the frame is lost then. After the last one Any is false.
func (d *Datagrams) Next(p *nic.Packet) bool {
	n := min(d.size, d.left)
	headers := d.start + 8
	ok := p.Tailroom() >= headers+n
	if ok {
		b := p.Extend(headers + n)
		d.frame.CopyTo(b[:headers], 0)
		d.frame.CopyTo(b[headers:], d.off)
		be := binary.BigEndian
		if ip := b[14:]; ip[0]>>4 == 4 {
			be.PutUint16(ip[2:], uint16(d.start-14+8+n))
			be.PutUint16(ip[4:], be.Uint16(ip[4:])+uint16(d.count)) // as the kernel does (inet_gso_segment)
			be.PutUint16(ip[10:], 0)
			be.PutUint16(ip[10:], ^sum16(ip[:d.start-14]))
		} else {
			be.PutUint16(ip[4:], uint16(d.start-14-40+8+n))
		}
		// The field holds the pseudo-header's sum, with the length of the whole.
		udp := b[d.start:]
		whole := be.Uint16(udp[4:])
		be.PutUint16(udp[4:], uint16(8+n))
		var s [6]byte
		copy(s[:], udp[6:8])
		be.PutUint16(s[2:], ^whole)
		be.PutUint16(s[4:], uint16(8+n))
		be.PutUint16(udp[6:], sum16(s[:]))
		p.Checksum, p.ChecksumStart, p.ChecksumOffset = nic.ChecksumPartial, uint16(d.start), 6
	}
	d.off += n
	d.left -= n
	d.count++
	if d.left == 0 {
		d.Drop()
	}
	return ok
}

// Drop releases what is left.
func (d *Datagrams) Drop() {
	d.frame.Release()
	*d = Datagrams{}
}

// sum16 is the one's complement sum of b, of an even length (RFC 1071).
func sum16(b []byte) uint16 {
	var s uint32
	for ; len(b) >= 2; b = b[2:] {
		s += uint32(b[0])<<8 | uint32(b[1])
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}
