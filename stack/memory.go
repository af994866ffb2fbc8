package stack

import (
	"time"

	"github.com/fastnet-go/fastnet/stack/tcp"
)

const (
	// firstRcvBuf and firstSndBuf are the buffers that a connection begins with,
	// if it may size them itself: the first is what a SYN can offer.
	firstRcvBuf = 64 << 10
	firstSndBuf = 128 << 10
	// defaultBufMax is what they may grow to: as Linux's net.ipv4.tcp_rmem, enough
	// for a gigabit a second over 50 ms.
	defaultBufMax = 6 << 20
	leastMemory   = 64 << 20
)

// defaultMemory is the limit of a host that asks for none: an eighth of the
// machine's memory, near to Linux's net.ipv4.tcp_mem.
func defaultMemory() int64 {
	all := physicalMemory()
	if all == 0 {
		all = 4 << 30
	}
	return max(all/8, leastMemory)
}

// account tells the host's memory of what the queue holds: more at a time the
// more it is, so that not each packet costs a change of what all share. A page is
// not worth a change, as of a request that is read at once: it is near to what
// the connection takes itself, which is not counted either.
func (r *receiveQueue) account(m *tcp.Memory) {
	const page, step = 4 << 10, 64 << 10
	want := r.charged
	switch {
	case r.mem > max(r.charged, page):
		want = min(2*r.mem, r.mem+step)
	case r.mem == 0 || r.charged > r.mem+2*step:
		want = r.mem
	}
	want = (want + page - 1) &^ (page - 1)
	if want != r.charged {
		m.Add(int(want - r.charged))
		r.charged = want
	}
}

// free is how many bytes the queue still takes. Buffers that their payload fills
// badly count for more than that: a queue holds on to twice its size at the
// most, and to what was offered before.
func (r *receiveQueue) free(m *tcp.Memory) int {
	const slack = 16 << 10 // some small packets are kept as they are
	return max(0, int(r.allowed(m)-max(r.bytes, (r.mem-slack)/2)))
}

// allowed is the buffer's size as memory is now. What was offered is not taken
// back (RFC 9293 section 3.8.6), but nothing is added.
func (r *receiveQueue) allowed(m *tcp.Memory) int32 {
	if !m.Tight() {
		return r.limit
	}
	return min(r.limit, offer(m))
}

// offer is what a connection without unread data is offered while memory is tight:
// half of its share, as buffers take more than the payload in them.
func offer(m *tcp.Memory) int32 {
	return int32(min(max(m.Share()/2, leastOffer), firstRcvBuf))
}

// limitOffer makes the first window of a connection no larger than what will be
// taken: beyond, the peer would have to send everything twice.
func (h *Host) limitOffer(r *tcp.Request) {
	if h.memory.Tight() {
		r.Offer(int(offer(&h.memory)))
	}
}

// updateDue reports whether the reader has taken so much that the peer may be
// waiting to hear of it. While memory is short it may have been offered nothing
// before the last byte was read.
func (r *receiveQueue) updateDue(m *tcp.Memory) bool {
	return r.drained >= r.allowed(m)/4 || r.bytes == 0 && r.drained > 0 && m.Tight()
}

// leastOffer is what a connection may have that is unread however short memory is,
// so that it does not stand still.
const leastOffer = 4 << 10

// rightsize lets the receive buffer grow with what the reader takes. r.mu and the
// connection's lock are held.
func (c *TCPConn) rightsize(now time.Duration) {
	r := &c.rq
	want, due := c.core.Rightsize(int(r.taken), now)
	if !due {
		return
	}
	r.taken = 0
	most := c.config.RcvBufAuto
	if want = min(want, most); want > int(r.limit) && !r.fixed && !c.host.memory.Tight() {
		r.limit = int32(want)
		c.core.SetRcvBuf(want)
	}
}

// refuses reports whether n bytes that came while memory is tight are not taken:
// the connection holds its share of it already, and more than the least that each
// may have. Who has nothing must come on.
func (c *TCPConn) refuses(n int) bool {
	if n == 0 {
		return false
	}
	m, r := &c.host.memory, &c.rq
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bytes > 0 && int(r.bytes)+n > leastOffer && int(r.mem)+n > m.Share()+2*leastOffer
}
