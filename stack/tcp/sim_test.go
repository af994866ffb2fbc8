package tcp

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/fastnet-go/fastnet/stack/header"
)

// sim is two hosts with one connection, joined by a bad link, in virtual time.
// All that happens comes from one seed.
type sim struct {
	rng   *rand.Rand
	pool  ChunkPool
	now   time.Duration
	link  link
	wire  packetHeap
	order int
	ends  [2]*peer
	trace func(format string, args ...any)

	packets int
}

// peer is a host: a connection, its receive queue, and an application that
// writes, reads and closes in its own way.
type peer struct {
	s    *sim
	id   int
	cfg  Config
	c    Conn
	open bool // the connection exists
	tw   *TimeWait

	toWrite   int // bytes still to be written
	written   int
	maxWrite  int
	received  int
	unread    int // received, in the receive queue
	rcvLimit  int
	maxRead   int
	nextRead  time.Duration
	nextWrite time.Duration
	pause     time.Duration
	mtu       int
	tso       int

	closeAfter time.Duration // the application closes when it has written all, and then
	abortAt    time.Duration
	halfClose  bool // read to the end after CloseWrite; else Orphan
	closedAt   bool
	aborted    bool
	eof        bool
	err        error
	failed     bool
	timeWaited bool
	everOpen   bool
}

// pattern is the byte at offset i of the stream that peer id sends.
func pattern(id, i int) byte {
	x := uint32(i)*2654435761 + uint32(id)*97
	return byte(x >> 13)
}

func (p *peer) check(b []byte) error {
	for i, v := range b {
		if v != pattern(1-p.id, p.received+i) {
			return fmt.Errorf("peer %d: byte %d is %d, not %d", p.id, p.received+i, v, pattern(1-p.id, p.received+i))
		}
	}
	p.received += len(b)
	p.unread += len(b)
	return nil
}

// emit puts a segment on the wire, as a device with segmentation offload does.
func (p *peer) emit(seg *Segment, payload []byte) {
	size := seg.SegSize
	if size <= 0 {
		size = 1
	}
	for off := 0; ; off += size {
		part := payload[off:min(off+size, len(payload))]
		flags := seg.Flags
		if off+size < len(payload) {
			flags &^= flagFIN | flagPSH
		}
		n := seg.Options.Len()
		if len(part) > 0 && len(part)+n > p.mtu {
			panic(fmt.Sprintf("segment of %d octets and %d of options, MTU %d", len(part), n, p.mtu))
		}
		b := make([]byte, header.TCPMinLen+n+len(part))
		f := header.TCPFields{Seq: uint32(seg.Seq.Add(off)), Ack: uint32(seg.Ack), Flags: flags, Window: seg.Window}
		f.Put(b, n)
		seg.Options.Put(b[header.TCPMinLen:])
		copy(b[header.TCPMinLen+n:], part)
		p.s.send(1-p.id, b)
		if off+size >= len(payload) {
			return
		}
	}
}

func (s *sim) tracef(format string, args ...any) {
	if s.trace != nil {
		s.trace(format, args...)
	}
}

func decode(b []byte, seg *Segment) error {
	h, payload, err := header.ParseTCP(b)
	if err != nil {
		return err
	}
	seg.Seq, seg.Ack, seg.Flags, seg.Window = Seq(h.Seq()), Seq(h.Ack()), h.Flags(), h.Window()
	seg.Payload = payload
	return header.ParseTCPOptions(h.OptionBytes(), &seg.Options)
}

