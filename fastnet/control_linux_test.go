package fastnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic/wire"
	"github.com/fastnet-go/fastnet/stack"
)

// sets returns a Control function that sets an option.
func sets(level, name, value int) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), level, name, value) }); e != nil {
			return e
		}
		return err
	}
}

func TestControlIsToldWhatPackageNetTellsIt(t *testing.T) {
	n, err := New(Config{LoopbackOnly: true, Require: true})
	require.NoError(t, err)
	defer n.Close()
	var told []string
	note := func(network, address string, c syscall.RawConn) error {
		told = append(told, network+" "+address)
		return nil
	}
	l, err := n.ListenWith(t.Context(), &ListenConfig{Control: note}, "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	all, err := n.ListenWith(t.Context(), &ListenConfig{Control: note}, "tcp", ":0")
	require.NoError(t, err)
	defer all.Close()
	u, err := n.ListenPacketWith(t.Context(), &ListenConfig{Control: note}, "udp", "[::1]:0")
	require.NoError(t, err)
	defer u.Close()
	c, err := n.DialWith(t.Context(), &Dialer{Control: note}, "tcp", l.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	type key struct{}
	var value any
	d := Dialer{Control: func(string, string, syscall.RawConn) error { panic("ControlContext goes before") },
		ControlContext: func(ctx context.Context, network, address string, _ syscall.RawConn) error {
			value = ctx.Value(key{})
			return note(network, address, nil)
		}}
	c, err = n.DialWith(context.WithValue(t.Context(), key{}, 7), &d, "udp", u.LocalAddr().String())
	require.NoError(t, err)
	defer c.Close()
	require.Equal(t, []string{
		"tcp4 127.0.0.1:0", "tcp6 :0", "udp6 [::1]:0", "tcp4 " + l.Addr().String(), "udp6 " + u.LocalAddr().String(),
	}, told)
	require.Equal(t, 7, value)
}

func TestControlsErrorIsTheCalls(t *testing.T) {
	n, err := New(Config{LoopbackOnly: true})
	require.NoError(t, err)
	defer n.Close()
	no := errors.New("no")
	control := func(string, string, syscall.RawConn) error { return no }
	_, err = n.DialWith(t.Context(), &Dialer{Control: control}, "tcp", "127.0.0.1:80")
	require.ErrorIs(t, err, no)
	require.EqualError(t, err, "dial tcp 127.0.0.1:80: no")
	_, err = n.ListenWith(t.Context(), &ListenConfig{Control: control}, "tcp", "127.0.0.1:80")
	require.EqualError(t, err, "listen tcp 127.0.0.1:80: no")
	_, err = n.ListenPacketWith(t.Context(), &ListenConfig{Control: control}, "udp", "127.0.0.1:80")
	require.EqualError(t, err, "listen udp 127.0.0.1:80: no")
}

// TestControlReservesNothing: a port that the kernel has in use is free in the
// stack, and the other way round.
func TestControlReservesNothing(t *testing.T) {
	n, err := New(Config{LoopbackOnly: true})
	require.NoError(t, err)
	defer n.Close()
	taken, err := Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	lc := ListenConfig{Control: sets(unix.SOL_SOCKET, unix.SO_REUSEPORT, 0)}
	l, err := n.ListenWith(t.Context(), &lc, "tcp", taken.Addr().String())
	require.NoError(t, err)
	l.Close()
}

func TestReusePortSetByControlLetsTwoListen(t *testing.T) {
	n, err := New(Config{LoopbackOnly: true})
	require.NoError(t, err)
	defer n.Close()
	lc := ListenConfig{Control: sets(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)}
	l, err := n.ListenWith(t.Context(), &lc, "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, err = n.Listen("tcp", l.Addr().String())
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	twin, err := n.ListenWith(t.Context(), &lc, "tcp", l.Addr().String())
	require.NoError(t, err)
	defer twin.Close()
	u, err := n.ListenPacketWith(t.Context(), &lc, "udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer u.Close()
	utwin, err := n.ListenPacketWith(t.Context(), &lc, "udp", u.LocalAddr().String())
	require.NoError(t, err)
	defer utwin.Close()
}

func TestOptionsSetByControlBecomeTheStacks(t *testing.T) {
	ka := stack.KeepAlive{Enable: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 9}
	for _, tt := range []struct {
		name               string
		level, option, set int
		want               stack.TCPOptions
	}{
		{"nothing", unix.SOL_SOCKET, unix.SO_REUSEADDR, 1, stack.TCPOptions{KeepAlive: ka}},
		{"SO_RCVBUF", unix.SOL_SOCKET, unix.SO_RCVBUF, 32 << 10, stack.TCPOptions{KeepAlive: ka, RcvBuf: 32 << 10}},
		{"SO_SNDBUF", unix.SOL_SOCKET, unix.SO_SNDBUF, 32 << 10, stack.TCPOptions{KeepAlive: ka, SndBuf: 32 << 10}},
		{"TCP_USER_TIMEOUT", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 1500, stack.TCPOptions{KeepAlive: ka, UserTimeout: 1500 * time.Millisecond}},
		{"IP_TOS", unix.IPPROTO_IP, unix.IP_TOS, 0x28, stack.TCPOptions{KeepAlive: ka, TOS: 0x28}},
		{"IP_TTL", unix.IPPROTO_IP, unix.IP_TTL, 9, stack.TCPOptions{KeepAlive: ka, TTL: 9}},
		{"keep-alive is package net's", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 77, stack.TCPOptions{KeepAlive: ka}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lc := ListenConfig{Control: sets(tt.level, tt.option, tt.set)}
			set, err := lc.controlListener(t.Context(), "tcp4", &TCPAddr{IP: IPv4(127, 0, 0, 1)})
			require.NoError(t, err)
			got := stack.TCPOptions{KeepAlive: ka}
			set.tcp(&got, false)
			require.Equal(t, tt.want, got)
		})
	}
	d := Dialer{KeepAlive: -1, Control: func(network, address string, c syscall.RawConn) error {
		return errors.Join(sets(unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)(network, address, c),
			sets(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 77)(network, address, c))
	}}
	set, err := d.controlDial(t.Context(), "tcp", nil, &TCPAddr{IP: IPv4(127, 0, 0, 1), Port: 9})
	require.NoError(t, err)
	var got stack.TCPOptions
	set.tcp(&got, true)
	require.True(t, got.KeepAlive.Enable)
	require.Equal(t, 77*time.Second, got.KeepAlive.Idle)
}

func TestBindingToADeviceIsRefused(t *testing.T) {
	n, err := New(Config{LoopbackOnly: true})
	require.NoError(t, err)
	defer n.Close()
	lc := ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		c.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), "lo") })
		if err != nil {
			t.Skip("needs a right that this user has not: ", err)
		}
		return nil
	}}
	_, err = n.ListenWith(t.Context(), &lc, "tcp", "127.0.0.1:0")
	require.ErrorIs(t, err, errors.ErrUnsupported)
}

