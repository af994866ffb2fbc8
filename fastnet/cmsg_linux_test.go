package fastnet

import (
	"encoding/binary"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// tellAll asks for all control messages that there are.
var tellAll = together(
	sets(unix.IPPROTO_IP, unix.IP_PKTINFO, 1), sets(unix.IPPROTO_IP, unix.IP_RECVTOS, 1), sets(unix.IPPROTO_IP, unix.IP_RECVTTL, 1),
)

var tellAll6 = together(
	sets(unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1), sets(unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS, 1),
	sets(unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1),
)

// cmsg makes a control message.
func cmsg(level, typ int, data ...byte) []byte {
	b := make([]byte, unix.CmsgSpace(len(data)))
	putControlHeader(b, level, typ, len(data))
	copy(b[unix.CmsgLen(0):], data)
	return b
}

func int32Bytes(v int) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(v)) }

// messages parses control messages to level/type and data.
func messages(t *testing.T, oob []byte) map[[2]int32][]byte {
	t.Helper()
	ms, err := unix.ParseSocketControlMessage(oob)
	require.NoError(t, err)
	got := make(map[[2]int32][]byte)
	for _, m := range ms {
		got[[2]int32{m.Header.Level, m.Header.Type}] = m.Data
	}
	return got
}

func TestControlMessagesOverIPv4(t *testing.T) {
	l := newLab(t, labConfig{})
	for _, network := range []string{"udp4", "udp"} { // udp: an AF_INET6 socket gets IPv4's messages for IPv4
		pc, err := l.server.ListenPacketWith(t.Context(), &ListenConfig{Control: tellAll}, network, ":0")
		require.NoError(t, err)
		defer pc.Close()
		s := pc.(*UDPConn)
		port := s.LocalAddr().(*UDPAddr).Port
		c, err := l.client.ListenUDP("udp4", nil)
		require.NoError(t, err)
		defer c.Close()
		out := append(cmsg(unix.IPPROTO_IP, unix.IP_TOS, int32Bytes(0x2b)...), cmsg(unix.IPPROTO_IP, unix.IP_TTL, int32Bytes(33)...)...)
		n, oobn, err := c.WriteMsgUDP([]byte("hi"), out, &UDPAddr{IP: ParseIP(serverIP), Port: port})
		require.NoError(t, err)
		require.Equal(t, []int{2, len(out)}, []int{n, oobn})

		b, oob := make([]byte, 16), make([]byte, 256)
		n, oobn, flags, from, err := s.ReadMsgUDP(b, oob)
		require.NoError(t, err)
		require.Equal(t, "hi", string(b[:n]))
		require.Zero(t, flags)
		ms := messages(t, oob[:oobn])
		require.Len(t, ms, 3)
		require.Equal(t, []byte{0x2b}, ms[[2]int32{unix.IPPROTO_IP, unix.IP_TOS}], "DSCP and ECN")
		require.Equal(t, int32Bytes(33), ms[[2]int32{unix.IPPROTO_IP, unix.IP_TTL}])
		var cm ipv4.ControlMessage // a parser that others wrote
		require.NoError(t, cm.Parse(oob[:oobn]))
		require.Equal(t, serverIP, cm.Dst.String())
		all, err := l.server.NetInterfaces()
		require.NoError(t, err)
		require.Equal(t, all[1].Index, cm.IfIndex)
		info := ms[[2]int32{unix.IPPROTO_IP, unix.IP_PKTINFO}]
		require.Equal(t, serverIP, netip.AddrFrom4([4]byte(info[4:8])).String(), "where to answer from")

		// What came in is what an answer goes out with.
		_, _, err = s.WriteMsgUDP([]byte("yes"), cmsg(unix.IPPROTO_IP, unix.IP_PKTINFO, info...), from)
		require.NoError(t, err)
		n, addr, err := c.ReadFromUDPAddrPort(b)
		require.NoError(t, err)
		require.Equal(t, "yes "+serverIP, string(b[:n])+" "+addr.Addr().String())
	}
}

