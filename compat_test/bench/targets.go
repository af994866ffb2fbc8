package main

import (
	"fmt"

	"github.com/fastnet-go/fastnet/compat_test/internal/measure"
)

// A target is what the project set out to reach on a machine with two
// processors.
type target struct {
	workload, row string
	// measured is the number compared: the row's result against another
	// row's, or something of the row's own.
	what     string
	atMost   bool // the limit is an upper one
	limit    float64
	measured func(results, *Workload, string) (float64, bool)
}

// zeroAllocs is what counts as no allocation a packet: Go's own timers and
// collector allocate a few objects a second beside the packets.
const zeroAllocs = 0.005

var targets = []target{
	against("http64", "fastnet", kernelRow, 3),
	against("http64", "fastnet", "netstack", 5),
	against("http1", "fastnet", kernelRow, 2.5),
	against("ping", "fastnet", kernelRow, 8),
	ofItsOwn("ping", "fastnet", "allocations a packet", zeroAllocs, (*Sample).allocsPerPacket),
	against("conn", "fastnet", kernelRow, 3),
	against("bulk", "fastnet", kernelRow, 0.8),
	ofItsOwn("bulk", "fastnet", "allocations a packet", zeroAllocs, (*Sample).allocsPerPacket),
	against("bulk", "fastnet-tso", kernelRow, 1.5),
	ofItsOwn("beside", "fastnet", "p50 to that at rest", 5, (*Sample).p50Growth),
	ofItsOwn("beside", "fastnet", "p99 to that at rest", 5, (*Sample).p99Growth),
}

// against asks for the ratio to another row in the same round.
func against(workload, row, base string, limit float64) target {
	return target{
		workload: workload, row: row, what: "ratio to " + base, limit: limit,
		measured: func(r results, wl *Workload, row string) (float64, bool) { return r.ratioTo(wl, row, base) },
	}
}

// ofItsOwn asks for the median of a number that should stay small.
func ofItsOwn(workload, row, what string, limit float64, f func(*Sample) float64) target {
	return target{
		workload: workload, row: row, what: what, limit: limit, atMost: true,
		measured: func(r results, wl *Workload, row string) (float64, bool) {
			var v []float64
			for _, s := range r.samplesOf(wl, row) {
				v = append(v, f(s))
			}
			return measure.Median(v), len(v) > 0
		},
	}
}

func (t target) String() string {
	sign := ">="
	if t.atMost {
		sign = "<="
	}
	return fmt.Sprintf("%-7s %-12s %-21s %s %g", t.workload, t.row, t.what, sign, t.limit)
}

// check reports the number and whether it reaches the target; ok is false
// when the run did not measure it.
func (t target) check(r results) (value float64, reached, ok bool) {
	for _, wl := range workloads {
		if wl.Name != t.workload {
			continue
		}
		v, ok := t.measured(r, wl, t.row)
		if t.atMost {
			return v, v <= t.limit, ok
		}
		return v, v >= t.limit, ok
	}
	return 0, false, false
}
