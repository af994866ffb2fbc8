package stack

import (
	"encoding/binary"
	"time"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/stack/header"
	"github.com/fastnet-go/fastnet/stack/tcp"
)

// run is what a queue has joined of the burst at hand: consecutive segments of
// its current connection (queue.cur), that the state machine takes as one. It
// is generic receive offload as Linux has it (net/ipv4/tcp_offload.c), without
// the limits that come of cutting the segments apart again.
type run struct {
	head, tail *nic.Packet // joined by Link; nil: there is none
	hdr        []byte      // of head's frame: Ethernet, IP and TCP
	ipLen      int         // of the IP header
	next       uint32      // sequence number behind the last segment
	last       uint32      // sequence number of the last segment
	stamp      uint32      // its timestamp, if there is one
	size       int         // octets of data of the first segment, which no other exceeds
	octets     int         // of data, all segments together
	mem        int         // of the buffers
	segments   int32
	pseudo     uint16 // sum of the pseudo-header without its length
	small      bool   // a segment fills little of its buffer
}

// The lengths of the TCP options that segments of a run have: none, or a
// timestamp in the layout of RFC 7323 appendix A.
const timestampLen = 12

// beginRun keeps a segment that is cut to TCP, of the connection q.cur, until it
// is known whether those behind it continue it. It reports false for one that
// nothing can follow.
func (q *queue) beginRun(p *nic.Packet) bool {
	if q.following == nil || q.apart || p != q.framePacket || p.Segment != nic.SegmentNone || p.Next() != nil {
		return false // put together of fragments, or of segments
	}
	t := header.TCP(p.Bytes())
	hl := t.HeaderLen()
	n := p.Len() - hl
	if n <= 0 || t.Flags()&^header.TCPFlagPSH != header.TCPFlagACK {
		return false
	}
	frame := q.frame
	r := &q.run
	switch ip := frame[header.EthernetLen:]; {
	case ip[0] == 4<<4|header.IPv4MinLen/4: // no options
		r.ipLen = header.IPv4MinLen
		r.pseudo = header.IPv4(ip[:header.IPv4MinLen]).PseudoSum(0)
	case ip[0]>>4 == 6 && header.IPv6(ip[:header.IPv6Len]).NextHeader() == header.ProtoTCP: // no extension headers
		r.ipLen = header.IPv6Len
		r.pseudo = header.IPv6(ip[:header.IPv6Len]).PseudoSum(header.ProtoTCP, 0)
	default:
		return false
	}
	switch hl {
	case header.TCPMinLen:
	case header.TCPMinLen + timestampLen:
		o := t[header.TCPMinLen:]
		if !plainTimestamp(o) {
			return false
		}
		r.stamp = binary.BigEndian.Uint32(o[4:])
	default:
		return false
	}
	// A run of one is only a detour.
	const ports = 4
	if b, at := q.following.Bytes(), header.EthernetLen+r.ipLen; len(b) < at+ports || !same4(b[at:], frame[at:]) {
		return false
	}
	r.head, r.tail = p, p
	r.hdr = frame[:header.EthernetLen+r.ipLen+hl]
	r.last = t.Seq()
	r.next = r.last + uint32(n)
	r.size, r.octets, r.segments = n, n, 1
	r.mem = p.BufferSize()
	r.small = p.Len()*4 < r.mem
	return true
}

// plainTimestamp reports whether options are NOP, NOP and a timestamp.
func plainTimestamp(o []byte) bool { return binary.BigEndian.Uint32(o) == 0x0101080a }

