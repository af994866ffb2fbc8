//go:build amd64 || arm64 || riscv64 || loong64

package tap

import (
	"encoding/binary"
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
// sides are awake. Its rings are little-endian, hence the build constraint.

const (
	vhostPath = "/dev/vhost-net"

	// vhostHeader is the length of a struct virtio_net_hdr_v1: with num_buffers.
	vhostHeader = vnet.HeaderSize + 2

	// vhostRing is the number of descriptors of a virtqueue. UIO_MAXIOV, 1024, is
	// the most that vhost-net takes.
	vhostRing = 256
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
