package measure

import (
	"math/bits"
	"time"
)

// A Histogram counts durations in buckets whose width grows with the value,
// subBuckets to each power of two, so that a quantile is right to 1.6% and
// recording neither allocates nor keeps the values. Not safe for concurrent
// use: each worker has its own.
type Histogram struct {
	counts [(64 - subBucketBits) << subBucketBits]uint64
	total  uint64
}

const (
	subBucketBits = 6
	subBuckets    = 1 << subBucketBits
)

// Record counts one duration; a negative one as 0.
func (h *Histogram) Record(d time.Duration) {
	h.counts[bucketOf(uint64(max(d, 0)))]++
	h.total++
}

// Add counts what o has counted.
func (h *Histogram) Add(o *Histogram) {
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.total += o.total
}

// Quantile returns the value that the share q (0 to 1) of the recorded ones
// does not exceed, or 0 when none was recorded.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank := uint64(q * float64(h.total-1))
	var seen uint64
	for i, n := range h.counts {
		seen += n
		if seen > rank {
			return time.Duration(bucketMiddle(i))
		}
	}
	return 0 // not reached: seen ends at total, which exceeds rank
}

// bucketOf maps 0 to subBuckets-1 to themselves, and the values with a longer
// binary form to their leading subBucketBits+1 bits and their length.
func bucketOf(v uint64) int {
	if v < subBuckets {
		return int(v)
	}
	shift := bits.Len64(v) - subBucketBits - 1
	return shift<<subBucketBits + int(v>>shift)
}

func bucketMiddle(i int) uint64 {
	if i < 2*subBuckets {
		return uint64(i)
	}
	shift := i>>subBucketBits - 1
	low := uint64(i-shift<<subBucketBits) << shift
	return low + 1<<shift/2
}
