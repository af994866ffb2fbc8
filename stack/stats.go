package stack

import (
	"sync/atomic"

	"github.com/fastnet-go/fastnet/nic"
)

// Drop is the reason for which a packet was dropped.
type Drop uint8

// The reasons. Each has a counter.
const (
	DropShort           Drop = iota // shorter than its headers say
	DropNotForUs                    // another host's Ethernet address
	DropEtherType                   // not ARP, IPv4, IPv6
	DropARP                         // malformed ARP
	DropIPHeader                    // bad version, length, options or extension header
	DropIPChecksum                  // IPv4 header checksum
	DropMartian                     // a source or destination that cannot be
	DropNotLocal                    // no address of this host: it does not forward
	DropFragment                    // reassembly refused it: limits, overlap, length
	DropProtocol                    // no such transport protocol
	DropTCPHeader                   // malformed TCP header or options
	DropTCPChecksum                 // TCP checksum
	DropUDPHeader                   // malformed UDP header
	DropUDPChecksum                 // UDP checksum
	DropICMP                        // malformed ICMP, bad checksum or not acceptable
	DropNoPort                      // nobody listens at the port
	DropBacklog                     // the connection's lock was held and its backlog full
	DropListenOverflow              // the listener's backlog was full
	DropReceiveBuffer               // the socket's receive buffer was full
	DropNoNeighbor                  // the next hop did not answer
	DropNeighborPending             // too many packets waited for a next hop
	DropNoRoute                     // no route for a packet of ours
	DropNoBuffer                    // no transmit buffer
	DropTransmitQueue               // the device's ring stayed full
	DropRateLimit                   // an ICMP error or RST over its rate
	DropFlow                        // more connections or TIME-WAIT records than allowed
	DropClosed                      // the host or interface was closed
	DropMemory                      // TCP connections hold as much as they may
	DropCookie                      // came to a listener in place of a SYN cookie, and may have overtaken it
	numDrops
)

var dropNames = [numDrops]string{
	"short", "not-for-us", "ethertype", "arp", "ip-header", "ip-checksum", "martian", "not-local",
	"fragment", "protocol", "tcp-header", "tcp-checksum", "udp-header", "udp-checksum", "icmp",
	"no-port", "backlog", "listen-overflow", "receive-buffer", "no-neighbor", "neighbor-pending",
	"no-route", "no-buffer", "transmit-queue", "rate-limit", "flow", "closed", "memory", "syn-cookie",
}

// String returns the reason's name.
func (d Drop) String() string {
	if d < numDrops {
		return dropNames[d]
	}
	return "unknown"
}

// counters are a host's. What a device or a connection counts itself is added
// up when somebody asks, so that the packet path writes none of these.
type counters struct {
	drops [numDrops]atomic.Uint64

	activeOpens, passiveOpens, openFails, resets atomic.Uint64
	resetsSent                                   atomic.Uint64
	synsIn, synTimeouts                          atomic.Uint64
	cookiesSent, cookiesValid                    atomic.Uint64
	cookiesInvalid, cookiesExpired               atomic.Uint64
	udpIn, udpOut                                atomic.Uint64
	icmpIn, icmpOut, icmpErrorsIn, icmpErrorsOut atomic.Uint64
	joined                                       atomic.Uint64
	reassembled, fragmentsIn, fragmentsOut       atomic.Uint64
	retransmits, lossProbes, bytesIn             atomic.Uint64 // of connections that are gone
	bytesOut                                     atomic.Uint64
	established                                  atomic.Int64
}

// Stats is a snapshot of a host's counters.
type Stats struct {
	Device nic.QueueStats    // all interfaces but loopback
	Drops  map[string]uint64 // by reason, those that happened
	TCP    TCPStats
	UDP    UDPStats
	IP     IPStats
}

