package fastnet

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/stack"
)

// Control messages of UDP sockets, in the kernel's format (cmsg(3), ip(7),
// ipv6(7)), so that programs need not know whose socket they have.

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
	var h unix.Cmsghdr
	h.SetLen(unix.CmsgLen(size))
	h.Level, h.Type = int32(level), int32(typ)
	copy(b, (*[unix.SizeofCmsghdr]byte)(unsafe.Pointer(&h))[:])
	w.n += len(b)
	return b[unix.CmsgLen(0):unix.CmsgLen(size)]
}

func (w *cmsgWriter) int(level, typ, value int) {
	if b := w.next(level, typ, 4); b != nil {
		binary.NativeEndian.PutUint32(b, uint32(value))
	}
}

// putControl writes what the socket is to tell of a datagram, in Linux's order,
// and returns its length and the flags.
func (c *UDPConn) putControl(oob []byte, info *stack.DatagramInfo) (n, flags int) {
	w := cmsgWriter{oob: oob}
	index := c.owner.netIndex(info.Interface)
	if c.oob&oobPktinfo6 != 0 {
		if b := w.next(unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, unix.SizeofInet6Pktinfo); b != nil {
			to := info.To.As16()
			copy(b, to[:])
			binary.NativeEndian.PutUint32(b[16:], uint32(index))
		}
	}
	if info.To.Is4() {
		if c.oob&oobPktinfo4 != 0 {
			if b := w.next(unix.IPPROTO_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo); b != nil {
				to, local := info.To.As4(), c.owner.replyFrom(info).As4()
				binary.NativeEndian.PutUint32(b, uint32(index))
				copy(b[4:], local[:])
				copy(b[8:], to[:])
			}
		}
		if c.oob&oobTTL != 0 {
			w.int(unix.IPPROTO_IP, unix.IP_TTL, int(info.TTL))
		}
		if c.oob&oobTOS != 0 {
			if b := w.next(unix.IPPROTO_IP, unix.IP_TOS, 1); b != nil {
				b[0] = info.TOS
			}
		}
		return w.n, w.flags
	}
	if c.oob&oobHops != 0 {
		w.int(unix.IPPROTO_IPV6, unix.IPV6_HOPLIMIT, int(info.TTL))
	}
	if c.oob&oobClass != 0 {
		w.int(unix.IPPROTO_IPV6, unix.IPV6_TCLASS, int(info.TOS))
	}
	return w.n, w.flags
}

// parseControl reads what a program asks for a datagram over IPv4 or IPv6. As in
// Linux messages of the other family are skipped, but that a socket for IPv6 may
// state an IPv4 source as an IPv4-mapped address. Others are EINVAL.
func (c *UDPConn) parseControl(oob []byte, v4 bool) (stack.SendOptions, error) {
	o := stack.SendOptions{TOS: -1}
	for len(oob) > 0 {
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			return o, syscall.EINVAL
		}
		oob = rest
		if len(data) > 0 && int(h.Len) < unix.CmsgLen(0)+len(data) {
			data = data[:int(h.Len)-unix.CmsgLen(0)]
		}
		switch {
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && (!v4 || c.family == inet6):
			if len(data) < unix.SizeofInet6Pktinfo {
				return o, syscall.EINVAL
			}
			err = c.pktinfo(&o, netip.AddrFrom16([16]byte(data[:16])), data[16:20])
		case h.Level == unix.IPPROTO_IP && !v4, h.Level == unix.IPPROTO_IPV6 && v4:
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO:
			if len(data) < unix.SizeofInet4Pktinfo {
				return o, syscall.EINVAL
			}
			err = c.pktinfo(&o, netip.AddrFrom4([4]byte(data[4:8])), data[:4])
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_TOS, h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_TCLASS:
			if o.TOS, err = cmsgInt(data, -1, 255); o.TOS == -1 && v4 {
				err = syscall.EINVAL
			}
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_TTL:
			o.TTL, err = cmsgInt(data, 1, 255)
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_HOPLIMIT:
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
	return o, nil
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
