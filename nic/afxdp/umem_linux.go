package afxdp

import (
	"fmt"
	"math/bits"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
)

const (
	headroom     = 64  // of packets to be sent
	kernelRoom   = 256 // what the kernel leaves free in front of a received one (XDP_PACKET_HEADROOM)
	metadataSize = 24  // of struct xsk_tx_metadata, in front of a packet to be sent
)

// umem is the memory that packets lie in, cut into frames of one size. The
// first rxFrames are the receiving pool's, the others the transmitting one's, so
// that a slow reader never stops a sender. A frame's address is its number times
// its size.
type umem struct {
	mapping  *mapping
	frame    int // bytes
	shift    int // log2 of frame
	rx, tx   *nic.Pool
	rxFrames int

	packets []*nic.Packet // by frame number

	// posted says of each receiving frame that it is in the kernel's hands. It
	// belongs to who owns the frame.
	posted []bool
	// sent says of each frame how often it is in a transmit ring: as a frame of
	// its own (the low half), and as part of one (the high half). More than
	// once if somebody sends a packet that he has retained.
	sent []atomic.Uint32
	// heads has, for the last part of a frame in several, the first.
	heads []atomic.Pointer[nic.Packet]
}

const sentPart = 1 << 16

// newUMEM maps frames of size bytes each, rxFrames of them for receiving. huge
// tells why there are no large pages although they were asked for.
func newUMEM(size, rxFrames, txFrames int, hugePages bool) (u *umem, huge error, err error) {
	frames := rxFrames + txFrames
	flags := unix.MAP_PRIVATE | unix.MAP_ANONYMOUS
	bytes := frames * size
	var m *mapping
	if hugePages {
		const page = 2 << 20
		// MAP_HUGE_2MB: its log2, shifted (mmap(2)).
		m, huge = newMapping(-1, 0, (bytes+page-1)&^(page-1), flags|unix.MAP_HUGETLB|21<<unix.MAP_HUGE_SHIFT)
	}
	if m == nil {
		if m, err = newMapping(-1, 0, bytes, flags); err != nil {
			return nil, huge, fmt.Errorf("mapping %d buffers of %d bytes: %w", frames, size, err)
		}
	}
	u = &umem{
		mapping: m, frame: size, shift: bits.TrailingZeros(uint(size)), rxFrames: rxFrames,
		posted: make([]bool, rxFrames), sent: make([]atomic.Uint32, frames), heads: make([]atomic.Pointer[nic.Packet], frames),
	}
	pool := func(first, n int) (*nic.Pool, error) {
		return nic.NewPool(nic.PoolConfig{
			BufferSize: size, Headroom: headroom, Max: n, Slab: n,
			// The pool, and so each packet, keeps the mapping.
			Memory: func(bytes int) ([]byte, error) { return m.mem[first*size:][:bytes:bytes], nil },
		})
	}
	if u.rx, err = pool(0, rxFrames); err != nil {
		return nil, huge, err
	}
	if u.tx, err = pool(rxFrames, txFrames); err != nil {
		return nil, huge, err
	}
	u.packets = make([]*nic.Packet, frames)
	u.enter(u.rx, 0)
	u.enter(u.tx, rxFrames)
	return u, huge, nil
}

// enter notes the packets of a pool by their numbers.
func (u *umem) enter(pool *nic.Pool, first int) {
	var all []*nic.Packet
	for p := pool.Get(); p != nil; p = pool.Get() {
		u.packets[first+int(p.Index())] = p
		all = append(all, p)
	}
	for _, p := range all {
		p.Release()
	}
}

// number is that of p's frame; ok is false if p is not of this memory.
func (u *umem) number(p *nic.Packet) (n int, ok bool) {
	switch p.Pool() {
	case u.tx:
		return u.rxFrames + int(p.Index()), true
	case u.rx:
		return int(p.Index()), true
	}
	return 0, false
}

// shared reports whether the frame that begins with head and ends with frame number
// n must not be in a ring, as another that ends there is: its owner has retained the
// parts at its end, and sends these alone. There is room for one head.
func (u *umem) shared(head *nic.Packet, n int) bool {
	return u.sent[n].Load() >= sentPart && u.heads[n].Load() != head
}

// completed releases the frame at addr, which the kernel has sent.
func (u *umem) completed(addr uint64) {
	n := addr >> u.shift
	if n >= uint64(len(u.sent)) {
		return
	}
	switch v := u.sent[n].Load(); {
	case v&(sentPart-1) != 0:
		u.sent[n].Add(^uint32(0))
		u.packets[n].Release()
	case v != 0:
		u.sent[n].Add(^uint32(sentPart - 1))
		if head := u.heads[n].Load(); head != nil {
			head.Release() // and with it the parts before
		}
	}
}
