package fastnet

import (
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/stack"
)

// option is a socket option that is read before and after a Control function.
type option struct {
	name       string
	level, opt int
	read       func(fd, level, opt int) (int, error) // nil: an int
	// set makes o what the new value says. nil: the stack has no such option.
	set func(o *socketOptions, value int)
}

// noEffect is of options that only ask for what the stack does anyway, or that
// package net sets itself after Control.
func noEffect(*socketOptions, int) {}

func oobOption(flag oobFlags) func(*socketOptions, int) {
	return func(o *socketOptions, v int) {
		o.oob &^= flag
		if v != 0 {
			o.oob |= flag
		}
	}
}

// optionMemory names what a socket keeps memory for and does not tell otherwise. A
// Control function's have no effect: a program's on a shared interface join groups
// on the kernel's socket, which has them.
const optionMemory = "a membership of a group, a packet filter or a key"

// options are all that are looked at.
var options = []option{
	{"SO_REUSEADDR", unix.SOL_SOCKET, unix.SO_REUSEADDR, nil, func(o *socketOptions, v int) { o.reuseAddr = v != 0 }},
	{"SO_REUSEPORT", unix.SOL_SOCKET, unix.SO_REUSEPORT, nil, func(o *socketOptions, v int) { o.reusePort = v != 0 }},
	// The kernel doubles the value for its own overhead, and tells the double.
	{"SO_RCVBUF", unix.SOL_SOCKET, unix.SO_RCVBUF, nil, func(o *socketOptions, v int) { o.rcvBuf = v / 2 }},
	{"SO_SNDBUF", unix.SOL_SOCKET, unix.SO_SNDBUF, nil, func(o *socketOptions, v int) { o.sndBuf = v / 2 }},
	{"SO_BROADCAST", unix.SOL_SOCKET, unix.SO_BROADCAST, nil, func(o *socketOptions, v int) { o.noBroadcast = v == 0 }},
	{"SO_LINGER", unix.SOL_SOCKET, unix.SO_LINGER, readLinger, func(o *socketOptions, v int) { o.linger = &v }},
	{"SO_BUSY_POLL", unix.SOL_SOCKET, unix.SO_BUSY_POLL, nil, noEffect},
	{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, nil, noEffect}, // keepAlive below
	{"TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, nil, noEffect},
	{"TCP_KEEPINTVL", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, nil, noEffect},
	{"TCP_KEEPCNT", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, nil, noEffect},
	{"TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, nil, noEffect},
	{"TCP_USER_TIMEOUT", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, nil, func(o *socketOptions, v int) {
		o.userTimeout = time.Duration(v) * time.Millisecond
	}},
	{"IP_TOS", unix.IPPROTO_IP, unix.IP_TOS, nil, func(o *socketOptions, v int) { o.tos = uint8(v) }},
	{"IPV6_TCLASS", unix.IPPROTO_IPV6, unix.IPV6_TCLASS, nil, func(o *socketOptions, v int) { o.trafficClass = uint8(max(v, 0)) }},
	{"IPV6_V6ONLY", unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, nil, func(o *socketOptions, v int) { only := v != 0; o.v6only = &only }},
	{"IP_BIND_ADDRESS_NO_PORT", unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, nil, noEffect},
	{"IP_PKTINFO", unix.IPPROTO_IP, unix.IP_PKTINFO, nil, oobOption(oobPktinfo4)},
	{"IPV6_RECVPKTINFO", unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, nil, oobOption(oobPktinfo6)},
	{"IP_RECVTOS", unix.IPPROTO_IP, unix.IP_RECVTOS, nil, oobOption(oobTOS)},
	{"IPV6_RECVTCLASS", unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS, nil, oobOption(oobClass)},
	{"IP_RECVTTL", unix.IPPROTO_IP, unix.IP_RECVTTL, nil, oobOption(oobTTL)},
	{"IPV6_RECVHOPLIMIT", unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, nil, oobOption(oobHops)},
	{"IP_TTL", unix.IPPROTO_IP, unix.IP_TTL, nil, func(o *socketOptions, v int) { o.ttl = uint8(v) }},
	{"IPV6_UNICAST_HOPS", unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, nil, func(o *socketOptions, v int) { o.hopLimit = uint8(max(v, 0)) }},
	{"IP_MULTICAST_TTL", unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, nil, func(o *socketOptions, v int) { o.groupTTL[0] = uint8(v) }},
	{"IPV6_MULTICAST_HOPS", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, nil, func(o *socketOptions, v int) { o.groupTTL[1] = uint8(max(v, 0)) }},
	{"IP_MULTICAST_LOOP", unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, nil, func(o *socketOptions, v int) { o.noGroupLoop[0] = v == 0 }},
	{"IPV6_MULTICAST_LOOP", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, nil, func(o *socketOptions, v int) { o.noGroupLoop[1] = v == 0 }},

	{"the address, by bind or connect", 0, 0, readBound, nil},
	{optionMemory, unix.SOL_SOCKET, unix.SO_MEMINFO, readOptionMemory, nil},
	{"SO_BINDTODEVICE", unix.SOL_SOCKET, unix.SO_BINDTODEVICE, readString, nil},
	{"SO_MARK", unix.SOL_SOCKET, unix.SO_MARK, nil, nil},
	{"SO_DONTROUTE", unix.SOL_SOCKET, unix.SO_DONTROUTE, nil, nil},
	{"SO_OOBINLINE", unix.SOL_SOCKET, unix.SO_OOBINLINE, nil, nil},
	{"SO_RCVLOWAT", unix.SOL_SOCKET, unix.SO_RCVLOWAT, nil, nil},
	{"SO_RCVTIMEO", unix.SOL_SOCKET, unix.SO_RCVTIMEO, readTime, nil},
	{"SO_SNDTIMEO", unix.SOL_SOCKET, unix.SO_SNDTIMEO, readTime, nil},
	{"SO_TIMESTAMP", unix.SOL_SOCKET, unix.SO_TIMESTAMP, nil, nil},
	{"SO_TIMESTAMPNS", unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, nil, nil},
	{"SO_TIMESTAMPING", unix.SOL_SOCKET, unix.SO_TIMESTAMPING, nil, nil},
	{"SO_RXQ_OVFL", unix.SOL_SOCKET, unix.SO_RXQ_OVFL, nil, nil},
	{"SO_INCOMING_CPU", unix.SOL_SOCKET, unix.SO_INCOMING_CPU, nil, nil},
	{"SO_ZEROCOPY", unix.SOL_SOCKET, unix.SO_ZEROCOPY, nil, nil},
	{"TCP_MAXSEG", unix.IPPROTO_TCP, unix.TCP_MAXSEG, nil, nil},
	{"TCP_CORK", unix.IPPROTO_TCP, unix.TCP_CORK, nil, nil},
	{"TCP_SYNCNT", unix.IPPROTO_TCP, unix.TCP_SYNCNT, nil, nil},
	{"TCP_LINGER2", unix.IPPROTO_TCP, unix.TCP_LINGER2, nil, nil},
	{"TCP_DEFER_ACCEPT", unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, nil, nil},
	{"TCP_WINDOW_CLAMP", unix.IPPROTO_TCP, unix.TCP_WINDOW_CLAMP, nil, nil},
	{"TCP_CONGESTION", unix.IPPROTO_TCP, unix.TCP_CONGESTION, readString, nil},
	{"TCP_FASTOPEN", unix.IPPROTO_TCP, unix.TCP_FASTOPEN, nil, nil},
	{"TCP_FASTOPEN_CONNECT", unix.IPPROTO_TCP, unix.TCP_FASTOPEN_CONNECT, nil, nil},
	{"TCP_NOTSENT_LOWAT", unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, nil, nil},
	{"UDP_CORK", unix.IPPROTO_UDP, unix.UDP_CORK, nil, nil},
	{"UDP_SEGMENT", unix.IPPROTO_UDP, unix.UDP_SEGMENT, nil, nil},
	{"UDP_GRO", unix.IPPROTO_UDP, unix.UDP_GRO, nil, nil},
	{"IP_FREEBIND", unix.IPPROTO_IP, unix.IP_FREEBIND, nil, nil},
	{"IP_TRANSPARENT", unix.IPPROTO_IP, unix.IP_TRANSPARENT, nil, nil},
	{"IP_MINTTL", unix.IPPROTO_IP, unix.IP_MINTTL, nil, nil},
	{"IP_MTU_DISCOVER", unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, nil, nil},
	{"IP_MULTICAST_ALL", unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, nil, nil},
	{"IP_MULTICAST_IF", unix.IPPROTO_IP, unix.IP_MULTICAST_IF, nil, nil}, // by an address of the kernel's
	{"IP_RECVERR", unix.IPPROTO_IP, unix.IP_RECVERR, nil, nil},
	{"IP_RECVOPTS", unix.IPPROTO_IP, unix.IP_RECVOPTS, nil, nil},
	{"IP_RECVORIGDSTADDR", unix.IPPROTO_IP, unix.IP_RECVORIGDSTADDR, nil, nil},
	{"IPV6_FREEBIND", unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, nil, nil},
	{"IPV6_TRANSPARENT", unix.IPPROTO_IPV6, unix.IPV6_TRANSPARENT, nil, nil},
	{"IPV6_MTU_DISCOVER", unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, nil, nil},
	{"IPV6_DONTFRAG", unix.IPPROTO_IPV6, unix.IPV6_DONTFRAG, nil, nil},
	{"IPV6_MULTICAST_IF", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, nil, func(o *socketOptions, v int) { o.groupIndex[1] = v }},
	{"IPV6_RECVERR", unix.IPPROTO_IPV6, unix.IPV6_RECVERR, nil, nil},
	{"IPV6_RECVORIGDSTADDR", unix.IPPROTO_IPV6, unix.IPV6_RECVORIGDSTADDR, nil, nil},
}

// notZero are options whose 0 means that packets stay in the host.
var notZero = []string{"IP_MULTICAST_TTL", "IPV6_MULTICAST_HOPS", "IPV6_UNICAST_HOPS"}

// readLinger returns the seconds, or -1 if the option is off.
func readLinger(fd, level, opt int) (int, error) {
	l, err := unix.GetsockoptLinger(fd, level, opt)
	if err != nil || l.Onoff == 0 {
		return -1, err
	}
	return int(l.Linger), nil
}

// readString returns a hash: it need only differ.
func readString(fd, level, opt int) (int, error) {
	s, err := unix.GetsockoptString(fd, level, opt)
	h := 0
	for _, c := range []byte(s) {
		h = h*31 + int(c)
	}
	return h, err
}

// readOptionMemory returns the bytes that the kernel keeps for options of the
// socket, SK_MEMINFO_OPTMEM of sock_diag(7). The value of SO_MEMINFO is a list of
// numbers of 32 bits, as many as fit, and of x/sys' types for lists of numbers an
// ICMPv6 filter is the one that holds it.
func readOptionMemory(fd, level, opt int) (int, error) {
	const optmem = 6
	v, err := unix.GetsockoptICMPv6Filter(fd, level, opt)
	if err != nil {
		return 0, err
	}
	return int(v.Data[optmem]), nil
}

func readTime(fd, level, opt int) (int, error) {
	t, err := unix.GetsockoptTimeval(fd, level, opt)
	if err != nil {
		return 0, err
	}
	return int(t.Nano()), nil
}

// snapshot is the value of each option; absent are those that a socket of the
// kind, or this kernel, does not have.
func snapshot(c syscall.RawConn) (map[string]int, error) {
	values := make(map[string]int, len(options))
	err := c.Control(func(descriptor uintptr) {
		fd := int(descriptor)
		for i := range options {
			o := &options[i]
			read := o.read
			if read == nil {
				read = unix.GetsockoptInt
			}
			if v, err := read(fd, o.level, o.opt); err == nil {
				values[o.name] = v
			}
		}
	})
	return values, err
}

// changed makes what is not as it was before o's.
func (o *socketOptions) changed(before, after map[string]int) error {
	for i := range options {
		opt := &options[i]
		if opt.name == optionMemory {
			continue
		}
		was, had := before[opt.name]
		is, has := after[opt.name]
		switch {
		case !had || !has || was == is:
		case opt.set == nil:
			return errOption(opt.name, "the stack does not have it")
		case is == 0 && slices.Contains(notZero, opt.name):
			return errOption(opt.name+" to 0", "the stack has nothing that must not leave the host")
		default:
			opt.set(o, is)
		}
	}
	for _, name := range []string{"SO_KEEPALIVE", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT"} {
		if before[name] != after[name] {
			o.keepAlive = &stack.KeepAlive{
				Enable:   after["SO_KEEPALIVE"] != 0,
				Idle:     time.Duration(after["TCP_KEEPIDLE"]) * time.Second,
				Interval: time.Duration(after["TCP_KEEPINTVL"]) * time.Second,
				Count:    after["TCP_KEEPCNT"],
			}
		}
	}
	return nil
}

// readBound is 1 if an address or a port was chosen: the shadow's would not be
// the socket's.
func readBound(fd, _, _ int) (int, error) {
	sa, err := unix.Getsockname(fd)
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		if sa.Port != 0 || sa.Addr != [4]byte{} {
			return 1, err
		}
	case *unix.SockaddrInet6:
		if sa.Port != 0 || sa.Addr != [16]byte{} {
			return 1, err
		}
	}
	return 0, err
}
