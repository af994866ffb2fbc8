//go:build amd64 || arm64 || riscv64 || loong64

package tap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/internal/fdbased"
	"github.com/fastnet-go/fastnet/nic/internal/virtqueue"
	"github.com/fastnet-go/fastnet/nic/internal/vnet"
)

// vhost-net is a thread of the kernel's that carries frames between a TAP
// interface and a pair of virtqueues in our memory (Linux
// include/uapi/linux/vhost.h): no system call a frame, and none at all while both
// sides are awake. The numbers of its requests are those of asm-generic/ioctl.h,
// its rings little-endian: hence the build constraint.
const (
	vhostGetFeatures = 0x8008af00
	vhostSetFeatures = 0x4008af00
	vhostSetOwner    = 0xaf01
	vhostSetMemTable = 0x4008af03
	vhostSetNum      = 0x4008af10
	vhostSetAddr     = 0x4028af11
	vhostSetBase     = 0x4008af12
	vhostSetKick     = 0x4008af20
	vhostSetCall     = 0x4008af21
	vhostSetBackend  = 0x4008af30

	mergeableBuffers = 1 << 15 // VIRTIO_NET_F_MRG_RXBUF: a frame may fill several buffers
	version1         = 1 << 32 // VIRTIO_F_VERSION_1
)

const (
	vhostPath = "/dev/vhost-net"

	// vhostHeader is the length of a struct virtio_net_hdr_v1: with num_buffers.
	vhostHeader = vnet.HeaderSize + 2

	// vhostRing is the number of descriptors of a virtqueue. UIO_MAXIOV, 1024, is
	// the most that vhost-net takes.
	vhostRing = 256
)

// region is memory that the kernel's thread reaches: struct vhost_memory_region.
// The address that descriptors have is the one that we have.
type region struct{ physical, size, user, flags uint64 }

func regionOf(b []byte) region {
	at := uint64(uintptr(unsafe.Pointer(&b[0])))
	return region{physical: at, size: uint64(len(b)), user: at}
}

// The arguments of the requests about one ring.
type (
	ringState   struct{ index, number uint32 }
	ringFile    struct{ index, fd int32 }
	ringAddress struct {
		index, flags           uint32
		desc, used, avail, log uint64
	}
)

// vhostQueue is a queue whose frames go by a pair of virtqueues. rx belongs to who
// has Rx, tx to who has txMu.
type vhostQueue struct {
	fdbased.Queue
	dev *device

	fd             int
	txMu           sync.Mutex
	rx, tx         *virtqueue.Split
	rxKick, txKick int // eventfds
	call           *os.File

	fresh    fdbased.Stock          // for rx
	posted   [vhostRing]*nic.Packet // by the head of their chain
	rxHeader [vnet.HeaderSize]byte
	loud     bool         // the device tells of frames
	thirsty  nic.Shortage // fresh was empty

	sent     [vhostRing]*nic.Packet
	slots    [vhostRing]uint16 // of headers: the free ones
	nSlots   int
	slotOf   [vhostRing]uint16
	headers  []byte
	txHeader [vnet.HeaderSize]byte
	bufs     []virtqueue.Buffer
	fell     atomic.Bool // Send fell short
	unkicked atomic.Bool
	regions  []region
}

func newVhostQueue(d *device, index int, file *os.File) fdbased.Endpoint {
	v := &vhostQueue{dev: d, fd: -1, rxKick: -1, txKick: -1, headers: make([]byte, vhostRing*vhostHeader), nSlots: vhostRing}
	for i := range v.slots {
		v.slots[i] = uint16(i)
	}
	v.Init(&d.Device, index, file)
	v.Quiet()
	v.fresh.Pool = d.RxSmall
	v.Read, v.Owed, v.Reclaim = v.readBurst, v.owed, v.reclaim
	return v
}

// Start connects the descriptor with two virtqueues, and starts the goroutine that
// waits for the kernel's call.
func (v *vhostQueue) Start() (err error) {
	failed := v.Raw.Control(func(fd uintptr) { err = v.connect(int(fd)) })
	if err = errors.Join(err, failed); err == nil {
		v.Go(v.wait)
	}
	return err
}

