package tcp

import "time"

// initialWindow is the initial window of RFC 6928 section 2:
// min(10*MSS, max(2*MSS, 14600)).
func initialWindow(mss uint32) uint32 {
	return min(10*mss, max(2*mss, 14600))
}

// NewReno is the congestion control of RFC 5681 (with RFC 6582 and RFC 3465).
// The zero value is ready and holds no state of its own.
type NewReno struct{}

var _ Congestion = NewReno{}

// Ack grows the window: by what was acknowledged in slow start, by one segment
// a window in congestion avoidance. It counts octets (RFC 3465) without a limit
// an ACK in slow start: with segmentation and receive offloads, one ACK covers
// many segments, and the burst that would come of it is limited elsewhere.
func (NewReno) Ack(w *CongestionWindow, acked uint32, _, _ time.Duration) {
	if w.Cwnd < w.Ssthresh {
		// RFC 5681 section 3.1: slow start
		grow := min(acked, w.Ssthresh-w.Cwnd)
		w.Cwnd += grow
		acked -= grow
	}
	if acked == 0 {
		return
	}
	// RFC 5681 section 3.1: congestion avoidance
	w.Acked += acked
	if w.Acked >= w.Cwnd {
		w.Acked -= w.Cwnd
		w.Acked = min(w.Acked, w.Cwnd)
		w.Cwnd += w.MSS
	}
}

// Loss halves the window (RFC 5681 section 3.2 step 2, equation 4).
func (NewReno) Loss(w *CongestionWindow, flight uint32, _ time.Duration) {
	w.Ssthresh = max(flight/2, 2*w.MSS)
	w.Cwnd = w.Ssthresh
	w.Acked = 0
}

// Timeout sets the threshold to half of what was in flight (RFC 5681 section
// 3.1, equation 4).
func (NewReno) Timeout(w *CongestionWindow, flight uint32, _ time.Duration) {
	w.Ssthresh = max(flight/2, 2*w.MSS)
	w.Acked = 0
}
