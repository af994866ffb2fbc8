package fdbased

import (
	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/internal/vnet"
)

// Slot is where a frame is received. A frame of up to the MTU fits into the first
// part; what nobody has cut spills into the large ones, as many as it needs. Those
// it does not need stay for the next frame.
type Slot struct {
	Header [vnet.HeaderSize]byte
	parts  [1 + Spill]*nic.Packet
	iov    [2 + Spill]unix.Iovec
	used   int // vectors
	room   int // bytes, without the header
}

// MakeSlots gives q slots for n frames at a time.
func (q *Queue) MakeSlots(n int) []Slot {
	q.rx.slots = make([]Slot, n)
	return q.rx.slots
}

// Post readies slots and returns how many, the first ones: fewer if there are not
// buffers enough. Those that they lack come from the pools all at once, and so
// many small ones more as frames are expected beyond the slots.
func (q *Queue) Post(slots []Slot, beyond int) int {
	small, large := 0, 0
	for i := range slots {
		if slots[i].parts[0] == nil {
			small++
		}
		for _, p := range slots[i].parts[1:] {
			if p == nil {
				large++
			}
		}
	}
	for i := range slots {
		s := &slots[i]
		if s.parts[0] == nil {
			p := q.rx.small.Get(small + beyond)
			if p == nil {
				return i // the slots behind keep theirs
			}
			s.set(0, p)
			small--
		}
		s.iov[0].Base = &s.Header[0]
		s.iov[0].SetLen(vnet.HeaderSize)
		s.used, s.room = 2, s.parts[0].Tailroom()
		for k := 1; k <= Spill; k++ {
			if s.parts[k] == nil {
				p := q.rx.large.Get(large)
				if p == nil {
					break // what does not fit is dropped
				}
				s.set(k, p)
				large--
			}
			s.used++
			s.room += s.parts[k].Tailroom()
		}
	}
	return len(slots)
}

func (s *Slot) set(k int, p *nic.Packet) {
	s.parts[k] = p
	s.iov[k+1].Base = &p.Buffer()[p.Headroom()]
	s.iov[k+1].SetLen(p.Tailroom())
}

// Vectors is where the system call shall put a frame, behind its header.
func (s *Slot) Vectors() []unix.Iovec { return s.iov[:s.used] }

// Room is the number of bytes that a frame may have.
func (s *Slot) Room() int { return s.room }

// Take returns the frame of size bytes that was received; size is 1 to Room. Its
// metadata is still that of Header.
func (s *Slot) Take(size int) *nic.Packet {
	first := s.parts[0]
	for k, left := 0, size; left > 0; k++ {
		p := s.parts[k]
		s.parts[k] = nil
		left -= len(p.Extend(min(left, p.Tailroom())))
		if k > 0 {
			first.Append(p)
		}
	}
	return first
}

// Discard takes a frame from the descriptor that there is no buffer for, or else
// it would be what the poller is told of for ever.
func (q *Queue) Discard(fd uintptr) error {
	_, err := unix.Read(int(fd), q.rx.slots[0].Header[:])
	if err == nil {
		q.RxDropped.Add(1)
	}
	return err
}

func (s *Slot) held() int {
	n := 0
	for _, p := range s.parts {
		if p != nil {
			n++
		}
	}
	return n
}

func (s *Slot) release() {
	for k, p := range s.parts {
		p.Release()
		s.parts[k] = nil
	}
	clear(s.iov[:])
}
