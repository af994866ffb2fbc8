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
		err = p.SetTTL(9)
		require.ErrorIs(t, err, errors.ErrUnsupported)
		require.ErrorContains(t, err, "IP_TTL")
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
