package kernel

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/stack/header"
)

// JoinSolicitedNode makes an interface, and the switches on its link, let through
// the neighbour solicitations for an IPv6 address that the kernel has not (RFC 4291
// section 2.7.1, RFC 4861 section 7.2.1). leave ends it, as does the process's end.
func JoinSolicitedNode(a netip.Addr, index int) (leave func() error, err error) {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	group := unix.IPv6Mreq{Multiaddr: header.SolicitedNode(a.As16()), Interface: uint32(index)}
	if err := unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, &group); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return func() error { return unix.Close(fd) }, nil
}
