package fastnet

import (
	"encoding/binary"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/stack"
)

// Control messages of UDP sockets, in the kernel's format (cmsg(3), ip(7),
// ipv6(7)), so that programs need not know whose socket they have.

// cmsgHeader is the length of a message's header: its own length, of a word, the
// level and the type, of four bytes each.
const (
	cmsgHeader = unix.SizeofCmsghdr
	cmsgWord   = cmsgHeader - 8
)

// nextControl takes the first message off oob: ok is false behind the last one.
// The error is EINVAL for a length that cannot be; less than a header is none, as
// in Linux. A program's buffer need not be aligned.
func nextControl(oob []byte) (level, typ int32, data, rest []byte, ok bool, err error) {
	if len(oob) < cmsgHeader {
		return 0, 0, nil, nil, false, nil
	}
	var n uint64
	if cmsgWord == 8 {
		n = binary.NativeEndian.Uint64(oob)
	} else {
		n = uint64(binary.NativeEndian.Uint32(oob))
	}
	if n < cmsgHeader || n > uint64(len(oob)) {
		return 0, 0, nil, nil, false, syscall.EINVAL
	}
	level = int32(binary.NativeEndian.Uint32(oob[cmsgWord:]))
	typ = int32(binary.NativeEndian.Uint32(oob[cmsgWord+4:]))
	space := unix.CmsgSpace(int(n) - cmsgHeader)
	return level, typ, oob[cmsgHeader:n], oob[min(space, len(oob)):], true, nil
}

// putControlHeader writes a header for data of size bytes.
func putControlHeader(b []byte, level, typ, size int) {
	if cmsgWord == 8 {
		binary.NativeEndian.PutUint64(b, uint64(cmsgHeader+size))
	} else {
		binary.NativeEndian.PutUint32(b, uint32(cmsgHeader+size))
	}
	binary.NativeEndian.PutUint32(b[cmsgWord:], uint32(level))
	binary.NativeEndian.PutUint32(b[cmsgWord+4:], uint32(typ))
}

// cmsgWriter puts control messages into a caller's buffer.
type cmsgWriter struct {
	oob   []byte
	n     int
	flags int
}

// next returns where the data of a message is to be written, or nil if there is
// no room for it.
func (w *cmsgWriter) next(level, typ, size int) []byte {
	space := unix.CmsgSpace(size)
	if len(w.oob)-w.n < unix.CmsgLen(size) {
		w.flags |= unix.MSG_CTRUNC
		w.oob = w.oob[:w.n] // none of the others
		return nil
	}
	b := w.oob[w.n:min(len(w.oob), w.n+space)]
	clear(b)
	putControlHeader(b, level, typ, size)
	w.n += len(b)
	return b[cmsgHeader : cmsgHeader+size]
}

func (w *cmsgWriter) int(level, typ, value int) {
	if b := w.next(level, typ, 4); b != nil {
		binary.NativeEndian.PutUint32(b, uint32(value))
	}
}

// putControl writes what the socket is to tell of a datagram, in Linux's order,
// and returns its length and the flags.
func (c *UDPConn) putControl(oob []byte, info *stack.DatagramInfo) (n, flags int) {
	w, asked := cmsgWriter{oob: oob}, c.oobFlags()
	index := c.owner.netIndex(info.Interface)
	if asked&oobPktinfo6 != 0 {
		if b := w.next(unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, unix.SizeofInet6Pktinfo); b != nil {
			to := info.To.As16()
			copy(b, to[:])
			binary.NativeEndian.PutUint32(b[16:], uint32(index))
		}
	}
	if info.To.Is4() {
		if asked&oobPktinfo4 != 0 {
			if b := w.next(unix.IPPROTO_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo); b != nil {
				to, local := info.To.As4(), c.owner.replyFrom(info).As4()
				binary.NativeEndian.PutUint32(b, uint32(index))
				copy(b[4:], local[:])
				copy(b[8:], to[:])
			}
		}
		if asked&oobTTL != 0 {
			w.int(unix.IPPROTO_IP, unix.IP_TTL, int(info.TTL))
		}
		if asked&oobTOS != 0 {
			if b := w.next(unix.IPPROTO_IP, unix.IP_TOS, 1); b != nil {
				b[0] = info.TOS
			}
		}
		return w.n, w.flags
	}
	if asked&oobHops != 0 {
		w.int(unix.IPPROTO_IPV6, unix.IPV6_HOPLIMIT, int(info.TTL))
	}
	if asked&oobClass != 0 {
		w.int(unix.IPPROTO_IPV6, unix.IPV6_TCLASS, int(info.TOS))
	}
	return w.n, w.flags
}

// parseControl reads what a program asks for a datagram over IPv4 or IPv6. As in
// Linux messages of the other family are skipped, but that a socket for IPv6 may
// state an IPv4 source as an IPv4-mapped address. Others are EINVAL.
func (c *UDPConn) parseControl(oob []byte, v4 bool) (stack.SendOptions, error) {
	o := stack.SendOptions{TOS: -1}
	for {
		level, typ, data, rest, ok, err := nextControl(oob)
		if !ok {
			return o, err
		}
		oob = rest
		switch {
		case level == unix.IPPROTO_IPV6 && typ == unix.IPV6_PKTINFO && (!v4 || c.family == inet6):
			if len(data) < unix.SizeofInet6Pktinfo {
				return o, syscall.EINVAL
			}
			err = c.pktinfo(&o, netip.AddrFrom16([16]byte(data[:16])), data[16:20])
		case level == unix.IPPROTO_IP && !v4, level == unix.IPPROTO_IPV6 && v4:
		case level == unix.IPPROTO_IP && typ == unix.IP_PKTINFO:
			if len(data) < unix.SizeofInet4Pktinfo {
				return o, syscall.EINVAL
			}
			err = c.pktinfo(&o, netip.AddrFrom4([4]byte(data[4:8])), data[:4])
		case level == unix.IPPROTO_IP && typ == unix.IP_TOS, level == unix.IPPROTO_IPV6 && typ == unix.IPV6_TCLASS:
			if o.TOS, err = cmsgInt(data, -1, 255); o.TOS == -1 && v4 {
				err = syscall.EINVAL
			}
		case level == unix.IPPROTO_IP && typ == unix.IP_TTL:
			o.TTL, err = cmsgInt(data, 1, 255)
		case level == unix.IPPROTO_IPV6 && typ == unix.IPV6_HOPLIMIT:
			if o.TTL, err = cmsgInt(data, -1, 255); o.TTL == 0 && err == nil {
				err = syscall.EINVAL // the stack sends nothing that dies here
			}
			o.TTL = max(o.TTL, 0)
		default:
			err = syscall.EINVAL
		}
		if err != nil {
			return o, err
		}
	}
}

// pktinfo takes the source address and the interface of a message.
func (c *UDPConn) pktinfo(o *stack.SendOptions, from netip.Addr, index []byte) error {
	from = from.Unmap()
	if !from.IsUnspecified() {
		o.From = from
	}
	i, ok := c.owner.stackIndex(int(int32(binary.NativeEndian.Uint32(index))))
	if !ok {
		return syscall.ENODEV
	}
	o.Interface = i
	return nil
}

// cmsgInt reads an int, or a byte.
func cmsgInt(data []byte, least, most int) (int, error) {
	v := 0
	switch len(data) {
	case 1:
		v = int(data[0])
	case 4:
		v = int(int32(binary.NativeEndian.Uint32(data)))
	default:
		return 0, syscall.EINVAL
	}
	if v < least || v > most {
		return 0, syscall.EINVAL
	}
	return v, nil
}
