package main

import (
	"strconv"
	"time"

	"github.com/fastnet-go/fastnet/compat_test/internal/measure"
)

type (
	column  = measure.Column[Sample]
	summary = measure.Summary[Sample]
)

func p50(s *Sample) time.Duration     { return s.P50 }
func p99(s *Sample) time.Duration     { return s.P99 }
func restP50(s *Sample) time.Duration { return s.RestP50 }
func restP99(s *Sample) time.Duration { return s.RestP99 }

// columns are those of a workload's table beside the value, ratio and errors.
func columns(wl *measure.Workload) []column {
	all := []column{
		measure.NumberColumn("CPU ns/op", (*Sample).cpuPerOp),
		{Head: "allocs/op", Cell: func(s *summary) string { return orZero(s.Of((*Sample).allocsPerOp)) }},
		measure.NumberColumn("packets/op", (*Sample).packetsPerOp),
		{Head: "allocs/packet", Cell: perPacket},
		measure.TimeColumn("p50", p50),
		measure.TimeColumn("p99", p99),
	}
	if wl.LowerIsBetter {
		all = append(all, measure.TimeColumn("p50 at rest", restP50), measure.TimeColumn("p99 at rest", restP99))
	}
	return all
}

// orZero is number where 0 is an answer.
func orZero(v float64) string {
	if v == 0 {
		return "0"
	}
	return measure.Number(v)
}

func perPacket(s *summary) string {
	if s.Of((*Sample).packetsPerOp) == 0 {
		return "-"
	}
	return strconv.FormatFloat(s.Of((*Sample).allocsPerPacket), 'f', 3, 64)
}
