// Package wire joins hosts within a process: an Ethernet of two or more ports
// that carries pointers to packets from one port's transmit queue to another's
// receive queue.
//
// It is the fastest link there is, the one that tests and simulations use, and
// the smallest example of a driver. Two ports are a cable; more are a switch
// that knows its ports' addresses.
package wire

import (
	"fmt"

	"github.com/fastnet-go/fastnet/nic"
)

// ethernetHeader is the length of an Ethernet header with one VLAN tag.
const ethernetHeader = 18

// maxPacket is the largest IP packet, and maxSuper a super-segment of that size in
// its frame.
const (
	maxPacket = 65535
	maxSuper  = maxPacket + ethernetHeader
)

// Config describes a wire. The zero value of a field takes its default.
type Config struct {
	Ports  int // default 2; a single one is joined to itself: loopback
	MTU    int // bytes, 68 to 65535; default 1500
	Queues int // queue pairs of each port; default 1
	Ring   int // packets a receive queue holds, rounded up to a power of two; default 1024
	Pool   int // buffers of each port; default 4096

	// Hash simulates receive side scaling: a port spreads what it receives over
	// its queues by the hash of each frame, through a table of 128 entries of
	// which i is queue i modulo Queues. The default is that a frame arrives at
	// the queue of the number that it was sent by. HashKey is what the ports
	// say that their key is.
	Hash    func(frame []byte) uint32
	HashKey []byte

	// Checksum simulates checksum offload: ports take and deliver packets
	// with partial checksums.
	Checksum bool
	// TSO simulates segmentation offload and large receive: super-segments
	// cross the wire whole. It implies Checksum.
	TSO bool
}

// Wire is an Ethernet in memory.
type Wire struct {
	cfg   Config
	ports []*Port
}

// New returns a wire. It takes no memory for packets before they are sent.
func New(cfg Config) (*Wire, error) {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&cfg.Ports, 2)
	def(&cfg.MTU, 1500)
	def(&cfg.Queues, 1)
	def(&cfg.Ring, 1024)
	def(&cfg.Pool, 4096)
	cfg.Checksum = cfg.Checksum || cfg.TSO
	switch {
	case cfg.Ports < 1 || cfg.Ports > 255:
		return nil, fmt.Errorf("wire: %d ports: want 1 to 255", cfg.Ports)
	case cfg.MTU < 68 || cfg.MTU > 65535:
		return nil, fmt.Errorf("wire: an MTU of %d: want 68 to 65535", cfg.MTU)
	case cfg.Queues < 1 || cfg.Ring < 1 || cfg.Pool < 1:
		return nil, fmt.Errorf("wire: %d queues, rings of %d, pools of %d: want at least 1", cfg.Queues, cfg.Ring, cfg.Pool)
	}
	w := &Wire{cfg: cfg}
	for i := range cfg.Ports {
		p, err := newPort(w, i)
		if err != nil {
			return nil, err
		}
		w.ports = append(w.ports, p)
	}
	for _, p := range w.ports {
		for _, q := range p.queues {
			for _, o := range w.ports {
				if o != p || len(w.ports) == 1 { // a wire with one end is a loopback
					q.peers = append(q.peers, o.joined(q.index)...)
				}
			}
		}
	}
	return w, nil
}

// Port returns port i, from 0.
func (w *Wire) Port(i int) *Port { return w.ports[i] }

// InUse is the number of packets of this wire that somebody holds at the
// moment, packets under way included.
func (w *Wire) InUse() int {
	n := 0
	for _, p := range w.ports {
		n += p.InUse()
	}
	return n
}

// deliver puts packets on the receive ring of the ports they are for, and
// returns how many were taken care of. It stops at the first that finds its
// ring full.
func (w *Wire) deliver(from *Port, queue int, pkts []*nic.Packet) int {
	switch len(w.ports) {
	case 1:
		return from.receive(queue, pkts)
	case 2:
		return w.ports[1-from.index].receive(queue, pkts)
	}
	for i, p := range pkts {
		b := p.Bytes()
		if to := w.portOf(b); to != nil {
			if to == from {
				p.Release()
			} else if to.receive(queue, pkts[i:i+1]) == 0 {
				return i
			}
			continue
		}
		w.flood(from, queue, p)
	}
	return len(pkts)
}

// portOf returns the port that a frame is addressed to, nil if to no single one.
func (w *Wire) portOf(frame []byte) *Port {
	if len(frame) < 6 || frame[0]&1 != 0 {
		return nil
	}
	for _, p := range w.ports {
		if p.mac == nic.MAC(frame[:6]) {
			return p
		}
	}
	return nil
}

// flood gives each other port a copy of p. As on a real switch, a port whose
// ring is full misses it.
func (w *Wire) flood(from *Port, queue int, p *nic.Packet) {
	n := p.FrameLen()
	for _, to := range w.ports {
		if to == from {
			continue
		}
		c := from.alloc(n)
		if c == nil {
			to.queues[queue].rxDropped.Add(1)
			continue
		}
		c.Meta = p.Meta
		p.CopyTo(c.Extend(n), 0)
		if to.receive(queue, []*nic.Packet{c}) == 0 {
			to.queues[queue].rxDropped.Add(1)
			c.Release()
		}
	}
	p.Release()
}
