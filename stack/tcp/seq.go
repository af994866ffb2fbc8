package tcp

// Seq is a sequence number. Sequence numbers live on a circle of 2^32; two of
// them compare as long as they are less than 2^31 apart (RFC 9293 section 3.4).
type Seq uint32

// LessThan reports whether s comes before t.
func (s Seq) LessThan(t Seq) bool { return int32(s-t) < 0 }

// LessThanEq reports whether s comes before t or is t.
func (s Seq) LessThanEq(t Seq) bool { return int32(s-t) <= 0 }

// Add returns the sequence number n octets after s, or before it for n < 0.
func (s Seq) Add(n int) Seq { return s + Seq(n) }

// Sub returns how many octets s comes after t: negative when before.
func (s Seq) Sub(t Seq) int { return int(int32(s - t)) }

// InRange reports whether first <= s < end.
func (s Seq) InRange(first, end Seq) bool { return s-first < end-first }

// maxSeq returns the later of a and b.
func maxSeq(a, b Seq) Seq {
	if a.LessThan(b) {
		return b
	}
	return a
}

// minSeq returns the earlier of a and b.
func minSeq(a, b Seq) Seq {
	if a.LessThan(b) {
		return a
	}
	return b
}
