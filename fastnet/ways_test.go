package fastnet

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/fastnet/internal/kernel"
)

// Whoever sends from many addresses does not have the kernel asked for each; those
// that are known already are none the worse for it.
func TestManyPeersAreNotManyQuestions(t *testing.T) {
	n, err := New(Config{LoopbackOnly: true})
	require.NoError(t, err)
	defer n.Close()
	sh, r := newShared(XDP{})
	sh.host = n.host
	known := netip.MustParseAddr("10.0.0.2")
	require.True(t, sh.wayOfDatagram(known).Ours)
	begun := time.Now()
	stranger := netip.MustParseAddr("11.0.0.0")
	const many = 10 * askBurst
	for range many {
		stranger = stranger.Next()
		sh.wayOfDatagram(stranger)
		require.True(t, sh.wayOfDatagram(known).Ours)
	}
	most := askBurst + int(time.Since(begun)/(time.Second/askRate)) + 2
	require.LessOrEqual(t, r.asked, most)
	require.GreaterOrEqual(t, r.asked, min(askBurst, many))
	// What a dial needs is asked for all the same.
	asked := r.asked
	sh.way(stranger.Next(), netip.Addr{})
	require.Equal(t, asked+1, r.asked)
}

// Where the kernel is not asked a datagram takes the routes that the stack has.
func TestADatagramThatNobodyIsAskedAbout(t *testing.T) {
	n := newLab(t, labConfig{}).server
	sh, r := newShared(XDP{})
	sh.host = n.host
	sh.ways.filled = time.Now().Add(time.Hour) // and no tokens
	for dst, ours := range map[string]bool{
		clientIP: true, clientIP6: true, "192.0.2.1": false, serverIP: false, "127.0.0.1": false, "224.0.0.1": false,
	} {
		require.Equal(t, kernel.Way{Ours: ours}, sh.wayOfDatagram(netip.MustParseAddr(dst)), dst)
	}
	require.Zero(t, r.asked)
	sh.wayOfDatagram(netip.MustParseAddr("fe80::1%eth0"))
	require.Equal(t, 1, r.asked)
}

func TestTheWaysThatAreRememberedAreBounded(t *testing.T) {
	var w ways
	a := netip.MustParseAddr("fd00::")
	for range maxWays + maxWays/4 {
		a = a.Next()
		w.put(a, kernel.Way{Ours: true}, 0)
	}
	require.LessOrEqual(t, len(w.known), maxWays)
	require.GreaterOrEqual(t, len(w.known), maxWays-maxWays/8)
	_, generation, ok := w.look(a)
	require.True(t, ok)
	w.forget()
	_, _, ok = w.look(a)
	require.False(t, ok)
	w.put(a, kernel.Way{}, generation)
	_, _, ok = w.look(a)
	require.False(t, ok, "an answer that was on its way as the routes changed")
}

// The bucket fills as time passes, up to its size.
func TestQuestionsAreAllowedAgain(t *testing.T) {
	var w ways
	now := time.Unix(1000, 0)
	take := func() (n int) {
		for w.mayAsk(now) {
			n++
		}
		return n
	}
	require.Equal(t, askBurst, take())
	now = now.Add(100 * time.Millisecond)
	require.Equal(t, askRate/10, take())
	now = now.Add(1500 * time.Microsecond)
	require.Equal(t, 1, take())
	now = now.Add(500 * time.Microsecond)
	require.Equal(t, 1, take(), "no part of a token is lost")
	now = now.Add(time.Hour)
	require.Equal(t, askBurst, take())
}
