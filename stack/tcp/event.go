package tcp

// Events are what Input or Tick changed, as far as the caller must act on it.
type Events uint32

const (
	// Established: the handshake is over; Writable as well.
	Established Events = 1 << iota
	// Readable: Result.Off and Len tell the in-order bytes of the payload.
	Readable
	// Reassembled: bytes that were held are in order now. They follow those
	// of Readable; take them with Conn.Reassembled and Consume right away.
	Reassembled
	// EOF: the peer's FIN is in order; it comes after the bytes above.
	EOF
	// Writable: a Write that did not fit, or Writable's 0, can be tried again.
	Writable
	// SendReady: there is something to send and it may be possible now: call Next
	// after the burst.
	SendReady
	// AckNow: an ACK (or a reset) is due: call Next after the burst.
	AckNow
	// AckLater: an ACK is pending. It rides on data, or goes when FlushAck is
	// called or the Deadline passes.
	AckLater
	// TimeWaiting: the state is TIME-WAIT. After Next has sent the last ACK the
	// Conn can be replaced by its TimeWait record.
	TimeWaiting
	// Reset: the peer reset the connection, or refused it; Err tells.
	Reset
	// Failed: it ended by a timeout or an ICMP error; Err tells.
	Failed
	// Closed: the state is CLOSED. Call Next until it returns false (it may hold
	// a last RST), then Release, and remove the connection.
	Closed
	// Reopen: a SYN that may open a new connection came in TIME-WAIT (RFC 6191).
	// Remove this one and hand the segment to the listener, with NextISS.
	Reopen
)

// Has reports whether any of e2 is in e.
func (e Events) Has(e2 Events) bool { return e&e2 != 0 }

// Result is what Input made of a segment.
type Result struct {
	Events Events
	// Off and Len are the bytes Payload[Off:Off+Len] of the segment that are in
	// order and new, for the caller's receive queue; Len is 0 without Readable.
	Off, Len int
}
