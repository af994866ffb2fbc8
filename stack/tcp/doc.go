// Package tcp is the TCP state machine without I/O: segments in, segments out
// and a deadline. It holds no goroutine, lock, clock, socket or packet buffer.
//
// A Conn is one connection. Its owner holds the connection's lock for each
// call and hands in the time, a time.Duration since the origin of the host's
// clock. A round goes
//
//	r := c.Input(&seg, now)            // for each segment of a burst
//	queue seg.Payload[r.Off:r.Off+r.Len]
//	for r.Events.Has(Reassembled) ...  // c.Reassembled(), c.Consume(n)
//	for c.Next(&out, max, now) {       // once, after the burst
//		build a packet of out and c.Slices(&out, &bufs)
//		c.Sent(&out, now)
//	}
//	arm a timer for c.Deadline(), and one for c.ProbeDeadline() unless it is
//	armed already; when one fires, c.Tick(now) and Next again
//
// The in-order bytes that Input reports belong to the caller, who keeps them
// by reference and tells the room that is left with SetRcvSpace. Bytes out of
// order, and bytes to send, are copied into chunks of a ChunkPool; a
// connection with nothing unacknowledged and no hole holds none.
//
// It follows RFC 9293 (TCP), 5681, 6582 and 6675 (congestion control and loss
// recovery), 6298 (retransmission timer), 7323 (window scale, timestamps,
// PAWS), 2018 and 2883 (SACK, D-SACK), 3042 (limited transmit), 6928 (initial
// window), 8985 section 7 (tail loss probe), 5961 (blind attacks), 5927 (ICMP), 6191 and 1337 (TIME-WAIT), 6528
// (initial sequence numbers), 4987 (half-open connections: Request, Cookies). The
// buffers size themselves by what the reader takes (Conn.Rightsize) and by the
// congestion window, and a Memory bounds what all connections hold. Not there:
// ECN, RACK, urgent data as anything but data in line, TCP Fast Open, TCP-AO.
package tcp
