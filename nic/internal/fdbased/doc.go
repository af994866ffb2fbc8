// Package fdbased is what drivers share whose queues are file descriptors of the
// kernel's: a frame crosses by a system call that copies it, behind a virtio-net
// header (../vnet), and the runtime's poller tells when there is one.
//
// A driver embeds Device and Queue, and adds the system calls: Queue.Read, Send
// and Kick. Read device_linux.go first, then queue_linux.go, which is nic.Queue
// but for those, and receive_linux.go, where a frame's buffers come from.
// buffers.go has the pools.
package fdbased

import (
	"math/rand/v2"

	"github.com/fastnet-go/fastnet/nic"
)

const (
	// MaxFrame is the length of the largest frame, a super-segment: an IP packet of
	// 64 KiB with its Ethernet header.
	MaxFrame = 65535 + 14

	// EthernetHeader is the length of an Ethernet header with one VLAN tag.
	EthernetHeader = 18

	// Headroom is what is free in front of each packet.
	Headroom = 64

	// Batch is how many buffers are taken from a pool at the most at a time, and
	// so many frames a system call carries, where it can.
	Batch = 32
)

// RandomMAC returns an address that is locally administered, and unicast (IEEE 802
// section 8.4).
func RandomMAC() nic.MAC {
	r := rand.Uint64()
	return nic.MAC{0x02, byte(r >> 32), byte(r >> 24), byte(r >> 16), byte(r >> 8), byte(r)}
}
