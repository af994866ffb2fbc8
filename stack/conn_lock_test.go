package stack

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/wire"
)

// A segment that found the connection's lock held is handled before the next
// one, also if the holder let go without seeing it.
func TestBacklogKeepsOrder(t *testing.T) {
	l := newLab(t, wire.Config{})
	c := l.accept(l.listen("10.0.0.1:80"), addrPort("10.0.0.2:7"))
	c.conn.mu.Lock()
	c.send(psh|ack, "first ")
	l.host.Poll()
	c.conn.mu.Unlock() // not unlock: as if its last look had been before
	c.send(psh|ack, "second")
	l.host.Poll()
	got, _ := readAll(c.conn)
	require.Equal(t, "first second", got)
	require.Zero(t, c.conn.Info().OutOfOrder)
}

// The backlog is bounded; what does not fit is lost, and comes again.
func TestBacklogIsBounded(t *testing.T) {
	l := newLab(t, wire.Config{})
	c := l.accept(l.listen("10.0.0.1:80"), addrPort("10.0.0.2:7"))
	c.conn.mu.Lock()
	for range maxBacklog + 88 {
		c.send(psh|ack, "x")
		l.host.Poll()
	}
	require.EqualValues(t, 88, l.drops(DropBacklog))
	c.conn.unlock()
	got, _ := readAll(c.conn)
	require.Len(t, got, maxBacklog)
}

// A SYN that comes as the tuple's last connection has just ended opens a new
// one.
func TestSYNInTheSameBurst(t *testing.T) {
	l := newLab(t, wire.Config{})
	ln := l.listen("10.0.0.1:80")
	c := l.accept(ln, addrPort("10.0.0.2:7"))
	c.conn.mu.Lock()
	c.send(rst, "")
	l.host.Poll()
	c.conn.mu.Unlock()
	c.send(syn, "") // finds the reset on the backlog
	require.Empty(t, l.take())
	c.snd--
	c.send(syn, "") // as the peer would, a second later
	require.Equal(t, syn|ack, l.one().Flags())
	c.conn.Close()
}

// A reset that finds the device's ring full is sent when there is room.
func TestResetOfStalledConnection(t *testing.T) {
	l := newLab(t, wire.Config{Ring: 2})
	ln := l.listen("10.0.0.1:80")
	c := l.accept(ln, addrPort("10.0.0.2:7"))
	_, err := c.conn.TryWrite(pattern(20_000))
	require.NoError(t, err)
	require.True(t, c.conn.home.Load().isFull())
	require.NoError(t, c.conn.SetLinger(0))
	require.NoError(t, c.conn.Close())
	l.sleep(50 * stallTimeout)
	fs := l.take()
	require.NotZero(t, fs[len(fs)-1].Flags()&rst)
	require.Zero(t, l.host.flows.len())
	require.Zero(t, l.host.BuffersInUse())
}

// The last ACK too, with which TIME-WAIT begins.
func TestLastACKOfStalledConnection(t *testing.T) {
	l := newLab(t, wire.Config{Ring: 2})
	ln := l.listen("10.0.0.1:80")
	u, err := l.host.ListenUDP(addrPort("10.0.0.1:53"), UDPOptions{})
	require.NoError(t, err)
	c := l.accept(ln, addrPort("10.0.0.2:7"))
	require.NoError(t, c.conn.Close())
	c.expect(fin|ack, "")
	for range 5 { // fills the ring
		_, err = u.WriteTo([]byte("x"), addrPort("10.0.0.2:9"))
		require.NoError(t, err)
	}
	c.send(fin|ack, "")
	l.host.Poll()
	l.sleep(50 * stallTimeout)
	fs := l.take()
	require.Len(t, fs, 6)
	require.Equal(t, ack, fs[5].Flags())
	require.Equal(t, 1, l.host.twList.n)
}