// TCPStats counts TCP, in the terms of RFC 4022.
type TCPStats struct {
	ActiveOpens, PassiveOpens uint64
	OpenFails                 uint64 // connects that failed
	Resets                    uint64 // connections that ended by RST or error
	ResetsSent                uint64 // RST for segments that no connection wanted
	Established               int64  // now
	Connections               int    // now, in any state, TIME-WAIT included
	Memory                    int64  // bytes that connections hold: see Config.MaxMemory
	HalfOpen                  int    // of these: a SYN was answered, and the answer is not acknowledged
	SYNs                      uint64 // that came to listeners
	SYNTimeouts               uint64 // handshakes that the peer did not complete
	CookiesSent               uint64 // SYNs beyond MaxHalfOpen or a backlog, answered by a cookie
	CookiesValid              uint64 // ACKs that brought a cookie back
	CookiesInvalid            uint64 // ACKs that came while cookies were out and brought none
	CookiesExpired            uint64 // ACKs that brought one back too late
	Retransmits               uint64 // segments sent again
	LossProbes                uint64 // tail loss probes (RFC 8985), most of them counted above too
	BytesIn, BytesOut         uint64 // payload
	Coalesced                 uint64 // segments received that went up together with the one before
	Strays                    uint64 // runs of segments that came by another queue than the connection's home
}

// UDPStats counts UDP datagrams.
type UDPStats struct{ In, Out uint64 }

// IPStats counts IP's own work.
type IPStats struct {
	Joined                                       uint64 // frames in parts that were copied together
	Reassembled, FragmentsIn, FragmentsOut       uint64
	ICMPIn, ICMPOut, ICMPErrorsIn, ICMPErrorsOut uint64
}

// drop counts and releases p.
func (h *Host) drop(p *nic.Packet, why Drop) {
	h.count.drops[why].Add(1)
	p.Release()
}

// Stats returns the host's counters.
func (h *Host) Stats() Stats {
	c := &h.count
	s := Stats{
		Drops: make(map[string]uint64),
		TCP: TCPStats{
			ActiveOpens: c.activeOpens.Load(), PassiveOpens: c.passiveOpens.Load(),
			OpenFails: c.openFails.Load(), Resets: c.resets.Load(), ResetsSent: c.resetsSent.Load(),
			Established: c.established.Load(),
			Memory:      h.memory.Used() + int64(h.chunks.Uncounted()), HalfOpen: int(h.synq.n.Load()), SYNs: c.synsIn.Load(), SYNTimeouts: c.synTimeouts.Load(),
			CookiesSent: c.cookiesSent.Load(), CookiesValid: c.cookiesValid.Load(),
			CookiesInvalid: c.cookiesInvalid.Load(), CookiesExpired: c.cookiesExpired.Load(),
			Retransmits: c.retransmits.Load(), LossProbes: c.lossProbes.Load(), BytesIn: c.bytesIn.Load(), BytesOut: c.bytesOut.Load(),
		},
		UDP: UDPStats{In: c.udpIn.Load(), Out: c.udpOut.Load()},
		IP: IPStats{
			Joined:      c.joined.Load(),
			Reassembled: c.reassembled.Load(), FragmentsIn: c.fragmentsIn.Load(), FragmentsOut: c.fragmentsOut.Load(),
			ICMPIn: c.icmpIn.Load(), ICMPOut: c.icmpOut.Load(),
			ICMPErrorsIn: c.icmpErrorsIn.Load(), ICMPErrorsOut: c.icmpErrorsOut.Load(),
		},
	}
	for i := range c.drops {
		if n := c.drops[i].Load(); n > 0 {
			s.Drops[Drop(i).String()] = n
		}
	}
	for _, i := range h.interfaces() {
		if !i.loopback {
			s.Device.Add(nic.DeviceStats(i.dev))
		}
		for _, q := range i.queues {
			s.TCP.Coalesced += q.coalesced.Load()
			s.TCP.Strays += q.strays.Load()
		}
	}
	s.TCP.Connections = s.TCP.HalfOpen
	h.flows.all(func(f *flow) {
		s.TCP.Connections++
		if f.conn != nil {
			f.conn.addTo(&s.TCP)
		}
	})
	return s
}