func TestControlMessagesOverIPv6(t *testing.T) {
	l := newLab(t, labConfig{})
	pc, err := l.server.ListenPacketWith(t.Context(), &ListenConfig{Control: tellAll6}, "udp", ":0")
	require.NoError(t, err)
	defer pc.Close()
	s := pc.(*UDPConn)
	port := s.LocalAddr().(*UDPAddr).Port
	c, err := l.client.DialUDP("udp6", nil, &UDPAddr{IP: ParseIP(serverIP6), Port: port})
	require.NoError(t, err)
	defer c.Close()
	out := (&ipv6.ControlMessage{TrafficClass: 0x2b, HopLimit: 33}).Marshal()
	_, _, err = c.WriteMsgUDPAddrPort([]byte("hi"), out, netip.AddrPort{})
	require.NoError(t, err)
	b, oob := make([]byte, 16), make([]byte, 256)
	n, oobn, _, from, err := s.ReadMsgUDPAddrPort(b, oob)
	require.NoError(t, err)
	require.Equal(t, "hi", string(b[:n]))
	var cm ipv6.ControlMessage
	require.NoError(t, cm.Parse(oob[:oobn]))
	require.Equal(t, []any{0x2b, 33, serverIP6}, []any{cm.TrafficClass, cm.HopLimit, cm.Dst.String()})
	out = (&ipv6.ControlMessage{Src: ParseIP(serverIP6), IfIndex: cm.IfIndex}).Marshal()
	_, _, err = s.WriteMsgUDPAddrPort([]byte("yes"), out, from)
	require.NoError(t, err)
	n, err = c.Read(b)
	require.NoError(t, err)
	require.Equal(t, "yes", string(b[:n]))

	// IPv4 on the same socket: the address is an IPv4-mapped one.
	c4, err := l.client.DialUDP("udp4", nil, &UDPAddr{IP: ParseIP(serverIP), Port: port})
	require.NoError(t, err)
	defer c4.Close()
	_, err = c4.Write([]byte("four"))
	require.NoError(t, err)
	_, oobn, _, from, err = s.ReadMsgUDPAddrPort(b, oob)
	require.NoError(t, err)
	info := messages(t, oob[:oobn])[[2]int32{unix.IPPROTO_IPV6, unix.IPV6_PKTINFO}]
	require.Equal(t, "::ffff:"+serverIP, netip.AddrFrom16([16]byte(info[:16])).String())
	_, _, err = s.WriteMsgUDPAddrPort([]byte("yes"), cmsg(unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, info...), from)
	require.NoError(t, err)
	n, err = c4.Read(b)
	require.NoError(t, err)
	require.Equal(t, "yes", string(b[:n]))
}

func TestControlMessagesThatCannotBe(t *testing.T) {
	l := newLab(t, labConfig{})
	c, err := l.client.ListenUDP("udp4", nil)
	require.NoError(t, err)
	defer c.Close()
	to := &UDPAddr{IP: ParseIP(serverIP), Port: 9}
	strange := append(int32Bytes(0), 192, 0, 2, 1, 0, 0, 0, 0) // not ours
	nowhere := append(int32Bytes(77), 0, 0, 0, 0, 0, 0, 0, 0)
	for _, tt := range []struct {
		oob  []byte
		want error
	}{
		{[]byte{1, 2, 3}, nil},             // less than a header is nothing
		{make([]byte, 24), syscall.EINVAL}, // a length of 0
		{cmsg(unix.IPPROTO_IP, unix.IP_TOS, int32Bytes(3)...)[:unix.SizeofCmsghdr+1], syscall.EINVAL}, // of more than there is
		{cmsg(unix.IPPROTO_IP, unix.IP_PKTINFO, strange...), syscall.EINVAL},
		{cmsg(unix.IPPROTO_IP, unix.IP_PKTINFO, nowhere...), syscall.ENODEV},
		{cmsg(unix.IPPROTO_IP, unix.IP_PKTINFO, 1, 2), syscall.EINVAL},
		{cmsg(unix.IPPROTO_IP, unix.IP_TTL, int32Bytes(0)...), syscall.EINVAL},
		{cmsg(unix.IPPROTO_IP, unix.IP_TTL, int32Bytes(256)...), syscall.EINVAL},
		{cmsg(unix.IPPROTO_IP, 99, 0), syscall.EINVAL},
		{cmsg(unix.SOL_SOCKET, unix.SCM_RIGHTS, 0, 0, 0, 0), syscall.EINVAL},
		{cmsg(unix.IPPROTO_IPV6, unix.IPV6_TCLASS, int32Bytes(3)...), nil}, // the other family's
	} {
		_, oobn, err := c.WriteMsgUDP([]byte("x"), tt.oob, to)
		if tt.want == nil {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, tt.want)
		require.Zero(t, oobn)
		require.ErrorContains(t, err, "sendmsg")
	}
}