// continueRun takes the frame b of p if it continues the run: the same headers
// but for what follows from its place, a checksum that is right, and in order.
// Else it reports false, with nothing done.
func (q *queue) continueRun(p *nic.Packet, b []byte) bool {
	r := &q.run
	h := r.hdr
	if len(b) <= len(h) || p.Next() != nil || p.Segment != nic.SegmentNone ||
		!same8(b, h) || !same8(b[header.EthernetLen-8:], h[header.EthernetLen-8:]) {
		return false
	}
	ip, first := b[header.EthernetLen:], h[header.EthernetLen:]
	var length int // of TCP
	if r.ipLen == header.IPv4MinLen {
		// Version and header length, type of service with its ECN bits; don't
		// fragment, and no fragment; time to live, protocol; addresses.
		v4 := header.IPv4(ip[:header.IPv4MinLen])
		if !same2(ip, first) || !same4(ip[6:], first[6:]) || !same8(ip[12:], first[12:]) || !v4.ChecksumOK() {
			return false
		}
		length = v4.TotalLen() - header.IPv4MinLen
	} else {
		// Version, traffic class, flow label; next header, hop limit, addresses.
		if !same4(ip, first) || string(ip[6:header.IPv6Len]) != string(first[6:header.IPv6Len]) {
			return false
		}
		length = header.IPv6(ip[:header.IPv6Len]).PayloadLen()
	}
	t, ft := ip[r.ipLen:], first[r.ipLen:]
	n := length - len(ft)
	if n <= 0 || n > r.size || length > len(t) {
		return false
	}
	t = t[:length] // what follows is the padding of a short frame
	if binary.BigEndian.Uint32(t[4:]) != r.next ||
		!same4(t, ft) || // ports
		!same4(t[8:], ft[8:]) || t[12] != ft[12] || // acknowledgement, header length
		(t[13]^ft[13])&^uint8(header.TCPFlagPSH) != 0 ||
		!same2(t[14:], ft[14:]) { // window
		return false
	}
	stamp := uint32(0)
	if len(ft) > header.TCPMinLen {
		if !same4(t[20:], ft[20:]) || !same4(t[28:], ft[28:]) { // the timestamp's kind and echo
			return false
		}
		if stamp = binary.BigEndian.Uint32(t[24:]); int32(stamp-r.stamp) < 0 {
			return false
		}
	}
	if p.Checksum == nic.ChecksumNone {
		if !q.checksumOK(t, add16(r.pseudo, uint16(length))) {
			return false
		}
		p.Checksum = nic.ChecksumVerified
	}
	p.Trim(header.EthernetLen + r.ipLen + length)
	p.TrimFront(len(h))
	r.tail.SetLink(p)
	r.tail = p
	r.last = r.next
	r.next += uint32(n)
	r.stamp = stamp
	r.octets += n
	r.segments++
	mem := p.BufferSize()
	r.mem += mem
	r.small = r.small || n*4 < mem
	return true
}

// same2, same4 and same8 compare the first octets of two slices.
func same2(a, b []byte) bool { return binary.NativeEndian.Uint16(a) == binary.NativeEndian.Uint16(b) }
func same4(a, b []byte) bool { return binary.NativeEndian.Uint32(a) == binary.NativeEndian.Uint32(b) }
func same8(a, b []byte) bool { return binary.NativeEndian.Uint64(a) == binary.NativeEndian.Uint64(b) }

// endSegments hands the run to the state machine. q.cur is locked.
func (q *queue) endSegments(now time.Duration) {
	r := &q.run
	p := r.head
	if p == nil {
		return
	}
	c := q.cur
	r.head, r.hdr = nil, nil
	if p == r.tail {
		c.input(p, now)
		return
	}
	if c.inputRun(p, r, now) {
		q.coalesced.Store(q.coalesced.Load() + uint64(r.segments-1)) // who polls alone writes it
		return
	}
	// One by one: each with its own header, which is still in front of it.
	hl := header.TCP(p.Bytes()).HeaderLen()
	for first := p; p != nil; {
		next := p.Link()
		p.SetLink(nil)
		if p != first {
			p.Prepend(hl)
		}
		c.input(p, now)
		p = next
	}
}

// inputRun hands a run to the state machine and keeps its bytes. It reports
// false, with nothing done, if each segment has to be looked at.
func (c *TCPConn) inputRun(p *nic.Packet, r *run, now time.Duration) bool {
	if c.gone || c.host.memory.Tight() && c.refuses(r.octets) {
		return false
	}
	var in tcp.Run
	hl, ok := parseSegment(p.Bytes(), &in.Segment)
	if !ok {
		return false
	}
	in.Octets, in.Size, in.Last = uint32(r.octets), uint32(r.size), tcp.Seq(r.last)
	res, ok := c.core.InputRun(&in, now)
	if !ok {
		return false
	}
	p.TrimFront(hl)
	c.keepRun(p, r)
	c.path.confirm(now)
	c.events(res.Events, now)
	return true
}

// keepRun is keep for a run, all of whose octets are new and in order.
func (c *TCPConn) keepRun(p *nic.Packet, r *run) {
	q := &c.rq
	q.mu.Lock()
	if q.ended || q.shut {
		q.mu.Unlock()
		releaseList(p)
		return
	}
	if r.small || q.mem > 2*q.limit || q.spill != nil || p.Pool().Low() {
		for p != nil {
			next := p.Link()
			p.SetLink(nil)
			q.append(c.host, p)
			p = next
		}
	} else {
		q.appendList(p, r.tail, r.segments, r.octets, r.mem)
	}
	q.account(&c.host.memory)
	free := q.free(&c.host.memory)
	c.woke = q.wake() || c.woke
	q.mu.Unlock()
	c.core.SetRcvSpace(free)
}

// appendList queues n packets that are joined by Link.
func (r *receiveQueue) appendList(first, last *nic.Packet, n int32, octets, mem int) {
	if r.tail == nil {
		r.head = first
	} else {
		r.tail.SetLink(first)
	}
	r.tail = last
	r.packets += n
	r.bytes += int32(octets)
	r.mem += int32(mem)
}

// releaseList releases packets that are joined by Link.
func releaseList(p *nic.Packet) {
	for p != nil {
		next := p.Link()
		p.SetLink(nil)
		p.Release()
		p = next
	}
}
