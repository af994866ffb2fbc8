package main

import (
	"slices"
	"time"

	"github.com/fastnet-go/fastnet/compat_test/internal/measure"
)

// A summary is what the rounds of one workload on one row come to. Each
// number is a median over the rounds on its own, unless it says otherwise.
type summary struct {
	workload *Workload
	row      *Row
	rounds   int // that gave a sample

	value, min, max float64
	ratio           float64 // to the kernel's row in the same round; 0 without it
	cpuPerOp        float64 // nanoseconds
	allocsPerOp     float64
	packetsPerOp    float64
	allocsPerPacket float64

	p50, p99         time.Duration
	restP50, restP99 time.Duration

	errors     int // in all rounds, rounds without a sample included
	firstError error
}

// summarise orders the summaries by workload and row as the tables do.
func (r results) summarise() []summary {
	var out []summary
	for _, wl := range workloads {
		for _, row := range rows {
			if s, ok := r.summariseOne(wl, row); ok {
				out = append(out, s)
			}
		}
	}
	return out
}

func (r results) summariseOne(wl *Workload, row *Row) (summary, bool) {
	s := summary{workload: wl, row: row}
	var samples []Sample
	seen := false
	fault := func(n int, err error) {
		s.errors += n
		if s.firstError == nil {
			s.firstError = err
		}
	}
	for _, m := range r {
		if m.workload != wl || m.row != row {
			continue
		}
		seen = true
		if m.failed != nil {
			fault(1, m.failed)
			continue
		}
		fault(m.sample.Errors, m.sample.FirstError)
		samples = append(samples, m.sample)
	}
	s.rounds = len(samples)
	if s.rounds == 0 {
		return s, seen
	}
	over := func(f func(*Sample) float64) float64 {
		v := make([]float64, len(samples))
		for i := range samples {
			v[i] = f(&samples[i])
		}
		return measure.Median(v)
	}
	duration := func(f func(*Sample) time.Duration) time.Duration {
		return time.Duration(over(func(x *Sample) float64 { return float64(f(x)) }))
	}
	byValue := func(a, b Sample) int {
		switch {
		case a.Value < b.Value:
			return -1
		case a.Value > b.Value:
			return 1
		}
		return 0
	}
	s.value = over(func(x *Sample) float64 { return x.Value })
	s.min = slices.MinFunc(samples, byValue).Value
	s.max = slices.MaxFunc(samples, byValue).Value
	s.ratio, _ = r.ratioTo(wl, row.Name, kernelRow)
	s.cpuPerOp = over((*Sample).cpuPerOp)
	s.allocsPerOp = over((*Sample).allocsPerOp)
	s.packetsPerOp = over((*Sample).packetsPerOp)
	s.allocsPerPacket = over((*Sample).allocsPerPacket)
	s.p50 = duration(func(x *Sample) time.Duration { return x.P50 })
	s.p99 = duration(func(x *Sample) time.Duration { return x.P99 })
	s.restP50 = duration(func(x *Sample) time.Duration { return x.RestP50 })
	s.restP99 = duration(func(x *Sample) time.Duration { return x.RestP99 })
	return s, true
}

// samplesOf returns the samples of a row by round.
func (r results) samplesOf(wl *Workload, row string) map[int]*Sample {
	by := map[int]*Sample{}
	for i := range r {
		m := &r[i]
		if m.workload == wl && m.row.Name == row && m.failed == nil {
			by[m.round] = &m.sample
		}
	}
	return by
}

// valuesOf returns the values of a row by round.
func (r results) valuesOf(wl *Workload, row string) map[int]float64 {
	by := map[int]float64{}
	for round, s := range r.samplesOf(wl, row) {
		by[round] = s.Value
	}
	return by
}

// ratioTo is the median of the ratios of two rows within a round, over the
// rounds in which both gave a value. It reports whether there was one.
func (r results) ratioTo(wl *Workload, row, base string) (float64, bool) {
	v := measure.Ratios(r.valuesOf(wl, row), r.valuesOf(wl, base))
	return measure.Median(v), len(v) > 0
}
