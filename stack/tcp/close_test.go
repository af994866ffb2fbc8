package tcp

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestActiveClose(t *testing.T) {
	h := newHost(t, plain).connect()
	h.write(10)
	h.c.CloseWrite(h.now)
	require.Equal(t, StateFinWait1, h.c.State())
	require.Zero(t, h.write(1), "no data after FIN")
	h.sends("FP. 1:11(10) ack 1")
	require.Zero(t, h.in(A, 1, 0, 11), "FIN is not acknowledged")
	require.Equal(t, StateFinWait1, h.c.State())
	h.in(A, 1, 0, 12)
	require.Equal(t, StateFinWait2, h.c.State())
	require.Equal(t, Never, h.c.Deadline(), "half-closed as long as the application likes")
	h.in(A, 1, 5, 12)
	require.Len(t, h.rcvd, 5)
	ev := h.in(F|A, 6, 5, 12)
	require.Equal(t, Readable|EOF|AckNow|AckLater|TimeWaiting, ev)
	require.Len(t, h.rcvd, 10)
	h.sends(". 12:12(0) ack 12")
	require.Equal(t, h.now+h.cfg.TimeWait, h.c.Deadline())
	h.now += time.Second
	h.in(F|A, 6, 5, 12)
	h.sends(". 12:12(0) ack 12")
	require.Equal(t, h.now+h.cfg.TimeWait, h.c.Deadline(), "the wait begins again")
	require.Equal(t, Closed, h.fire())
	require.Zero(t, h.c.Err())
}

func TestPassiveClose(t *testing.T) {
	h := newHost(t, plain).listen()
	h.write(5)
	h.sends("P. 1:6(5) ack 1")
	require.Equal(t, EOF|AckNow, h.in(F|A, 1, 0, 1))
	require.Equal(t, StateCloseWait, h.c.State())
	h.sends(". 6:6(0) ack 2")
	h.write(5)
	h.sends("P. 6:11(5) ack 2")
	h.c.CloseWrite(h.now)
	require.Equal(t, StateLastAck, h.c.State())
	h.sends("F. 11:11(0) ack 2")
	h.in(A, 2, 0, 11)
	require.Equal(t, StateLastAck, h.c.State())
	h.fire()
	h.sends("F. 11:11(0) ack 2")
	require.Equal(t, Closed, h.in(A, 2, 0, 12))
	require.Zero(t, h.c.Err())
	h.sends()
}

func TestSimultaneousClose(t *testing.T) {
	h := newHost(t, plain).connect()
	h.c.CloseWrite(h.now)
	h.sends("F. 1:1(0) ack 1")
	h.in(F|A, 1, 0, 1)
	require.Equal(t, StateClosing, h.c.State())
	h.sends(". 2:2(0) ack 2")
	require.Equal(t, TimeWaiting, h.in(A, 2, 0, 2))
}

func TestFINWithTheACKOfOurs(t *testing.T) {
	h := reach(t, StateFinWait1, plain)
	require.Equal(t, EOF|AckNow|TimeWaiting, h.in(F|A, 1, 0, 2))
	h.sends(". 2:2(0) ack 2")
}

func TestFINOutOfOrder(t *testing.T) {
	h := newHost(t, plain).connect()
	require.Equal(t, AckNow, h.in(F|A, 11, 10, 1))
	h.sends(". 1:1(0) ack 1")
	require.Equal(t, AckNow, h.in(A, 21, 10, 1), "nothing comes after FIN")
	h.sends(". 1:1(0) ack 1")
	require.Equal(t, Readable|Reassembled|EOF|AckNow, h.in(A, 1, 10, 1))
	require.Len(t, h.rcvd, 20)
	require.Equal(t, StateCloseWait, h.c.State())
	h.sends(". 1:1(0) ack 22")
	require.Equal(t, AckNow, h.in(F|A, 11, 10, 1), "again")
	h.sends(". 1:1(0) ack 22")
}

func TestFINAtTheEdgeOfTheWindow(t *testing.T) {
	h := newHost(t, plain, func(c *Config) { c.RcvBuf = 10 }).connect()
	h.in(A, 1, 10, 1)
	h.c.FlushAck()
	s, _ := h.next()
	require.Zero(t, s.Window)
	require.True(t, h.in(F|A, 11, 0, 1).Has(EOF), "it takes no room")
}

func TestCloseOfAnAttempt(t *testing.T) {
	h := reach(t, StateSynSent)
	h.c.CloseWrite(h.now)
	require.Equal(t, StateClosed, h.c.State())
	require.Zero(t, h.c.Err())
	h.sends()
}

// RFC 9293 section 3.10.5
func TestAbort(t *testing.T) {
	for s, want := range map[State]string{
		StateSynSent: "", StateSynReceived: "R. 1:1(0) ack 1", StateEstablished: "R. 1:1(0) ack 1", StateFinWait1: "R. 2:2(0) ack 1",
		StateFinWait2: "R. 2:2(0) ack 1", StateCloseWait: "R. 1:1(0) ack 2", StateTimeWait: "",
	} {
		t.Run(s.String(), func(t *testing.T) {
			h := reach(t, s, plain)
			h.c.Abort(h.now)
			require.Equal(t, StateClosed, h.c.State())
			require.Equal(t, syscall.ECONNABORTED, h.c.Err())
			if want == "" {
				h.sends()
			} else {
				h.sends(want)
			}
			require.Zero(t, h.write(1))
		})
	}
}

