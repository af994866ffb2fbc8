package stack

import (
	"net/netip"
	"syscall"
)

// DatagramInfo is what the IP header of a received datagram says, and where it
// came in.
type DatagramInfo struct {
	To        netip.Addr // the destination: an address of the host's, a group or a broadcast address
	Interface int        // index
	TOS       uint8      // type of service, or traffic class: DSCP and ECN
	TTL       uint8      // time to live, or hop limit
}

// SendOptions are what a single datagram has that differs from its socket's
// options.
type SendOptions struct {
	From      netip.Addr // source address, one of the host's; zero: the socket's
	Interface int        // index of the one to leave through; 0: the route's
	TOS       int        // type of service or traffic class; negative: the socket's
	TTL       int        // time to live or hop limit, 1 to 255; 0: the socket's
}

// ReadMsg is ReadFrom that also tells what came with the datagram.
func (u *UDPConn) ReadMsg(b []byte) (n, full int, from netip.AddrPort, info DatagramInfo, err error) {
	n, full, from, err = u.read(&u.udpHolder, b, &info)
	return
}

// WriteMsg sends a datagram to dst, which is zero for the peer of a connected
// socket. Errors beside those of WriteTo: EINVAL for an address that is not the
// host's, or of the wrong family; ENODEV for an interface that is not there.
func (u *UDPConn) WriteMsg(b []byte, dst netip.AddrPort, o SendOptions) (int, error) {
	return u.writeMsg(&u.udpHolder, b, dst, &o)
}

func (u *UDPConn) writeMsg(by *udpHolder, b []byte, dst netip.AddrPort, o *SendOptions) (int, error) {
	if u.remote.IsValid() {
		if dst.IsValid() {
			return 0, syscall.EISCONN
		}
		dst = u.remote
	}
	return u.send(by, b, dst, o)
}

// sendKey is what a path was looked up for, beside the destination.
type sendKey struct {
	from netip.Addr
	via  int
}

// sendKey is that of a datagram to dst with the options o.
func (u *UDPConn) sendKey(dst netip.Addr, o *SendOptions) (sendKey, error) {
	var k sendKey
	if u.bind.addr != any4 && u.bind.addr != any6 {
		k.from = fromAddr(u.bind.addr)
	}
	if dst.IsMulticast() {
		k.via = u.opts.MulticastInterface
	}
	if o == nil {
		return k, nil
	}
	if from := o.From.Unmap().WithZone(""); from.IsValid() && !from.IsUnspecified() {
		if from.Is4() != dst.Is4() || !u.host.isLocal(from) {
			return k, errInvalid
		}
		k.from = from
	}
	if o.Interface != 0 {
		k.via = o.Interface
	}
	return k, nil
}

// mark sets what the packets of p say in their headers.
func (u *UDPConn) mark(p *path, o *SendOptions) {
	switch v6 := p.dst.Is6(); {
	case p.dst.IsMulticast():
		p.hops = u.opts.MulticastTTL
		p.tos = u.tos(v6)
	case v6:
		p.hops, p.tos = u.opts.HopLimit, u.opts.TrafficClass
	default:
		p.hops, p.tos = u.opts.TTL, u.opts.TOS
	}
	if o == nil {
		return
	}
	if o.TOS >= 0 {
		p.tos = uint8(o.TOS)
	}
	if o.TTL > 0 {
		p.hops = uint8(min(o.TTL, 255))
	}
}

func (u *UDPConn) tos(v6 bool) uint8 {
	if v6 {
		return u.opts.TrafficClass
	}
	return u.opts.TOS
}
