package main

import "github.com/fastnet-go/fastnet/compat_test/internal/measure"

// zeroAllocs is what counts as no allocation a packet: Go's own timers and
// collector allocate a few objects a second beside the packets.
const zeroAllocs = 0.005

// targets are what the project set out to reach on a machine with two processors.
var targets = []measure.Target[Sample]{
	against("http64", "fastnet", kernelRow, 3),
	against("http64", "fastnet", "netstack", 5),
	against("http1", "fastnet", kernelRow, 2.5),
	against("ping", "fastnet", kernelRow, 8),
	ofItsOwn("ping", "allocations a packet", zeroAllocs, (*Sample).allocsPerPacket),
	against("conn", "fastnet", kernelRow, 3),
	against("bulk", "fastnet", kernelRow, 0.8),
	ofItsOwn("bulk", "allocations a packet", zeroAllocs, (*Sample).allocsPerPacket),
	against("bulk", "fastnet-tso", kernelRow, 1.5),
	ofItsOwn("beside", "p50 to that at rest", 5, (*Sample).p50Growth),
	ofItsOwn("beside", "p99 to that at rest", 5, (*Sample).p99Growth),
}

// against asks for the ratio to another row in the same round.
func against(workload, row, base string, limit float64) measure.Target[Sample] {
	return measure.Target[Sample]{
		Workload: workload, Rows: []string{row}, What: "rate", Base: base, Limit: limit, Number: measure.Value[Sample],
	}
}

// ofItsOwn asks for the median of a number that should stay small.
func ofItsOwn(workload, what string, limit float64, f func(*Sample) float64) measure.Target[Sample] {
	return measure.Target[Sample]{
		Workload: workload, Rows: []string{"fastnet"}, What: what, AtMost: true, Limit: limit, Number: f,
	}
}