// A connection that has sent 2^32 octets is where it began.
func TestAbortAtTheInitialSequenceNumber(t *testing.T) {
	h := newHost(t, plain).connect()
	h.c.iss = h.c.nxt
	h.c.Abort(h.now)
	require.Len(t, h.out(), 1)
}

func TestAbortReleasesData(t *testing.T) {
	h := newHost(t, plain).connect()
	h.write(100_000)
	h.out()
	h.in(A, 11, 10, 1)
	require.NotZero(t, h.pool.InUse())
	h.c.Abort(h.now)
	require.Zero(t, h.pool.InUse())
}

// RFC 9293 section 3.10.4
func TestOrphanResetsOnData(t *testing.T) {
	for _, s := range []State{StateFinWait1, StateFinWait2} {
		h := reach(t, s, plain)
		h.c.Orphan(h.now)
		require.Equal(t, Closed|AckNow, h.in(A, 1, 10, 2))
		h.sends("R. 2:2(0) ack 1")
	}
}

func TestOrphan(t *testing.T) {
	h := newHost(t, plain).connect()
	h.write(10)
	h.c.Orphan(h.now)
	h.sends("FP. 1:11(10) ack 1")
	h.in(A, 1, 0, 12)
	require.Equal(t, h.now+h.cfg.FinWait2, h.c.Deadline())
	require.Equal(t, Closed, h.fire(), "FIN-WAIT-2 ends by itself")
	require.Zero(t, h.c.Err())

	h = newHost(t, plain, func(c *Config) { c.OrphanRetries = 2 }).connect()
	h.write(10)
	h.c.Orphan(h.now)
	h.out()
	h.fire()
	h.fire()
	require.Equal(t, Failed|Closed, h.fire())

	h = reach(t, StateFinWait2, plain)
	h.c.Orphan(h.now)
	require.Equal(t, EOF|AckNow|TimeWaiting, h.in(F|A, 1, 0, 2), "an orderly end")
}

func TestTimeWaitRecord(t *testing.T) {
	record := func(t *testing.T, change ...func(*Config)) (*host, TimeWait) {
		h := reach(t, StateTimeWait, change...)
		return h, h.c.TimeWait()
	}
	t.Run("without timestamps", func(t *testing.T) {
		h, w := record(t, plain)
		require.Equal(t, h.now+h.cfg.TimeWait, w.Deadline())
		for _, tc := range []struct {
			name string
			in   *Segment
			want TimeWaitVerdict
		}{
			{"RST is ignored, RFC 1337", h.segment(R, 2, 0, 0), TimeWaitDrop},
			{"an ACK in order", h.segment(A, 2, 0, 2), TimeWaitDrop},
			{"old data", h.segment(A, 1, 1, 2), TimeWaitAck},
			{"FIN again", h.segment(F|A, 1, 0, 2), TimeWaitRestart},
			{"FIN of another time", h.segment(F|A, 0, 0, 2), TimeWaitAck},
			{"an old SYN", h.segment(S, 1, 0, 0), TimeWaitAck},
			{"the very next SYN", h.segment(S, 2, 0, 0), TimeWaitAck},
			{"a new SYN", h.segment(S, 3, 0, 0), TimeWaitReopen},
			{"SYN-ACK", h.segment(S|A, 3, 0, 1), TimeWaitAck},
		} {
			require.Equal(t, tc.want, w.Input(tc.in, h.now), tc.name)
		}
		var ack Segment
		w.Ack(&ack, h.now)
		require.Equal(t, ". 2:2(0) ack 2", h.describe(&ack))
		require.Equal(t, h.iss.Add(2+0x10000), w.NextISS(h.iss))
		require.Equal(t, h.iss.Add(1<<20), w.NextISS(h.iss.Add(1<<20)))
		require.Equal(t, TimeWaitClosed, w.Input(h.segment(A, 2, 0, 2), w.Deadline()))
	})
	t.Run("with timestamps, RFC 6191", func(t *testing.T) {
		h, w := record(t)
		require.Equal(t, TimeWaitReopen, w.Input(h.segment(S, -100, 0, 0, ts(5001, 0)), h.now), "newer")
		require.Equal(t, TimeWaitAck, w.Input(h.segment(S, 100, 0, 0, ts(4999, 0)), h.now), "older")
		require.Equal(t, TimeWaitReopen, w.Input(h.segment(S, 100, 0, 0, ts(5000, 0)), h.now), "equal, higher sequence number")
		require.Equal(t, TimeWaitAck, w.Input(h.segment(S, -100, 0, 0, ts(5000, 0)), h.now), "equal, lower sequence number")
		require.Equal(t, TimeWaitAck, w.Input(h.segment(F|A, 1, 0, 2, ts(4999, 0)), h.now), "PAWS")
		var ack Segment
		w.Ack(&ack, h.now)
		require.Equal(t, uint32(5000), ack.Options.TSEcr)
	})
	t.Run("reuse by this end", func(t *testing.T) {
		h, w := record(t)
		require.False(t, w.Reusable(h.now))
		require.True(t, w.Reusable(h.now+time.Second))
		_, w = record(t, plain)
		require.False(t, w.Reusable(h.now+time.Second))
	})
	t.Run("a Conn in TIME-WAIT does the same", func(t *testing.T) {
		h := reach(t, StateTimeWait, plain)
		require.Equal(t, Reopen, h.in(S, 3, 0, 0))
		require.Zero(t, h.in(R, 2, 0, 0))
		require.Equal(t, AckNow, h.in(S, 1, 0, 0))
		h.sends(". 2:2(0) ack 2")
		h.now = h.c.Deadline()
		require.Equal(t, Closed, h.in(A, 2, 0, 2))
	})
}