// TestControlIsCalledOnceForAListenerInBothPlaces: for the kernel's half, and what it
// sets is the stack's as well.
func TestControlIsCalledOnceForAListenerInBothPlaces(t *testing.T) {
	w, err := wire.New(wire.Config{})
	require.NoError(t, err)
	defer w.Port(0).Close()
	n, err := New(Config{Device: w.Port(0), Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}, Loopback: LoopbackKernel})
	require.NoError(t, err)
	defer n.Close()
	calls := 0
	control := func(network, address string, c syscall.RawConn) error {
		calls++
		return errors.Join(sets(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)(network, address, c), sets(unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0)(network, address, c),
			sets(unix.IPPROTO_IP, unix.IP_TOS, 0x28)(network, address, c))
	}
	lc := ListenConfig{Control: control}
	lc.SetMultipathTCP(true)
	l, err := n.ListenWith(t.Context(), &lc, "tcp", ":0")
	require.NoError(t, err)
	defer l.Close()
	require.Equal(t, 1, calls)
	require.True(t, l.(*TCPListener).set.reusePort)
	require.Equal(t, uint8(0x28), l.(*TCPListener).set.tos)

	// The port is shared in both places.
	twin, err := n.ListenWith(t.Context(), &lc, "tcp", l.Addr().String())
	require.NoError(t, err)
	defer twin.Close()
	require.Equal(t, 2, calls)
	_, err = n.Listen("tcp", l.Addr().String())
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	c, err := n.Dial("tcp", net.JoinHostPort("127.0.0.1", fmt.Sprint(l.Addr().(*TCPAddr).Port)))
	require.NoError(t, err)
	defer c.Close()

	// What one half does not take is an error of both.
	lc.Control = sets(unix.SOL_SOCKET, unix.SO_OOBINLINE, 1)
	_, err = n.ListenWith(t.Context(), &lc, "tcp", ":0")
	require.ErrorContains(t, err, "Control has set SO_OOBINLINE")
	no := errors.New("no")
	lc.Control = func(string, string, syscall.RawConn) error { return no }
	_, err = n.ListenWith(t.Context(), &lc, "tcp", ":0")
	require.EqualError(t, err, "listen tcp :0: no")
}
