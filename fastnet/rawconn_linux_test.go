package fastnet

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// TestOptionsOfASocketThatExists: a DNS server asks for the address that a query
// came to with golang.org/x/net/ipv4 and ipv6, after it was handed the socket.
func TestOptionsOfASocketThatExists(t *testing.T) {
	n, err := New(Config{LoopbackOnly: true, Require: true})
	require.NoError(t, err)
	defer n.Close()
	for network, address := range map[string]string{"udp": ":0", "udp4": "127.0.0.1:0"} {
		s, err := n.ListenPacket(network, address)
		require.NoError(t, err)
		c := s.(*UDPConn)
		err6 := ipv6.NewPacketConn(c).SetControlMessage(ipv6.FlagDst|ipv6.FlagInterface, true)
		require.Equal(t, network == "udp4", err6 != nil) // as with the kernel's
		require.NoError(t, ipv4.NewPacketConn(c).SetControlMessage(ipv4.FlagDst|ipv4.FlagTTL, true))

		d, err := n.Dial("udp", net.JoinHostPort("127.0.0.2", fmt.Sprint(c.LocalAddr().(*UDPAddr).Port)))
		if network == "udp4" {
			d, err = n.Dial("udp", c.LocalAddr().String())
		}
		require.NoError(t, err)
		_, err = d.Write([]byte("query"))
		require.NoError(t, err)
		b, oob := make([]byte, 16), make([]byte, 256)
		size, oobn, _, from, err := c.ReadMsgUDP(b, oob)
		require.NoError(t, err)
		require.Equal(t, "query", string(b[:size]))
		var cm ipv4.ControlMessage
		require.NoError(t, cm.Parse(oob[:oobn]))
		require.Equal(t, d.RemoteAddr().(*UDPAddr).IP.String(), cm.Dst.String())
		require.Equal(t, 64, cm.TTL)

		// The answer leaves from where the query came to.
		answer := ipv4.ControlMessage{Src: cm.Dst}
		_, _, err = c.WriteMsgUDP([]byte("answer"), answer.Marshal(), from)
		require.NoError(t, err)
		size, err = d.Read(b)
		require.NoError(t, err)
		require.Equal(t, "answer", string(b[:size]))

		// Options that are off again are off.
		require.NoError(t, ipv4.NewPacketConn(c).SetControlMessage(ipv4.FlagTTL, false))
		_, err = d.Write(nil)
		require.NoError(t, err)
		_, oobn, _, _, err = c.ReadMsgUDP(b, oob)
		require.NoError(t, err)
		cm = ipv4.ControlMessage{}
		require.NoError(t, cm.Parse(oob[:oobn]))
		require.Zero(t, cm.TTL)
		require.NotNil(t, cm.Dst)
		require.NoError(t, d.Close())
		require.NoError(t, c.Close())
	}
}

func TestWhatASocketThatExistsDoesNotTakeIsRefusedByName(t *testing.T) {
	n, err := New(Config{LoopbackOnly: true})
	require.NoError(t, err)
	defer n.Close()
	c, err := n.ListenUDP("udp4", nil)
	require.NoError(t, err)
	p := ipv4.NewPacketConn(c)
	for range 2 { // what was refused has left no trace
		err = setOn(c, unix.SOL_SOCKET, unix.SO_TIMESTAMP, 1)
		require.ErrorIs(t, err, errors.ErrUnsupported)
		require.ErrorContains(t, err, "SO_TIMESTAMP")
		lo, err := net.InterfaceByName("lo")
		require.NoError(t, err)
		err = p.JoinGroup(lo, &UDPAddr{IP: IPv4(224, 0, 0, 250)})
		require.ErrorIs(t, err, errors.ErrUnsupported)
		require.ErrorContains(t, err, "group")
		require.Error(t, p.SetBPF(nil))
	}
	raw, err := c.SyscallConn()
	require.NoError(t, err)
	var size int
	require.NoError(t, raw.Control(func(fd uintptr) {
		require.NoError(t, unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 32<<10))
	}))
	require.NoError(t, raw.Control(func(fd uintptr) { size, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF) }))
	require.NoError(t, err)
	require.Equal(t, 64<<10, size) // it is told as it was set

	for _, f := range []func(func(uintptr) bool) error{raw.Read, raw.Write} {
		err := f(func(uintptr) bool { panic("there is nothing to read") })
		require.ErrorIs(t, err, errors.ErrUnsupported)
		var op *OpError
		require.ErrorAs(t, err, &op)
	}
	require.NoError(t, c.Close())
	require.ErrorIs(t, raw.Control(func(uintptr) { panic("it is closed") }), ErrClosed)
	_, err = c.SyscallConn()
	require.NoError(t, err)
	_, err = new(UDPConn).SyscallConn()
	require.Equal(t, syscall.EINVAL, err)
}

// setOn sets an option through SyscallConn.
func setOn(c syscall.Conn, level, opt, value int) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	return errors.Join(raw.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), level, opt, value) }), set)
}

