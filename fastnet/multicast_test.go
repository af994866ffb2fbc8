package fastnet

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// receive reads a datagram. That one has not come is seen by the next that has: what
// one socket sends arrives in its order.
func receive(t *testing.T, c *UDPConn) string {
	t.Helper()
	b := make([]byte, 64)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Minute)))
	n, _, err := c.ReadFromUDP(b)
	require.NoError(t, err)
	return string(b[:n])
}

func TestAllMembersOfAGroupGetWhatIsSentToIt(t *testing.T) {
	for _, group := range []string{"224.0.0.251", "239.1.2.3", "ff02::fb", "ff05::1:3"} {
		l := newLab(t, labConfig{})
		gaddr := &UDPAddr{IP: ParseIP(group), Port: 5353}
		var members []*UDPConn
		for range 2 {
			c, err := l.server.ListenMulticastUDP("udp", nil, gaddr)
			require.NoError(t, err, "several sockets may listen at a group")
			defer c.Close()
			require.True(t, c.LocalAddr().(*UDPAddr).IP.IsUnspecified())
			members = append(members, c)
		}
		s, err := l.client.ListenUDP("udp", nil)
		require.NoError(t, err)
		defer s.Close()
		_, err = s.WriteToUDP([]byte("hello"), gaddr)
		require.NoError(t, err)
		for _, c := range members {
			require.Equal(t, "hello", receive(t, c), group)
		}
		other := &UDPAddr{IP: append(IP(nil), gaddr.IP...), Port: 5353}
		other.IP[len(other.IP)-1]++
		_, err = s.WriteToUDP([]byte("not for you"), other)
		require.NoError(t, err)
		_, err = s.WriteToUDP([]byte("for you"), gaddr)
		require.NoError(t, err)
		for _, c := range members {
			require.Equal(t, "for you", receive(t, c), group)
			require.NoError(t, c.Close())
		}
	}
}

// TestMembersOnTheSendersHost: the default is that they get it too; from a
// socket of ListenMulticastUDP they do not, as package net has it.
func TestMembersOnTheSendersHost(t *testing.T) {
	l := newLab(t, labConfig{})
	gaddr := &UDPAddr{IP: IPv4(224, 0, 0, 251), Port: 5353}
	c, err := l.client.ListenMulticastUDP("udp4", nil, gaddr)
	require.NoError(t, err)
	defer c.Close()
	s, err := l.client.ListenUDP("udp4", nil)
	require.NoError(t, err)
	defer s.Close()
	_, err = s.WriteTo([]byte("looped"), gaddr)
	require.NoError(t, err)
	require.Equal(t, "looped", receive(t, c))
	_, err = c.WriteTo([]byte("not looped"), gaddr)
	require.NoError(t, err)
	_, err = s.WriteTo([]byte("looped again"), gaddr)
	require.NoError(t, err)
	require.Equal(t, "looped again", receive(t, c))
}

func TestAGroupOnLoopback(t *testing.T) {
	n, err := New(Config{LoopbackOnly: true, Require: true})
	require.NoError(t, err)
	defer n.Close()
	all, err := n.NetInterfaces()
	require.NoError(t, err)
	for _, ifi := range []*Interface{nil, &all[0]} {
		for _, group := range []string{"224.0.0.251", "ff02::fb"} {
			gaddr := &UDPAddr{IP: ParseIP(group), Port: 5353}
			c, err := n.ListenMulticastUDP("udp", ifi, gaddr)
			require.NoError(t, err)
			s, err := n.ListenUDP("udp", nil)
			require.NoError(t, err)
			_, err = s.WriteTo([]byte("hello"), gaddr)
			require.NoError(t, err)
			require.Equal(t, "hello", receive(t, c))
			require.NoError(t, s.Close())
			require.NoError(t, c.Close())
		}
	}
}

func TestGroupsThatAreNone(t *testing.T) {
	l := newLab(t, labConfig{change: func(c *Config) { c.Require = true }})
	_, err := l.client.ListenMulticastUDP("udp4", nil, &UDPAddr{IP: IPv4(10, 0, 0, 1), Port: 5353})
	require.ErrorIs(t, err, syscall.EINVAL)
	require.ErrorContains(t, err, "listen udp4 10.0.0.1:5353: setsockopt")
	_, err = l.client.ListenMulticastUDP("udp4", nil, nil)
	require.EqualError(t, err, "listen udp4: missing address")
	_, err = l.client.ListenMulticastUDP("tcp", nil, &UDPAddr{IP: IPv4(224, 0, 0, 1)})
	require.EqualError(t, err, "listen tcp 224.0.0.1:0: unknown network tcp")
	_, err = l.client.ListenMulticastUDP("udp4", &Interface{Index: 12345, Name: "no0"}, &UDPAddr{IP: IPv4(224, 0, 0, 251)})
	require.ErrorContains(t, err, "require=true")
}

func TestABroadcastReachesAllThatListen(t *testing.T) {
	for _, to := range []IP{IPv4bcast, IPv4(10, 0, 0, 255)} {
		l := newLab(t, labConfig{})
		r, err := l.server.ListenUDP("udp4", &UDPAddr{Port: 6767})
		require.NoError(t, err)
		defer r.Close()
		own, err := l.client.ListenUDP("udp4", &UDPAddr{Port: 6767})
		require.NoError(t, err)
		defer own.Close()
		s, err := l.client.ListenUDP("udp4", nil)
		require.NoError(t, err)
		defer s.Close()
		_, err = s.WriteTo([]byte("hello"), &UDPAddr{IP: to, Port: 6767})
		require.NoError(t, err)
		require.Equal(t, "hello", receive(t, r))
		require.Equal(t, "hello", receive(t, own), "the sender's host, as in Linux")
	}
}
