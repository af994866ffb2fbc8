package stack

import (
	"net/netip"

	"github.com/fastnet-go/fastnet/stack/header"
)

// A connection's home is the queue by which its packets come, as far as is
// known: that of its SYN or SYN-ACK at first. What it sends goes out by its home,
// whose poller sends its delayed ACKs, and a reader that waits polls it.
//
// A packet that comes by another queue (the peer has moved to another processor
// behind a veth, a switch has chosen another path, a device hashes fragments and
// SYNs differently) is not carried to the home's poller. Whoever received it
// finds the connection in the host-wide table and goes on with it under the
// connection's lock, which it only tries: what does not get it waits on the
// connection's own bounded backlog, in order of arrival, for the holder. So
// nobody waits, no packet takes a second hop or wakes a second poller, and no
// order is lost that the wire had kept.

// elsewhere looks after a connection at home on another queue, of which q has
// had a run of packets. c is locked.
func (q *queue) elsewhere(c *TCPConn, home *queue) {
	q.strays.Store(q.strays.Load() + 1) // who polls alone writes it
	// The home moves, but not what is in flight: the next segment must not
	// overtake the last one on another queue.
	if !c.gone && q.iface == c.path.iface && c.core.InFlight() == 0 {
		c.home.Store(q)
		c.path.q = q
		return
	}
	if w := home.worker.Load(); c.ackQueued && w != nil && w.parked.Load() {
		// It would send the delayed ACK only when something else wakes it.
		c.core.FlushAck()
		c.wantOutput = true
	}
}

// spread is what is known of a device's receive side scaling.
type spread struct {
	key   []byte   // nil: nothing
	table []uint16 // nil: the default
}

// queue is the number of the queue, of so many, at which a TCP segment arrives.
func (s *spread) queue(src, dst netip.AddrPort, queues int) int {
	hash := header.ToeplitzTCP(s.key, src, dst)
	if len(s.table) == 0 {
		return int(hash%128) % queues // nic.Info.HashTable
	}
	return int(s.table[hash%uint32(len(s.table))])
}

// portsOf restricts use, which takes a local port, to those for which what
// remote sends arrives at the path's queue. tries is how many ports nearly always
// hold one, and 0 where the device does not tell.
func (p *path) portsOf(remote netip.AddrPort, use func(port uint16) bool) (near func(port uint16) bool, tries int) {
	queues := len(p.iface.queues)
	s := &p.iface.spread
	if len(s.key) < header.ToeplitzKeyLen || queues == 1 {
		return use, 0
	}
	return func(port uint16) bool {
		return s.queue(remote, netip.AddrPortFrom(p.src, port), queues) == p.q.index && use(port)
	}, 32 * queues
}
