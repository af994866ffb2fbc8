package stack

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/wire"
)

// The records of handshakes that are over are used again, up to a bound, and hold
// on to nothing.
func TestRecordsOfHandshakesAreUsedAgain(t *testing.T) {
	d := newDuo(t, wire.Config{}, Config{})
	ln := d.listen("10.0.0.1:80")
	s := &d.a.synq
	spare := func() (rs []*halfOpen) {
		for r := s.spare; r != nil; r = r.next {
			require.Equal(t, halfOpen{next: r.next}, *r)
			rs = append(rs, r)
		}
		require.Len(t, rs, s.nSpare)
		return rs
	}
	handshakes := func(n int) {
		var conns []*TCPConn
		for range n {
			c, err := d.b.StartDialTCP(netip.AddrPort{}, ln.Addr(), TCPOptions{})
			require.NoError(t, err)
			conns = append(conns, c)
		}
		d.run()
		for _, c := range conns {
			a, err := ln.TryAccept()
			require.NoError(t, err)
			a.Close()
			c.Close()
		}
		d.run()
	}
	handshakes(1)
	first := spare()
	require.Len(t, first, 1)
	handshakes(1)
	require.Equal(t, first, spare())
	handshakes(2 * maxSpare)
	require.LessOrEqual(t, len(spare()), maxSpare)
	require.NotEmpty(t, spare())
}
