package main

import (
	"fmt"
	"io"

	"github.com/fastnet-go/fastnet/compat_test/internal/measure"
)

// A target is what the project set out to reach on a machine with two
// processors.
type target struct {
	workload string
	what     string
	base     string // the row compared with; empty: a number of its own
	atMost   bool   // the limit is an upper one
	limit    float64
	number   func(*sample) float64
}

// targets hold for each row of fastnet's. One without a limit is printed for
// what it is.
var targets = []target{
	{"http64", "server's processor time a request", rowKernel, true, .5, (*sample).cpuPerOp},
	{"http64", "requests a second", rowKernel, false, 1.5, value},
	{"http64", "processor time a request, server and client", rowKernel, true, 0, (*sample).allPerOp},
	{"http1", "p50", rowKernel, true, 1, p50},
	{"ping", "p50", rowKernel, true, 1, p50},
	{"ping", "p99", rowKernel, true, 0, p99},
	{"conn", "connections a second", rowKernel, false, 1, value},
	{"bulk-out", "Gbit/s", rowPlain, false, 1, value},
	{"bulk-out", "Gbit/s", rowKernel, false, 0, value},
	{"bulk-in", "Gbit/s", rowPlain, false, 1, value},
	{"bulk-in", "Gbit/s", rowKernel, false, 0, value},
	{"udp", "datagrams a second of the server's processor", rowKernel, false, 2, (*sample).perProcessorSecond},
	{"udp", "datagrams a second", rowKernel, false, 0, value},
	{"idle", "% of a processor", "", true, 1, value},
	{"wake", "system calls of the driver's for each", "", true, 1, value},
	{"wake", "p50", rowKernel, true, 0, p50},
}

func value(s *sample) float64 { return s.value }
func p50(s *sample) float64   { return float64(s.p50) }
func p99(s *sample) float64   { return float64(s.p99) }

// String is the target as the usage text has it.
func (t target) String() string {
	s := fmt.Sprintf("%-9s %s", t.workload, t.what)
	if t.base != "" {
		s += ", ratio to " + t.base
	}
	switch {
	case t.limit == 0:
		return s
	case t.atMost:
		return s + fmt.Sprintf(" <= %g", t.limit)
	}
	return s + fmt.Sprintf(" >= %g", t.limit)
}

// check reports the number of a row; ok is false when the run did not measure it.
func (t target) check(r results, row string) (got spread, reached, ok bool) {
	if t.base != "" {
		got = r.ratio(t.workload, row, t.base, t.number)
		ok = got != spread{}
	} else {
		var v []float64
		for _, x := range r.over(t.workload, row, t.number) {
			v = append(v, x)
		}
		got, ok = spreadOf(v), len(v) > 0
	}
	if t.atMost {
		return got, got.median <= t.limit, ok
	}
	return got, got.median >= t.limit, ok
}

// writeTargets prints each target that the run measured, for each of our rows.
func writeTargets(w io.Writer, r results) {
	headed := false
	for _, t := range targets {
		for _, row := range rows {
			if row.config == "" {
				continue
			}
			got, reached, ok := t.check(r, row.name)
			if !ok {
				continue
			}
			if !headed {
				fmt.Fprintln(w, "\ntargets, for two processors")
				headed = true
			}
			verdict := "missed"
			switch {
			case t.limit == 0:
				verdict = "-"
			case reached:
				verdict = "reached"
			}
			fmt.Fprintf(w, "  %-7s  %-11s  %-75s  measured %s (%s to %s)\n", verdict, row.name, t,
				measure.Number(got.median), measure.Number(got.min), measure.Number(got.max))
		}
	}
}
