package tcp

import "slices"

// sackRange is a run of sequence numbers start <= x < end.
type sackRange struct{ start, end Seq }

// maxSackRanges bounds the scoreboard, and so the work that an ACK can cause
// (CVE-2019-11478). A block that would need one more is forgotten, and what it
// covers may be sent again in vain.
const maxSackRanges = 256

// scoreboard is what the peer has SACKed beyond una: sorted, merged ranges
// (RFC 6675 section 3).
type scoreboard struct {
	ranges []sackRange
	sacked uint32 // octets in ranges
	steps  uint64 // ranges looked at or moved: what an ACK costs
}

func (p *ChunkPool) getScoreboard() *scoreboard {
	p.others.Add(1)
	if s, _ := p.sb.Get().(*scoreboard); s != nil {
		return s
	}
	return &scoreboard{ranges: make([]sackRange, 0, 16)}
}

func (p *ChunkPool) putScoreboard(s *scoreboard) {
	s.ranges, s.sacked, s.steps = s.ranges[:0], 0, 0
	p.others.Add(-1)
	p.sb.Put(s)
}

// dropScoreboard forgets what was SACKed.
func (c *Conn) dropScoreboard() {
	if c.sb != nil {
		c.cfg.Pool.putScoreboard(c.sb)
		c.sb = nil
	}
}

// takeSACK enters the blocks of seg and returns how many octets are new.
// Blocks at or below the ACK are D-SACKs (RFC 2883), blocks beyond nxt are
// nonsense; both are passed over.
func (c *Conn) takeSACK(seg *Segment) (fresh uint32) {
	floor := maxSeq(c.una, seg.Ack)
	for _, b := range seg.Options.SACK[:seg.Options.NumSACK] {
		start, end := Seq(b.Start), Seq(b.End)
		if !start.LessThan(end) || start.LessThanEq(floor) || c.nxt.LessThan(end) {
			continue
		}
		if c.sb == nil {
			c.sb = c.cfg.Pool.getScoreboard()
		}
		fresh += c.sb.add(start, end)
	}
	return fresh
}

// find returns the index of the first range that ends after seq.
func (s *scoreboard) find(seq Seq) int {
	lo, hi := 0, len(s.ranges)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if s.ranges[mid].end.LessThanEq(seq) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// add enters a range and returns how many of its octets are new.
func (s *scoreboard) add(start, end Seq) uint32 {
	i := s.find(start - 1) // one that ends at start is merged too
	j := i
	grown := sackRange{start, end}
	var had uint32
	for ; j < len(s.ranges) && s.ranges[j].start.LessThanEq(end); j++ {
		r := s.ranges[j]
		had += uint32(r.end - r.start)
		grown.start = minSeq(grown.start, r.start)
		grown.end = maxSeq(grown.end, r.end)
	}
	s.steps += uint64(len(s.ranges) - i + 1)
	switch {
	case i < j:
		s.ranges[i] = grown
		s.ranges = slices.Delete(s.ranges, i+1, j)
	case len(s.ranges) < maxSackRanges:
		s.ranges = slices.Insert(s.ranges, i, grown)
	default:
		return 0
	}
	fresh := uint32(grown.end-grown.start) - had
	s.sacked += fresh
	return fresh
}

// prune forgets what lies before una.
func (s *scoreboard) prune(una Seq) {
	n := s.find(una)
	if n > 0 {
		s.steps += uint64(len(s.ranges))
	}
	for _, r := range s.ranges[:n] {
		s.sacked -= uint32(r.end - r.start)
	}
	s.ranges = slices.Delete(s.ranges, 0, n)
	if len(s.ranges) > 0 && s.ranges[0].start.LessThan(una) {
		s.sacked -= uint32(una - s.ranges[0].start)
		s.ranges[0].start = una
	}
}

// unsacked is how many octets of start <= x < end are not SACKed.
func (s *scoreboard) unsacked(start, end Seq) uint32 {
	if !start.LessThan(end) {
		return 0
	}
	n := uint32(end - start)
	for i := s.find(start); i < len(s.ranges) && s.ranges[i].start.LessThan(end); i++ {
		s.steps++
		n -= uint32(minSeq(s.ranges[i].end, end) - maxSeq(s.ranges[i].start, start))
	}
	return n
}

// hole returns the first run at or after seq that is not SACKed; it ends at
// the next range or at limit. It is empty when there is none below limit.
func (s *scoreboard) hole(seq, limit Seq) (start, end Seq) {
	i := s.find(seq)
	for i < len(s.ranges) && s.ranges[i].start.LessThanEq(seq) {
		seq = s.ranges[i].end
		i++
		s.steps++
	}
	if i < len(s.ranges) {
		limit = minSeq(limit, s.ranges[i].start)
	}
	return seq, maxSeq(seq, limit)
}

// highest is the end of the last range; there is one.
func (s *scoreboard) highest() Seq { return s.ranges[len(s.ranges)-1].end }

// lostBelow returns the edge below which what is not SACKed is lost by RFC
// 6675's IsLost: three ranges, or more than two segments' octets, are SACKed
// above it. Without so much it is una.
func (s *scoreboard) lostBelow(una Seq, mss uint32) Seq {
	var octets uint32
	for i := len(s.ranges) - 1; i >= 0; i-- {
		r := s.ranges[i]
		s.steps++
		octets += uint32(r.end - r.start)
		if len(s.ranges)-i >= dupThresh || octets > (dupThresh-1)*mss {
			return r.start
		}
	}
	return una
}
