package nic

import (
	"errors"
	"math"
	"time"
)

// Never is the time of an event that does not come.
const Never = time.Duration(math.MaxInt64)

// ErrClosed is what the methods of a closed device return.
var ErrClosed = errors.New("nic: device is closed")

// MAC is an Ethernet address (EUI-48).
type MAC [6]byte

// Device is a network interface as its driver presents it. The methods may be
// called from any goroutine.
type Device interface {
	// Info tells what the device is and can do. It does not change, but for
	// the MTU, which Link reports as it changes.
	Info() Info

	// Queues returns the device's queue pairs, always the same ones.
	Queues() []Queue

	// Link returns the present state of the link.
	Link() Link

	// Notify registers the one function to be called after each change of
	// Link, with the new one, from a goroutine of the driver's; it calls
	// nothing of the device's. nil removes it; no call is
	// under way or comes after Notify(nil) has returned.
	Notify(changed func(Link))

	// Close stops the device: Recv then returns nothing and Send drops.
	// Memory that a packet still refers to stays mapped until its release.
	// A second Close returns ErrClosed.
	Close() error
}

// Info describes a device.
type Info struct {
	Name     string   // the interface's name, unique within a host
	Driver   string   // the driver's package: "wire", "tap", ...
	MAC      MAC      // its Ethernet address
	MTU      int      // the largest payload of an Ethernet frame, in bytes
	Offloads Offloads // what the device does for the stack
	MaxSend  int      // with TSO: the largest frame that Send takes, in bytes with its headers

	// HashKey is the Toeplitz key of receive side scaling, where the device
	// tells it: 40 bytes or more. A TCP segment that arrives, whole and without
	// tunnel, is hashed over source address, destination address, source port
	// and destination port; a device that hashes otherwise leaves the key nil.
	HashKey []byte
	// HashTable is the indirection table: a segment arrives at queue
	// HashTable[hash mod len(HashTable)]. Nil stands for 128 entries of which i
	// is i modulo the number of queues, as drivers set it by default.
	HashTable []uint16
}

// Offloads is the set of the work that a device takes from the stack.
type Offloads uint32

const (
	// TxChecksum: Send takes packets with ChecksumPartial, over IPv4 and IPv6.
	TxChecksum Offloads = 1 << iota
	// TSO4 and TSO6: Send takes TCP super-segments over IPv4, IPv6.
	TSO4
	TSO6
	// RxChecksum: Recv may return packets with ChecksumVerified or
	// ChecksumPartial. The state of each packet says what is known of it.
	RxChecksum
	// LRO: Recv may return frames larger than the MTU, with their segment size.
	LRO
	// RxBarePartial: frames of local senders arrive with partial checksums and
	// nothing in the metadata says so (AF_XDP on veth). The stack accepts a
	// valid checksum or exactly the pseudo-header's sum, on such a device only.
	RxBarePartial
)

// Has reports whether o holds all of want.
func (o Offloads) Has(want Offloads) bool { return o&want == want }

// Link is the state of a device's link.
type Link struct {
	Up  bool  // a carrier is there
	MTU int   // the present MTU, in bytes
	Err error // not nil: the device is dead for good and this is why
}

// Queue is a receive queue and a transmit queue that share an index.
//
// Recv and Arm belong to the one goroutine that polls the queue at the time
// (the stack holds a lock around them). All other methods may be called from
// any goroutine; a driver that needs a transmit lock has it inside, and calls
// nothing of the stack's while it holds it.
type Queue interface {
	// Recv fills pkts with received packets and returns how many. It never
	// blocks. The caller owns the packets and releases each. Recv is also
	// where a driver does its housekeeping: completions, refills, and the
	// events that NextEvent announced.
	Recv(pkts []*Packet) int

	// Pending reports whether Recv may have something to do. It is false only
	// if there was nothing at the time, costs no more than a look at a ring's
	// index, and may be called by anybody: it spares the lock of an empty
	// queue.
	Pending() bool

	// Alloc returns an empty packet with room for size bytes behind the
	// device's headroom, in one part or in a chain of them, or nil when the
	// transmit pool is exhausted. The caller fills it and passes it to Send,
	// or releases it.
	Alloc(size int) *Packet

	// Send queues packets for transmission in their order and returns how
	// many it took; these are no longer the caller's. The others stay the
	// caller's, to be sent again later: the ring is full. What a device
	// cannot send at all (no link, too large) it takes, releases and counts.
	Send(pkts []*Packet) int

	// Kick makes the device act on what Send queued: a doorbell, a system
	// call, a wake-up of the peer. Send alone need not transmit. Redundant
	// calls are harmless.
	Kick()

	// SetWake gives the function that a queue calls, from any goroutine and
	// without a lock held, to end the poller's sleep. Before first use only.
	SetWake(wake func())

	// Arm asks for one call of wake when a packet can be received (or sent
	// again after Send or Alloc fell short). It returns false, and no call
	// is owed, if there is something to receive already.
	Arm() bool

	// NextEvent is the time, on the clock that the device was given, at which
	// Recv must be called although nothing woke the poller, or Never.
	NextEvent() time.Duration

	// Stats returns the queue's counters.
	Stats() QueueStats
}

// BatchAllocator is what a Queue may implement beside its own methods: Alloc for
// many packets, at the cost of one. The stack uses it for the packets of a large
// write.
type BatchAllocator interface {
	// AllocBatch fills pkts with empty packets, each with room for size bytes
	// behind the device's headroom, and returns how many it had.
	AllocBatch(pkts []*Packet, size int) int
}

// QueueStats counts what went through a queue since its start. Bytes are those
// of Ethernet frames without their FCS.
type QueueStats struct {
	RxPackets, RxBytes uint64
	TxPackets, TxBytes uint64
	RxDropped          uint64 // arrived, but the ring or the pool was full
	TxDropped          uint64 // taken by Send, but could not be sent
	TxFull             uint64 // packets that Send left with the caller
	NoBuffer           uint64 // times that Alloc returned nil
	Kicks, Wakes       uint64
	Calls              uint64 // system calls for packets, where the driver counts them
}

// Add adds the counters of o to s.
func (s *QueueStats) Add(o QueueStats) {
	s.RxPackets += o.RxPackets
	s.RxBytes += o.RxBytes
	s.TxPackets += o.TxPackets
	s.TxBytes += o.TxBytes
	s.RxDropped += o.RxDropped
	s.TxDropped += o.TxDropped
	s.TxFull += o.TxFull
	s.NoBuffer += o.NoBuffer
	s.Kicks += o.Kicks
	s.Wakes += o.Wakes
	s.Calls += o.Calls
}

// DeviceStats sums the counters of all queues of d.
func DeviceStats(d Device) QueueStats {
	var s QueueStats
	for _, q := range d.Queues() {
		s.Add(q.Stats())
	}
	return s
}
