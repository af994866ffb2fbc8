package stack

import (
	"net/netip"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/stack/header"
	"github.com/fastnet-go/fastnet/stack/tcp"
)

// labConn is a connection of the host's whose other end is the test.
type labConn struct {
	*lab
	conn          *TCPConn
	local, remote netip.AddrPort // of the test
	snd, rcv      tcp.Seq        // next to send, next expected
	window        uint16
}

const (
	fin = header.TCPFlagFIN
	syn = header.TCPFlagSYN
	rst = header.TCPFlagRST
	psh = header.TCPFlagPSH
	ack = header.TCPFlagACK
)

// send gives the host a segment of the connection.
func (c *labConn) send(flags header.TCPFlags, data string) {
	c.Helper()
	c.inject(c.segment(c.local, c.remote, tcp.Segment{
		Seq: c.snd, Ack: c.rcv, Flags: flags, Window: c.window, Payload: []byte(data),
	}))
	c.snd += tcp.Seq(len(data))
	if flags&(syn|fin) != 0 {
		c.snd++
	}
}

// expect takes one segment with the flags and data given.
func (c *labConn) expect(flags header.TCPFlags, data string) frame {
	c.Helper()
	f := c.one()
	require.Equal(c, flags.String(), f.Flags().String())
	require.Equal(c, data, string(f.data))
	c.advance(f)
	return f
}

// advance moves what is expected next over a segment.
func (c *labConn) advance(f frame) {
	if tcp.Seq(f.Seq()) == c.rcv {
		c.rcv += tcp.Seq(len(f.data))
		if f.Flags()&(syn|fin) != 0 {
			c.rcv++
		}
	}
}

// accept opens a connection to a listener of the host's, without options but
// the MSS.
func (l *lab) accept(ln *TCPListener, from netip.AddrPort) *labConn {
	l.Helper()
	to := ln.Addr()
	if to.Addr().IsUnspecified() {
		to = netip.AddrPortFrom(ip4Host, to.Port())
		if from.Addr().Is6() {
			to = netip.AddrPortFrom(ip6Host, to.Port())
		}
	}
	c := &labConn{lab: l, local: from, remote: to, snd: 1000, window: 65535}
	c.send(syn, "")
	f := l.one()
	require.Equal(l, syn|ack, f.Flags())
	c.rcv = tcp.Seq(f.Seq()) + 1
	c.send(ack, "")
	l.quiet()
	var err error
	c.conn, err = ln.TryAccept()
	require.NoError(l, err)
	return c
}

// dial makes the host connect to the test.
func (l *lab) dial(to netip.AddrPort, o TCPOptions) *labConn {
	l.Helper()
	conn, err := l.host.StartDialTCP(netip.AddrPort{}, to, o)
	require.NoError(l, err)
	f := l.one()
	require.Equal(l, syn, f.Flags())
	c := &labConn{lab: l, conn: conn, local: to, remote: netip.AddrPortFrom(f.src, f.srcPort), snd: 5000, window: 65535}
	c.rcv = tcp.Seq(f.Seq()) + 1
	c.send(syn|ack, "")
	c.expect(ack, "")
	require.NoError(l, conn.ConnectStatus())
	return c
}

// listen makes a listener of the host's.
func (l *lab) listen(at string) *TCPListener {
	l.Helper()
	ln, err := l.host.ListenTCP(addrPort(at), ListenOptions{})
	require.NoError(l, err)
	return ln
}
