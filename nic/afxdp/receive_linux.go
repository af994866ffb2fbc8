package afxdp

import (
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
)

// Recv implements nic.Queue.
func (q *queue) Recv(pkts []*nic.Packet) int {
	r := &q.recv
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0
	}
	if q.comp.used() > 0 {
		q.reap()
	}
	if q.owesKick() {
		q.Kick()
	}
	if q.dev.busyPoll && q.rx.used() == 0 {
		q.calls.Add(1)
		_ = q.raw.Control(r.poll)
	}
	n, bytes := 0, 0
	avail := atomic.LoadUint32(q.rx.prod) - r.cons
	for ; avail > 0 && n < len(pkts); avail-- {
		if p := q.take(q.rx.descriptor(r.cons)); p != nil {
			pkts[n] = p
			n++
			bytes += p.FrameLen()
		}
		r.cons++
	}
	atomic.StoreUint32(q.rx.cons, r.cons)
	if n > 0 {
		q.rxPackets.Add(uint64(n))
		q.rxBytes.Add(uint64(bytes))
		// Many without a sleep: no need to be told of each.
		if r.bursts++; r.bursts >= deafAt && !q.armed.Load() {
			q.bell.deafen()
		}
	}
	q.refill()
	return n
}

// take makes a packet of a descriptor, nil if it is none yet. recv.mu is held.
func (q *queue) take(d *unix.XDPDesc) *nic.Packet {
	r, u := &q.recv, q.dev.umem
	n := d.Addr >> u.shift
	var p *nic.Packet
	if n < uint64(len(u.posted)) && u.posted[n] {
		u.posted[n] = false
		p = u.packets[n]
		if !p.SetRange(int(d.Addr)&(u.frame-1), int(d.Len)) {
			p.Release()
			p = nil
		}
	}
	more := d.Options&optionContinued != 0
	if !more && r.head == nil && !r.bad && p != nil { // nearly always
		p.Queue = uint16(q.index)
		return p
	}
	switch {
	case p == nil:
		r.bad = true
	case r.head == nil:
		r.head, r.last = p, p
	default:
		r.last.Append(p)
		r.last = p
	}
	if more {
		return nil
	}
	head, bad := r.head, r.bad
	r.head, r.last, r.bad = nil, nil, false
	if bad {
		head.Release()
		q.rxDropped.Add(1)
		return nil
	}
	head.Queue = uint16(q.index)
	return head
}

// refill gives the kernel buffers for what is to come. recv.mu is held.
func (q *queue) refill() {
	r, u := &q.recv, q.dev.umem
	room := int(r.target) - int(r.fill-atomic.LoadUint32(q.fill.cons))
	if room >= min(refillBatch, int(r.target)/2) || q.starved.Load() {
		starved := false
		for room > 0 && !starved {
			want := min(room, refillBatch)
			n := u.rx.GetBatch(r.fresh[:want])
			for i, p := range r.fresh[:n] {
				u.posted[p.Index()] = true
				*q.fill.addr(r.fill) = uint64(p.Index()) << u.shift
				r.fill++
				r.fresh[i] = nil
			}
			starved = n < want
			room -= n
		}
		atomic.StoreUint32(q.fill.prod, r.fill)
		if starved != q.starved.Load() {
			q.starved.Store(starved)
		}
	}
	if q.fill.wantsWakeup() {
		q.calls.Add(1)
		_ = q.raw.Control(r.poll)
	}
}

// pollDevice makes the driver look at its rings.
func (q *queue) pollDevice(fd uintptr) {
	_, _, _ = unix.Syscall6(unix.SYS_RECVFROM, fd, 0, 0, unix.MSG_DONTWAIT, 0, 0)
}
