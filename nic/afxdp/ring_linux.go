package afxdp

import (
	"runtime"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapping is memory that is unmapped when nothing refers to the mapping any
// more: the buffers of packets that somebody still holds outlive their device.
type mapping struct{ mem []byte }

// newMapping maps size bytes of a descriptor, or of nothing (-1).
func newMapping(fd int, offset int64, size int, flags int) (*mapping, error) {
	mem, err := unix.Mmap(fd, offset, size, unix.PROT_READ|unix.PROT_WRITE, flags|unix.MAP_POPULATE)
	if err != nil {
		return nil, err
	}
	m := &mapping{mem: mem}
	runtime.AddCleanup(m, func(mem []byte) { _ = unix.Munmap(mem) }, mem)
	return m, nil
}

// detach puts pages of nothing in the place of a descriptor's, which a mapping
// would otherwise keep open. Who still looks at them sees zeros.
func (m *mapping) detach() {
	if m != nil {
		_, _ = unix.MmapPtr(-1, 0, unsafe.Pointer(&m.mem[0]), uintptr(len(m.mem)),
			unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_FIXED)
	}
}

// ring is one of the four rings that a socket shares with the kernel
// (Documentation/networking/af_xdp.rst, "Rings"). One side writes prod, the
// other cons; both count on past the ring's size.
type ring struct {
	mapping *mapping
	prod    *uint32
	cons    *uint32
	flags   *uint32
	desc    unsafe.Pointer
	size    uint32
	mask    uint32
}

const (
	addrSize = unsafe.Sizeof(uint64(0))      // entries of fill and completion rings
	descSize = unsafe.Sizeof(unix.XDPDesc{}) // of receive and transmit rings
)

// mapRing maps the ring of a socket that lies at offset page, and that off
// describes.
func mapRing(fd int, page int64, off unix.XDPRingOffset, size int, entry uintptr) (ring, error) {
	m, err := newMapping(fd, page, int(off.Desc)+size*int(entry), unix.MAP_SHARED)
	if err != nil {
		return ring{}, err
	}
	base := unsafe.Pointer(&m.mem[0])
	return ring{
		mapping: m,
		prod:    (*uint32)(unsafe.Add(base, off.Producer)),
		cons:    (*uint32)(unsafe.Add(base, off.Consumer)),
		flags:   (*uint32)(unsafe.Add(base, off.Flags)),
		desc:    unsafe.Add(base, off.Desc),
		size:    uint32(size),
		mask:    uint32(size - 1),
	}, nil
}

// used is how many entries the consumer has not taken yet.
func (r *ring) used() uint32 { return atomic.LoadUint32(r.prod) - atomic.LoadUint32(r.cons) }

// wantsWakeup reports whether the kernel sleeps and must be called.
func (r *ring) wantsWakeup() bool { return atomic.LoadUint32(r.flags)&unix.XDP_RING_NEED_WAKEUP != 0 }

// addr is entry i of a fill or completion ring.
func (r *ring) addr(i uint32) *uint64 {
	return (*uint64)(unsafe.Add(r.desc, uintptr(i&r.mask)*addrSize))
}

// descriptor is entry i of a receive or transmit ring.
func (r *ring) descriptor(i uint32) *unix.XDPDesc {
	return (*unix.XDPDesc)(unsafe.Add(r.desc, uintptr(i&r.mask)*descSize))
}