func (v *vhostQueue) connect(tap int) (err error) {
	if v.fd, err = unix.Open(vhostPath, unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
		return vhostError(err)
	}
	if v.rx, err = virtqueue.New(vhostRing); err != nil {
		return err
	}
	if v.tx, err = virtqueue.New(vhostRing); err != nil {
		return err
	}
	call := -1
	for _, fd := range []*int{&v.rxKick, &v.txKick, &call} {
		if *fd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
			return fmt.Errorf("making an eventfd: %w", err)
		}
	}
	v.call = os.NewFile(uintptr(call), "eventfd")
	request := func(name string, number uintptr, argument unsafe.Pointer) {
		if err != nil {
			return
		}
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(v.fd), number, uintptr(argument)); errno != 0 {
			err = fmt.Errorf("%s (%s): %w", vhostPath, name, errno)
		}
	}
	request("VHOST_SET_OWNER", vhostSetOwner, nil)
	var features uint64
	request("VHOST_GET_FEATURES", vhostGetFeatures, unsafe.Pointer(&features))
	const want = uint64(version1 | mergeableBuffers)
	if err == nil && features&want != want {
		return fmt.Errorf("%s has the features %#x: it lacks some of %#x (VIRTIO_F_VERSION_1, VIRTIO_NET_F_MRG_RXBUF): %w", vhostPath, features, want, errors.ErrUnsupported)
	}
	features = want
	request("VHOST_SET_FEATURES", vhostSetFeatures, unsafe.Pointer(&features))
	var table struct {
		count, padding uint32
		regions        [8]region
	}
	v.regions = append([]region{regionOf(v.headers)}, v.dev.regions...)
	table.count = uint32(copy(table.regions[:], v.regions))
	request("VHOST_SET_MEM_TABLE", vhostSetMemTable, unsafe.Pointer(&table))
	for i, s := range []*virtqueue.Split{v.rx, v.tx} {
		// Until the poller sleeps, or Send falls short.
		s.Interrupts(false)
		desc, avail, used := s.Addresses()
		request("VHOST_SET_VRING_NUM", vhostSetNum, unsafe.Pointer(&ringState{uint32(i), vhostRing}))
		request("VHOST_SET_VRING_BASE", vhostSetBase, unsafe.Pointer(&ringState{uint32(i), 0}))
		request("VHOST_SET_VRING_ADDR", vhostSetAddr, unsafe.Pointer(&ringAddress{
			index: uint32(i), desc: uint64(desc), avail: uint64(avail), used: uint64(used)}))
		request("VHOST_SET_VRING_KICK", vhostSetKick, unsafe.Pointer(&ringFile{int32(i), int32([]int{v.rxKick, v.txKick}[i])}))
		request("VHOST_SET_VRING_CALL", vhostSetCall, unsafe.Pointer(&ringFile{int32(i), int32(call)}))
	}
	if err != nil {
		return err
	}
	v.refill()
	for i := range int32(2) {
		request("VHOST_NET_SET_BACKEND", vhostSetBackend, unsafe.Pointer(&ringFile{i, int32(tap)}))
	}
	return err
}

// vhostError says what to do when /dev/vhost-net cannot be opened.
func vhostError(err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return fmt.Errorf("vhost: there is no %s: load the driver (modprobe vhost_net), or leave vhost out: %w", vhostPath, err)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("vhost: opening %s is not permitted: run as root, let the user read and write it, or leave vhost out: %w", vhostPath, err)
	}
	return fmt.Errorf("vhost: opening %s: %w", vhostPath, err)
}

// refill posts as many buffers as there is room and memory for. The kernel puts
// its header in front of a frame, into the headroom.
func (v *vhostQueue) refill() {
	added := false
	for v.rx.Room() > 0 {
		p := v.fresh.Get(v.rx.Room())
		if p == nil {
			v.thirsty.Note(0)
			break
		}
		b := p.Buffer()[fdbased.Headroom-vhostHeader:]
		head := v.rx.Add([]virtqueue.Buffer{{Addr: uint64(uintptr(unsafe.Pointer(&b[0]))), Len: uint32(len(b))}}, true)
		v.posted[head] = p
		added = true
	}
	if added {
		v.rx.Publish()
		if v.rx.Notify() {
			kick(v.rxKick)
		}
	}
}

// kick tells the kernel's thread that there is something on a ring.
func kick(fd int) {
	one := [8]byte{1}
	_, _ = unix.Write(fd, one[:])
}

