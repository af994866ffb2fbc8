package main

import (
	"time"

	"github.com/fastnet-go/fastnet/compat_test/internal/measure"
)

// A record is a line of the file of results. Numbers that a row or workload
// does not have are left out; times are of wall clock, in microseconds.
type record struct {
	Workload     string  `json:"workload"`
	Row          string  `json:"row"`
	Value        float64 `json:"value"` // median over the rounds
	Unit         string  `json:"unit"`
	Min          float64 `json:"min"`
	Max          float64 `json:"max"`
	Ratio        float64 `json:"ratio,omitempty"` // to the kernel in the same round, median
	CPUPerOp     float64 `json:"cpu_ns_op"`
	AllocsPerOp  float64 `json:"allocs_op"`
	PacketsPerOp float64 `json:"packets_op,omitempty"`
	// A pointer, because 0 is the value hoped for.
	AllocsPerPacket *float64 `json:"allocs_packet,omitempty"`
	P50             float64  `json:"p50_us,omitempty"`
	P99             float64  `json:"p99_us,omitempty"`
	RestP50         float64  `json:"rest_p50_us,omitempty"`
	RestP99         float64  `json:"rest_p99_us,omitempty"`
	Rounds          int      `json:"rounds"`
	Errors          int      `json:"errors"`
	Date            string   `json:"date"` // RFC 3339, UTC
	Go              string   `json:"go"`
	System          string   `json:"system"`
	GOMAXPROCS      int      `json:"gomaxprocs"`
	CPU             string   `json:"cpu"`
}

func newRecord(m measure.Machine, s summary, at time.Time) record {
	r := record{
		Workload: s.workload.Name, Row: s.row.Name, Unit: s.workload.Unit,
		Value: measure.Digits(s.value), Min: measure.Digits(s.min), Max: measure.Digits(s.max), Ratio: measure.Digits(s.ratio),
		CPUPerOp: measure.Digits(s.cpuPerOp), AllocsPerOp: measure.Digits(s.allocsPerOp), PacketsPerOp: measure.Digits(s.packetsPerOp),
		P50: measure.Microseconds(s.p50), P99: measure.Microseconds(s.p99),
		RestP50: measure.Microseconds(s.restP50), RestP99: measure.Microseconds(s.restP99),
		Rounds: s.rounds, Errors: s.errors,
		Date: at.UTC().Format(time.RFC3339),
		Go:   m.Go, System: m.System, GOMAXPROCS: m.GOMAXPROCS, CPU: m.CPU,
	}
	if s.packetsPerOp > 0 {
		a := measure.Digits(s.allocsPerPacket)
		r.AllocsPerPacket = &a
	}
	return r
}

// appendRecords adds one line a summary to the file.
func appendRecords(path string, m measure.Machine, summaries []summary, at time.Time) error {
	var records []record
	for _, s := range summaries {
		records = append(records, newRecord(m, s, at))
	}
	return measure.AppendLines(path, records)
}
