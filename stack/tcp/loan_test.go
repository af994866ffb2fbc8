package tcp

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// lend writes n octets of the stream by a loan, and returns where they were.
func (h *host) lend(large bool, n int) *byte {
	h.t.Helper()
	l := h.cfg.Pool.Borrow(0, large)
	defer l.Release()
	b := l.Bytes()[:n]
	for i := range b {
		b[i] = pattern(8, h.c.sq.end.Sub(h.iss)+i)
	}
	require.Equal(h.t, n, h.c.WriteLoan(&l, n))
	require.NoError(h.t, h.c.checkInvariants())
	return unsafe.SliceData(b)
}

// sentFrom takes what is sent now, and returns the chunks that it is in.
func (h *host) sentFrom() (at []*byte, n int) {
	h.t.Helper()
	var s Segment
	for h.c.Next(&s, h.max, h.now) {
		var bufs [8][]byte
		k := h.c.Slices(&s, &bufs)
		got := 0
		for _, b := range bufs[:k] {
			for i, v := range b {
				require.Equal(h.t, pattern(8, s.Seq.Sub(h.iss)+got+i), v)
			}
			at = append(at, unsafe.SliceData(b))
			got += len(b)
		}
		require.Equal(h.t, s.Len, got, "a segment spans more chunks than it may")
		n += got
		h.c.Sent(&s, h.now)
	}
	return at, n
}

func TestALoanBecomesTheSendBuffer(t *testing.T) {
	h := newHost(t, plain).connect()
	h.max = 1 << 20
	at := h.lend(true, largeChunk/2) // beyond the initial window, which sends 10 segments of it
	from, n := h.sentFrom()
	require.Equal(t, 10_000, n)
	require.Equal(t, at, from[0])
	require.Equal(t, 1, h.pool.InUse())
	h.in(A, 1, 0, 10_001)
	_, n = h.sentFrom()
	require.Equal(t, largeChunk/2-10_000, n)
	h.in(A, 1, 0, largeChunk/2+1)
	require.Zero(t, h.pool.InUse())
}

func TestASmallPartOfALoanIsCopied(t *testing.T) {
	h := newHost(t, plain).connect()
	l := h.cfg.Pool.Borrow(0, false)
	require.Len(t, l.Bytes(), SmallLoan)
	l.Release()
	require.Zero(t, h.pool.InUse())
	l.Release()
	require.Zero(t, h.pool.InUse(), "twice is once")
	h.lend(true, 100)
	h.lend(true, 100)
	h.lend(false, 100)
	require.Equal(t, 1, h.pool.InUse())
	_, n := h.sentFrom()
	require.Equal(t, 300, n)
}

func TestALoanRespectsTheSendBuffer(t *testing.T) {
	h := newHost(t, plain, func(c *Config) { c.SndBuf = 40_000 }).connect()
	h.lend(true, largeChunk)
	l := h.cfg.Pool.Borrow(0, true)
	require.Equal(t, 40_000-largeChunk, h.c.WriteLoan(&l, largeChunk))
	require.Zero(t, h.c.WriteLoan(&l, largeChunk))
	l.Release()
	require.Equal(t, 40_000, h.c.queued())
	h.in(A, 1, 0, 1)
	h.sentFrom()
}

func TestLoansAreSmallWhenMemoryIsShort(t *testing.T) {
	var m Memory
	m.SetLimit(1<<20, nil)
	h := newHost(t, plain, func(c *Config) { c.Pool = &ChunkPool{Memory: &m} }).connect()
	l := h.cfg.Pool.Borrow(0, true)
	require.Len(t, l.Bytes(), largeChunk)
	l.Release()
	m.Add(1 << 20)
	l = h.cfg.Pool.Borrow(0, true)
	require.Len(t, l.Bytes(), SmallLoan)
	l.Release()
}

// However loans and writes alternate, a segment of 64 KiB fits Slices, and the
// octets are in order.
func TestLoansAndWritesMix(t *testing.T) {
	h := newHost(t, func(c *Config) { c.SndBuf = 4 << 20; c.SACK = false; c.Timestamps = false }).connect()
	h.max = 64 << 10
	for round := range 40 {
		h.lend(true, largeChunk/2+round%3)
		switch round % 4 {
		case 0:
			h.write(largeChunk/2 + 1) // one octet in a chunk of its own
		case 1:
			h.write(1)
		case 2:
			h.lend(true, largeChunk/2)
			h.lend(true, 10)
		}
	}
	for total, want := 0, h.c.queued(); total < want; {
		_, n := h.sentFrom()
		require.NotZero(t, n)
		total += n
		h.in(A, 1, 0, 1+total)
	}
	require.Zero(t, h.pool.InUse())
}
