package main

import (
	"slices"
	"time"

	"github.com/fastnet-go/fastnet/compat_test/internal/measure"
)

// A spread is a median over rounds with the least and the most.
type spread struct{ median, min, max float64 }

func spreadOf(v []float64) spread {
	if len(v) == 0 {
		return spread{}
	}
	return spread{measure.Median(v), slices.Min(v), slices.Max(v)}
}

// A summary is what the rounds of one workload on one row come to. Each number is
// a median over the rounds on its own.
type summary struct {
	workload *workload
	row      *row
	rounds   int // that gave a sample

	value spread
	ratio spread // to the kernel's row in the same round; 0 without it

	user, system, client time.Duration // processor time an operation
	callsPerOp           float64
	packetsPerOp         float64
	traced               float64
	lost                 float64
	p50, p99             time.Duration
	onStack              bool

	errors     int // in all rounds, rounds without a sample included
	firstError string
}

// summarise orders the summaries by workload and row as the tables do.
func (r results) summarise() []summary {
	var out []summary
	for _, wl := range workloads {
		for _, row := range rows {
			if s := r.summariseOne(wl, row); s.rounds > 0 || s.errors > 0 {
				out = append(out, s)
			}
		}
	}
	return out
}

func (r results) summariseOne(wl *workload, row *row) summary {
	s := summary{workload: wl, row: row}
	fault := func(n int, first string) {
		s.errors += n
		if s.firstError == "" {
			s.firstError = first
		}
	}
	for _, m := range r {
		switch {
		case m.workload != wl || m.row != row:
		case m.failed != nil:
			fault(1, m.failed.Error())
		default:
			s.rounds++
			s.onStack = m.sample.onStack
			s.traced = max(s.traced, m.sample.traced) // of one round
			fault(m.sample.errors, m.sample.firstError)
		}
	}
	values := func(f func(*sample) float64) []float64 {
		var v []float64
		for _, x := range r.over(wl.name, row.name, f) {
			v = append(v, x)
		}
		return v
	}
	over := func(f func(*sample) float64) float64 { return measure.Median(values(f)) }
	duration := func(f func(*sample) float64) time.Duration { return time.Duration(over(f)) }
	value := func(x *sample) float64 { return x.value }
	s.value = spreadOf(values(value))
	s.ratio = r.ratio(wl.name, row.name, rowKernel, value)
	s.user, s.system, s.client = duration((*sample).userPerOp), duration((*sample).systemPerOp), duration((*sample).clientPerOp)
	s.callsPerOp, s.packetsPerOp = over((*sample).callsPerOp), over((*sample).packetsPerOp)
	s.lost = over(func(x *sample) float64 { return x.lost })
	s.p50 = duration(func(x *sample) float64 { return float64(x.p50) })
	s.p99 = duration(func(x *sample) float64 { return float64(x.p99) })
	return s
}

// ratio is that of two rows within a round, over the rounds that both have.
func (r results) ratio(wl, row, base string, f func(*sample) float64) spread {
	return spreadOf(measure.Ratios(r.over(wl, row, f), r.over(wl, base, f)))
}
