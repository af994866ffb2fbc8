package stack

import (
	"net/netip"

	"github.com/fastnet-go/fastnet/internal/defect"
	"github.com/fastnet-go/fastnet/nic"
)

const (
	// datagramCost is what a datagram that waits costs beside its bytes: about what
	// Linux counts. Without it empty ones would be free.
	datagramCost = 512

	// wholeDatagrams is how many small datagrams a socket keeps in the large buffers
	// that they came in.
	wholeDatagrams = 64
)

// datagramRun is what a burst has brought for one UDP socket and is not queued
// there yet: together they cost one lock, and one wake-up.
type datagramRun struct {
	sock *UDPConn
	n    int
	list [maxWoken]datagram

	// The latest look-up, and the sockets that there were.
	key     tuple
	found   *UDPConn
	sockets *udpSockets
}

// datagram is one that waits to be read.
type datagram struct {
	p    *nic.Packet
	from netip.AddrPort
	info DatagramInfo
}

// lookupUDP is udpTable.lookup, which mostly has the answer of the time before.
func (q *queue) lookupUDP(k *tuple) *UDPConn {
	r := &q.datagrams
	if s := q.host.udp.snap.Load(); r.sockets != s || r.key != *k {
		r.found, r.key, r.sockets = q.host.udp.lookup(k), *k, s
	}
	return r.found
}

// datagram queues a datagram for u at the end of its run.
func (q *queue) datagram(u *UDPConn, p *nic.Packet, from netip.AddrPort, info *DatagramInfo) {
	r := &q.datagrams
	if r.sock != u || r.n == len(r.list) {
		q.endDatagrams()
		r.sock = u
	}
	r.list[r.n] = datagram{p, from, *info}
	r.n++
	q.lull.burst++
}

// endDatagrams ends the run.
func (q *queue) endDatagrams() {
	r := &q.datagrams
	if r.sock == nil {
		return
	}
	r.sock.pushAll(r.list[:r.n])
	clear(r.list[:r.n])
	r.sock, r.n = nil, 0
}

// push queues a datagram, or drops it when the buffer is full.
func (u *UDPConn) push(p *nic.Packet, from netip.AddrPort, info *DatagramInfo) {
	one := [1]datagram{{p, from, *info}}
	u.pushAll(one[:])
}

// pushAll is push for many, which are the socket's from then on.
func (u *UDPConn) pushAll(all []datagram) {
	u.mu.Lock()
	ended := u.ended
	for i := range all {
		if u.queue(&all[i]) {
			all[i].p = nil
		}
	}
	u.mu.Unlock()
	for i := range all {
		switch p := all[i].p; {
		case p == nil:
		case ended:
			u.host.drop(p, DropClosed)
		default:
			u.host.drop(p, DropReceiveBuffer)
		}
	}
}

// queue takes a datagram, if there is room. u.mu is held.
func (u *UDPConn) queue(d *datagram) bool {
	h, p := u.host, d.p
	n := p.Len()
	if u.ended || u.n > 0 && u.bytes+n+datagramCost > u.limit || defect.On(defect.EmptyDatagramLost) && n == 0 {
		return false
	}
	// A small datagram must not hold a large buffer for a slow reader, nor
	// any hold one when the device runs out.
	if (u.n >= wholeDatagrams && n*4 < p.BufferSize() || p.Pool().Low()) && n <= h.held.Room() && p.Pool() != h.held {
		if c := h.held.Get(); c != nil {
			copy(c.Extend(n), p.Bytes())
			p.Release()
			p = c
		}
	}
	if u.n == len(u.ring) {
		u.grow()
	}
	u.ring[(u.first+u.n)&(len(u.ring)-1)] = datagram{p, d.from, d.info}
	u.n++
	u.bytes += n + datagramCost
	u.waits.wakeOne()
	return true
}

// grow doubles the ring, whose length is a power of two. u.mu is held.
func (u *UDPConn) grow() {
	ring := make([]datagram, max(8, 2*len(u.ring)))
	for i := range u.n {
		ring[i] = u.ring[(u.first+i)&(len(u.ring)-1)]
	}
	u.ring, u.first = ring, 0
}
