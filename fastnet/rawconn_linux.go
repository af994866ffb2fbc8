package fastnet

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/stack"
)

// Programs set options of a socket that they have through SyscallConn, those of
// UDP most often by way of golang.org/x/net/ipv4 and ipv6: a DNS server asks for
// the address that a query came to. As for a Control function there is a shadow
// for that: a socket of the kernel's that is never bound. It is made at the first
// call of RawConn.Control and lives as long as the socket, so that options are
// told as they were set.

// shadow is a socket's shadow. The zero value is one that is not made yet.
type shadow struct {
	mu     sync.Mutex
	file   *os.File
	closed bool
	made   *socketOptions // what a Control function has set on the socket; nil: nothing
}

// close closes the shadow: calls of Control return net.ErrClosed.
func (s *shadow) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.drop()
}

func (s *shadow) drop() {
	if s.file != nil {
		s.file.Close()
		s.file = nil
	}
}

// shadowKind is what socket a shadow is.
type shadowKind struct {
	typ    int // SOCK_STREAM or SOCK_DGRAM
	family family
	v6only bool
}

// open makes the shadow, if there is none, as package net leaves a new socket.
func (s *shadow) open(k shadowKind) error {
	if s.file != nil {
		return nil
	}
	domain := unix.AF_INET
	if k.family == inet6 {
		domain = unix.AF_INET6
	}
	fd, err := unix.Socket(domain, k.typ|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	if domain == unix.AF_INET6 {
		only := 0
		if k.v6only {
			only = 1
		}
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only)
	}
	if k.typ == unix.SOCK_DGRAM {
		err = errors.Join(err, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1))
	} else {
		err = errors.Join(err, unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1))
	}
	if err != nil {
		unix.Close(fd)
		return os.NewSyscallError("setsockopt", err)
	}
	if s.made != nil {
		s.made.put(fd)
	}
	s.file = os.NewFile(uintptr(fd), "shadow of a socket")
	return nil
}

// shadowUse is a call of Control.
type shadowUse struct {
	kind    shadowKind
	own     syscall.Conn                                                 // not nil: no shadow, but this socket of the kernel's
	live    map[string]bool                                              // the options that the socket takes after it was made
	prepare func(fd int)                                                 // brings the shadow up to date; may be nil
	apply   func(set *socketOptions, before, after map[string]int) error // makes what was set the socket's
}

// control runs f with the shadow's descriptor. The error names an option that f
// has set and that the socket does not take.
func (s *shadow) control(use shadowUse, f func(fd uintptr)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if use.own != nil {
		c, err := use.own.SyscallConn()
		if err != nil {
			return err
		}
		return use.run(c, f)
	}
	if err := s.open(use.kind); err != nil {
		return err
	}
	c, err := s.file.SyscallConn()
	if err == nil {
		err = use.run(c, f)
	}
	if err != nil {
		s.drop() // what it has that the socket has not must not stay
	}
	return err
}

func (use *shadowUse) run(c syscall.RawConn, f func(fd uintptr)) error {
	if use.prepare != nil {
		if err := c.Control(func(fd uintptr) { use.prepare(int(fd)) }); err != nil {
			return err
		}
	}
	before, err := snapshot(c)
	if err != nil {
		return err
	}
	if err := c.Control(f); err != nil {
		return err
	}
	after, err := snapshot(c)
	if err != nil {
		return err
	}
	for name, was := range before {
		is, ok := after[name]
		if !ok || is == was || use.live[name] || name == optionMemory && use.own != nil {
			continue
		}
		return fmt.Errorf("fastnet: %s has been set through SyscallConn: a socket of the stack's takes it in ListenConfig.Control or Dialer.Control, if at all: %w", name, errNoDescriptor)
	}
	var set socketOptions
	if err := set.changed(before, after); err != nil {
		return err
	}
	return use.apply(&set, before, after)
}

