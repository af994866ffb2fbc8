package fastnet

import (
	"errors"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/stack"
)

// together returns a Control function that calls others.
func together(fs ...func(string, string, syscall.RawConn) error) func(string, string, syscall.RawConn) error {
	return func(network, address string, c syscall.RawConn) error {
		for _, f := range fs {
			if err := f(network, address, c); err != nil {
				return err
			}
		}
		return nil
	}
}

// TestWhatTheStackLacksIsRefusedByName: an option that would be ignored silently
// is one that a program relies on in vain.
func TestWhatTheStackLacksIsRefusedByName(t *testing.T) {
	n, err := New(Config{LoopbackOnly: true})
	require.NoError(t, err)
	defer n.Close()
	for _, tt := range []struct {
		name               string
		network            string
		level, option, set int
	}{
		{"SO_OOBINLINE", "tcp", unix.SOL_SOCKET, unix.SO_OOBINLINE, 1},
		{"SO_DONTROUTE", "udp", unix.SOL_SOCKET, unix.SO_DONTROUTE, 1},
		{"SO_TIMESTAMP", "udp", unix.SOL_SOCKET, unix.SO_TIMESTAMP, 1},
		{"SO_RCVLOWAT", "tcp", unix.SOL_SOCKET, unix.SO_RCVLOWAT, 100},
		{"TCP_MAXSEG", "tcp", unix.IPPROTO_TCP, unix.TCP_MAXSEG, 700},
		{"TCP_CORK", "tcp", unix.IPPROTO_TCP, unix.TCP_CORK, 1},
		{"TCP_DEFER_ACCEPT", "tcp", unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 5},
		{"IP_RECVERR", "udp", unix.IPPROTO_IP, unix.IP_RECVERR, 1},
		{"IP_FREEBIND", "tcp", unix.IPPROTO_IP, unix.IP_FREEBIND, 1},
	} {
		control := sets(tt.level, tt.option, tt.set)
		var err error
		if tt.network == "tcp" {
			_, err = n.ListenWith(t.Context(), &ListenConfig{Control: control}, tt.network, "127.0.0.1:0")
		} else {
			_, err = n.ListenPacketWith(t.Context(), &ListenConfig{Control: control}, tt.network, "127.0.0.1:0")
		}
		require.ErrorIs(t, err, errors.ErrUnsupported, tt.name)
		require.ErrorContains(t, err, "Control has set "+tt.name+":")
		_, err = n.DialWith(t.Context(), &Dialer{Control: control}, tt.network, "127.0.0.1:9")
		require.ErrorContains(t, err, "Control has set "+tt.name+":")
	}
	bind := func(_, _ string, c syscall.RawConn) (err error) {
		c.Control(func(fd uintptr) { err = unix.Bind(int(fd), &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}) })
		return err
	}
	_, err = n.DialWith(t.Context(), &Dialer{Control: bind}, "tcp", "127.0.0.1:9")
	require.ErrorContains(t, err, "Control has set the address")
}

