package afxdp

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
)

// putMetadata asks for the checksum of p, in the bytes in front of it
// (Documentation/networking/xsk-tx-metadata.rst; struct xsk_tx_metadata):
//
//	flags u64 | csum_start u16 | csum_offset u16 | padding | launch_time u64
//
// They lie in the headroom, which nobody reads; another owner of the packet who
// sends it too would write the same.
func putMetadata(p *nic.Packet) {
	b := p.Buffer()[p.Headroom()-metadataSize : p.Headroom()]
	clear(b)
	binary.NativeEndian.PutUint64(b, unix.XDP_TXMD_FLAGS_CHECKSUM)
	binary.NativeEndian.PutUint16(b[8:], p.ChecksumStart)
	binary.NativeEndian.PutUint16(b[10:], p.ChecksumOffset)
}