// readBurst takes frames off the ring until there are none, or no more are wanted.
func (v *vhostQueue) readBurst(uintptr) {
	if v.loud {
		v.loud = false
		v.rx.Interrupts(false)
	}
	any := false
	for v.Wanted() > 0 {
		p := v.frame()
		if p == nil {
			break
		}
		any = true
		copy(v.rxHeader[:], p.Buffer()[fdbased.Headroom-vhostHeader:])
		if !vnet.Parse(&v.rxHeader, p) {
			p.Release()
			v.RxDropped.Add(1)
			continue
		}
		v.Deliver(p, p.FrameLen())
	}
	if err := v.rx.Err(); err != nil {
		v.dev.Die(err)
	}
	if any || v.rx.Room() > 0 {
		v.refill()
	}
}

// frame takes the next frame off the ring, nil if there is none. Its first part
// has the header in front, which tells how many parts there are.
func (v *vhostQueue) frame() *nic.Packet {
	var first, last *nic.Packet
	for left := 1; left > 0; left-- {
		head, length, ok := v.rx.Used()
		if !ok {
			first.Release() // the kernel shows a frame whole, so it broke the rules
			return nil
		}
		p := v.posted[head]
		v.posted[head] = nil
		at, size := fdbased.Headroom-vhostHeader, int(length)
		if first == nil {
			left = max(1, int(binary.LittleEndian.Uint16(p.Buffer()[fdbased.Headroom-2:])))
			at, size = fdbased.Headroom, size-vhostHeader
		}
		if !p.SetRange(at, size) {
			p.SetRange(fdbased.Headroom, 0) // Parse refuses what is empty
		}
		if first == nil {
			first, last = p, p
			continue
		}
		last.Append(p)
		last = p
	}
	return first
}

// Send implements nic.Queue.
func (v *vhostQueue) Send(pkts []*nic.Packet) int {
	v.txMu.Lock()
	defer v.txMu.Unlock()
	if v.dev.Dead() {
		v.Drop(pkts)
		return len(pkts)
	}
	l := v.dev.Link()
	v.reclaimLocked()
	taken, sent, bytes := 0, 0, 0
	for _, p := range pkts {
		size, ok := fdbased.Header(&v.txHeader, p, l.MTU)
		if !l.Up || !ok { // nobody would tell us of the first
			v.Drop(pkts[taken : taken+1])
			taken++
			continue
		}
		at := v.slotRoom()
		if at < 0 || !v.offer(p, at) {
			v.fell.Store(true)
			break
		}
		taken++
		sent++
		bytes += size
	}
	if sent > 0 {
		v.tx.Publish()
		v.unkicked.Store(true)
	}
	v.TxPackets.Add(uint64(sent))
	v.TxBytes.Add(uint64(bytes))
	v.TxFull.Add(uint64(len(pkts) - taken))
	return taken
}

// slotRoom is the offset of a free header's place, -1 if there is none.
func (v *vhostQueue) slotRoom() int {
	if v.nSlots == 0 {
		return -1
	}
	return int(v.slots[v.nSlots-1]) * vhostHeader
}

// offer puts p on the ring, behind its header at offset at.
func (v *vhostQueue) offer(p *nic.Packet, at int) bool {
	header := v.headers[at:][:vhostHeader]
	copy(header, v.txHeader[:])
	header[vnet.HeaderSize], header[vnet.HeaderSize+1] = 0, 0
	bufs := append(v.bufs[:0], virtqueue.Buffer{Addr: uint64(uintptr(unsafe.Pointer(&header[0]))), Len: vhostHeader})
	for part := p; part != nil; part = part.Next() {
		if b := part.Bytes(); len(b) > 0 {
			bufs = append(bufs, virtqueue.Buffer{Addr: uint64(uintptr(unsafe.Pointer(&b[0]))), Len: uint32(len(b))})
			if !v.reaches(b) || len(bufs) > vhostRing/4 {
				return v.offerCopy(p, at)
			}
		}
	}
	v.bufs = bufs
	head := v.tx.Add(bufs, false)
	if head < 0 {
		return false
	}
	v.nSlots--
	v.slotOf[head] = uint16(at / vhostHeader)
	v.sent[head] = p
	return true
}

