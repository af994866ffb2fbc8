package main

import (
	"time"

	"github.com/fastnet-go/fastnet/compat_test/internal/measure"
)

// A record is a line of the file of results. Numbers that a row or workload does
// not have are left out; times are in microseconds.
type record struct {
	Workload     string   `json:"workload"`
	Row          string   `json:"row"`
	Value        float64  `json:"value"` // median over the rounds
	Unit         string   `json:"unit"`
	Min          float64  `json:"min"`
	Max          float64  `json:"max"`
	Ratio        float64  `json:"ratio,omitempty"` // to the kernel in the same round, median
	RatioMin     float64  `json:"ratio_min,omitempty"`
	RatioMax     float64  `json:"ratio_max,omitempty"`
	P50          float64  `json:"p50_us,omitempty"`
	P99          float64  `json:"p99_us,omitempty"`
	User         float64  `json:"server_user_us_op"`
	System       float64  `json:"server_system_us_op"`
	Client       float64  `json:"client_cpu_us_op"`
	CallsPerOp   *float64 `json:"driver_calls_op,omitempty"` // a pointer, because 0 is an answer
	PacketsPerOp float64  `json:"packets_op,omitempty"`
	TracedPerOp  float64  `json:"strace_calls_op,omitempty"`
	Lost         float64  `json:"lost,omitempty"` // share of the datagrams
	Rounds       int      `json:"rounds"`
	Errors       int      `json:"errors"`
	Date         string   `json:"date"` // RFC 3339, UTC
	Go           string   `json:"go"`
	OS           string   `json:"system"`
	GOMAXPROCS   int      `json:"gomaxprocs"`
	CPU          string   `json:"cpu"`
}

func newRecords(m measure.Machine, summaries []summary, at time.Time) []record {
	var out []record
	for _, s := range summaries {
		r := record{
			Workload: s.workload.name, Row: s.row.name, Unit: s.workload.unit,
			Value: measure.Digits(s.value.median), Min: measure.Digits(s.value.min), Max: measure.Digits(s.value.max),
			Ratio: measure.Digits(s.ratio.median), RatioMin: measure.Digits(s.ratio.min), RatioMax: measure.Digits(s.ratio.max),
			P50: measure.Microseconds(s.p50), P99: measure.Microseconds(s.p99),
			User: measure.Microseconds(s.user), System: measure.Microseconds(s.system), Client: measure.Microseconds(s.client),
			PacketsPerOp: measure.Digits(s.packetsPerOp), TracedPerOp: measure.Digits(s.traced), Lost: measure.Digits(s.lost),
			Rounds: s.rounds, Errors: s.errors, Date: at.UTC().Format(time.RFC3339),
			Go: m.Go, OS: m.System, GOMAXPROCS: m.GOMAXPROCS, CPU: m.CPU,
		}
		if s.onStack {
			c := measure.Digits(s.callsPerOp)
			r.CallsPerOp = &c
		}
		out = append(out, r)
	}
	return out
}
