package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/fastnet-go/fastnet/compat_test/internal/measure"
)

// A measurement is one sample and where it belongs.
type measurement struct {
	workload *Workload
	row      *Row
	round    int
	sample   Sample
	failed   error // there is no sample
}

// results are all measurements of a run, in the order they were made.
type results []measurement

// measureAll runs every workload on every row, round after round, until ctx
// ends. It reports progress on w.
func measureAll(ctx context.Context, o options, w io.Writer) results {
	var all results
	start := time.Now()
	for round := range o.rounds {
		for _, wl := range o.workloads {
			for _, row := range measure.Turn(o.rows, round) {
				if !row.Runs(wl) {
					continue
				}
				m := measurement{workload: wl, row: row, round: round}
				m.sample, m.failed = measureOne(ctx, row, wl, o.duration)
				if ctx.Err() != nil {
					return all // cut short, so not a measurement
				}
				all = append(all, m)
				fmt.Fprintf(w, "%6.1fs round %d/%d %s\n", time.Since(start).Seconds(), round+1, o.rounds, m)
			}
		}
	}
	return all
}

func measureOne(ctx context.Context, row *Row, wl *Workload, d time.Duration) (s Sample, err error) {
	runtime.GC() // what earlier measurements left is not this one's to collect
	t, err := row.Open()
	if err != nil {
		return Sample{}, fmt.Errorf("open: %w", err)
	}
	defer func() {
		if e := t.Close(); e != nil && err == nil {
			err = fmt.Errorf("close: %w", e)
		}
	}()
	return wl.Run(ctx, t, d)
}

func (m measurement) String() string {
	head := fmt.Sprintf("%-7s %-12s", m.workload.Name, m.row.Name)
	if m.failed != nil {
		return head + " failed: " + m.failed.Error()
	}
	line := fmt.Sprintf("%s %14s %-6s", head, measure.Number(m.sample.Value), m.workload.Unit)
	if m.sample.Errors > 0 {
		line += fmt.Sprintf(" errors: %d, first: %v", m.sample.Errors, m.sample.FirstError)
	}
	return line
}
