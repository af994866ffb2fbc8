package fastnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/fastnet-go/fastnet/internal/defect"
	"github.com/fastnet-go/fastnet/stack"
)

// A Control function wants a descriptor, which a socket of the stack's has not.
// It gets that of a shadow: a socket that package net makes as if for the call
// itself, with the same words to the function, and that is closed before it is
// bound or connected, so that it reserves no port. What the function has set on
// the shadow is read back and becomes an option of the stack's socket.

// errShadow ends package net's call after the Control function.
var errShadow = errors.New("the socket has served its purpose")

// socketOptions are what a Control function has set, read back from a shadow.
// The zero value of a field leaves the stack's socket as it is.
type socketOptions struct {
	v6only    *bool
	reusePort bool
	reuseAddr bool // of a UDP socket

	rcvBuf, sndBuf    int // bytes
	tos, trafficClass uint8
	ttl, hopLimit     uint8

	// TCP.
	keepAlive   *stack.KeepAlive
	userTimeout time.Duration
	linger      *int // seconds; negative: off

	// UDP.
	noBroadcast bool
	// Of datagrams to groups, by family: the second is IPv6's.
	groupTTL    [2]uint8
	groupIndex  [2]int // of the interface, as programs know it
	noGroupLoop [2]bool
	oob         oobFlags
}

// oobFlags are the control messages that ReadMsgUDP returns.
type oobFlags uint8

const (
	oobPktinfo4 oobFlags = 1 << iota // IP_PKTINFO
	oobPktinfo6                      // IPV6_RECVPKTINFO
	oobTOS                           // IP_RECVTOS
	oobClass                         // IPV6_RECVTCLASS
	oobTTL                           // IP_RECVTTL
	oobHops                          // IPV6_RECVHOPLIMIT
)

// observe runs a Control function on c and notes what it sets. The error names what
// the stack does not have.
func (o *socketOptions) observe(c syscall.RawConn, control func() error) error {
	before, err := snapshot(c)
	if err != nil {
		return err
	}
	if err := control(); err != nil {
		return err
	}
	after, err := snapshot(c)
	if err != nil {
		return fmt.Errorf("fastnet: Control has closed the descriptor: %w", err)
	}
	return o.changed(before, after)
}

// onShadow is observe on a shadow, which it ends with errShadow.
func (o *socketOptions) onShadow(c syscall.RawConn, control func() error) error {
	if err := o.observe(c, control); err != nil {
		return err
	}
	return errShadow
}

// observed is lc for the kernel's part of a socket that is in both places. Its
// Control is called for that one, once, and o is what it has set.
func (lc *ListenConfig) observed(o *socketOptions) *ListenConfig {
	if lc.Control == nil {
		return lc
	}
	c := *lc
	c.Control = func(network, address string, raw syscall.RawConn) error {
		*o = socketOptions{}
		return o.observe(raw, func() error { return lc.Control(network, address, raw) })
	}
	c.SetMultipathTCP(false) // such a socket does not tell all options
	return &c
}

// errOption is why an option that a Control function has set is refused.
func errOption(name, why string) error {
	return fmt.Errorf("fastnet: Control has set %s: %s: leave it out for sockets of the stack's: %w", name, why, errNoDescriptor)
}

// controlListener runs lc.Control, if there is one, for a socket that is to
// listen on laddr, a *TCPAddr or a *UDPAddr.
func (lc *ListenConfig) controlListener(ctx context.Context, network string, laddr Addr) (o socketOptions, err error) {
	if lc.Control == nil || defect.On(defect.ControlNotCalled) {
		return o, nil
	}
	shadow := net.ListenConfig{Control: func(network, address string, c syscall.RawConn) error {
		return o.onShadow(c, func() error { return lc.Control(network, address, c) })
	}}
	shadow.SetMultipathTCP(false) // it would try twice
	if _, ok := laddr.(*TCPAddr); ok {
		return o, notShadow(shadow.Listen(ctx, network, laddr.String()))
	}
	return o, notShadow(shadow.ListenPacket(ctx, network, laddr.String()))
}

// controlDial runs d's Control function, if there is one, for a socket that is to
// connect to raddr.
func (d *Dialer) controlDial(ctx context.Context, network string, laddr, raddr Addr) (o socketOptions, err error) {
	if d.Control == nil && d.ControlContext == nil {
		return o, nil
	}
	shadow := net.Dialer{LocalAddr: laddr, ControlContext: func(ctx context.Context, network, address string, c syscall.RawConn) error {
		return o.onShadow(c, func() error {
			if d.ControlContext != nil {
				return d.ControlContext(ctx, network, address, c)
			}
			return d.Control(network, address, c)
		})
	}}
	shadow.SetMultipathTCP(false)
	return o, notShadow(shadow.DialContext(unhooked(ctx), network, raddr.String()))
}

// notShadow returns the error inside package net's, nil if that is ours. It
// closes what package net made without asking the function.
func notShadow[C interface{ Close() error }](c C, err error) error {
	if err == nil {
		c.Close()
		return os.NewSyscallError("setsockopt", errNoDescriptor)
	}
	if err = inner(c, err); err == errShadow {
		return nil
	}
	return err
}

// tcp sets what was set on the shadow. Keep-alive is package net's to set unless
// its own setting leaves it alone.
func (o *socketOptions) tcp(t *stack.TCPOptions, keepAlive bool) {
	t.ReusePort = o.reusePort
	t.RcvBuf, t.SndBuf = o.rcvBuf, o.sndBuf
	t.UserTimeout = o.userTimeout
	t.TOS, t.TrafficClass = o.tos, o.trafficClass
	t.TTL, t.HopLimit = o.ttl, o.hopLimit
	if keepAlive && o.keepAlive != nil {
		t.KeepAlive = *o.keepAlive
	}
}

// inherit sets the options of a connection that the stack has no field for.
func (o *socketOptions) inherit(s *stack.TCPConn) {
	if o.linger != nil {
		s.SetLinger(*o.linger)
	}
}

// udp sets what was set on the shadow. The error names an interface that is
// not the stack's.
func (o *socketOptions) udp(n *Network, f family, u *stack.UDPOptions) error {
	u.ReusePort, u.ReuseAddr = o.reusePort, o.reuseAddr || u.ReuseAddr
	u.RcvBuf, u.SndBuf = o.rcvBuf, o.sndBuf
	u.TOS, u.TrafficClass = o.tos, o.trafficClass
	u.TTL, u.HopLimit = o.ttl, o.hopLimit
	u.NoBroadcast = o.noBroadcast
	group := 0
	if f == inet6 {
		group = 1
	}
	u.MulticastTTL, u.NoMulticastLoop = o.groupTTL[group], o.noGroupLoop[group]
	if index := o.groupIndex[group]; index != 0 {
		var ok bool
		if u.MulticastInterface, ok = n.stackIndex(index); !ok {
			return errOption("IPV6_MULTICAST_IF", "that is no interface of the stack's")
		}
	}
	return nil
}

// v6 is whether a socket takes IPv6 only, given what package net asks for.
func (o *socketOptions) v6(only bool) bool {
	if o.v6only != nil {
		return *o.v6only
	}
	return only
}
