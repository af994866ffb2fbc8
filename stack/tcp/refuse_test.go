package tcp

import (
	"testing"

	"github.com/fastnet-go/fastnet/stack/header"
	"github.com/stretchr/testify/require"
)

// refuse hands in a segment of the peer for whose data there is no memory.
func (h *host) refuse(flags header.TCPFlags, seq, n, ack int, opts ...option) Events {
	h.t.Helper()
	h.r = h.c.InputRefused(h.segment(flags, seq, n, ack, opts...), h.now)
	require.Zero(h.t, h.r.Len)
	require.Nil(h.t, h.c.Reassembled())
	require.NoError(h.t, h.c.checkInvariants())
	return h.r.Events
}

// Data that is refused is as if lost. Neither do we take the segment for a duplicate
// ACK, nor do we send one.
func TestRefusedDataIsNoDuplicateAck(t *testing.T) {
	for name, change := range map[string]func(*Config){"SACK": sackOnly, "without SACK": plain} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, change).connect()
			h.flight(10)
			cwnd := h.c.Info().Cwnd
			for i := range 20 {
				require.False(t, h.refuse(A|P, 1+100*i, 100, 1).Has(AckNow|AckLater))
				h.sends()
			}
			require.Zero(t, h.c.Info().Recoveries)
			require.Equal(t, cwnd, h.c.Info().Cwnd)
			require.Zero(t, h.c.dupAcks)

			// What it acknowledges counts, and its window; its FIN does not.
			require.False(t, h.refuse(A|F, 2001, 100, 4001, win(9000)).Has(EOF|AckNow))
			require.Equal(t, 6000, h.c.Info().InFlight)
			require.Equal(t, 9000, h.c.Info().SndWnd)
			require.Equal(t, StateEstablished, h.c.State())
			h.out()

			// It comes again, and is taken.
			h.in(A|F, 1, 100, 10001)
			require.Len(t, h.rcvd, 100)
			require.Equal(t, StateCloseWait, h.c.State())
		})
	}
}

// What came before needs no memory: the peer repeats it because an ACK was lost, and
// gets one. FIN needs none either.
func TestWhatCameBeforeIsNotRefused(t *testing.T) {
	h := newHost(t, sackOnly).connect()
	h.in(A, 1, 100, 1)
	h.c.FlushAck()
	h.sends(". 1:1(0) ack 101")
	require.True(t, h.refuse(A, 1, 100, 1).Has(AckNow))
	h.out()
	require.True(t, h.refuse(A, 51, 100, 1).Has(AckNow), "half of it is new")
	require.Len(t, h.rcvd, 100)
	h.out()
	require.True(t, h.refuse(A|F, 101, 0, 1).Has(EOF))
	require.Equal(t, StateCloseWait, h.c.State())
}

// While memory is short what is out of order goes, as the peer still has it.
func TestRefusalGivesUpWhatIsOutOfOrder(t *testing.T) {
	h := newHost(t, sackOnly).connect()
	h.in(A, 1001, 1000, 1)
	require.NotNil(t, h.c.rx)
	h.out()
	require.False(t, h.refuse(A, 1, 1000, 1).Has(Readable|AckNow))
	require.Nil(t, h.c.rx)
	h.in(A, 1, 1000, 1)
	h.in(A, 1001, 1000, 1)
	require.Len(t, h.rcvd, 2000)
}
