package tcp

import "github.com/fastnet-go/fastnet/stack/header"

// Control bits, by their short names.
const (
	flagFIN = header.TCPFlagFIN
	flagSYN = header.TCPFlagSYN
	flagRST = header.TCPFlagRST
	flagPSH = header.TCPFlagPSH
	flagACK = header.TCPFlagACK
)

// Segment is a TCP segment, coming in or going out.
//
// Coming in, the caller fills Seq to Options and Payload. A super-segment that
// a device or GRO put together is handed in as one Segment for each contiguous
// part, with Seq advanced and SYN and FIN on the right one.
//
// Going out, Next fills all but Payload; the bytes are reached with
// Conn.Slices or Conn.CopyTo until the next call of Sent, Input or Tick. A
// Segment is reusable, and need not be cleared between uses.
type Segment struct {
	Seq, Ack Seq
	Flags    header.TCPFlags
	Window   uint16 // as on the wire, not scaled
	Urgent   uint16
	Options  header.TCPOptions

	Payload []byte // in: the data

	Len     int // out: how many octets of data; 0 for SYN, a pure ACK, RST
	SegSize int // out: octets of data a packet, when Len > 0; Len > SegSize asks for segmentation

	// What Sent needs to know (out).
	kind  segKind
	ch    *chunk // where the first octet lies
	off   int32
	edge  Seq // right edge of the window that Window advertises
	dsack bool
}

// Truncate makes a segment that Next has filled end after n octets of data,
// 0 < n < Len: there is no buffer for the others. Sent takes it as it is then.
func (s *Segment) Truncate(n int) {
	s.Len = n
	s.Flags &^= flagPSH | flagFIN
}

// packets is how many a segment going out is on the wire.
func (s *Segment) packets() uint32 {
	if s.Len <= s.SegSize {
		return 1
	}
	return uint32((s.Len + s.SegSize - 1) / s.SegSize)
}

// segKind says which of its needs a connection meets with a segment.
type segKind uint8

const (
	segACK    segKind = iota // pure ACK
	segSYN                   // SYN or SYN-ACK
	segNew                   // data or FIN for the first time
	segRtx                   // again
	segRescue                // again, as the rescue retransmission
	segTail                  // tail loss probe: data for the first time, or again
	segProbe                 // probe of a closed window
	segKeep                  // keep-alive probe
	segRST
)

// length is the segment's length in sequence space (SEG.LEN in RFC 9293
// section 3.4) with n octets of data.
func length(flags header.TCPFlags, n int) int {
	if flags&flagSYN != 0 {
		n++
	}
	if flags&flagFIN != 0 {
		n++
	}
	return n
}
