package main

import "github.com/fastnet-go/fastnet/compat_test/internal/measure"

// A record is a line of the file of results. Numbers that a row or workload
// does not have are left out; times are of wall clock, in microseconds.
type record struct {
	measure.Record
	CPUPerOp     float64 `json:"cpu_ns_op"`
	AllocsPerOp  float64 `json:"allocs_op"`
	PacketsPerOp float64 `json:"packets_op,omitempty"`
	// A pointer, because 0 is the value hoped for.
	AllocsPerPacket *float64 `json:"allocs_packet,omitempty"`
	P50             float64  `json:"p50_us,omitempty"`
	P99             float64  `json:"p99_us,omitempty"`
	RestP50         float64  `json:"rest_p50_us,omitempty"`
	RestP99         float64  `json:"rest_p99_us,omitempty"`
}

func newRecord(common measure.Record, s *summary) any {
	r := record{
		Record:   common,
		CPUPerOp: measure.Digits(s.Of((*Sample).cpuPerOp)), AllocsPerOp: measure.Digits(s.Of((*Sample).allocsPerOp)),
		PacketsPerOp: measure.Digits(s.Of((*Sample).packetsPerOp)),
		P50:          measure.Microseconds(s.Time(p50)), P99: measure.Microseconds(s.Time(p99)),
		RestP50: measure.Microseconds(s.Time(restP50)), RestP99: measure.Microseconds(s.Time(restP99)),
	}
	if r.PacketsPerOp > 0 {
		a := measure.Digits(s.Of((*Sample).allocsPerPacket))
		r.AllocsPerPacket = &a
	}
	return r
}
