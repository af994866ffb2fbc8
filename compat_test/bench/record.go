package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"time"
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

func newRecord(m machine, s summary, at time.Time) record {
	r := record{
		Workload: s.workload.Name, Row: s.row.Name, Unit: s.workload.Unit,
		Value: digits(s.value), Min: digits(s.min), Max: digits(s.max), Ratio: digits(s.ratio),
		CPUPerOp: digits(s.cpuPerOp), AllocsPerOp: digits(s.allocsPerOp), PacketsPerOp: digits(s.packetsPerOp),
		P50: microseconds(s.p50), P99: microseconds(s.p99),
		RestP50: microseconds(s.restP50), RestP99: microseconds(s.restP99),
		Rounds: s.rounds, Errors: s.errors,
		Date: at.UTC().Format(time.RFC3339),
		Go:   m.Go, System: m.System, GOMAXPROCS: m.GOMAXPROCS, CPU: m.CPU,
	}
	if s.packetsPerOp > 0 {
		a := digits(s.allocsPerPacket)
		r.AllocsPerPacket = &a
	}
	return r
}

// appendRecords adds one line a summary to the file, in one write, so that two
// runs that share a file do not tear each other's lines.
func appendRecords(path string, m machine, summaries []summary, at time.Time) error {
	var b bytes.Buffer
	for _, s := range summaries {
		line, err := json.Marshal(newRecord(m, s, at))
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		b.Write(append(line, '\n'))
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	_, err = f.Write(b.Bytes())
	return errors.Join(err, f.Close())
}

// digits keeps four significant ones: more would be noise.
func digits(v float64) float64 {
	if v == 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return 0
	}
	scale := math.Pow(10, 3-math.Floor(math.Log10(math.Abs(v))))
	return math.Round(v*scale) / scale
}

func microseconds(d time.Duration) float64 {
	return digits(float64(d) / float64(time.Microsecond))
}
