package stack

import (
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/wire"
	"github.com/fastnet-go/fastnet/stack/header"
)

func TestICMPSocketsSendAndReceive(t *testing.T) {
	l := newLab(t, wire.Config{})
	// IPv4: the checksum is the caller's, and the IP header is before a reply.
	c, err := l.host.ListenICMP(false, netip.Addr{}, UDPOptions{})
	require.NoError(t, err)
	echo := make([]byte, 12)
	header.PutICMPv4Echo(echo, header.ICMPv4Echo, 7, 1, []byte("ping"))
	n, err := c.WriteMsg(echo, ip4Peer, SendOptions{TOS: -1})
	require.NoError(t, err)
	require.Equal(t, len(echo), n)
	f := l.one()
	require.Equal(t, ip4Host, f.src)
	require.Equal(t, echo, f.payload)
	l.inject(l.icmp(ip4Peer, ip4Host, header.ICMPv4EchoReply, 0, 7<<16|1, []byte("pong")))
	l.quiet()
	b := make([]byte, 100)
	n, _, from, info, err := c.ReadMsg(b)
	require.NoError(t, err)
	require.Equal(t, ip4Peer, from)
	require.Equal(t, ip4Host, info.To)
	ip, payload, err := header.ParseIPv4(b[:n])
	require.NoError(t, err)
	require.Equal(t, ip4Peer, ip.SrcAddr())
	require.Equal(t, "pong", string(payload[8:]))

	// IPv6: the checksum is the stack's, and the message comes alone.
	c6, err := l.host.DialICMP(netip.Addr{}, ip6Peer, UDPOptions{})
	require.NoError(t, err)
	_, err = c6.WriteMsg([]byte{header.ICMPv6Echo, 0, 9, 9, 0, 7, 0, 1, 'p'}, netip.Addr{}, SendOptions{TOS: -1})
	require.NoError(t, err)
	require.EqualValues(t, 'p', l.one().payload[8])
	l.inject(l.icmp(netip.MustParseAddr("fd00::3"), ip6Host, header.ICMPv6EchoReply, 0, 7<<16|1, []byte("no")))
	l.inject(l.icmp(ip6Peer, ip6Host, header.ICMPv6EchoReply, 0, 7<<16|1, []byte("pong")))
	l.quiet()
	_, _, from, _, err = c6.ReadMsg(b)
	require.NoError(t, err)
	require.Equal(t, ip6Peer, from)
	require.EqualValues(t, header.ICMPv6NeighborAdvertisement, b[0], "all of the peer's messages, as in Linux")
	n, _, from, _, err = c6.ReadMsg(b)
	require.NoError(t, err)
	require.Equal(t, ip6Peer, from)
	require.Equal(t, "pong", string(b[8:n]))
	require.NoError(t, c6.SetReadDeadline(time.Unix(1, 0)))
	_, _, _, _, err = c6.ReadMsg(b)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)

	_, err = c6.WriteMsg(echo, ip6Peer, SendOptions{TOS: -1})
	require.Equal(t, syscall.EISCONN, err)
	_, err = c.WriteMsg(echo, ip6Peer, SendOptions{TOS: -1})
	require.Equal(t, errInvalid, err)
	_, err = c.WriteMsg(echo, netip.Addr{}, SendOptions{TOS: -1})
	require.Equal(t, syscall.EDESTADDRREQ, err)
	_, err = l.host.ListenICMP(false, ip4Peer, UDPOptions{})
	require.Equal(t, syscall.EADDRNOTAVAIL, err)
	require.NoError(t, c.Close())
	require.Equal(t, ErrClosed, c.Close())
	require.NoError(t, l.host.Close())
	_, _, _, _, err = c6.ReadMsg(b)
	require.Equal(t, ErrClosed, err)
}

// TestTheHostAnswersEchoRequestsItself, whether or not a socket sees them too.
func TestTheHostAnswersEchoRequestsItself(t *testing.T) {
	l := newLab(t, wire.Config{})
	c, err := l.host.ListenICMP(false, ip4Host, UDPOptions{})
	require.NoError(t, err)
	l.inject(l.icmp(ip4Peer, ip4Host, header.ICMPv4Echo, 0, 1, []byte("ping")))
	require.EqualValues(t, header.ICMPv4EchoReply, l.one().payload[0])
	b := make([]byte, 100)
	n, _, _, _, err := c.ReadMsg(b)
	require.NoError(t, err)
	require.Equal(t, "ping", string(b[28:n]))
}

func TestLargeMessagesAreFragmented(t *testing.T) {
	l := newLab(t, wire.Config{})
	c, err := l.host.ListenICMP(false, netip.Addr{}, UDPOptions{})
	require.NoError(t, err)
	_, err = c.WriteMsg(make([]byte, 4000), ip4Peer, SendOptions{TOS: -1})
	require.NoError(t, err)
	require.Len(t, l.take(), 3)
}
