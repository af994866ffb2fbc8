package stack

import (
	"time"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/stack/header"
	"github.com/fastnet-go/fastnet/stack/tcp"
)

// output builds and queues every segment that may be sent now, on the calling
// goroutine. The lock is held.
func (c *TCPConn) output(now time.Duration) {
	c.wantOutput = false
	if c.gone {
		return
	}
	if !c.path.current() {
		c.reroute()
	}
	if m := c.path.mtu(); m < int(c.mtu) { // the interface's has shrunk, or the route changed
		c.mtu = int32(m)
		c.core.SetMSS(m - int(c.hdrLen) + header.EthernetLen - header.TCPMinLen)
	}
	c.syncWindow(now)
	q := c.path.q
	limit, tso := c.maxPayload()
	n := 0
	var seg tcp.Segment
	for {
		state := q.state.Load()
		if state&queueFull != 0 {
			q.stall(c, state)
			break
		}
		if !c.core.Next(&seg, limit, now) {
			break
		}
		if seg.Len > seg.SegSize && !tso {
			if n > 0 {
				c.send(n, now)
				n = 0
			}
			if !c.sendCut(&seg, now) {
				q.stall(c, state)
				break
			}
			continue
		}
		p := c.build(&seg)
		if p == nil {
			c.host.count.drops[DropNoBuffer].Add(1)
			q.stall(c, state)
			break
		}
		c.core.Sent(&seg, now)
		c.batch[n] = p
		n++
		if n == len(c.batch) {
			c.send(n, now)
			n = 0
		}
	}
	if n > 0 {
		c.send(n, now)
	}
	s := c.core.State()
	if s != tcp.StateClosed && s != tcp.StateTimeWait {
		c.arm()
	} else if !c.stalled || c.host.closed.Load() { // else there is a last segment to send
		c.finish(now)
	}
}

// send passes the first n packets of the batch on.
func (c *TCPConn) send(n int, now time.Duration) { c.sendAll(c.batch[:n], now) }

// sendAll passes packets on, and clears pkts.
func (c *TCPConn) sendAll(pkts []*nic.Packet, now time.Duration) {
	if err := c.path.send(pkts, now); err != nil {
		c.events(c.core.SoftError(errHostUnreachable), now)
	}
	clear(pkts)
}

// maxPayload is the most data that a segment may have, and whether the device
// makes packets of it.
func (c *TCPConn) maxPayload() (limit int, tso bool) {
	i := c.path.iface
	offload := nic.TSO4
	if c.path.dst.Is6() {
		offload = nic.TSO6
	}
	if c.path.q.apart {
		return c.core.MSS(), false
	}
	if !i.offloads.Has(offload) {
		return maxCut * c.core.MSS(), false
	}
	// The IP length is of 16 bits, and the device has its own limit.
	return min(i.maxSend-int(c.hdrLen), 65535-header.IPv6Len) - header.TCPMaxLen, true
}

// reroute looks the path up again after the routing table has changed. A
// connection without a route keeps the old path until it times out.
func (c *TCPConn) reroute() {
	dst := fromAddr(c.key.remote)
	if c.key.scope != 0 {
		dst = dst.WithZone(c.path.iface.name)
	}
	p, err := c.host.findPath(dst, c.path.src, uint64(c.path.q.index))
	if err != nil {
		c.path.gen = c.host.generation(c.path.shard)
		c.path.lost = err == errSourceGone
		return
	}
	c.path = p
	c.setPath()
}

// build makes the frame of a segment in a buffer of the device's, or returns nil
// when there is none.
func (c *TCPConn) build(seg *tcp.Segment) *nic.Packet {
	optLen := seg.Options.Len()
	hl := int(c.hdrLen)
	tl := header.TCPMinLen + optLen
	p := c.path.q.dev.Alloc(hl + tl + seg.Len)
	if p == nil {
		return nil
	}
	b := p.Extend(hl + tl)
	if b == nil {
		p.Release() // a device whose first part has no room for headers
		return nil
	}
	copy(b, c.hdr[:hl])
	ip := b[header.EthernetLen:hl]
	length := tl + seg.Len
	c.setLength(ip, length)
	t := b[hl:]
	putSegment(t, &c.key, seg, optLen)
	pseudo := add16(c.pseudo, uint16(length))
	if c.path.iface.offloads.Has(nic.TxChecksum) {
		header.TCP(t).SetChecksum(pseudo)
		p.Checksum = nic.ChecksumPartial
		p.ChecksumStart = uint16(hl)
		p.ChecksumOffset = header.TCPChecksumOffset
		if seg.Len > seg.SegSize && seg.Len > 0 {
			p.Segment = nic.SegmentTCPv4
			if len(ip) == header.IPv6Len {
				p.Segment = nic.SegmentTCPv6
			}
			p.SegmentSize = uint16(seg.SegSize)
			p.HeaderLen = uint16(hl + tl)
		}
		if seg.Len > 0 {
			var g gather
			g.init(c, seg)
			g.copy(p, seg.Len)
		}
		return p
	}
	sum := header.Checksum(t, pseudo)
	if seg.Len > 0 {
		var g gather
		g.init(c, seg)
		sum = add16(sum, g.copySum(p, seg.Len))
	}
	header.TCP(t).SetChecksum(^sum)
	return p
}

// add16 adds in one's complement.
func add16(a, b uint16) uint16 {
	s := uint32(a) + uint32(b)
	return uint16(s>>16 + s&0xffff)
}
