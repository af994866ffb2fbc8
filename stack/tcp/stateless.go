package tcp

// ResetFor returns the RST that answers seg at a port that is closed, unless
// seg asks for none (RFC 9293 section 3.10.7.1).
func ResetFor(seg *Segment) (rst Segment, ok bool) {
	if seg.Flags&flagRST != 0 {
		return rst, false
	}
	rst.kind = segRST
	rst.Options.Reset()
	if seg.Flags&flagACK != 0 {
		rst.Seq, rst.Flags = seg.Ack, flagRST
		return rst, true
	}
	rst.Ack = seg.Seq.Add(length(seg.Flags, len(seg.Payload)))
	rst.Flags = flagRST | flagACK
	return rst, true
}

// ListenVerdict is what a listener does with a segment.
type ListenVerdict uint8

// The verdicts of CheckListen.
const (
	ListenDrop  ListenVerdict = iota // ignore it
	ListenReset                      // answer with ResetFor
	ListenSYN                        // a connection request: Conn.Accept, or a cookie
)

// CheckListen judges a segment that came to a listener (RFC 9293 section
// 3.10.7.2). A FIN on a SYN is passed over, as data is.
func CheckListen(seg *Segment) ListenVerdict {
	switch {
	case seg.Flags&flagRST != 0:
		return ListenDrop
	case seg.Flags&flagACK != 0:
		return ListenReset
	case seg.Flags&flagSYN != 0:
		return ListenSYN
	}
	return ListenDrop
}
