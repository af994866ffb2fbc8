package fastnet

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/stack"
)

// kernelInfo translates the control messages of a datagram from the kernel's
// socket beside one of the stack's. There are those that the program has asked
// for: its Control function saw both sockets.
func (n *Network) kernelInfo(oob []byte) stack.DatagramInfo {
	info := stack.DatagramInfo{To: netip.IPv4Unspecified()}
	ne := binary.NativeEndian
	for {
		level, typ, data, rest, ok, _ := nextControl(oob)
		if !ok {
			return info
		}
		oob = rest
		switch {
		case level == unix.IPPROTO_IP && typ == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			info.To = netip.AddrFrom4([4]byte(data[8:12]))
			info.Interface, _ = n.stackIndex(int(int32(ne.Uint32(data))))
		case level == unix.IPPROTO_IPV6 && typ == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			if to := netip.AddrFrom16([16]byte(data[:16])).Unmap(); !info.To.Is4() || info.To.IsUnspecified() {
				info.To = to
			}
			info.Interface, _ = n.stackIndex(int(int32(ne.Uint32(data[16:]))))
		case level == unix.IPPROTO_IP && typ == unix.IP_TOS, level == unix.IPPROTO_IPV6 && typ == unix.IPV6_TCLASS:
			tos, _ := cmsgInt(data, 0, 255)
			info.TOS = uint8(tos)
		case level == unix.IPPROTO_IP && typ == unix.IP_TTL, level == unix.IPPROTO_IPV6 && typ == unix.IPV6_HOPLIMIT:
			ttl, _ := cmsgInt(data, 0, 255)
			info.TTL = uint8(ttl)
		}
	}
}
