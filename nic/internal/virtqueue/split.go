// Package virtqueue is the driver's side of a split virtqueue (virtio 1.2 section
// 2.7): what vhost-net and virtio devices share with whom they serve.
package virtqueue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"
)

// The parts of a split virtqueue of n descriptors (section 2.7): the descriptor
// table, 16 bytes each; the available ring, flags, idx and n heads; the used
// ring, flags, idx and n pairs of head and length.
const (
	descriptorSize = 16
	ringHeader     = 4
	usedSize       = 8
)

const (
	flagNext  = 1 // VIRTQ_DESC_F_NEXT
	flagWrite = 2 // VIRTQ_DESC_F_WRITE: the device's to write

	noNotify    = 1 // VIRTQ_USED_F_NO_NOTIFY
	noInterrupt = 1 // VIRTQ_AVAIL_F_NO_INTERRUPT
)

// Buffer is one piece of memory, at the address that the device knows it by.
type Buffer struct {
	Addr uint64
	Len  uint32
}

// Split is a virtqueue. One goroutine at a time uses it: its users lock. All its
// numbers are little-endian.
type Split struct {
	size  uint16
	mem   []byte
	desc  []byte
	avail []byte
	used  []byte

	next     []uint16 // of a descriptor: ours, which the device cannot change
	chain    []uint16 // descriptors of the chain that begins here; 0: the device has none
	free     uint16   // the first free descriptor
	nFree    uint16
	availIdx uint16 // of the next chain to offer
	seen     uint16 // of the next chain to take back
	flags    uint32 // of the available ring
	err      error
}

// New returns a virtqueue of size descriptors, a power of two up to 32768.
func New(size int) (*Split, error) {
	if size < 1 || size > 32768 || size&(size-1) != 0 {
		return nil, fmt.Errorf("virtqueue: %d descriptors: want a power of two, up to 32768", size)
	}
	table := size * descriptorSize
	avail := (ringHeader + 2*size + 2 + 3) &^ 3
	used := ringHeader + usedSize*size + 2
	mem := make([]byte, table+avail+used+descriptorSize)
	mem = mem[-uintptr(unsafe.Pointer(&mem[0]))%descriptorSize:]
	s := &Split{
		size: uint16(size), mem: mem,
		desc: mem[:table], avail: mem[table : table+avail], used: mem[table+avail:][:used],
		next: make([]uint16, size), chain: make([]uint16, size), nFree: uint16(size),
	}
	for i := range s.next {
		s.next[i] = uint16(i + 1)
	}
	return s, nil
}

// Size is the number of descriptors.
func (s *Split) Size() int { return int(s.size) }

// Memory is what the device must be able to reach besides the buffers.
func (s *Split) Memory() []byte { return s.mem }

// Addresses are those of the descriptor table, the available and the used ring.
func (s *Split) Addresses() (desc, avail, used uintptr) {
	return uintptr(unsafe.Pointer(&s.desc[0])), uintptr(unsafe.Pointer(&s.avail[0])), uintptr(unsafe.Pointer(&s.used[0]))
}

// word is flags and idx of a ring, which lie in one word: there are no atomic
// operations on 16 bits.
func word(ring []byte) *uint32 { return (*uint32)(unsafe.Pointer(&ring[0])) }

// Room is the number of free descriptors.
func (s *Split) Room() int { return int(s.nFree) }

// Add offers a chain of buffers, which the device may write if write is set, and
// returns its head: below Size, and known by it until Used returns it. It is -1 if
// there are not enough descriptors. Publish makes it seen.
func (s *Split) Add(bufs []Buffer, write bool) int {
	if len(bufs) == 0 || len(bufs) > int(s.nFree) {
		return -1
	}
	head := s.free
	at := head
	le := binary.LittleEndian
	for i, b := range bufs {
		d := s.desc[int(at)*descriptorSize:][:descriptorSize]
		flags := uint16(0)
		if write {
			flags = flagWrite
		}
		if i < len(bufs)-1 {
			flags |= flagNext
		}
		le.PutUint64(d, b.Addr)
		le.PutUint32(d[8:], b.Len)
		le.PutUint16(d[12:], flags)
		le.PutUint16(d[14:], s.next[at])
		at = s.next[at]
	}
	s.free = at
	s.nFree -= uint16(len(bufs))
	s.chain[head] = uint16(len(bufs))
	le.PutUint16(s.avail[ringHeader+2*int(s.availIdx&(s.size-1)):], head)
	s.availIdx++
	return int(head)
}

// Publish shows the device all chains that were added.
func (s *Split) Publish() {
	atomic.StoreUint32(word(s.avail), s.flags|uint32(s.availIdx)<<16)
}

// Notify reports whether the device wants to be told of what was published.
func (s *Split) Notify() bool { return atomic.LoadUint32(word(s.used))&noNotify == 0 }

// Interrupts says whether the device is to tell when it has used a chain. Who
// allows it looks at Pending afterwards: what was used before is not told.
func (s *Split) Interrupts(on bool) {
	s.flags = noInterrupt
	if on {
		s.flags = 0
	}
	s.Publish()
}

// Pending is the number of chains that the device has used and Used has not
// returned yet.
func (s *Split) Pending() int {
	return int(uint16(atomic.LoadUint32(word(s.used))>>16) - s.seen)
}

var errBroken = errors.New("virtqueue: the device has used what it was not given")

// Used returns the head of a chain that the device is done with, and the number
// of bytes that it wrote; ok is false if there is none. Then Err tells whether
// the device broke the rules, after which nothing is believed any more.
func (s *Split) Used() (head int, length uint32, ok bool) {
	n := s.Pending()
	if n == 0 || s.err != nil {
		return 0, 0, false
	}
	le := binary.LittleEndian
	e := s.used[ringHeader+usedSize*int(s.seen&(s.size-1)):]
	id := le.Uint32(e)
	if n > int(s.size) || id >= uint32(s.size) || s.chain[id] == 0 {
		s.err = errBroken
		return 0, 0, false
	}
	s.seen++
	last := uint16(id)
	for range s.chain[id] - 1 {
		last = s.next[last]
	}
	s.next[last] = s.free
	s.free = uint16(id)
	s.nFree += s.chain[id]
	s.chain[id] = 0
	return int(id), le.Uint32(e[4:]), true
}

// Err is why the virtqueue is of no use any more, or nil.
func (s *Split) Err() error { return s.err }