// input hands a packet to the connection, or answers for a closed port.
func (p *peer) input(b []byte) error {
	var seg Segment
	if err := decode(b, &seg); err != nil {
		return err
	}
	p.s.tracef("%v %d< %v seq %d ack %d len %d win %d %v [%v]", p.s.now, p.id, seg.Flags, seg.Seq, seg.Ack, len(seg.Payload), seg.Window, seg.Options.SACK[:seg.Options.NumSACK], p.c.state)
	if p.tw != nil {
		switch p.tw.Input(&seg, p.s.now) {
		case TimeWaitAck, TimeWaitRestart:
			var ack Segment
			p.tw.Ack(&ack, p.s.now)
			p.emit(&ack, nil)
		case TimeWaitReopen:
			return fmt.Errorf("reopened")
		}
		return nil
	}
	if !p.open {
		if p.everOpen || CheckListen(&seg) != ListenSYN {
			if rst, ok := ResetFor(&seg); ok {
				p.emit(&rst, nil)
			}
			return nil
		}
		p.accept(&seg)
		return nil
	}
	r := p.c.Input(&seg, p.s.now)
	if r.Len > 0 != r.Events.Has(Readable) {
		return fmt.Errorf("peer %d: Len %d, events %b", p.id, r.Len, r.Events)
	}
	if p.eof && (r.Events.Has(Readable | Reassembled)) {
		return fmt.Errorf("peer %d: data after EOF", p.id)
	}
	if err := p.check(seg.Payload[r.Off : r.Off+r.Len]); err != nil {
		return err
	}
	if r.Events.Has(Reassembled) {
		for {
			b := p.c.Reassembled()
			if b == nil {
				break
			}
			n := 1 + p.s.rng.IntN(len(b))
			if err := p.check(b[:n]); err != nil {
				return err
			}
			p.c.Consume(n)
		}
	}
	return p.events(r.Events)
}

func (p *peer) events(ev Events) error {
	if ev.Has(EOF) {
		if p.eof {
			return fmt.Errorf("peer %d: EOF twice", p.id)
		}
		p.eof = true
	}
	if ev.Has(Reset | Failed) {
		p.failed = p.c.Err() != 0
		if p.failed {
			p.err = p.c.Err()
		}
	}
	if ev.Has(TimeWaiting) {
		p.timeWaited = true
	}
	return p.c.checkInvariants()
}

// pump lets the application act and sends what is to be sent.
func (p *peer) pump() error {
	if !p.open {
		return nil
	}
	s := p.s
	if p.abortAt > 0 && s.now >= p.abortAt && !p.aborted {
		p.aborted = true
		p.c.Abort(s.now)
	}
	if p.unread > 0 && s.now >= p.nextRead {
		n := min(p.unread, 1+s.rng.IntN(p.maxRead))
		p.unread -= n
		if p.pause > 0 {
			p.nextRead = s.now + time.Duration(s.rng.Int64N(int64(p.pause)))
		}
	}
	p.c.SetRcvSpace(p.rcvLimit - p.unread)
	if p.c.WindowUpdateDue() {
		p.c.FlushAck()
	}
	for p.toWrite > 0 && s.now >= p.nextWrite && p.c.Writable() > 0 {
		b := make([]byte, min(p.toWrite, 1+s.rng.IntN(p.maxWrite)))
		for i := range b {
			b[i] = pattern(p.id, p.written+i)
		}
		n := p.c.Write(b)
		p.written += n
		p.toWrite -= n
		if p.pause > 0 && s.rng.IntN(4) == 0 {
			p.nextWrite = s.now + time.Duration(s.rng.Int64N(int64(p.pause)))
		}
	}
	if p.toWrite == 0 && !p.closedAt && s.now >= p.closeAfter && p.c.state >= StateEstablished {
		p.closedAt = true
		if p.halfClose || !p.eof || p.unread > 0 {
			p.c.CloseWrite(s.now)
		} else {
			p.c.Orphan(s.now)
		}
	}
	return p.output()
}

