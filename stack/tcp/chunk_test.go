package tcp

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What a pool needed at its busiest goes once it has been free from one Trim to the
// next; what is used again and again stays.
func TestTrimOfChunks(t *testing.T) {
	memory := &Memory{}
	p := &ChunkPool{Memory: memory}
	free := func() int { return p.shards[3].small.n + p.shards[3].large.n }
	take := func(n int) {
		t.Helper()
		var all []*chunk
		for i := range n {
			all = append(all, p.get(3, 0, []int{1, largeChunk}[i%2]))
		}
		require.EqualValues(t, n*(smallChunk+largeChunk)/2, memory.Used()+int64(p.Uncounted()))
		for _, c := range all {
			p.put(c)
		}
	}
	take(100)
	require.Equal(t, 100, free())
	p.Trim()
	require.Equal(t, 100, free(), "they were needed")
	take(10)
	p.Trim()
	require.Equal(t, 10, free())
	take(10)
	p.Trim()
	require.Equal(t, 10, free())
	p.Trim()
	require.Zero(t, free())
	take(4)
	require.Zero(t, p.InUse())
	require.Zero(t, memory.Used()+int64(p.Uncounted()), "nothing is in use")
}
