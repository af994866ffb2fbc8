package fdbased

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/internal/vnet"
)

// Header makes a frame's header, and reports how long the frame is and whether it
// can be sent.
func Header(header *[vnet.HeaderSize]byte, p *nic.Packet, mtu int) (size int, ok bool) {
	size = p.FrameLen()
	if p.Segment == nic.SegmentNone && size > EthernetHeader+mtu || size > MaxFrame || size < 14 {
		return size, false
	}
	return size, vnet.Put(header, &p.Meta, size)
}

// AppendVectors appends a frame behind its header, which has a place of its own:
// somebody else may hold the packet too, so its headroom is not ours.
func AppendVectors(iov []unix.Iovec, header *[vnet.HeaderSize]byte, p *nic.Packet) []unix.Iovec {
	iov = append(iov, unix.Iovec{Base: &header[0]})
	iov[len(iov)-1].SetLen(vnet.HeaderSize)
	for ; p != nil; p = p.Next() {
		if b := p.Bytes(); len(b) > 0 {
			iov = append(iov, unix.Iovec{Base: &b[0]})
			iov[len(iov)-1].SetLen(len(b))
		}
	}
	return iov
}

// Message is the kernel's struct mmsghdr, of recvmmsg(2) and sendmmsg(2).
type Message struct {
	unix.Msghdr
	Length uint32
}

// SendBatch is frames that go by one system call, if the kernel takes them all.
type SendBatch struct {
	n       int
	headers [Batch][vnet.HeaderSize]byte
	iov     []unix.Iovec
	msgs    [Batch]Message
}

// Sent is what became of a SendBatch. The first Frames+Dropped of its frames are
// done with; Full says that the descriptor had no room for those behind them.
type Sent struct {
	Frames, Bytes, Dropped int
	Calls                  int
	Full                   bool
}

// Len is the number of frames in the batch, up to Batch.
func (b *SendBatch) Len() int { return b.n }

// Add adds a frame, unless it cannot be sent. The packet stays the caller's, who
// keeps it until Send has returned.
func (b *SendBatch) Add(p *nic.Packet, mtu int) bool {
	if _, ok := Header(&b.headers[b.n], p, mtu); !ok {
		return false
	}
	from := len(b.iov)
	b.iov = AppendVectors(b.iov, &b.headers[b.n], p)
	b.msgs[b.n].SetIovlen(len(b.iov) - from)
	b.n++
	return true
}

// Send sends the batch, and empties it.
func (b *SendBatch) Send(fd uintptr) (s Sent) {
	// The messages' vectors, now that they stay where they are.
	for i, k := 0, 0; i < b.n; i++ {
		m := &b.msgs[i]
		m.Iov = &b.iov[k]
		k += int(m.Iovlen)
	}
	told := false
	for done := 0; done < b.n && !s.Full; {
		s.Calls++
		k, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&b.msgs[done])), uintptr(b.n-done), unix.MSG_DONTWAIT, 0, 0)
		switch {
		case errno == 0:
			for i := range b.msgs[done : done+int(k)] {
				s.Bytes += int(b.msgs[done+i].Length) - vnet.HeaderSize
			}
			s.Frames += int(k)
			done += int(k)
		case errno == unix.EINTR:
		case errno == unix.EAGAIN: // the socket's buffer
			s.Full = true
		case errno == unix.ENETDOWN && !told:
			told = true // perhaps only what the socket still had to say of the past
		default:
			// ENETDOWN, ENXIO: no link. ENOBUFS: the queueing discipline had no
			// room. EINVAL, EMSGSIZE: the kernel did not like the frame.
			done++
			s.Dropped++
		}
	}
	clear(b.iov) // keeps no buffer alive
	b.iov, b.n = b.iov[:0], 0
	return s
}

// Drop drops what Send took and cannot send.
func (q *Queue) Drop(pkts []*nic.Packet) {
	for _, p := range pkts {
		p.Release()
	}
	q.TxDropped.Add(uint64(len(pkts)))
}
