package header

import "encoding/binary"

// Option kinds (RFC 9293 section 3.2, RFC 7323 sections 2.2 and 3.2,
// RFC 2018 sections 2 and 3) and their lengths.
const (
	tcpOptEnd           = 0
	tcpOptNOP           = 1
	tcpOptMSS           = 2
	tcpOptWScale        = 3
	tcpOptSACKPermitted = 4
	tcpOptSACK          = 5
	tcpOptTimestamps    = 8

	tcpOptMSSLen           = 4
	tcpOptWScaleLen        = 3
	tcpOptSACKPermittedLen = 2
	tcpOptTimestampsLen    = 10

	// NOP NOP TS 10: the layout of RFC 7323 appendix A, which nearly every
	// segment of an established connection has.
	tcpTimestampsWord = tcpOptNOP<<24 | tcpOptNOP<<16 | tcpOptTimestamps<<8 | tcpOptTimestampsLen
)

// TCPMaxWScale is the largest shift of a window (RFC 7323 section 2.3); a
// larger one counts as this.
const TCPMaxWScale = 14

// SACKBlock is a run of sequence numbers that the receiver holds:
// Start <= x < End.
type SACKBlock struct{ Start, End uint32 }

// TCPOptions is the parsed form of the options that this stack knows.
type TCPOptions struct {
	MSS           uint16       // 0: absent
	WScale        int8         // 0 to 14; -1: absent
	SACKPermitted bool         // of a SYN
	Timestamps    bool         // TSVal and TSEcr are there
	NumSACK       int8         // how many of SACK are there
	TSVal, TSEcr  uint32       // RFC 7323 section 3.2
	SACK          [4]SACKBlock // in the order of the wire
}

// Reset makes o hold no option.
func (o *TCPOptions) Reset() {
	o.MSS, o.WScale, o.SACKPermitted, o.Timestamps, o.NumSACK = 0, -1, false, false, 0
}

// ParseTCPOptions reads the options b of a segment into o, which it resets
// first. Unknown options, and known ones of a wrong length, are skipped by
// their length; a length that is impossible (below 2, or past the end) ends
// the parse with ErrOption, and what was read until then is in o.
func ParseTCPOptions(b []byte, o *TCPOptions) error {
	o.Reset()
	if len(b) == 12 && binary.BigEndian.Uint32(b) == tcpTimestampsWord {
		o.Timestamps = true
		o.TSVal = binary.BigEndian.Uint32(b[4:8])
		o.TSEcr = binary.BigEndian.Uint32(b[8:12])
		return nil
	}
	for len(b) > 0 {
		switch b[0] {
		case tcpOptEnd:
			return nil
		case tcpOptNOP:
			b = b[1:]
			continue
		}
		if len(b) < 2 {
			return ErrOption
		}
		n := int(b[1])
		if n < 2 || n > len(b) {
			return ErrOption
		}
		o.parseOne(b[0], b[2:n])
		b = b[n:]
	}
	return nil
}

// parseOne reads one option whose value is v.
func (o *TCPOptions) parseOne(kind byte, v []byte) {
	switch kind {
	case tcpOptMSS:
		if len(v) == tcpOptMSSLen-2 {
			o.MSS = binary.BigEndian.Uint16(v)
		}
	case tcpOptWScale:
		if len(v) == tcpOptWScaleLen-2 {
			o.WScale = int8(min(v[0], TCPMaxWScale))
		}
	case tcpOptSACKPermitted:
		if len(v) == 0 {
			o.SACKPermitted = true
		}
	case tcpOptTimestamps:
		if len(v) == tcpOptTimestampsLen-2 {
			o.Timestamps = true
			o.TSVal = binary.BigEndian.Uint32(v[0:4])
			o.TSEcr = binary.BigEndian.Uint32(v[4:8])
		}
	case tcpOptSACK:
		if len(v)%8 != 0 {
			return
		}
		o.NumSACK = 0
		for ; len(v) >= 8 && int(o.NumSACK) < len(o.SACK); v = v[8:] {
			o.SACK[o.NumSACK] = SACKBlock{
				Start: binary.BigEndian.Uint32(v[0:4]),
				End:   binary.BigEndian.Uint32(v[4:8]),
			}
			o.NumSACK++
		}
	}
}

// Len is how many octets Put writes: a multiple of 4, at most 40 for the
// combinations that fit. Timestamps leave room for three SACK blocks.
func (o *TCPOptions) Len() int {
	n := 0
	if o.MSS != 0 {
		n += tcpOptMSSLen
	}
	switch {
	case o.Timestamps:
		n += 12 // NOP NOP TS, or SACK-permitted TS
	case o.SACKPermitted:
		n += 4 // NOP NOP SACK-permitted
	}
	if o.WScale >= 0 {
		n += 4 // NOP WScale
	}
	if o.NumSACK > 0 {
		n += 4 + 8*int(o.NumSACK) // NOP NOP SACK
	}
	return n
}

// Put writes the options to b, each padded in front by NOPs so that the next
// begins at a multiple of 4, and returns Len.
func (o *TCPOptions) Put(b []byte) int {
	n := 0
	if o.MSS != 0 {
		b[n], b[n+1] = tcpOptMSS, tcpOptMSSLen
		binary.BigEndian.PutUint16(b[n+2:], o.MSS)
		n += tcpOptMSSLen
	}
	if o.SACKPermitted || o.Timestamps {
		b[n], b[n+1] = tcpOptNOP, tcpOptNOP
		if o.SACKPermitted {
			b[n], b[n+1] = tcpOptSACKPermitted, tcpOptSACKPermittedLen
		}
		n += 2
		if o.Timestamps {
			b[n], b[n+1] = tcpOptTimestamps, tcpOptTimestampsLen
			binary.BigEndian.PutUint32(b[n+2:], o.TSVal)
			binary.BigEndian.PutUint32(b[n+6:], o.TSEcr)
			n += tcpOptTimestampsLen
		} else {
			b[n], b[n+1] = tcpOptNOP, tcpOptNOP
			n += 2
		}
	}
	if o.WScale >= 0 {
		b[n], b[n+1], b[n+2], b[n+3] = tcpOptNOP, tcpOptWScale, tcpOptWScaleLen, byte(o.WScale)
		n += 4
	}
	if o.NumSACK > 0 {
		b[n], b[n+1], b[n+2], b[n+3] = tcpOptNOP, tcpOptNOP, tcpOptSACK, byte(2+8*o.NumSACK)
		n += 4
		for _, s := range o.SACK[:o.NumSACK] {
			binary.BigEndian.PutUint32(b[n:], s.Start)
			binary.BigEndian.PutUint32(b[n+4:], s.End)
			n += 8
		}
	}
	return n
}
