package stack

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/fault"
	"github.com/fastnet-go/fastnet/nic/wire"
)

// shortLab is a server whose memory others use up, and a client.
type shortLab struct {
	*duo
	ln *TCPListener
}

const shortLimit = 4 << 20

func newShortLab(t *testing.T, hc Config) *shortLab {
	hc.MaxMemory = shortLimit
	d := newPathDuo(t, wire.Config{Pool: 1 << 15, Ring: 1 << 13}, fault.Faults{Delay: time.Millisecond}, [2]Config{hc, {}})
	ln, err := d.a.ListenTCP(addrPort("10.0.0.1:80"), ListenOptions{})
	require.NoError(t, err)
	return &shortLab{d, ln}
}

// open connects; the server has it after two round trips and a half at the most, one
// of them for the Ethernet address, as ever.
func (l *shortLab) open() (client, server *TCPConn) {
	l.Helper()
	client, err := l.b.StartDialTCP(netip.AddrPort{}, l.ln.Addr(), TCPOptions{})
	require.NoError(l, err)
	l.sleep(6 * time.Millisecond)
	server, err = l.ln.TryAccept()
	require.NoError(l, err)
	return client, server
}

// hog opens connections that only fill the server's memory, until used holds of it.
func (l *shortLab) hog(write func(client, server *TCPConn), used func(bytes int64) bool) (all []*TCPConn) {
	for !used(l.a.memory.Used()) {
		require.Less(l, len(all), 2000)
		c, s := l.open()
		all = append(all, c, s)
		for range 5 {
			write(c, s)
			l.sleep(5 * time.Millisecond)
		}
	}
	return all
}

// carry sends size bytes from one end to the other, whose reader keeps up, and
// returns how long that took.
func (l *shortLab) carry(from, to *TCPConn, size int) time.Duration {
	l.Helper()
	start, buf, data := l.now, make([]byte, 64<<10), pattern(size)
	for sent, got := 0, 0; got < size; {
		n, _ := from.TryWrite(data[sent:])
		sent += n
		k, _ := to.TryRead(buf)
		require.Equal(l, data[got:got+k], buf[:k])
		if got += k; n+k == 0 {
			l.sleep(100 * time.Microsecond)
		}
		require.Less(l, l.now-start, time.Minute)
	}
	return l.now - start
}

// Who comes while others hold all of the memory is served: its handshake, requests
// and answers take no longer than ever, and a transfer goes on from round trip to
// round trip, at a pace that depends on its share, without losses.
func TestNewClientsAreServedWhileOthersHoldTheMemory(t *testing.T) {
	data := pattern(1 << 20)
	unread := func(client, _ *TCPConn) { client.TryWrite(data) }
	unsent := func(_, server *TCPConn) { server.TryWrite(data) }
	tight := func(used int64) bool { return used >= shortLimit*8/10 }
	full := func(used int64) bool { return used >= shortLimit }
	for name, c := range map[string]struct {
		hog      func(client, server *TCPConn)
		until    func(int64) bool
		up, down time.Duration // a megabyte; the path's round trip is 2 ms
	}{
		"little left, of readers that sleep":     {unread, tight, 500 * time.Millisecond, 200 * time.Millisecond},
		"none left, of readers that sleep":       {unread, full, 3 * time.Second, 300 * time.Millisecond},
		"little left, of peers that do not read": {unsent, tight, 500 * time.Millisecond, 200 * time.Millisecond},
		"none left, of peers that do not read":   {unsent, full, 3 * time.Second, 300 * time.Millisecond},
	} {
		for _, halfOpen := range []int{0, -1} { // SYN cookies
			t.Run(name, func(t *testing.T) {
				l := newShortLab(t, Config{MaxHalfOpen: halfOpen})
				hogs := l.hog(c.hog, c.until)
				for range 3 {
					client, server := l.open()
					for range 5 {
						require.Less(t, l.carry(client, server, 500)+l.carry(server, client, 4000), 6*time.Millisecond)
					}
					require.Less(t, l.carry(client, server, 1<<20), c.up)
					require.Less(t, l.carry(server, client, 1<<20), c.down)
					require.Zero(t, client.Info().Retransmits)
					require.Zero(t, server.Info().Retransmits)
					client.SetLinger(0)
					client.Close()
					server.Close()
				}
				for _, c := range hogs {
					c.SetLinger(0)
					c.Close()
				}
				l.sleep(time.Second)
				require.LessOrEqual(t, l.a.memory.Used(), int64(shortLimit/4), "but for what a shard has not told")
			})
		}
	}
}

// A connection that held much before memory became short gives way, and one that
// held its share does not: its data comes without a loss.
func TestWhoHoldsMuchGivesWay(t *testing.T) {
	l := newShortLab(t, Config{})
	small, server := l.open()
	big, bigServer := l.open()
	bigServer.rq.limit = 3 << 20
	bigServer.core.SetRcvBuf(3 << 20)
	data := pattern(64 << 20)
	fill := func(c *TCPConn) {
		for n, err := c.TryWrite(data); n > 0 && err == nil; n, err = c.TryWrite(data) {
		}
	}
	for range 50 { // it has been offered more than there is
		fill(big)
		l.sleep(10 * time.Millisecond)
	}
	require.True(t, l.a.memory.Tight())
	require.NotZero(t, l.a.Stats().Drops["memory"])
	require.Less(t, l.carry(small, server, 1<<20), 500*time.Millisecond)
	require.Zero(t, small.Info().Retransmits)
	require.False(t, l.a.memory.Full())

	// It goes on as soon as its reader does.
	buf := make([]byte, 1<<20)
	total := 0
	for range 300 {
		n, _ := bigServer.TryRead(buf)
		total += n
		l.sleep(10 * time.Millisecond)
		fill(big)
	}
	require.Greater(t, total, 8<<20)
	for _, c := range []*TCPConn{small, server, big, bigServer} {
		c.SetLinger(0)
		c.Close()
	}
	l.sleep(time.Second)
}

// Segments that are refused are no duplicate ACKs to who has data in flight itself:
// it sends nothing again, and its window is not halved.
func TestRefusedSegmentsAreNoDuplicateAcks(t *testing.T) {
	for name, noSACK := range map[string]bool{"SACK": false, "without SACK": true} {
		t.Run(name, func(t *testing.T) {
			l := newShortLab(t, Config{TCP: TCPDefaults{NoSACK: noSACK}})
			client, server := l.open()
			hogs := l.hog(func(c, _ *TCPConn) { c.TryWrite(pattern(1 << 20)) }, func(n int64) bool { return n >= shortLimit })
			dropped := l.a.Stats().Drops["memory"]
			buf := make([]byte, 1<<20)
			for range 40 { // both ways at once; the server reads nothing
				server.TryWrite(pattern(16 << 10))
				client.TryWrite(pattern(8 << 10))
				l.sleep(10 * time.Millisecond)
				client.TryRead(buf)
			}
			require.Greater(t, l.a.Stats().Drops["memory"], dropped+10)
			require.Zero(t, server.Info().Recoveries)
			require.Zero(t, server.Info().Retransmits)
			for _, c := range append(hogs, client, server) {
				c.SetLinger(0)
				c.Close()
			}
			l.sleep(time.Second)
		})
	}
}