// put makes a shadow tell what a Control function has set.
func (o *socketOptions) put(fd int) {
	for _, v := range []struct {
		level, opt, value int
		set               bool
	}{
		{unix.SOL_SOCKET, unix.SO_REUSEADDR, 1, o.reuseAddr},
		{unix.SOL_SOCKET, unix.SO_REUSEPORT, 1, o.reusePort},
		{unix.SOL_SOCKET, unix.SO_BROADCAST, 0, o.noBroadcast},
		{unix.SOL_SOCKET, unix.SO_RCVBUF, o.rcvBuf, o.rcvBuf != 0},
		{unix.SOL_SOCKET, unix.SO_SNDBUF, o.sndBuf, o.sndBuf != 0},
		{unix.IPPROTO_IP, unix.IP_TOS, int(o.tos), o.tos != 0},
		{unix.IPPROTO_IP, unix.IP_TTL, int(o.ttl), o.ttl != 0},
		{unix.IPPROTO_IPV6, unix.IPV6_TCLASS, int(o.trafficClass), o.trafficClass != 0},
		{unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, int(o.hopLimit), o.hopLimit != 0},
		{unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, int(o.groupTTL[0]), o.groupTTL[0] != 0},
		{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, int(o.groupTTL[1]), o.groupTTL[1] != 0},
		{unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0, o.noGroupLoop[0]},
		{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, 0, o.noGroupLoop[1]},
	} {
		if v.set {
			unix.SetsockoptInt(fd, v.level, v.opt, v.value) // the shadow of the call took it
		}
	}
}

// rawUDP is what SyscallConn returns for a UDP socket of the stack's.
type rawUDP struct{ c *UDPConn }

// rawConn returns what SyscallConn does.
func (c *UDPConn) rawConn() (syscall.RawConn, error) { return rawUDP{c}, nil }

func (r rawUDP) opError(op string, err error) error {
	return &OpError{Op: op, Net: r.c.net, Addr: &r.c.laddr.addr, Err: err}
}

var liveUDP = map[string]bool{
	"IP_TOS": true, "IP_TTL": true, "IPV6_TCLASS": true, "IPV6_UNICAST_HOPS": true, "IP_MULTICAST_TTL": true,
	"IPV6_MULTICAST_HOPS": true, "IP_MULTICAST_LOOP": true, "IPV6_MULTICAST_LOOP": true,
	"SO_RCVBUF": true, "SO_SNDBUF": true, "SO_BUSY_POLL": true, "IP_BIND_ADDRESS_NO_PORT": true,
	"IP_PKTINFO": true, "IP_RECVTOS": true, "IP_RECVTTL": true,
	"IPV6_RECVPKTINFO": true, "IPV6_RECVTCLASS": true, "IPV6_RECVHOPLIMIT": true,
}

// Control runs f with the shadow's descriptor. On an interface shared with the
// kernel that is the socket which has the port there.
func (r rawUDP) Control(f func(fd uintptr)) error {
	c := r.c
	use := shadowUse{kind: shadowKind{unix.SOCK_DGRAM, c.family, c.v6only}, live: liveUDP}
	if k := c.shared.socket(); k != nil {
		use.own = k
	}
	use.apply = func(set *socketOptions, before, all map[string]int) error {
		if o := headerOptions(all, c.family); o != headerOptions(before, c.family) {
			if err := c.stack.SetHeaderOptions(o); err != nil {
				return netError("setsockopt", err)
			}
		}
		var flags oobFlags
		for _, o := range []struct {
			name string
			flag oobFlags
		}{
			{"IP_PKTINFO", oobPktinfo4}, {"IP_RECVTOS", oobTOS}, {"IP_RECVTTL", oobTTL},
			{"IPV6_RECVPKTINFO", oobPktinfo6}, {"IPV6_RECVTCLASS", oobClass}, {"IPV6_RECVHOPLIMIT", oobHops},
		} {
			if all[o.name] != 0 {
				flags |= o.flag
			}
		}
		c.oob.Store(uint32(flags))
		if set.rcvBuf != 0 {
			return netError("setsockopt", c.stack.SetReadBuffer(set.rcvBuf))
		}
		return nil
	}
	use.prepare = func(fd int) { setControlMessages(fd, c.oobFlags()) }
	if err := c.shadow.control(use, f); err != nil {
		return r.opError("raw-control", err)
	}
	return nil
}

