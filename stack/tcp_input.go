package stack

import (
	"net/netip"
	"sync"
	"time"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/stack/header"
	"github.com/fastnet-go/fastnet/stack/tcp"
)

// receiveTCP takes a TCP segment: p is cut to it, sum is that of its
// pseudo-header. q.mu is held.
func (q *queue) receiveTCP(p *nic.Packet, k *tuple, sum uint16, now time.Duration) {
	h := q.host
	b := p.Bytes()
	if len(b) < header.TCPMinLen {
		h.drop(p, DropTCPHeader)
		return
	}
	if p.Checksum == nic.ChecksumNone {
		if !q.checksumOK(b, sum) {
			h.drop(p, DropTCPChecksum)
			return
		}
		p.Checksum = nic.ChecksumVerified
	}
	k.withPorts(b)
	if c := q.cur; c != nil {
		q.endSegments(now) // which p does not continue
		if c.key == *k && !c.gone {
			q.segment(p, now)
			return
		}
		q.endRun(now)
	}
	f := h.flows.lookup(k)
	for f != nil && f.conn != nil && f.conn.mu.TryLock() {
		if f.conn.gone { // since we looked it up
			f.conn.unlock()
			f = h.flows.lookup(k)
			continue
		}
		q.cur = f.conn
		if q.cur.pending.Load()&pendingInput != 0 { // what came before p is first
			q.cur.work(q.cur.pending.Swap(0))
		}
		q.segment(p, now)
		return
	}
	switch {
	case f == nil:
		q.receiveUnknown(p, k, nil, now)
	case f.timeWait != nil:
		q.receiveTimeWait(p, f, now)
	default:
		f.conn.pushBacklog(p)
	}
}

// checksumOK reports whether the checksum of a segment is right; sum is that of
// its pseudo-header.
func (q *queue) checksumOK(b []byte, sum uint16) bool {
	return q.iface.offloads.Has(nic.RxBarePartial) && header.TCP(b).Checksum() == sum ||
		header.Checksum(b, sum) == 0xffff
}

// segment takes a segment of q.cur: at once, or together with those that
// continue it.
func (q *queue) segment(p *nic.Packet, now time.Duration) {
	if q.following == nil || !q.beginRun(p) {
		q.cur.input(p, now)
	}
}

// parseSegment fills seg from a TCP header and payload.
func parseSegment(b []byte, seg *tcp.Segment) (hdrLen int, ok bool) {
	t, payload, err := header.ParseTCP(b)
	if err != nil || header.ParseTCPOptions(t.OptionBytes(), &seg.Options) != nil {
		return 0, false
	}
	seg.Seq = tcp.Seq(t.Seq())
	seg.Ack = tcp.Seq(t.Ack())
	seg.Flags = t.Flags()
	seg.Window = t.Window()
	seg.Urgent = t.Urgent()
	seg.Payload = payload
	return len(t), true
}

// input hands a segment to the state machine and keeps its bytes. The lock is
// held; p is c's from now on.
func (c *TCPConn) input(p *nic.Packet, now time.Duration) {
	var seg tcp.Segment
	hdrLen, ok := parseSegment(p.Bytes(), &seg)
	if !ok {
		c.host.drop(p, DropTCPHeader)
		return
	}
	if c.gone { // on the backlog as the connection ended
		p.Release()
		return
	}
	if p.Next() != nil {
		c.inputSuper(p, &seg, hdrLen, now)
		return
	}
	c.inputSegment(p, &seg, hdrLen, now)
}

// inputSegment is input of a segment in one part, whose payload begins hdrLen
// bytes into p.
func (c *TCPConn) inputSegment(p *nic.Packet, seg *tcp.Segment, hdrLen int, now time.Duration) {
	var r tcp.Result
	if c.host.memory.Tight() && c.refuses(len(seg.Payload)) {
		c.host.count.drops[DropMemory].Add(1)
		r = c.core.InputRefused(seg, now)
	} else {
		r = c.core.Input(seg, now)
	}
	if r.Events.Has(tcp.Readable | tcp.Reassembled) {
		p = c.keep(p, hdrLen, r)
	}
	if p != nil {
		p.Release()
	}
	if r.Events.Has(tcp.Reopen) {
		// Only while the connection has not become a TIME-WAIT record, for
		// some microseconds: the peer sends its SYN again.
		r.Events &^= tcp.Reopen
	}
	if r.Events.Has(tcp.Readable | tcp.SendReady | tcp.Writable) {
		c.path.confirm(now)
	}
	c.events(r.Events, now)
}

// keep queues what a segment brought in order, and what it made so. It returns
// the packet if it did not keep it.
func (c *TCPConn) keep(p *nic.Packet, hdrLen int, r tcp.Result) *nic.Packet {
	q := &c.rq
	q.mu.Lock()
	if q.ended || q.shut {
		q.mu.Unlock()
		if r.Events.Has(tcp.Reassembled) {
			for b := c.core.Reassembled(); b != nil; b = c.core.Reassembled() {
				c.core.Consume(len(b))
			}
		}
		return p
	}
	if r.Len > 0 {
		p.TrimFront(hdrLen + r.Off)
		p.Trim(r.Len)
		q.append(c.host, p)
		p = nil
	}
	if r.Events.Has(tcp.Reassembled) {
		for b := c.core.Reassembled(); b != nil; b = c.core.Reassembled() {
			q.copyOut(c.host, b)
			c.core.Consume(len(b))
		}
	}
	q.account(&c.host.memory)
	free := q.free(&c.host.memory)
	c.woke = q.wake() || c.woke
	q.mu.Unlock()
	c.core.SetRcvSpace(free)
	return p
}

