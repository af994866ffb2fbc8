package fastnet

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// rawIP is what SyscallConn returns for an ICMP socket of the stack's. Its shadow
// is a UDP socket, which has the same options of IP's and needs no privilege.
type rawIP struct{ c *IPConn }

func (c *IPConn) rawConn() (syscall.RawConn, error) { return rawIP{c}, nil }

func (r rawIP) opError(op string, err error) error {
	return &OpError{Op: op, Net: r.c.net, Addr: r.c.laddr, Err: err}
}

var liveIP = map[string]bool{
	"IP_TOS": true, "IP_TTL": true, "IPV6_TCLASS": true, "IPV6_UNICAST_HOPS": true, "IP_MULTICAST_TTL": true,
	"IPV6_MULTICAST_HOPS": true, "IP_MULTICAST_LOOP": true, "IPV6_MULTICAST_LOOP": true,
	"SO_RCVBUF": true, "SO_SNDBUF": true, "SO_BUSY_POLL": true,
}

// Control runs f with the shadow's descriptor.
func (r rawIP) Control(f func(fd uintptr)) error {
	c := r.c
	use := shadowUse{kind: shadowKind{unix.SOCK_DGRAM, inet4, false}, live: liveIP}
	if c.laddr.IP.To4() == nil {
		use.kind.family = inet6
	}
	use.apply = func(set *socketOptions, before, all map[string]int) error {
		if o := headerOptions(all, use.kind.family); o != headerOptions(before, use.kind.family) {
			if err := c.stack.SetHeaderOptions(o); err != nil {
				return netError("setsockopt", err)
			}
		}
		if set.rcvBuf != 0 {
			return netError("setsockopt", c.stack.SetReadBuffer(set.rcvBuf))
		}
		return nil
	}
	if err := c.shadow.control(use, f); err != nil {
		return r.opError("raw-control", err)
	}
	return nil
}

// Read returns an error: there is nothing to read from a descriptor.
func (r rawIP) Read(func(fd uintptr) bool) error { return r.opError("raw-read", errRawIO) }

// Write returns an error: nothing that is written to a descriptor is sent.
func (r rawIP) Write(func(fd uintptr) bool) error { return r.opError("raw-write", errRawIO) }
