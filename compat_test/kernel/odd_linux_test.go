package kernel

import (
	"crypto/sha256"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/fault"
	"github.com/fastnet-go/fastnet/stack"
)

// odd are peers with settings that are rare or old, and links to match.
var odd = []link{
	{name: "no timestamps", sysctl: map[string]string{"net/ipv4/tcp_timestamps": "0"}},
	{name: "no SACK", sysctl: map[string]string{"net/ipv4/tcp_sack": "0"}},
	{name: "no window scaling", sysctl: map[string]string{"net/ipv4/tcp_window_scaling": "0"}},
	{name: "no options", noOffload: true, sysctl: map[string]string{
		"net/ipv4/tcp_timestamps": "0", "net/ipv4/tcp_sack": "0", "net/ipv4/tcp_window_scaling": "0",
	}},
	{name: "we offer no options", tcp: stack.TCPDefaults{NoTS: true, NoSACK: true, NoScaling: true}},
	{name: "ECN", sysctl: map[string]string{"net/ipv4/tcp_ecn": "1"}},
	{name: "SYN cookies always", sysctl: map[string]string{"net/ipv4/tcp_syncookies": "2"}},
	{name: "MTU probing", noOffload: true, sysctl: map[string]string{"net/ipv4/tcp_mtu_probing": "2"}},
	{name: "Multipath TCP", mptcp: true},
	{name: "smallest receive buffer", rcvBuf: 1},
	{name: "receive buffer of 8 KiB", rcvBuf: 4096, noOffload: true},
	{name: "our buffers are of 4 KiB", tcp: stack.TCPDefaults{RcvBuf: 4096, SndBuf: 4096}},
	{name: "MTU 1280", mtu: 1280},
	{name: "MTU 1280 without offload", mtu: 1280, noOffload: true},
	{name: "MTU 9000", mtu: 9000},
	{name: "MTU 9000 without offload", mtu: 9000, noOffload: true},
	{name: "two queues", queues: 2},
	{name: "four queues without offload", queues: 4, noOffload: true},
}

// bad are links that lose, copy, damage, delay and reorder.
var bad = []link{
	{name: "loss", lossy: true, faults: fault.Faults{Loss: .02}},
	{name: "loss without offload", lossy: true, noOffload: true, faults: fault.Faults{Loss: .02}},
	{name: "loss without SACK", lossy: true, noOffload: true, faults: fault.Faults{Loss: .01}, sysctl: map[string]string{"net/ipv4/tcp_sack": "0"}},
	{name: "every fault", lossy: true, noOffload: true, queues: 2, faults: fault.Faults{
		Loss: .01, Corrupt: .01, CorruptFrom: 14, Duplicate: .02, Reorder: .05, Delay: time.Millisecond, Jitter: time.Millisecond,
	}},
	{name: "long and narrow", lossy: true, faults: fault.Faults{Delay: 10 * time.Millisecond, Rate: 50_000_000, Queue: 64 << 10}},
}

func TestOddPeers(t *testing.T) { forEachRole(t, everyOther(odd), mixture) }

// Each lost frame may cost a time-out, so not every combination is tried.
func TestBadLinks(t *testing.T) {
	for _, l := range everyOther(bad) {
		for i, f := range families {
			if testing.Short() && i > 0 {
				continue
			}
			t.Run(l.name+"/"+f.name, func(t *testing.T) { mixture(t, newRoles(t, l, f, i == 0)) })
		}
	}
}

// everyOther halves a list with -short.
func everyOther(links []link) (some []link) {
	for i, l := range links {
		if i%2 == 0 || !testing.Short() {
			some = append(some, l)
		}
	}
	return some
}

// mixture is a little of everything.
func mixture(t *testing.T, r *roles) {
	l := r.server.listen(t, r.address)
	wait := serveEcho(l)
	for i := range r.scaled(20, 10, 5) {
		c, err := r.dial()
		require.NoError(t, err)
		require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
		for range 3 {
			require.NoError(t, exchange(c, i))
		}
		require.NoError(t, c.Close())
	}
	require.NoError(t, l.Close())
	wait()

	client, server := r.connect(t)
	size := r.scaled(4<<20, 1<<20, 512<<10)
	if r.kernel.rcvBuf > 0 {
		size = r.scaled(512<<10, 128<<10, 0) // a round trip for each few segments
	}
	bothWays(t, client, server, size)

	// A closed window opens again.
	client, server = r.connect(t)
	for _, c := range [][2]tcpConn{{client, server}, {server, client}} {
		type result struct {
			sum hash
			err error
		}
		done := make(chan result, 1)
		go func() {
			sum, err := send(c[0], 5, size)
			done <- result{sum, err}
		}()
		time.Sleep(20 * time.Millisecond)
		h := sha256.New()
		n, err := io.Copy(h, struct{ io.Reader }{slow{c[1]}})
		require.NoError(t, err)
		require.EqualValues(t, size, n)
		d := <-done
		require.NoError(t, d.err)
		require.Equal(t, d.sum, hash(h.Sum(nil)))
	}
}

// slow reads a little at a time, and pauses now and then.
type slow struct{ io.Reader }

func (s slow) Read(b []byte) (int, error) {
	n, err := s.Reader.Read(b[:min(len(b), 5000)])
	if n%16 == 1 {
		time.Sleep(time.Millisecond)
	}
	return n, err
}

// The kernel's answers to what TCP offers are understood: what a connection
// uses is what both ends have.
func TestOptionsAreNegotiated(t *testing.T) {
	for _, l := range []struct {
		link
		ts, sack bool
	}{
		{link{name: "all"}, true, true},
		{link{name: "no timestamps", sysctl: map[string]string{"net/ipv4/tcp_timestamps": "0"}}, false, true},
		{link{name: "no SACK", sysctl: map[string]string{"net/ipv4/tcp_sack": "0"}}, true, false},
	} {
		forEachRole(t, []link{l.link}, func(t *testing.T, r *roles) {
			r.connect(t)
			conns := r.network.Connections()
			require.Len(t, conns, 1)
			require.Equal(t, l.ts, conns[0].Timestamps)
			require.Equal(t, l.sack, conns[0].SACK)
		})
	}
}
