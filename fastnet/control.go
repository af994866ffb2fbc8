package fastnet

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/fastnet-go/fastnet/stack"
)

// A socket of the stack's has no descriptor for a Control function to set
// options of. It is given that of a shadow: a kernel socket of the same family
// and type, with the options that package net would have set by then, which is
// never bound or connected. What the function changed is read back and becomes
// the stack socket's, or is refused with an error that names the option; then
// the shadow is closed. See ListenConfig.

// controlFunc is a Control or ControlContext function, or nil.
type controlFunc func(ctx context.Context, network, address string, c syscall.RawConn) error

// control returns the function of d.
func (d *Dialer) control() controlFunc {
	switch {
	case d.ControlContext != nil:
		return d.ControlContext
	case d.Control != nil:
		return func(_ context.Context, network, address string, c syscall.RawConn) error {
			return d.Control(network, address, c)
		}
	}
	return nil
}

func (lc *ListenConfig) control() controlFunc {
	if lc.Control == nil {
		return nil
	}
	return func(_ context.Context, network, address string, c syscall.RawConn) error {
		return lc.Control(network, address, c)
	}
}

// shadowKind is what a shadow must be like.
type shadowKind struct {
	family    family
	datagram  bool
	listen    bool // a TCP listener
	multicast bool // a UDP socket on a group's address
	v6only    bool
}

// options are those of a socket with no Control function.
func (k shadowKind) options() socketOptions {
	return socketOptions{v6only: k.v6only, reuseAddr: k.multicast, linger: -1}
}

// run calls f, which may be nil, with a shadow, and returns the socket's
// options.
func (k shadowKind) run(ctx context.Context, f controlFunc, network, address string) (socketOptions, error) {
	if f == nil {
		return k.options(), nil
	}
	if last := network[len(network)-1]; last != '4' && last != '6' { // package net says which it is
		network += string('0' + rune(k.family))
	}
	return k.shadow(func(c syscall.RawConn) error { return f(ctx, network, address, c) })
}

// socketOptions are what a Control function may set. The zero value of a field
// takes the stack's default, but for v6only and linger.
type socketOptions struct {
	v6only    bool
	reusePort bool
	reuseAddr bool // of a UDP socket

	rcvBuf, sndBuf    int // bytes
	tos, trafficClass uint8

	// TCP.
	keepAlive    stack.KeepAlive
	keepAliveSet bool
	userTimeout  time.Duration
	linger       int // seconds; negative: not set

	// UDP.
	noBroadcast   bool
	ttl, hopLimit uint8
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

// tcp are the options as the stack takes them; k is the keep-alive setting that
// o and the fields of a Dialer or ListenConfig come to.
func (o *socketOptions) tcp(k stack.KeepAlive) stack.TCPOptions {
	return stack.TCPOptions{
		KeepAlive: k, RcvBuf: o.rcvBuf, SndBuf: o.sndBuf, UserTimeout: o.userTimeout,
		TOS: o.tos, TrafficClass: o.trafficClass, ReusePort: o.reusePort,
	}
}

// udp are the options as the stack takes them, of a socket of family f.
func (o *socketOptions) udp(n *Network, f family) (stack.UDPOptions, error) {
	group := 0
	if f == inet6 {
		group = 1
	}
	index, ok := n.stackIndex(o.groupIndex[group])
	if !ok {
		return stack.UDPOptions{}, errOption("IP_MULTICAST_IF or IPV6_MULTICAST_IF", "that is no interface of the stack's")
	}
	return stack.UDPOptions{
		V6Only: o.v6only, ReusePort: o.reusePort, ReuseAddr: o.reuseAddr, RcvBuf: o.rcvBuf, SndBuf: o.sndBuf,
		NoBroadcast: o.noBroadcast, TOS: o.tos, TrafficClass: o.trafficClass, TTL: o.ttl, HopLimit: o.hopLimit,
		MulticastTTL: o.groupTTL[group], MulticastInterface: index, NoMulticastLoop: o.noGroupLoop[group],
	}, nil
}

// keepAliveBase is the setting that the fields of a Dialer or ListenConfig
// change, as they do after Control in package net.
func (o *socketOptions) keepAliveBase() stack.KeepAlive {
	if o.keepAliveSet {
		return o.keepAlive
	}
	return defaultKeepAlive
}

// errOption is why an option that a Control function has set is refused.
func errOption(name, why string) error {
	return fmt.Errorf("fastnet: Control has set %s: %s: leave the option out for sockets of the stack's: %w", name, why, errNoDescriptor)
}
