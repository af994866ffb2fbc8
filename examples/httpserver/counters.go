package main

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/fastnet-go/fastnet/fastnet"
	"github.com/fastnet-go/fastnet/stack"
)

// status is what the page asks for, and what the line of counters shows.
// Counters count from the start.
type status struct {
	Seconds     float64      `json:"seconds"` // since the start
	Requests    uint64       `json:"requests"`
	Active      int64        `json:"active"` // requests under way, this one included
	Server      hostStatus   `json:"server"`
	Gateway     *gateStatus  `json:"gateway,omitempty"` // with a wire
	Lost        uint64       `json:"lost"`              // frames, by -drop-chance
	Connections []connection `json:"connections"`       // of the server's stack
}

// hostStatus is a host's counters.
type hostStatus struct {
	RxPackets   uint64 `json:"rxPackets"`
	RxBytes     uint64 `json:"rxBytes"`
	TxPackets   uint64 `json:"txPackets"`
	TxBytes     uint64 `json:"txBytes"`
	Retransmits uint64 `json:"retransmits"` // TCP segments sent again
	Connections int64  `json:"connections"` // established
	Dropped     uint64 `json:"dropped"`     // packets, for whatever reason
}

// gateStatus is the gateway's.
type gateStatus struct {
	hostStatus
	Accepted uint64 `json:"accepted"` // connections of the kernel's
	Failed   uint64 `json:"failed"`   // those that did not reach the server
	Open     int    `json:"open"`
}

// connection is a TCP connection as the server's stack sees it.
type connection struct {
	Remote      string  `json:"remote"`
	Client      string  `json:"client,omitempty"` // the kernel's connection that the gateway carries
	You         bool    `json:"you"`              // this status goes over it
	State       string  `json:"state"`
	RTT         float64 `json:"rtt"`    // ms; 0 before the first measurement
	Window      int     `json:"window"` // bytes that the peer lets us send
	Congestion  int     `json:"congestion"`
	InFlight    int     `json:"inFlight"`
	Retransmits uint32  `json:"retransmits"`
	BytesIn     uint64  `json:"bytesIn"`
	BytesOut    uint64  `json:"bytesOut"`
}

// status takes a snapshot for the client at address you.
func (h *hosts) status(you string) status {
	s := status{
		Seconds:     time.Since(h.started).Seconds(),
		Requests:    h.requests.Load(),
		Active:      h.active.Load(),
		Server:      countersOf(h.server),
		Connections: []connection{},
	}
	if h.faults != nil {
		rx, tx := h.faults.Counters()
		s.Lost = rx.Lost + tx.Lost
	}
	var clients map[netip.AddrPort]string
	if h.gateway != nil {
		clients = h.gateway.clients()
		s.Gateway = &gateStatus{
			hostStatus: countersOf(h.gateway.network),
			Accepted:   h.gateway.accepted.Load(),
			Failed:     h.gateway.failed.Load(),
			Open:       len(clients),
		}
	}
	infos := h.server.Connections()
	slices.SortFunc(infos, func(a, b stack.TCPInfo) int {
		return cmp.Or(a.Remote.Addr().Compare(b.Remote.Addr()), cmp.Compare(a.Remote.Port(), b.Remote.Port()))
	})
	for _, c := range infos {
		s.Connections = append(s.Connections, connection{
			Remote: c.Remote.String(), Client: clients[c.Remote], You: c.Remote.String() == you,
			State: c.State.String(), RTT: float64(c.RTT) / float64(time.Millisecond),
			Window: c.SndWnd, Congestion: c.Cwnd, InFlight: c.InFlight, Retransmits: c.Retransmits,
			BytesIn: c.BytesIn, BytesOut: c.BytesOut,
		})
	}
	return s
}

// countersOf reads a network's counters.
func countersOf(n *fastnet.Network) hostStatus {
	s := n.Stats()
	h := hostStatus{
		RxPackets: s.Device.RxPackets, RxBytes: s.Device.RxBytes,
		TxPackets: s.Device.TxPackets, TxBytes: s.Device.TxBytes,
		Retransmits: s.TCP.Retransmits, Connections: s.TCP.Established,
	}
	for _, n := range s.Drops {
		h.Dropped += n
	}
	return h
}
