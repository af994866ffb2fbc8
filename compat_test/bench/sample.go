package main

import (
	"time"

	"github.com/fastnet-go/fastnet/compat_test/internal/measure"
)

// A Sample is what one measurement of one workload on one row gave.
type Sample struct {
	measure.Outcome
	Ops     uint64
	Wall    time.Duration
	CPU     time.Duration
	Mallocs uint64
	Packets uint64

	// Latency of an operation; 0 where a workload has none.
	P50, P99 time.Duration
	// What the beside workload saw while the stack rested.
	RestP50, RestP99 time.Duration
}

// perSecond is the rate of operations.
func (s *Sample) perSecond() float64 { return measure.Ratio(float64(s.Ops), s.Wall.Seconds()) }

func (s *Sample) cpuPerOp() float64     { return measure.Ratio(float64(s.CPU), float64(s.Ops)) }
func (s *Sample) allocsPerOp() float64  { return measure.Ratio(float64(s.Mallocs), float64(s.Ops)) }
func (s *Sample) packetsPerOp() float64 { return measure.Ratio(float64(s.Packets), float64(s.Ops)) }
func (s *Sample) allocsPerPacket() float64 {
	return measure.Ratio(float64(s.Mallocs), float64(s.Packets))
}
func (s *Sample) p50Growth() float64 { return measure.Ratio(float64(s.P50), float64(s.RestP50)) }
func (s *Sample) p99Growth() float64 { return measure.Ratio(float64(s.P99), float64(s.RestP99)) }
