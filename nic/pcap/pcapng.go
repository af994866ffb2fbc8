package pcap

import (
	"encoding/binary"
	"time"

	"github.com/fastnet-go/fastnet/nic"
)

// The file format is pcapng, draft-ietf-opsawg-pcapng: a section header block,
// an interface description block for each interface, an enhanced packet block
// for each frame, and at the end an interface statistics block each.
const (
	blockSection    = 0x0a0d0d0a // section 4.1
	blockInterface  = 0x00000001 // section 4.2
	blockStatistics = 0x00000005 // section 4.5
	blockPacket     = 0x00000006 // section 4.3

	byteOrderMagic = 0x1a2b3c4d
	linkEthernet   = 1 // LINKTYPE_ETHERNET
)

// Options: section 3.5, and those of each block.
const (
	optEnd     = 0
	optComment = 1

	shbApplication = 4

	ifName        = 2
	ifDescription = 3
	ifMAC         = 6
	ifTsResol     = 9

	epbFlags     = 2
	epbDropCount = 4
	epbQueue     = 6

	isbReceived  = 4
	isbDropped   = 5
	isbDelivered = 8
)

var le = binary.LittleEndian

// begin starts a block: its type, and room for its length.
func begin(b []byte, kind uint32) []byte {
	b = le.AppendUint32(b, kind)
	return le.AppendUint32(b, 0)
}

// end closes the block that starts at b[start:]. The length stands at both its
// ends (section 3.1).
func end(b []byte, start int) []byte {
	b = le.AppendUint32(b, optEnd) // code 0, length 0
	size := uint32(len(b) - start + 4)
	le.PutUint32(b[start+4:], size)
	return le.AppendUint32(b, size)
}

// endSize is what end appends.
const endSize = 8

// pad fills up to a multiple of 32 bits.
func pad(b []byte, written int) []byte {
	const zeros = "\x00\x00\x00"
	return append(b, zeros[:-written&3]...)
}

func option(b []byte, code uint16, value string) []byte {
	value = value[:min(len(value), 0xffff)]
	b = le.AppendUint16(b, code)
	b = le.AppendUint16(b, uint16(len(value)))
	return pad(append(b, value...), len(value))
}

func option32(b []byte, code uint16, value uint32) []byte {
	b = le.AppendUint16(b, code)
	b = le.AppendUint16(b, 4)
	return le.AppendUint32(b, value)
}

func option64(b []byte, code uint16, value uint64) []byte {
	b = le.AppendUint16(b, code)
	b = le.AppendUint16(b, 8)
	return le.AppendUint64(b, value)
}

const option64Size = 12

func appendSection(b []byte, application string) []byte {
	start := len(b)
	b = begin(b, blockSection)
	b = le.AppendUint32(b, byteOrderMagic)
	b = le.AppendUint16(b, 1) // version 1.0
	b = le.AppendUint16(b, 0)
	b = le.AppendUint64(b, ^uint64(0)) // the section's length: not given
	if application != "" {
		b = option(b, shbApplication, application)
	}
	return end(b, start)
}

func appendInterface(b []byte, name, description string, mac nic.MAC, snapLen int) []byte {
	start := len(b)
	b = begin(b, blockInterface)
	b = le.AppendUint16(b, linkEthernet)
	b = le.AppendUint16(b, 0)
	b = le.AppendUint32(b, uint32(snapLen)) // 0: no limit
	b = option(b, ifName, name)
	if description != "" {
		b = option(b, ifDescription, description)
	}
	if mac != (nic.MAC{}) {
		b = option(b, ifMAC, string(mac[:]))
	}
	b = option(b, ifTsResol, "\x09") // 10^-9 seconds
	return end(b, start)
}

// appendTime writes a timestamp in the two halves that blocks have it in.
func appendTime(b []byte, t time.Duration) []byte {
	b = le.AppendUint32(b, uint32(uint64(t)>>32))
	return le.AppendUint32(b, uint32(uint64(t)))
}

// packet is what an enhanced packet block says of a frame beside its bytes.
type packet struct {
	iface     uint32
	time      time.Duration // since 1970
	direction Direction
	queue     int // -1: not worth saying
	snapLen   int // 0: no limit
	comment   string
}

// appendPacket writes an enhanced packet block but for its end, so that more
// options can follow.
func appendPacket(b []byte, m *packet, p *nic.Packet) []byte {
	b = begin(b, blockPacket)
	b = le.AppendUint32(b, m.iface)
	b = appendTime(b, m.time)
	size := p.FrameLen()
	captured := size
	if m.snapLen > 0 {
		captured = min(captured, m.snapLen)
	}
	b = le.AppendUint32(b, uint32(captured))
	b = le.AppendUint32(b, uint32(size))
	data := len(b)
	for part, left := p, captured; left > 0 && part != nil; part = part.Next() {
		bytes := part.Bytes()
		bytes = bytes[:min(len(bytes), left)]
		b = append(b, bytes...)
		left -= len(bytes)
	}
	if sum, offset, ok := p.CompleteChecksum(); ok && offset+2 <= captured {
		binary.BigEndian.PutUint16(b[data+offset:], sum)
	}
	b = pad(b, captured)
	b = option32(b, epbFlags, uint32(m.direction))
	if m.queue >= 0 {
		b = option32(b, epbQueue, uint32(m.queue))
	}
	if p.Segment != nic.SegmentNone {
		b = appendSuperComment(b, int(p.SegmentSize))
	}
	if m.comment != "" {
		b = option(b, optComment, m.comment)
	}
	return b
}

// appendSuperComment says that a frame is larger than any on a wire, and why.
func appendSuperComment(b []byte, segment int) []byte {
	const text = "super-segment of "
	var digits [8]byte
	i := len(digits)
	for n := segment; i > 0; n /= 10 {
		i--
		digits[i] = byte('0' + n%10)
		if n < 10 {
			break
		}
	}
	const unit = " bytes each"
	size := len(text) + len(digits) - i + len(unit)
	b = le.AppendUint16(b, optComment)
	b = le.AppendUint16(b, uint16(size))
	b = append(b, text...)
	b = append(b, digits[i:]...)
	b = append(b, unit...)
	return pad(b, size)
}