// headerOptions are those that a shadow has.
func headerOptions(all map[string]int, f family) stack.HeaderOptions {
	o := stack.HeaderOptions{
		TOS: uint8(all["IP_TOS"]), TrafficClass: uint8(all["IPV6_TCLASS"]),
		TTL: uint8(all["IP_TTL"]), HopLimit: uint8(all["IPV6_UNICAST_HOPS"]),
		MulticastTTL: uint8(all["IP_MULTICAST_TTL"]), NoMulticastLoop: all["IP_MULTICAST_LOOP"] == 0,
	}
	if f == inet6 {
		o.MulticastTTL, o.NoMulticastLoop = uint8(all["IPV6_MULTICAST_HOPS"]), all["IPV6_MULTICAST_LOOP"] == 0
	}
	return o
}

// setControlMessages makes a shadow ask for what the socket tells: a Control
// function may have done that when the socket was made. IPv6's are none of an IPv4
// socket's.
func setControlMessages(fd int, flags oobFlags) {
	for _, o := range []struct {
		flag       oobFlags
		level, opt int
	}{
		{oobPktinfo4, unix.IPPROTO_IP, unix.IP_PKTINFO}, {oobTOS, unix.IPPROTO_IP, unix.IP_RECVTOS}, {oobTTL, unix.IPPROTO_IP, unix.IP_RECVTTL},
		{oobPktinfo6, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO}, {oobClass, unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS}, {oobHops, unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT},
	} {
		on := 0
		if flags&o.flag != 0 {
			on = 1
		}
		unix.SetsockoptInt(fd, o.level, o.opt, on)
	}
}

// Read returns an error: there is nothing to read from a descriptor.
func (r rawUDP) Read(func(fd uintptr) bool) error { return r.opError("raw-read", errRawIO) }

// Write returns an error: nothing that is written to a descriptor is sent.
func (r rawUDP) Write(func(fd uintptr) bool) error { return r.opError("raw-write", errRawIO) }

var errRawIO = fmt.Errorf("fastnet: a UDP or ICMP socket of the stack's has no descriptor to read from or write to: use its own methods (ReadMsgUDP, WriteMsgUDP), or hide SyscallConn from who looks for it in a struct{ net.PacketConn }: %w", errNoDescriptor)

// rawListener is what SyscallConn returns for a listener of the stack's.
type rawListener struct{ l *TCPListener }

func (l *TCPListener) rawConn() (syscall.RawConn, error) { return rawListener{l}, nil }

// Control runs f with the shadow's descriptor. A listener takes no option of
// interest any more.
func (r rawListener) Control(f func(fd uintptr)) error {
	use := shadowUse{
		kind:    shadowKind{unix.SOCK_STREAM, r.l.family, false},
		live:    map[string]bool{"SO_REUSEADDR": true, "SO_BUSY_POLL": true, "TCP_NODELAY": true},
		prepare: func(fd int) { unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) },
		apply:   func(_ *socketOptions, _, _ map[string]int) error { return nil },
	}
	if err := r.l.shadow.control(use, f); err != nil {
		return &OpError{Op: "raw-control", Net: r.l.net, Addr: &r.l.laddr.addr, Err: err}
	}
	return nil
}

// Read returns EINVAL, as that of package net's listeners.
func (r rawListener) Read(func(fd uintptr) bool) error { return syscall.EINVAL }

// Write returns EINVAL, as that of package net's listeners.
func (r rawListener) Write(func(fd uintptr) bool) error { return syscall.EINVAL }