// receiveUnknown handles a segment of no connection: a listener's, or one to be
// reset. old is the TIME-WAIT record that a SYN replaces.
func (q *queue) receiveUnknown(p *nic.Packet, k *tuple, old *flow, now time.Duration) {
	var seg tcp.Segment
	if _, ok := parseSegment(p.Bytes(), &seg); !ok {
		q.host.drop(p, DropTCPHeader)
		return
	}
	if !q.group && q.receiveHalfOpen(p, k, &seg, now) { // whose addresses were looked at
		return
	}
	switch {
	case !q.host.isLocal(fromAddr(k.local)):
		q.host.drop(p, DropNotLocal)
		return
	case !q.iface.validPeer(k) || q.group:
		q.host.drop(p, DropMartian)
		return
	}
	if l := q.host.listeners.lookup(k); l != nil {
		switch tcp.CheckListen(&seg) {
		case tcp.ListenSYN:
			l.receiveSYN(q, k, &seg, old, now)
			p.Release()
			return
		case tcp.ListenDrop:
			p.Release()
			return
		case tcp.ListenReset:
			if l.receiveCookie(q, p, k, &seg, now) {
				return
			}
		}
	}
	if f := q.host.flows.lookup(k); f != nil && f.conn != nil { // since we looked, on another queue
		f.conn.pushBacklog(p)
		return
	}
	q.host.count.drops[DropNoPort].Add(1)
	if seg.Flags&(header.TCPFlagSYN|header.TCPFlagACK|header.TCPFlagRST) == header.TCPFlagSYN && q.leaveSYN(k, old) {
		p.Release()
		return
	}
	if rst, ok := tcp.ResetFor(&seg); ok && now >= time.Duration(q.host.resetsFrom.Load()) {
		if q.host.limiter.allowReset(now) {
			q.host.count.resetsSent.Add(1)
			q.host.sendSegment(q, k, &rst, now)
		} else {
			q.host.count.drops[DropRateLimit].Add(1)
		}
	}
	p.Release()
}

// leaveSYN leaves a SYN that nobody here takes to who else has the interface's
// addresses, if somebody has, and reports that: a RST would refuse a peer whom
// another one's listener is there for. What is left of the tuple here goes, its
// TIME-WAIT record old or packets that might come late, so that the SYN finds the
// other one when it is sent again.
func (q *queue) leaveSYN(k *tuple, old *flow) bool {
	if !q.iface.shared() {
		return false
	}
	h := q.host
	key := *k // k stays on its stack
	if old != nil {
		h.flows.remove(&key, nil, old.timeWait) // which tells of its end
		h.twList.replaced(old.timeWait)
	} else if h.flows.ended != nil {
		h.flows.ended(&key, true)
	}
	return true
}

// validPeer reports whether the remote address and port of k can be those of a
// peer.
func (i *Interface) validPeer(k *tuple) bool {
	r := fromAddr(k.remote)
	return !r.IsMulticast() && !r.IsUnspecified() && !i.isBroadcast(r) && !i.forged(r) && k.remotePort != 0
}

// forged reports whether a packet that came in can not be from its source, an
// address of ours.
func (i *Interface) forged(src netip.Addr) bool { return !i.loopback && i.host.isLocal(src) }

// sendSegment sends a segment without data that belongs to no connection, back
// to where k came from.
func (h *Host) sendSegment(q *queue, k *tuple, seg *tcp.Segment, now time.Duration) {
	pa, err := h.pathBack(q, k)
	if err != nil {
		h.count.drops[DropNoRoute].Add(1)
		return
	}
	h.sendSegmentOn(&pa, k, seg, defaultTTL, 0, now)
}

// sendSegmentOn is sendSegment on a path that is known, with the time to live and
// type of service given.
func (h *Host) sendSegmentOn(pa *path, k *tuple, seg *tcp.Segment, ttl, tos uint8, now time.Duration) {
	optLen := seg.Options.Len()
	var hdr [header.EthernetLen + header.IPv6Len]byte
	n := pa.header(hdr[:], header.ProtoTCP, ttl, tos)
	p := pa.q.dev.Alloc(n + header.TCPMinLen + optLen)
	if p == nil {
		h.count.drops[DropNoBuffer].Add(1)
		return
	}
	b := p.Extend(n + header.TCPMinLen + optLen)
	copy(b, hdr[:n])
	t := b[n:]
	putSegment(t, k, seg, optLen)
	header.TCP(t).SetChecksum(^header.Checksum(t, header.Combine(pa.pseudoSum(header.ProtoTCP), uint16(len(t)), 0)))
	finishIP(b[header.EthernetLen:n], len(t))
	one := singles.Get().(*[1]*nic.Packet)
	one[0] = p
	pa.send(one[:], now)
	one[0] = nil
	singles.Put(one)
}

// singles are lists of one packet: what is passed to a device escapes.
var singles = sync.Pool{New: func() any { return new([1]*nic.Packet) }}

// putSegment writes a TCP header with its options and a checksum of zero.
func putSegment(b []byte, k *tuple, seg *tcp.Segment, optLen int) {
	f := header.TCPFields{
		SrcPort: k.localPort, DstPort: k.remotePort, Seq: uint32(seg.Seq), Ack: uint32(seg.Ack),
		Flags: seg.Flags, Window: seg.Window, Urgent: seg.Urgent,
	}
	f.Put(b, optLen)
	if optLen > 0 {
		seg.Options.Put(b[header.TCPMinLen:])
	}
}

// finishIP sets the length of an IP header whose other fields are there.
func finishIP(b []byte, payload int) {
	if len(b) == header.IPv6Len {
		header.IPv6(b).SetPayloadLen(payload)
		return
	}
	header.IPv4(b).SetTotalLen(len(b) + payload)
	header.IPv4(b).UpdateChecksum()
}
