//go:build amd64 || arm64 || riscv64 || loong64

package tap

import (
	"unsafe"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/internal/fdbased"
	"github.com/fastnet-go/fastnet/nic/internal/virtqueue"
	"github.com/fastnet-go/fastnet/nic/internal/vnet"
)

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
