package measure

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"
)

// Workload is what the benchmarks say of a way to use a network. They embed it in
// a type of their own.
type Workload struct {
	Name          string
	About         string
	Unit          string // of Outcome.Value
	LowerIsBetter bool   // how to read the value and the ratio
}

// AnyWorkload is a pointer to what embeds a Workload.
type AnyWorkload interface {
	Named
	workload() *Workload
}

// Named implements Named.
func (w *Workload) Named() string       { return w.Name }
func (w *Workload) workload() *Workload { return w }

// Row is what they say of one of the networks or servers compared.
type Row struct {
	Name  string
	About string
	Only  []string // workloads; nil means all
}

// AnyRow is a pointer to what embeds a Row.
type AnyRow interface {
	Named
	row() *Row
}

// Named implements Named.
func (r *Row) Named() string { return r.Name }
func (r *Row) row() *Row     { return r }

// Runs reports whether the row takes part in the workload.
func (r *Row) Runs(w AnyWorkload) bool { return r.Only == nil || slices.Contains(r.Only, w.Named()) }

// Outcome is what is said of each measurement. They embed it in a sample of their
// own.
type Outcome struct {
	Value      float64 // in the workload's unit
	Errors     int     // of single operations
	FirstError error
}

// AnySample is what embeds an Outcome.
type AnySample interface{ outcome() Outcome }

func (o Outcome) outcome() Outcome { return o }

// Fill takes over what went wrong.
func (o *Outcome) Fill(f *Faults) { o.Errors, o.FirstError = f.Sum() }

// A Measurement is one sample and where it belongs.
type Measurement[S AnySample] struct {
	Workload *Workload
	Row      *Row
	Round    int
	Sample   S
	Failed   error // there is no sample
}

// Results are all measurements of a run, in the order they were made.
type Results[S AnySample] []Measurement[S]

// Interleave measures every workload on every row by calling one, round after
// round, until ctx ends. It reports progress on w.
func Interleave[W AnyWorkload, R AnyRow, S AnySample](ctx context.Context, o Options[W, R], w io.Writer, one func(wl W, row R, round int) (S, error)) Results[S] {
	var all Results[S]
	start := time.Now()
	for round := range o.Rounds {
		for _, wl := range o.Workloads {
			for _, row := range Turn(o.Rows, round) {
				if !row.row().Runs(wl) {
					continue
				}
				m := Measurement[S]{Workload: wl.workload(), Row: row.row(), Round: round}
				m.Sample, m.Failed = one(wl, row, round)
				if ctx.Err() != nil {
					return all // cut short, so not a measurement
				}
				all = append(all, m)
				fmt.Fprintf(w, "%6.1fs round %d/%d %s\n", time.Since(start).Seconds(), round+1, o.Rounds, m)
			}
		}
	}
	return all
}

func (m Measurement[S]) String() string {
	head := fmt.Sprintf("%-8s %-12s", m.Workload.Name, m.Row.Name)
	if m.Failed != nil {
		return head + " failed: " + m.Failed.Error()
	}
	o := m.Sample.outcome()
	line := fmt.Sprintf("%s %14s %-6s", head, Number(o.Value), m.Workload.Unit)
	if more, ok := any(m.Sample).(fmt.Stringer); ok {
		line += " " + more.String()
	}
	if o.Errors > 0 {
		line += fmt.Sprintf(" errors: %d, first: %v", o.Errors, o.FirstError)
	}
	return line
}

// over returns a number of a row's samples, by round.
func (r Results[S]) over(wl, row string, f func(*S) float64) map[int]float64 {
	by := map[int]float64{}
	for i := range r {
		if m := &r[i]; m.Workload.Name == wl && m.Row.Name == row && m.Failed == nil {
			by[m.Round] = f(&m.Sample)
		}
	}
	return by
}

// Ratio is that of two rows within a round, over the rounds that both have.
func (r Results[S]) Ratio(wl, row, base string, f func(*S) float64) Spread {
	return spreadOf(Ratios(r.over(wl, row, f), r.over(wl, base, f)))
}

// Value is a sample's: for Target.Number.
func Value[S AnySample](s *S) float64 { return (*s).outcome().Value }
