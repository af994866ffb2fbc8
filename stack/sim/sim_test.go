package sim

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	replaySeed = flag.Uint64("seed", 0, "the seed that TestReplay plays")
	soakSeeds  = flag.Int("seeds", 0, "play so many seeds instead of the usual number")
	firstSeed  = flag.Uint64("first", 1, "the first of them")
)

// replay plays one seed with a capture, and says where that is.
func replay(t *testing.T, seed uint64) {
	s := Draw(seed)
	dir, err := os.MkdirTemp("", "fastnet-sim-")
	require.NoError(t, err)
	r, err := Run(s, Options{Pcap: dir})
	t.Logf("captures: %v", r.Captures)
	t.Logf("history %016x, %d frames, %d bytes, %d connections, %d given up, %d retransmissions, %v",
		r.History, r.Frames, r.Bytes, r.Connections, r.GivenUp, r.Retransmits, r.Virtual)
	if err != nil {
		t.Fatalf("seed %d: %v\nscenario: %+v", seed, err, *s)
	}
}

// TestReplay plays the seed of the flag -seed and records its frames.
func TestReplay(t *testing.T) {
	if *replaySeed == 0 {
		t.Skip("no -seed")
	}
	replay(t, *replaySeed)
}

// TestSeeds: whatever the network does, streams arrive as they were sent and
// nothing is left behind.
func TestSeeds(t *testing.T) {
	n := 6000
	switch {
	case *soakSeeds > 0:
		n = *soakSeeds
	case testing.Short() || raceEnabled:
		n = 300
	}
	var sum Report
	failed := 0
	begin := time.Now()
	for seed := *firstSeed; seed < *firstSeed+uint64(n); seed++ {
		r, err := Run(Draw(seed), Options{})
		if err != nil {
			t.Errorf("seed %d: %v\nreplay with: go test ./stack/sim -run TestReplay -seed %d", seed, err, seed)
			if failed++; failed == 20 {
				break
			}
		}
		sum.Virtual += r.Virtual
		sum.Frames += r.Frames
		sum.Bytes += r.Bytes
		sum.Connections += r.Connections
		sum.GivenUp += r.GivenUp
		sum.Retransmits += r.Retransmits
	}
	t.Logf("%d seeds in %v: %v of virtual time, %d frames, %d bytes, %d connections, %d given up, %d retransmissions",
		n, time.Since(begin).Round(time.Millisecond), sum.Virtual, sum.Frames, sum.Bytes, sum.Connections, sum.GivenUp, sum.Retransmits)
	require.LessOrEqual(t, sum.GivenUp, 1+sum.Connections/200, "connections that a lossy network ended early")
}

// TestSameSeedSameHistory: a seed decides every frame and its time.
func TestSameSeedSameHistory(t *testing.T) {
	n := uint64(800) // some of them close listeners and hosts, which has an order too
	if testing.Short() || raceEnabled {
		n = 50
	}
	for seed := *firstSeed; seed < *firstSeed+n; seed++ {
		a, err := Run(Draw(seed), Options{})
		b, err2 := Run(Draw(seed), Options{})
		require.Equal(t, fmt.Sprint(err), fmt.Sprint(err2))
		require.Equal(t, a, b, "seed %d", seed)
	}
}