func (p *peer) output() error {
	s := p.s
	var seg Segment
	for i := 0; p.c.Next(&seg, p.tso, s.now); i++ {
		if i > 10000 {
			return fmt.Errorf("peer %d: Next does not end", p.id)
		}
		if s.rng.IntN(50) == 0 {
			break // the device is full
		}
		payload := make([]byte, seg.Len)
		p.c.CopyTo(payload, &seg)
		var bufs [8][]byte
		var flat []byte
		for _, b := range bufs[:p.c.Slices(&seg, &bufs)] {
			flat = append(flat, b...)
		}
		if string(flat) != string(payload) {
			return fmt.Errorf("Slices and CopyTo differ")
		}
		s.tracef("%v %d> %v seq %d ack %d len %d win %d kind %d sack %v [%v cwnd %d pipe %d phase %d]", s.now, p.id, seg.Flags, seg.Seq, seg.Ack, seg.Len, seg.Window, seg.kind, seg.Options.SACK[:seg.Options.NumSACK], p.c.state, p.c.cw.Cwnd, p.c.pipe, p.c.phase)
		p.emit(&seg, payload)
		p.c.Sent(&seg, s.now)
		if err := p.c.checkInvariants(); err != nil {
			return err
		}
	}
	if p.c.state == StateTimeWait && p.tw == nil && s.rng.IntN(2) == 0 && !p.c.Next(&seg, p.tso, s.now) {
		tw := p.c.TimeWait()
		p.tw = &tw
		p.c.Release()
		p.open = false
	}
	if p.c.state == StateClosed && !p.c.Next(&seg, p.tso, s.now) {
		p.c.Release()
		p.open = false
	}
	return nil
}

// wake is when the application wants to act next.
func (p *peer) wake() time.Duration {
	if !p.open {
		return Never
	}
	w := Never
	if p.unread > 0 {
		w = min(w, p.nextRead)
	}
	if p.toWrite > 0 && p.c.CanWrite() && p.c.cfg.SndBuf > p.c.queued() {
		w = min(w, p.nextWrite)
	}
	if p.toWrite == 0 && !p.closedAt && p.c.state >= StateEstablished {
		w = min(w, p.closeAfter)
	}
	if p.abortAt > 0 && !p.aborted {
		w = min(w, p.abortAt)
	}
	var seg Segment
	if p.c.Next(&seg, p.tso, p.s.now) {
		w = min(w, p.s.now+50*time.Microsecond) // the device was full
	}
	return w
}

func (p *peer) accept(syn *Segment) {
	p.open, p.everOpen = true, true
	p.c.Accept(&p.cfg, p.init(), syn, p.s.now)
}

func (p *peer) connect() {
	p.open, p.everOpen = true, true
	p.c.Connect(&p.cfg, p.init(), p.s.now)
}

func (p *peer) init() Init {
	iss := Seq(p.s.rng.Uint32())
	if p.s.rng.IntN(2) == 0 {
		iss = -Seq(p.s.rng.IntN(200000)) // wraps soon
	}
	return Init{ISS: iss, TSOffset: p.s.rng.Uint32(), RcvMSS: uint16(p.mtu), SndMSS: uint16(p.mtu)}
}

// step advances to the next event. It reports false at the end.
func (s *sim) step() (bool, error) {
	at := Never
	if len(s.wire) > 0 {
		at = s.wire[0].at
	}
	for _, p := range s.ends {
		if p.open {
			at = min(at, p.c.Deadline(), p.c.ProbeDeadline(), p.wake())
		}
		if p.tw != nil {
			at = min(at, p.tw.Deadline())
		}
	}
	if at == Never {
		return false, nil
	}
	s.now = max(s.now, at)
	// A burst for each end, then its Next.
	var touched [2]bool
	for len(s.wire) > 0 && s.wire[0].at <= s.now+s.link.burst {
		pkt := heap.Pop(&s.wire).(packet)
		touched[pkt.to] = true
		if err := s.ends[pkt.to].input(pkt.b); err != nil {
			return false, err
		}
	}
	for _, p := range s.ends {
		if p.tw != nil && s.now >= p.tw.Deadline() {
			p.tw = nil
		}
		if p.open && s.now >= min(p.c.Deadline(), p.c.ProbeDeadline()) {
			if err := p.events(p.c.Tick(s.now)); err != nil {
				return false, err
			}
			if p.open && min(p.c.Deadline(), p.c.ProbeDeadline()) <= s.now {
				return false, fmt.Errorf("peer %d: deadline %v not after Tick at %v", p.id, p.c.Deadline(), s.now)
			}
		}
		if err := p.pump(); err != nil {
			return false, err
		}
	}
	return true, nil
}
