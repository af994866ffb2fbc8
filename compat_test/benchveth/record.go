package main

import (
	"time"

	"github.com/fastnet-go/fastnet/compat_test/internal/measure"
)

// A record is a line of the file of results. Numbers that a row or workload does
// not have are left out; times are in microseconds.
type record struct {
	measure.Record
	P50          float64  `json:"p50_us,omitempty"`
	P99          float64  `json:"p99_us,omitempty"`
	User         float64  `json:"server_user_us_op"`
	System       float64  `json:"server_system_us_op"`
	Client       float64  `json:"client_cpu_us_op"`
	CallsPerOp   *float64 `json:"driver_calls_op,omitempty"` // a pointer, because 0 is an answer
	PacketsPerOp float64  `json:"packets_op,omitempty"`
	TracedPerOp  float64  `json:"strace_calls_op,omitempty"`
	Lost         float64  `json:"lost,omitempty"` // share of the datagrams
}

func newRecord(common measure.Record, s *summary) any {
	time := func(f func(*sample) float64) float64 { return measure.Microseconds(time.Duration(s.Of(f))) }
	r := record{
		Record: common,
		P50:    time(p50), P99: time(p99),
		User: time((*sample).userPerOp), System: time((*sample).systemPerOp), Client: time((*sample).clientPerOp),
		PacketsPerOp: measure.Digits(s.Of((*sample).packetsPerOp)), TracedPerOp: measure.Digits(traced(s)), Lost: measure.Digits(s.Of(lost)),
	}
	if onStack(s) {
		c := measure.Digits(s.Of((*sample).callsPerOp))
		r.CallsPerOp = &c
	}
	return r
}