// TestHeadersOfASocketThatExists: golang.org/x/net/ipv4 and ipv6 set what the
// headers of its packets say, and what was set is told.
func TestHeadersOfASocketThatExists(t *testing.T) {
	l := newLab(t, labConfig{})
	for _, v6 := range []bool{false, true} {
		server, client := serverIP, clientIP
		if v6 {
			server, client = serverIP6, clientIP6
		}
		s, err := l.server.ListenUDP("udp", &UDPAddr{IP: ParseIP(server)})
		require.NoError(t, err)
		p4, p6 := ipv4.NewPacketConn(s), ipv6.NewPacketConn(s)
		if v6 {
			require.NoError(t, p6.SetControlMessage(ipv6.FlagHopLimit, true))
		} else {
			require.NoError(t, p4.SetControlMessage(ipv4.FlagTTL, true))
		}
		require.NoError(t, setOn(s, unix.IPPROTO_IP, unix.IP_RECVTOS, 1))
		ttlOf := func() (ttl, tos int) {
			oob := make([]byte, 128)
			_, n, _, _, err := s.ReadMsgUDP(make([]byte, 9), oob)
			require.NoError(t, err)
			ms, err := unix.ParseSocketControlMessage(oob[:n])
			require.NoError(t, err)
			for _, m := range ms {
				switch {
				case m.Header.Type == unix.IP_TTL && m.Header.Level == unix.IPPROTO_IP,
					m.Header.Type == unix.IPV6_HOPLIMIT && m.Header.Level == unix.IPPROTO_IPV6:
					ttl = int(m.Data[0])
				case m.Header.Type == unix.IP_TOS && m.Header.Level == unix.IPPROTO_IP:
					tos = int(m.Data[0])
				}
			}
			return ttl, tos
		}
		c, err := l.client.ListenUDP("udp", &UDPAddr{IP: ParseIP(client)})
		require.NoError(t, err)
		send := func() {
			_, err := c.WriteTo([]byte("x"), s.LocalAddr())
			require.NoError(t, err)
		}
		send()
		ttl, _ := ttlOf()
		require.Equal(t, 64, ttl)
		for _, want := range []int{9, 200} {
			if v6 {
				require.NoError(t, ipv6.NewConn(c).SetHopLimit(want))
				got, err := ipv6.NewConn(c).HopLimit()
				require.NoError(t, err)
				require.Equal(t, want, got)
			} else {
				require.NoError(t, ipv4.NewConn(c).SetTTL(want))
				require.NoError(t, ipv4.NewConn(c).SetTOS(0x28))
				got, err := ipv4.NewConn(c).TTL()
				require.NoError(t, err)
				require.Equal(t, want, got)
			}
			send()
			ttl, tos := ttlOf()
			require.Equal(t, want, ttl)
			if !v6 {
				require.Equal(t, 0x28, tos)
			}
		}
		require.NoError(t, c.Close())
		require.NoError(t, s.Close())
	}

	// Connections, and sockets of ICMP.
	a, b := l.connect(t, "tcp", serverIP+":0")
	require.NoError(t, ipv4.NewConn(a).SetTTL(7))
	require.NoError(t, ipv4.NewConn(a).SetTOS(0x10))
	ttl, err := ipv4.NewConn(a).TTL()
	require.NoError(t, err)
	require.Equal(t, 7, ttl)
	_, err = a.Write([]byte("still"))
	require.NoError(t, err)
	n, err := b.Read(make([]byte, 9))
	require.NoError(t, err)
	require.Equal(t, 5, n)

	ping, err := l.client.ListenPacket("ip4:icmp", clientIP)
	require.NoError(t, err)
	defer ping.Close()
	require.NoError(t, ipv4.NewPacketConn(ping).SetTTL(3))
	got, err := ipv4.NewPacketConn(ping).TTL()
	require.NoError(t, err)
	require.Equal(t, 3, got)
	require.ErrorContains(t, ipv4.NewPacketConn(ping).SetControlMessage(ipv4.FlagTTL, true), "IP_RECVTTL")
}

// TestWhatControlHasSetIsToldLater: a program looks through SyscallConn whether its
// socket was made with SO_REUSEPORT.
func TestWhatControlHasSetIsToldLater(t *testing.T) {
	n, err := New(Config{LoopbackOnly: true})
	require.NoError(t, err)
	defer n.Close()
	for _, on := range []int{0, 1} {
		lc := ListenConfig{Control: sets(unix.SOL_SOCKET, unix.SO_REUSEPORT, on)}
		c, err := n.ListenPacketWith(t.Context(), &lc, "udp", ":0")
		require.NoError(t, err)
		raw, err := c.(*UDPConn).SyscallConn()
		require.NoError(t, err)
		var got int
		require.NoError(t, raw.Control(func(fd uintptr) { got, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT) }))
		require.NoError(t, err)
		require.Equal(t, on, got)
		require.NoError(t, c.Close())
	}
}

// What golang.org/x/net does with recvmsg(2) and sendmmsg(2) fails by an error that
// says what to do, and takes nothing from the socket.
func TestPacketConnOfXNetFailsClearlyWhereItReads(t *testing.T) {
	n, err := New(Config{LoopbackOnly: true})
	require.NoError(t, err)
	defer n.Close()
	c, err := n.ListenUDP("udp4", &UDPAddr{IP: IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer c.Close()
	_, err = c.WriteTo([]byte("to itself"), c.LocalAddr())
	require.NoError(t, err)
	p := ipv4.NewPacketConn(c)
	require.NoError(t, p.SetTTL(9))
	batch := []ipv4.Message{{Buffers: [][]byte{make([]byte, 16)}, Addr: c.LocalAddr()}}
	for _, err := range []error{errOf(p.ReadBatch(batch, 0)), errOf(p.WriteBatch(batch, 0))} {
		require.ErrorIs(t, err, errors.ErrUnsupported)
		require.ErrorContains(t, err, "ReadMsgUDP")
	}
	_, _, _, err = p.ReadFrom(make([]byte, 16))
	require.Error(t, err, "x/net knows package net's own types only")
	b := make([]byte, 16)
	k, _, err := c.ReadFrom(b)
	require.NoError(t, err)
	require.Equal(t, "to itself", string(b[:k]))
	_, isConn := any(struct{ PacketConn }{c}).(syscall.Conn)
	require.False(t, isConn, "what hides it")
}
