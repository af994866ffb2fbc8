// Package vnet is the virtio-net header that the kernel's devices put in front of
// each frame: it carries what nic.Meta says.
package vnet

import (
	"encoding/binary"

	"github.com/fastnet-go/fastnet/nic"
)

// HeaderSize is the length of a struct virtio_net_hdr without the field
// num_buffers (virtio 1.2 section 5.1.6; Linux include/uapi/linux/virtio_net.h):
//
//	0 flags  1 gso_type  2 hdr_len  4 gso_size  6 csum_start  8 csum_offset
//
// Its numbers are in the machine's own byte order: so TAP has it unless
// TUNSETVNETLE says otherwise, and so have packet sockets. Virtio 1.x devices
// have little-endian numbers.
const HeaderSize = 10

// flags
const (
	needsCsum = 1 // VIRTIO_NET_HDR_F_NEEDS_CSUM
	dataValid = 2 // VIRTIO_NET_HDR_F_DATA_VALID
)

// gso_type
const (
	gsoNone  = 0    // VIRTIO_NET_HDR_GSO_NONE
	gsoTCPv4 = 1    // VIRTIO_NET_HDR_GSO_TCPV4
	gsoTCPv6 = 4    // VIRTIO_NET_HDR_GSO_TCPV6
	gsoUDP   = 5    // VIRTIO_NET_HDR_GSO_UDP_L4
	gsoECN   = 0x80 // VIRTIO_NET_HDR_GSO_ECN, with one of the others
)

// Put writes into h the header of a frame of size bytes. It returns false if
// the metadata does not fit the frame.
func Put(h *[HeaderSize]byte, m *nic.Meta, size int) bool {
	*h = [HeaderSize]byte{}
	ne := binary.NativeEndian
	if m.Checksum == nic.ChecksumPartial {
		if int(m.ChecksumStart)+int(m.ChecksumOffset)+2 > size {
			return false
		}
		h[0] = needsCsum
		ne.PutUint16(h[6:], m.ChecksumStart)
		ne.PutUint16(h[8:], m.ChecksumOffset)
	}
	switch m.Segment {
	case nic.SegmentNone:
		return true
	case nic.SegmentTCPv4:
		h[1] = gsoTCPv4
	case nic.SegmentTCPv6:
		h[1] = gsoTCPv6
	default:
		return false
	}
	ne.PutUint16(h[2:], m.HeaderLen)
	ne.PutUint16(h[4:], m.SegmentSize)
	// The checksum of each segment is filled in, so it must be partial.
	return h[0] == needsCsum && m.SegmentSize > 0 && int(m.HeaderLen) <= size
}

// Parse sets the metadata of a frame that came with the header h. It
// returns false if the frame is none that the kernel may have sent.
func Parse(h *[HeaderSize]byte, p *nic.Packet) bool {
	ne := binary.NativeEndian
	start, offset := ne.Uint16(h[6:]), ne.Uint16(h[8:])
	size := p.FrameLen()
	switch {
	case h[0]&needsCsum != 0:
		if int(start)+int(offset)+2 > size {
			return false
		}
		p.Checksum, p.ChecksumStart, p.ChecksumOffset = nic.ChecksumPartial, start, offset
	case h[0]&dataValid != 0:
		p.Checksum = nic.ChecksumVerified
	}
	switch h[1] &^ gsoECN {
	case gsoNone:
		return true
	case gsoTCPv4:
		p.Segment = nic.SegmentTCPv4
	case gsoTCPv6:
		p.Segment = nic.SegmentTCPv6
	default:
		return false
	}
	p.SegmentSize = ne.Uint16(h[4:])
	if p.SegmentSize == 0 {
		return false
	}
	// hdr_len is a hint only (virtio 1.2 section 5.1.6.4.1): the kernel puts
	// there what happens to be contiguous. The sum starts with the TCP header,
	// and that tells its length (RFC 9293 section 3.1).
	if b := p.Bytes(); p.Checksum == nic.ChecksumPartial && int(start)+20 <= len(b) {
		header := int(start) + int(b[start+12]>>4)*4
		if header > size {
			return false
		}
		p.HeaderLen = uint16(header)
	}
	return true
}
