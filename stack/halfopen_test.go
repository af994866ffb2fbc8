package stack

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/wire"
	"github.com/fastnet-go/fastnet/stack/tcp"
)

// A handshake that has begun is on the books of who asks for connections, until it
// comes to nothing, which is told, or to a connection, which is not the end.
func TestHalfOpenConnectionsAreToldOf(t *testing.T) {
	local, remote := addrPort("10.0.0.1:80"), addrPort("10.0.0.2:7")
	for _, end := range []struct {
		what string
		do   func(l *lab, ln *TCPListener, c *labConn)
		gone bool
	}{
		{"the listener is closed", func(_ *lab, ln *TCPListener, _ *labConn) { ln.Close() }, true},
		{"the peer does not answer", func(l *lab, _ *TCPListener, _ *labConn) { l.sleep(2 * time.Minute) }, true},
		{"the peer takes it back", func(_ *lab, _ *TCPListener, c *labConn) { c.send(rst, "") }, true},
		{"the peer answers", func(_ *lab, _ *TCPListener, c *labConn) { c.send(ack, "") }, false},
	} {
		ended := 0
		l := newLabWith(t, wire.Config{}, Config{FlowEnded: func(a, b netip.AddrPort, waited bool) {
			require.Equal(t, []netip.AddrPort{local, remote}, []netip.AddrPort{a, b}, end.what)
			require.False(t, waited, end.what)
			ended++
		}})
		ln := l.listen("10.0.0.1:80")
		require.False(t, l.host.HasTCPFlow(local, remote))
		c := l.begin(remote, ln.Addr())
		require.True(t, l.host.HasTCPFlow(local, remote), end.what)
		require.False(t, l.host.HasTCPFlow(local, addrPort("10.0.0.2:8")), end.what)
		for port, want := range map[uint16]int{0: 1, 80: 1, 81: 0} {
			seen := 0
			l.host.TCPFlows(port, func(a, b netip.AddrPort) {
				require.Equal(t, []netip.AddrPort{local, remote}, []netip.AddrPort{a, b}, end.what)
				seen++
			})
			require.Equal(t, want, seen, end.what)
		}
		require.Zero(t, ended, end.what)
		end.do(l, ln, c)
		l.take()
		require.Equal(t, !end.gone, l.host.HasTCPFlow(local, remote), end.what)
		require.Equal(t, end.gone, ended == 1, end.what)
		ln.Close()
		l.take()
	}
}

// What is half open when a listener is drained becomes a connection still.
func TestADrainedListenerCompletesHandshakes(t *testing.T) {
	l := newLab(t, wire.Config{})
	ln := l.listen("10.0.0.1:80")
	c := l.begin(addrPort("10.0.0.2:7"), ln.Addr())
	ln.Drain()
	c.send(psh|ack, "hello")
	c.expect(ack, "")
	conn, err := ln.TryAccept()
	require.NoError(t, err)
	got, _ := readAll(conn)
	require.Equal(t, "hello", got)
	l.inject(l.segment(addrPort("10.0.0.2:8"), addrPort("10.0.0.1:80"), tcp.Segment{Flags: syn, Seq: 1, Window: 1000}))
	l.quiet()
}

// And one whose SYN-ACK was lost gets it again when it asks again.
func TestADrainedListenerRepeatsTheSYNACK(t *testing.T) {
	l := newLab(t, wire.Config{})
	ln := l.listen("10.0.0.1:80")
	c := l.begin(addrPort("10.0.0.2:7"), ln.Addr())
	ln.Drain()
	l.inject(l.segment(c.local, c.remote, tcp.Segment{Flags: syn, Seq: 1000, Window: 1000}))
	require.Equal(t, syn|ack, l.one().Flags())
	c.send(ack, "")
	l.quiet()
	_, err := ln.TryAccept()
	require.NoError(t, err)
}
