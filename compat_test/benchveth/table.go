package main

import (
	"strconv"
	"time"

	"github.com/fastnet-go/fastnet/compat_test/internal/measure"
)

// columns are those of a workload's table beside the value, ratio and errors.
func columns(wl *measure.Workload) []measure.Column[sample] {
	own := func(head string, cell func(*summary) string) measure.Column[sample] {
		return measure.Column[sample]{Head: head, Cell: cell}
	}
	// Processor time for an operation, where there are operations.
	perOp := func(head string, f func(*sample) float64) measure.Column[sample] {
		return own(head, func(s *summary) string {
			if wl.Name == "idle" {
				return "-"
			}
			return measure.Span(time.Duration(s.Of(f)))
		})
	}
	// What the device counts, where there is one.
	driver := func(head string, digits int, f func(*sample) float64) measure.Column[sample] {
		return own(head, func(s *summary) string {
			if !onStack(s) {
				return "-"
			}
			return fixed(s.Of(f), digits)
		})
	}
	return []measure.Column[sample]{
		own("p50", func(s *summary) string { return measure.Span(time.Duration(s.Of(p50))) }),
		own("p99", func(s *summary) string { return measure.Span(time.Duration(s.Of(p99))) }),
		perOp("user", (*sample).userPerOp),
		perOp("system", (*sample).systemPerOp),
		perOp("client", (*sample).clientPerOp),
		driver("calls/op", 3, (*sample).callsPerOp),
		driver("packets/op", 2, (*sample).packetsPerOp),
		own("lost", func(s *summary) string {
			if wl.Name != "udp" {
				return "-"
			}
			return fixed(100*s.Of(lost), 1) + "%"
		}),
		own("strace/op", func(s *summary) string { return measure.Number(traced(s)) }),
	}
}

func fixed(v float64, digits int) string { return strconv.FormatFloat(v, 'f', digits, 64) }

func p50(s *sample) float64  { return float64(s.p50) }
func p99(s *sample) float64  { return float64(s.p99) }
func lost(s *sample) float64 { return s.lost }

// onStack reports whether the device's counters are known.
func onStack(s *summary) bool {
	n := len(s.Samples)
	return n > 0 && s.Samples[n-1].onStack
}

// traced is of the one round that was.
func traced(s *summary) (calls float64) {
	for _, x := range s.Samples {
		calls = max(calls, x.traced)
	}
	return calls
}