func TestControlMessagesThatDoNotFit(t *testing.T) {
	l := newLab(t, labConfig{})
	pc, err := l.server.ListenPacketWith(t.Context(), &ListenConfig{Control: tellAll}, "udp4", ":0")
	require.NoError(t, err)
	defer pc.Close()
	c, err := l.client.Dial("udp4", net.JoinHostPort(serverIP, portOf(t, pc.LocalAddr())))
	require.NoError(t, err)
	defer c.Close()
	for size := range 64 {
		_, err = c.Write([]byte("hi"))
		require.NoError(t, err)
		oob := make([]byte, size)
		_, oobn, flags, _, err := pc.(*UDPConn).ReadMsgUDP(make([]byte, 8), oob)
		require.NoError(t, err)
		require.LessOrEqual(t, oobn, size)
		require.NotZero(t, flags&unix.MSG_CTRUNC)
	}
}

func portOf(t *testing.T, a Addr) string {
	_, port, err := SplitHostPort(a.String())
	require.NoError(t, err)
	return port
}

func TestControlMessagesDoNotAllocate(t *testing.T) {
	l := newLab(t, labConfig{})
	pc, err := l.server.ListenPacketWith(t.Context(), &ListenConfig{Control: tellAll}, "udp4", ":0")
	require.NoError(t, err)
	defer pc.Close()
	s := pc.(*UDPConn)
	c, err := l.client.ListenUDP("udp4", nil)
	require.NoError(t, err)
	defer c.Close()
	to := netip.AddrPortFrom(netip.MustParseAddr(serverIP), uint16(s.LocalAddr().(*net.UDPAddr).Port))
	b, oob, tos := make([]byte, 16), make([]byte, 256), cmsg(unix.IPPROTO_IP, unix.IP_TOS, int32Bytes(2)...)
	require.Zero(t, allocs(t, func() {
		if _, _, err := c.WriteMsgUDPAddrPort(b[:2], tos, to); err != nil {
			t.Fatal(err)
		}
		if _, _, _, _, err := s.ReadMsgUDPAddrPort(b, oob); err != nil {
			t.Fatal(err)
		}
	}))
}

// FuzzControlMessages: whatever a program writes there, nothing panics and what is
// accepted is in range.
func FuzzControlMessages(f *testing.F) {
	f.Add(cmsg(unix.IPPROTO_IP, unix.IP_PKTINFO, make([]byte, 12)...), true)
	f.Add(cmsg(unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, make([]byte, 20)...), false)
	f.Add(append(cmsg(unix.IPPROTO_IP, unix.IP_TOS, 3), cmsg(unix.IPPROTO_IP, unix.IP_TTL, int32Bytes(9)...)...), true)
	f.Add(cmsg(unix.IPPROTO_IPV6, unix.IPV6_TCLASS, int32Bytes(-1)...), false)
	c := &UDPConn{owner: &Network{}, family: inet6}
	c.owner.indexOnce.Do(func() { c.owner.indexes = []int{1} })
	f.Fuzz(func(t *testing.T, oob []byte, v4 bool) {
		o, err := c.parseControl(oob, v4)
		if err == nil && (o.TOS < -1 || o.TOS > 255 || o.TTL < 0 || o.TTL > 255 || o.Interface < 0) {
			t.Error(o)
		}
	})
}