// offerCopy sends a copy of a frame whose memory is not the device's.
func (v *vhostQueue) offerCopy(p *nic.Packet, at int) bool {
	var one [1]*nic.Packet
	if v.Get(one[:], p.FrameLen()) == 0 {
		return false
	}
	c := one[0]
	p.CopyTo(c.Extend(p.FrameLen()), 0)
	if !v.offer(c, at) {
		c.Release()
		return false
	}
	p.Release()
	return true
}

// reaches reports whether the kernel's thread may read b.
func (v *vhostQueue) reaches(b []byte) bool {
	at := uint64(uintptr(unsafe.Pointer(&b[0])))
	for _, r := range v.regions {
		if at >= r.user && at+uint64(len(b)) <= r.user+r.size {
			return true
		}
	}
	return false
}

// reclaim releases what the kernel has sent.
func (v *vhostQueue) reclaim() {
	v.txMu.Lock()
	defer v.txMu.Unlock()
	if !v.dev.Dead() {
		v.reclaimLocked()
	}
}

func (v *vhostQueue) reclaimLocked() {
	for {
		head, _, ok := v.tx.Used()
		if !ok {
			break
		}
		v.sent[head].Release()
		v.sent[head] = nil
		v.slots[v.nSlots] = v.slotOf[head]
		v.nSlots++
	}
	if err := v.tx.Err(); err != nil {
		v.dev.Die(err)
	}
}

// Kick implements nic.Queue.
func (v *vhostQueue) Kick() {
	if !v.unkicked.Load() {
		return
	}
	v.txMu.Lock()
	defer v.txMu.Unlock()
	if v.unkicked.Swap(false) && v.fd >= 0 && v.tx.Notify() {
		v.Kicks.Add(1)
		kick(v.txKick)
	}
}

// owed makes the device tell of what the stack waits for, and reports whether
// that is there already.
func (v *vhostQueue) owed() bool {
	v.loud = true
	v.rx.Interrupts(true)
	awake := v.rx.Pending() > 0 || v.thirsty.Over([]*nic.Pool{v.dev.RxSmall})
	v.txMu.Lock()
	defer v.txMu.Unlock()
	if v.fell.Load() || v.Short() {
		v.tx.Interrupts(true)
		if v.tx.Pending() > 0 {
			v.reclaimLocked()
			awake = true
		}
	} else {
		v.tx.Interrupts(false)
	}
	if v.fell.Load() && v.tx.Room() > vhostRing/2 {
		v.fell.Store(false)
		awake = true
	}
	return awake
}

// wait wakes the stack when the kernel's thread calls.
func (v *vhostQueue) wait() {
	var count [8]byte
	for {
		if _, err := v.call.Read(count[:]); err != nil {
			return // closed
		}
		v.Wake()
	}
}

// Freed implements fdbased.Endpoint: the ring may lack buffers too.
func (v *vhostQueue) Freed() { v.Wake() }

// Close implements fdbased.Endpoint. It takes the rings away from the kernel's
// thread.
func (v *vhostQueue) Close() error {
	err := v.Queue.Close()
	v.Rx.Lock()
	defer v.Rx.Unlock()
	v.txMu.Lock()
	defer v.txMu.Unlock()
	if v.fd >= 0 {
		for i := range int32(2) {
			none := ringFile{i, -1}
			_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(v.fd), vhostSetBackend, uintptr(unsafe.Pointer(&none)))
		}
	}
	// The descriptor's end waits for the thread's.
	for _, fd := range []int{v.fd, v.rxKick, v.txKick} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	v.fd, v.rxKick, v.txKick = -1, -1, -1
	if v.call != nil {
		v.call.Close()
	}
	for i := range v.posted {
		v.posted[i].Release()
		v.sent[i].Release()
		v.posted[i], v.sent[i] = nil, nil
	}
	v.fresh.Release()
	runtime.KeepAlive(v)
	return err
}

// Held implements fdbased.Endpoint.
func (v *vhostQueue) Held() int {
	n := v.Queue.Held()
	v.Rx.Lock()
	defer v.Rx.Unlock()
	v.txMu.Lock()
	defer v.txMu.Unlock()
	n += v.fresh.Len()
	for i := range v.posted {
		if v.posted[i] != nil {
			n++
		}
		for p := v.sent[i]; p != nil; p = p.Next() {
			n++
		}
	}
	return n
}
