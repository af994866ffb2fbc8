package tcp

import "time"

// CongestionWindow is what congestion control decides on, in octets. It lies
// in the Conn, so that an algorithm without more state needs no memory.
type CongestionWindow struct {
	Cwnd     uint32 // congestion window
	Ssthresh uint32 // slow start threshold
	MSS      uint32 // payload of a full segment (SMSS)
	Acked    uint32 // octets acknowledged toward the next increase (RFC 3465)
}

// Congestion is a congestion control algorithm. A value serves one connection.
// Loss detection and retransmission are the connection's; the algorithm sets w.
type Congestion interface {
	// Ack: acked new octets were acknowledged outside of loss recovery, while
	// the window was what limited the sender. rtt is the smoothed round trip.
	Ack(w *CongestionWindow, acked uint32, rtt, now time.Duration)
	// Loss: a loss was detected with flight octets outstanding; fast recovery
	// begins, with the w that it sets.
	Loss(w *CongestionWindow, flight uint32, now time.Duration)
	// Timeout: the retransmission timer fired with flight octets outstanding.
	// The connection sets Cwnd to one segment, this sets Ssthresh.
	Timeout(w *CongestionWindow, flight uint32, now time.Duration)
}
