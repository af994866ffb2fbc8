package reassembly

import (
	"bytes"
	"net/netip"
	"time"
)

// What the bookkeeping of a datagram costs, roughly: the structure, its share
// of two maps, and the structure of its pair of addresses.
const (
	overhead  = 640
	pieceSize = 12
)

// datagram is one that is not complete, or, if abandoned, one that never will be.
type datagram struct {
	key       Key
	expiry    time.Duration
	header    []byte  // of the first fragment
	buf       []byte  // payloads in the order of their arrival
	pieces    []piece // sorted, without overlap
	total     int     // length, -1 until the last fragment has come
	sorted    bool    // payloads have arrived in order
	ecn       uint8   // a bit for each value seen
	abandoned bool
	charge    int // bytes that count for the limits
	pair      *pair
	links     [2]links
}

// piece is a fragment that has come: its place, and where in buf its bytes are.
type piece struct{ off, end, at int32 }

func (d *datagram) bytes(p piece) []byte { return d.buf[p.at : p.at+p.end-p.off] }

// verdict is how a fragment fits in with those that have come.
type verdict int

const (
	fits verdict = iota
	isCopy
	conflicts
)

// judge finds the place of f among the pieces.
func (d *datagram) judge(f *Fragment) (index int, v verdict) {
	off, end := int32(f.Offset), int32(f.end())
	// Most fragments come in order: look from the end.
	i := len(d.pieces)
	for i > 0 && d.pieces[i-1].off >= off {
		i--
	}
	last := !f.More
	if i < len(d.pieces) {
		next := d.pieces[i]
		if next.off == off && next.end == end && last == (int(end) == d.total) &&
			bytes.Equal(d.bytes(next), f.Payload) {
			return i, isCopy
		}
		if next.off < end || last {
			return i, conflicts
		}
	}
	switch {
	case i > 0 && d.pieces[i-1].end > off,
		d.total >= 0 && (last || int(end) > d.total):
		return i, conflicts
	}
	return i, fits
}

// growth returns the capacities that buf and pieces need for another n bytes,
// and by how many bytes the datagram grows.
func (d *datagram) growth(f *Fragment) (bufCap, pieceCap, more int) {
	bufCap, pieceCap = cap(d.buf), cap(d.pieces)
	if need := len(d.buf) + len(f.Payload); need > bufCap {
		bufCap = max(need, min(2*need, maxDatagram))
		switch {
		case !f.More && f.end() >= need:
			bufCap = min(bufCap, f.end())
		case d.total >= need:
			bufCap = min(bufCap, d.total)
		}
	}
	if len(d.pieces) == pieceCap {
		pieceCap = max(4, 2*pieceCap)
	}
	more = bufCap - cap(d.buf) + (pieceCap-cap(d.pieces))*pieceSize
	if f.Offset == 0 {
		more += len(f.Header)
	}
	return bufCap, pieceCap, more
}

// insert copies f, which fits at index, into the datagram.
func (d *datagram) insert(f *Fragment, index, bufCap, pieceCap int) {
	if bufCap > cap(d.buf) {
		d.buf = append(make([]byte, 0, bufCap), d.buf...)
	}
	if pieceCap > cap(d.pieces) {
		d.pieces = append(make([]piece, 0, pieceCap), d.pieces...)
	}
	d.sorted = d.sorted && f.Offset == len(d.buf)
	d.pieces = append(d.pieces, piece{})
	copy(d.pieces[index+1:], d.pieces[index:])
	d.pieces[index] = piece{int32(f.Offset), int32(f.end()), int32(len(d.buf))}
	d.buf = append(d.buf, f.Payload...)
	if f.Offset == 0 {
		d.header = append([]byte(nil), f.Header...)
	}
	if !f.More {
		d.total = f.end()
	}
	d.ecn |= 1 << (f.ECN & 3)
}

// complete reports whether there is no hole: the pieces neither overlap nor
// reach beyond total.
func (d *datagram) complete() bool { return len(d.buf) == d.total }

// join returns the payload of a complete datagram.
func (d *datagram) join() []byte {
	if d.sorted {
		return d.buf
	}
	payload := make([]byte, 0, d.total)
	for _, p := range d.pieces {
		payload = append(payload, d.bytes(p)...)
	}
	return payload
}

// addresses are those of a pair of hosts, in one direction.
type addresses struct{ src, dst netip.Addr }

// pair is what the datagrams from one address to another have in common.
type pair struct {
	addresses addresses
	bytes     int
	list      list
}

// A datagram is in two lists: of all, and of its pair.
const (
	ofAll = iota
	ofPair
)

type links struct{ prev, next *datagram }

// list is a list of datagrams, oldest first.
type list struct {
	head, tail *datagram
	kind       int
}

func (l *list) push(d *datagram) {
	d.links[l.kind] = links{prev: l.tail}
	if l.tail == nil {
		l.head = d
	} else {
		l.tail.links[l.kind].next = d
	}
	l.tail = d
}

func (l *list) remove(d *datagram) {
	at := d.links[l.kind]
	if at.prev == nil {
		l.head = at.next
	} else {
		at.prev.links[l.kind].next = at.next
	}
	if at.next == nil {
		l.tail = at.prev
	} else {
		at.next.links[l.kind].prev = at.prev
	}
	d.links[l.kind] = links{}
}

// oldestBut returns the first of the list that is not d.
func (l *list) oldestBut(d *datagram) *datagram {
	if l.head == d && d != nil {
		return d.links[l.kind].next
	}
	return l.head
}
