package tcp

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// A SYN cookie (RFC 4987 section 3.6) is an initial sequence number that
// says all a listener needs to know when it comes back:
//
//	 31                                    5  4   3  2    0
//	+----------------------------------------+-----+-------+
//	|        keyed hash, 27 bits             |epoch|  MSS  |
//	+----------------------------------------+-----+-------+
//
// The hash covers both addresses and ports, the peer's initial sequence number,
// the epoch and the index of the MSS, under a key that is drawn anew for each
// epoch. A cookie is good in its epoch and the next, so that of 2^32 sequence
// numbers 16 would be taken: one guess in 2^28. What else the SYN said goes into
// the low bits of the SYN-ACK's timestamp, which the peer echoes, as in Linux;
// without timestamps the connection has neither window scaling nor SACK.
const (
	cookieEpoch = 64 * time.Second // so a cookie lives for 64 to 128 s
	cookieKeys  = 4                // epochs that two bits tell apart
	cookieGood  = 2                // epochs in which a cookie is taken

	// CookieLife is for how long after the last cookie was sent an ACK may still
	// be told to be one, if only that it has expired.
	CookieLife = cookieKeys * cookieEpoch
)

// cookieMSS are the sizes that a cookie can name, near to those that are in use:
// 1220 is what IPv6 requires, 8940 that of jumbo frames.
var cookieMSS = [8]uint16{216, 536, 1220, 1360, 1400, 1440, 1460, 8940}

// The low bits of the timestamp of a cookie's SYN-ACK.
const (
	cookieTSScale = 0x0f // the peer's window scale, 15: none
	cookieTSSACK  = 0x10 // SACK is permitted
	cookieTSMask  = 0x1f
)

// Cookies makes and checks SYN cookies. It must not be used concurrently.
type Cookies struct {
	rand  func() uint64
	epoch int64 // the latest with a key
	keys  [cookieKeys][16]byte
	begun bool
}

// Init gives it the source of its keys: random bits that nobody can foretell.
func (s *Cookies) Init(rand func() uint64) { s.rand = rand }

// CookieVerdict says what an ACK is that came to a listener.
type CookieVerdict uint8

// The verdicts of Cookies.Check.
const (
	CookieInvalid CookieVerdict = iota
	CookieExpired               // it was one, of an epoch that is over
	CookieValid
)

// key is the key of an epoch that is not over by more than cookieKeys.
func (s *Cookies) key(epoch int64) *[16]byte { return &s.keys[epoch&(cookieKeys-1)] }

// advance draws the keys of the epochs that have begun, and returns the present.
func (s *Cookies) advance(now time.Duration) int64 {
	epoch := int64(now / cookieEpoch)
	if !s.begun {
		s.begun, s.epoch = true, epoch-cookieKeys
	}
	for e := max(s.epoch, epoch-cookieKeys) + 1; e <= epoch; e++ {
		k := s.key(e)
		binary.LittleEndian.PutUint64(k[:8], s.rand())
		binary.LittleEndian.PutUint64(k[8:], s.rand())
	}
	s.epoch = max(s.epoch, epoch)
	return s.epoch
}

// seq is the cookie of an epoch.
func (s *Cookies) seq(epoch int64, local, remote netip.AddrPort, irs Seq, index uint32) Seq {
	var b [48]byte
	putPair((*[36]byte)(b[:]), local, remote)
	binary.BigEndian.PutUint32(b[36:], uint32(irs))
	binary.BigEndian.PutUint64(b[40:], uint64(epoch)<<8|uint64(index))
	low := uint32(epoch)&(cookieKeys-1)<<3 | index
	return Seq(uint32(sipHash(s.key(epoch), b[:]))&^0x1f | low)
}

// Make turns a Request that was just opened into one whose SYN-ACK says all of
// it; the Request need not be kept. It returns false if the peer's MSS is less
// than a cookie can name: then there is no cookie.
func (s *Cookies) Make(r *Request, local, remote netip.AddrPort, now time.Duration) bool {
	mss := r.mss
	if mss == 0 {
		mss = defaultMSS
	}
	index := len(cookieMSS) - 1
	for cookieMSS[index] > mss {
		if index--; index < 0 {
			return false
		}
	}
	r.cookie = true
	r.iss = s.seq(s.advance(now), local, remote, r.irs, uint32(index))
	if !r.tsOK {
		r.sackOK, r.wscale, r.rcvShift = false, -1, 0
		return true
	}
	bits := uint32(cookieTSScale)
	if r.wscale >= 0 {
		bits = uint32(r.wscale)
	}
	if r.sackOK {
		bits |= cookieTSSACK
	}
	clock := uint32(now/time.Millisecond) + r.tsOffset
	// Not later than the clock, so that what the connection sends next is not
	// older (RFC 7323 section 5.3).
	if r.tsVal = clock&^cookieTSMask | bits; int32(r.tsVal-clock) > 0 {
		r.tsVal -= cookieTSMask + 1
	}
	return true
}

// Check judges a segment with ACK and without SYN and RST. If it brings a cookie
// back, r becomes the Request that it stands for, to be accepted.
func (s *Cookies) Check(r *Request, cfg *Config, init *Init, seg *Segment, local, remote netip.AddrPort, now time.Duration) CookieVerdict {
	iss, irs := seg.Ack-1, seg.Seq-1
	epoch := s.advance(now)
	age := (uint32(epoch) - uint32(iss)>>3) & (cookieKeys - 1)
	index := uint32(iss) & 7
	if s.seq(epoch-int64(age), local, remote, irs, index) != iss {
		return CookieInvalid
	}
	if age >= cookieGood {
		return CookieExpired
	}
	syn := Segment{Seq: irs, Window: seg.Window}
	o := &syn.Options
	o.Reset()
	o.MSS = cookieMSS[index]
	if got := &seg.Options; cfg.Timestamps && got.Timestamps {
		o.Timestamps, o.TSVal = true, got.TSVal
		o.SACKPermitted = got.TSEcr&cookieTSSACK != 0
		if scale := got.TSEcr & cookieTSScale; scale != cookieTSScale {
			o.WScale = int8(scale)
		}
	}
	r.Open(cfg, init, &syn, now)
	r.iss, r.cookie = iss, true
	return CookieValid
}
