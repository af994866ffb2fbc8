package stack

import (
	"errors"
	"io"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/wire"
)

// received waits for n bytes that nobody reads, and returns where they are.
func received(t *testing.T, c *TCPConn, n int) (at []*byte) {
	t.Helper()
	require.Eventually(t, func() bool { return c.Info().Received == n }, patience, time.Millisecond)
	c.rq.mu.Lock()
	defer c.rq.mu.Unlock()
	for p := c.rq.head; p != nil; p = p.Link() {
		at = append(at, unsafe.SliceData(p.Bytes()))
	}
	return at
}

// TestForwardHandsOutTheReceivedPackets: what is written is at the same place in
// memory.
func TestForwardHandsOutTheReceivedPackets(t *testing.T) {
	p := newPair(t, wire.Config{})
	s, c := p.connect(t, "10.0.0.1:80")
	data := pattern(20_000)
	_, err := c.Write(data)
	require.NoError(t, err)
	at := received(t, s, len(data))
	require.NoError(t, c.CloseWrite())
	var got []byte
	var seen []*byte
	n, readErr, writeErr := s.Forward(func(bufs [][]byte) (n int64, err error) {
		for _, b := range bufs {
			seen = append(seen, unsafe.SliceData(b))
			got = append(got, b...)
			n += int64(len(b))
		}
		return n, nil
	})
	require.NoError(t, readErr)
	require.NoError(t, writeErr)
	require.EqualValues(t, len(data), n)
	require.Equal(t, at, seen)
	require.True(t, string(got) == string(data))
	s.Close()
	c.Close()
}

// TestForwardKeepsTheWindowOpen moves much more than the buffers hold.
func TestForwardKeepsTheWindowOpen(t *testing.T) {
	p := newPair(t, wire.Config{})
	s, c := p.connect(t, "10.0.0.1:80")
	const size = 8 << 20
	go func() {
		for b := pattern(size); len(b) > 0; b = b[1<<20:] {
			c.Write(b[:1<<20])
		}
		c.Close()
	}()
	most := 0
	n, readErr, writeErr := s.Forward(func(bufs [][]byte) (n int64, err error) {
		for _, b := range bufs {
			n += int64(len(b))
		}
		most = max(most, int(n))
		return n, nil
	})
	require.NoError(t, errors.Join(readErr, writeErr))
	require.EqualValues(t, size, n)
	require.Less(t, most, forwardBytes+1<<16)
	s.Close()
}

func TestForwardEndsWithAnError(t *testing.T) {
	p := newPair(t, wire.Config{})
	s, c := p.connect(t, "10.0.0.1:80")
	all := func(bufs [][]byte) (n int64, err error) {
		for _, b := range bufs {
			n += int64(len(b))
		}
		return n, nil
	}
	full := errors.New("full")
	for _, write := range []struct {
		f    func([][]byte) (int64, error)
		want error
	}{
		{func([][]byte) (int64, error) { return 1, full }, full},
		{func([][]byte) (int64, error) { return 1, nil }, io.ErrShortWrite},
	} {
		_, err := c.Write([]byte("some"))
		require.NoError(t, err)
		n, readErr, writeErr := s.Forward(write.f)
		require.EqualValues(t, 1, n)
		require.NoError(t, readErr)
		require.Equal(t, write.want, writeErr)
	}
	require.NoError(t, s.SetReadDeadline(time.Unix(1, 0)))
	_, readErr, writeErr := s.Forward(all)
	require.Equal(t, errDeadline, readErr)
	require.NoError(t, writeErr)
	require.NoError(t, s.SetReadDeadline(time.Time{}))
	require.NoError(t, s.CloseRead())
	_, readErr, _ = s.Forward(all)
	require.NoError(t, readErr, "the end")
	require.NoError(t, s.Close())
	_, readErr, _ = s.Forward(all)
	require.Equal(t, ErrClosed, readErr)
	c.Close()
}

// What a Forward takes is counted off once, what was received without a buffer too.
func TestForwardCountsMemory(t *testing.T) {
	p := newPair(t, wire.Config{})
	s, c := p.connect(t, "10.0.0.1:80")
	_, err := c.Write(pattern(1000))
	require.NoError(t, err)
	received(t, s, 1000)
	f := new(forwarding)
	r := &s.rq
	r.mu.Lock()
	spilled := pattern(3000)
	r.spill = &spilled
	r.bytes += 3000
	r.mem += 3000
	require.Equal(t, 4000, f.take(r))
	require.Zero(t, r.mem)
	require.Zero(t, r.bytes)
	r.mu.Unlock()
	f.release()
	c.Close()
	s.Close()
}

// What a writer that panics was given never comes out of another connection, and
// goes back to the device.
func TestForwardOfAWriterThatPanics(t *testing.T) {
	p := newPair(t, wire.Config{})
	s, c := p.connect(t, "10.0.0.1:80")
	_, err := c.Write([]byte("secret"))
	require.NoError(t, err)
	require.Panics(t, func() {
		s.Forward(func([][]byte) (int64, error) { panic("no writer") })
	})
	for range 100 { // sync.Pool is free to drop what it gets
		f := forwardings.Get().(*forwarding)
		require.Zero(t, f.n)
	}
	c.Close()
	s.Close() // newPair looks for the packets
}

// A Forward takes a full set of packets and what has spilled behind them.
func TestForwardTakesTheSpillBehindAFullSet(t *testing.T) {
	pool := mustPool(nic.PoolConfig{})
	f, r := new(forwarding), new(receiveQueue)
	r.init(1 << 20)
	for range forwardPackets {
		p := pool.Get()
		copy(p.Extend(1), "x")
		r.bytes++
		r.push(p)
	}
	spilled := []byte("spilled")
	r.spill = &spilled
	r.bytes += int32(len(spilled))
	r.mem += int32(len(spilled))
	require.Equal(t, forwardPackets+len(spilled), f.take(r))
	require.Zero(t, r.bytes)
	require.Zero(t, r.mem)
	f.release()
	require.Zero(t, pool.InUse())
}