func TestOptionsThatAreSetToWhatTheyWereAreFine(t *testing.T) {
	n, err := New(Config{LoopbackOnly: true})
	require.NoError(t, err)
	defer n.Close()
	same := together(
		sets(unix.SOL_SOCKET, unix.SO_REUSEADDR, 1), sets(unix.SOL_SOCKET, unix.SO_OOBINLINE, 0),
		sets(unix.IPPROTO_TCP, unix.TCP_CORK, 0), sets(unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		sets(unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1),
	)
	lc := ListenConfig{Control: same}
	lc.SetMultipathTCP(true)
	l, err := n.ListenWith(t.Context(), &lc, "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	d := Dialer{Control: same}
	d.SetMultipathTCP(true)
	c, err := n.DialWith(t.Context(), &d, "tcp", l.Addr().String())
	require.NoError(t, err)
	mp, err := c.(*TCPConn).MultipathTCP()
	require.NoError(t, err)
	require.False(t, mp)
	require.NoError(t, c.Close())
}

// TestTheShadowIsGoneAfterControl: neither the descriptor nor a port of the
// kernel's is left.
func TestTheShadowIsGoneAfterControl(t *testing.T) {
	n, err := New(Config{LoopbackOnly: true})
	require.NoError(t, err)
	defer n.Close()
	var kept syscall.RawConn
	l, err := n.ListenWith(t.Context(), &ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		kept = c
		return nil
	}}, "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	require.Error(t, kept.Control(func(uintptr) { t.Error("the shadow is open") }))
}

func TestV6OnlySetByControl(t *testing.T) {
	n, err := New(Config{LoopbackOnly: true})
	require.NoError(t, err)
	defer n.Close()
	lc := ListenConfig{Control: sets(unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)}
	l, err := n.ListenWith(t.Context(), &lc, "tcp", "[::]:0")
	require.NoError(t, err)
	defer l.Close()
	_, port, err := SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	_, err = n.Dial("tcp", "127.0.0.1:"+port)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	v4, err := n.Listen("tcp4", ":"+port)
	require.NoError(t, err, "the port is free for IPv4")
	v4.Close()
	c, err := n.Dial("tcp", "[::1]:"+port)
	require.NoError(t, err)
	c.Close()
}

func TestLingerAndKeepAliveSetByControl(t *testing.T) {
	n, err := New(Config{LoopbackOnly: true})
	require.NoError(t, err)
	defer n.Close()
	linger := func(_, _ string, c syscall.RawConn) (err error) {
		c.Control(func(fd uintptr) {
			err = unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		})
		return err
	}
	l, err := n.ListenWith(t.Context(), &ListenConfig{Control: linger}, "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	c, err := n.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	s, err := l.Accept()
	require.NoError(t, err)
	require.NoError(t, s.Close())
	_, err = c.Read(make([]byte, 1))
	require.ErrorIs(t, err, syscall.ECONNRESET, "SO_LINGER of 0 is inherited")
	c, err = n.DialWith(t.Context(), &Dialer{Control: linger}, "tcp", l.Addr().String())
	require.NoError(t, err)
	s, err = l.Accept()
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, c.Close())
	_, err = s.Read(make([]byte, 1))
	require.ErrorIs(t, err, syscall.ECONNRESET)
}

// TestConnectionsShareAPort: SO_REUSEPORT lets a program dial from the port that
// it listens on, as peer-to-peer programs do.
func TestConnectionsShareAPort(t *testing.T) {
	n, err := New(Config{LoopbackOnly: true})
	require.NoError(t, err)
	defer n.Close()
	reuse := sets(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	other, err := n.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer other.Close()
	l, err := n.ListenWith(t.Context(), &ListenConfig{Control: reuse}, "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	d := Dialer{LocalAddr: l.Addr()}
	_, err = n.DialWith(t.Context(), &d, "tcp", other.Addr().String())
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	d.Control = reuse
	c, err := n.DialWith(t.Context(), &d, "tcp", other.Addr().String())
	require.NoError(t, err)
	require.Equal(t, l.Addr().String(), c.LocalAddr().String())
	c.Close()
}

// TestAReusePortGroupSharesItsConnections: each connection goes to one of the
// listeners, and with enough of them all listeners have some.
func TestAReusePortGroupSharesItsConnections(t *testing.T) {
	n, err := New(Config{LoopbackOnly: true})
	require.NoError(t, err)
	defer n.Close()
	lc := ListenConfig{Control: sets(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)}
	var group [2]Listener
	address := ":0"
	for i := range group {
		group[i], err = n.ListenWith(t.Context(), &lc, "tcp", address)
		require.NoError(t, err)
		defer group[i].Close()
		address = group[i].Addr().String()
	}
	_, port, err := SplitHostPort(address)
	require.NoError(t, err)
	const conns = 64
	for range conns {
		c, err := n.Dial("tcp", "127.0.0.1:"+port)
		require.NoError(t, err)
		defer c.Close()
	}
	accepted := make(chan int)
	for i, l := range group {
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				c.Close()
				accepted <- i
			}
		}()
	}
	var got [len(group)]int
	for range conns {
		got[<-accepted]++
	}
	require.NotZero(t, got[0])
	require.NotZero(t, got[1])
}

func TestBroadcastTakenBackByControl(t *testing.T) {
	l := newLab(t, labConfig{})
	u, err := l.client.ListenPacket("udp4", ":0")
	require.NoError(t, err)
	defer u.Close()
	_, err = u.WriteTo([]byte("x"), &UDPAddr{IP: IPv4bcast, Port: 9})
	require.NoError(t, err)
	lc := ListenConfig{Control: sets(unix.SOL_SOCKET, unix.SO_BROADCAST, 0)}
	u, err = l.client.ListenPacketWith(t.Context(), &lc, "udp4", ":0")
	require.NoError(t, err)
	defer u.Close()
	for _, ip := range []IP{IPv4bcast, IPv4(10, 0, 0, 255)} {
		_, err = u.WriteTo([]byte("x"), &UDPAddr{IP: ip, Port: 9})
		require.ErrorIs(t, err, syscall.EACCES)
	}
}

func TestDatagramOptionsSetByControlBecomeTheStacks(t *testing.T) {
	lc := ListenConfig{Control: together(
		sets(unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		sets(unix.IPPROTO_IP, unix.IP_TOS, 0xb9), sets(unix.IPPROTO_IPV6, unix.IPV6_TCLASS, 0x2a),
		sets(unix.IPPROTO_IP, unix.IP_TTL, 9), sets(unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, 8),
		sets(unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 7), sets(unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, 0),
	)}
	set, err := lc.controlListener(t.Context(), "udp", &UDPAddr{})
	require.NoError(t, err)
	var got stack.UDPOptions
	require.NoError(t, set.udp(nil, inet6, &got))
	require.Equal(t, stack.UDPOptions{
		ReuseAddr: true, TOS: 0xb9, TrafficClass: 0x2a, TTL: 9, HopLimit: 8, MulticastTTL: 7, NoMulticastLoop: true,
	}, got)
}
