package stack

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/stack/header"
	"github.com/fastnet-go/fastnet/stack/tcp"
)

// maxCut is how many packets a super-segment becomes at the most.
const maxCut = 32

// cutter makes packets of a super-segment for a device that does not: generic
// segmentation offload. The state machine is asked once for all of them, their
// buffers come together, and their headers are copies of one.
type cutter struct {
	pkts  [maxCut]*nic.Packet
	head  [header.EthernetLen + header.IPv6Len + header.TCPMaxLen]byte
	ip    int    // where the IP header begins in head
	tcp   int    // where the TCP header begins
	end   int    // where the data begins
	sum   uint16 // of the pseudo-header and the TCP header, without sequence number
	bytes gather
}

var cutters = sync.Pool{New: func() any { return new(cutter) }}

// sendCut sends a segment of more than one packet. It sends less, and reports
// false if that is nothing, when there are no buffers for all.
func (c *TCPConn) sendCut(seg *tcp.Segment, now time.Duration) bool {
	t := cutters.Get().(*cutter)
	defer cutters.Put(t)
	optLen := seg.Options.Len()
	t.ip, t.tcp = header.EthernetLen, int(c.hdrLen)
	t.end = t.tcp + header.TCPMinLen + optLen
	want := (seg.Len + seg.SegSize - 1) / seg.SegSize
	if want > maxCut { // SACK blocks have made the segments smaller than the MSS
		want = maxCut
		seg.Truncate(want * seg.SegSize)
	}
	got := c.path.q.alloc(t.pkts[:want], t.end+seg.SegSize)
	for got > 0 && t.pkts[got-1].Tailroom() < t.end { // a device whose first part has no room for headers
		got--
		t.pkts[got].Release()
		t.pkts[got] = nil
	}
	if got < want {
		c.host.count.drops[DropNoBuffer].Add(1)
		if got == 0 {
			return false
		}
		seg.Truncate(got * seg.SegSize)
	}
	const atEnd = header.TCPFlagFIN | header.TCPFlagPSH
	copy(t.head[:], c.hdr[:c.hdrLen])
	putSegment(t.head[t.tcp:t.end], &c.key, seg, optLen)
	t.prepare(c, seg.SegSize, seg.Flags&^atEnd)
	t.bytes.init(c, seg)
	offload := c.path.iface.offloads.Has(nic.TxChecksum)
	seq := uint32(seg.Seq)
	left := seg.Len
	for _, p := range t.pkts[:got] {
		n := min(left, seg.SegSize)
		if left -= n; left == 0 {
			t.prepare(c, n, seg.Flags)
		}
		b := p.Extend(t.end)
		copy(b, t.head[:t.end])
		binary.BigEndian.PutUint32(b[t.tcp+4:], seq)
		if offload {
			p.Checksum = nic.ChecksumPartial
			p.ChecksumStart = uint16(t.tcp)
			p.ChecksumOffset = header.TCPChecksumOffset
			t.bytes.copy(p, n)
		} else {
			sum := add16(t.sum, add16(uint16(seq>>16), uint16(seq)))
			header.TCP(b[t.tcp:]).SetChecksum(^add16(sum, t.bytes.copySum(p, n)))
		}
		seq += uint32(n)
	}
	c.core.Sent(seg, now)
	c.sendAll(t.pkts[:got], now)
	return true
}

// prepare makes the headers those of a segment with n octets of data, but for
// its sequence number.
func (t *cutter) prepare(c *TCPConn, n int, flags header.TCPFlags) {
	ip, h := t.head[t.ip:t.tcp], header.TCP(t.head[t.tcp:t.end])
	length := len(h) + n
	c.setLength(ip, length)
	h[13] = byte(flags)
	binary.BigEndian.PutUint32(h[4:], 0)
	pseudo := add16(c.pseudo, uint16(length))
	h.SetChecksum(0)
	t.sum = header.Checksum(h, pseudo)
	if c.path.iface.offloads.Has(nic.TxChecksum) {
		h.SetChecksum(pseudo)
	}
}

// setLength completes the header of a packet that carries length octets.
func (c *TCPConn) setLength(ip []byte, length int) {
	if len(ip) == header.IPv4MinLen {
		total := header.IPv4MinLen + length
		binary.BigEndian.PutUint16(ip[2:], uint16(total))
		binary.BigEndian.PutUint16(ip[10:], ^add16(c.ipSum, uint16(total)))
	} else {
		binary.BigEndian.PutUint16(ip[4:], uint16(length))
	}
}

// gather is the data of a segment in the chunks of the send buffer, of which it
// gives out piece after piece.
type gather struct {
	bufs [8][]byte
	next int
}

func (g *gather) init(c *TCPConn, seg *tcp.Segment) {
	c.core.Slices(seg, &g.bufs)
	g.next = 0
}

// take returns octets that lie together, up to n.
func (g *gather) take(n int) []byte {
	b := g.bufs[g.next]
	if n < len(b) {
		g.bufs[g.next] = b[n:]
		return b[:n]
	}
	g.bufs[g.next] = nil
	g.next++
	return b
}

// copy appends n octets to p, on into the further parts of a chain.
func (g *gather) copy(p *nic.Packet, n int) {
	for n > 0 {
		if p.Tailroom() == 0 {
			p = p.Next()
		}
		src := g.take(min(n, p.Tailroom()))
		copy(p.Extend(len(src)), src)
		n -= len(src)
	}
}

// copySum is copy that returns the sum of the octets on the way. The headers
// before them are of even length.
func (g *gather) copySum(p *nic.Packet, n int) uint16 {
	sum := uint16(0)
	for done := 0; done < n; {
		if p.Tailroom() == 0 {
			p = p.Next()
		}
		src := g.take(min(n-done, p.Tailroom()))
		sum = header.Combine(sum, header.CopyChecksum(p.Extend(len(src)), src, 0), done)
		done += len(src)
	}
	return sum
}
