package measure

import (
	"fmt"
	"io"
	"slices"
)

// A Target is what the project set out to reach on a machine with two processors.
type Target[S AnySample] struct {
	Workload string
	Rows     []string // that it holds for
	What     string
	Base     string  // the row compared with in the same round; empty: a number of its own
	AtMost   bool    // the limit is an upper one
	Limit    float64 // 0: none, it is printed for what it is
	Number   func(*S) float64
}

// String is the target without its rows.
func (t Target[S]) String() string {
	s := fmt.Sprintf("%-9s %s", t.Workload, t.What)
	if t.Base != "" {
		s += ", ratio to " + t.Base
	}
	switch {
	case t.Limit == 0:
		return s
	case t.AtMost:
		return s + fmt.Sprintf(" <= %g", t.Limit)
	}
	return s + fmt.Sprintf(" >= %g", t.Limit)
}

// check reports the number of a row; ok is false when the run did not measure it.
func (t Target[S]) check(r Results[S], row string) (got Spread, reached, ok bool) {
	var v []float64
	if t.Base != "" {
		v = Ratios(r.over(t.Workload, row, t.Number), r.over(t.Workload, t.Base, t.Number))
	} else {
		for _, x := range r.over(t.Workload, row, t.Number) {
			v = append(v, x)
		}
	}
	got = spreadOf(v)
	if t.AtMost {
		return got, got.Median <= t.Limit, len(v) > 0
	}
	return got, got.Median >= t.Limit, len(v) > 0
}

// WriteTargets prints each target that the run measured.
func WriteTargets[S AnySample](w io.Writer, targets []Target[S], r Results[S]) {
	headed := false
	for _, t := range targets {
		for _, row := range t.Rows {
			got, reached, ok := t.check(r, row)
			if !ok {
				continue
			}
			if !headed {
				fmt.Fprintln(w, "\ntargets, for two processors")
				headed = true
			}
			verdict := "missed"
			switch {
			case t.Limit == 0:
				verdict = "-"
			case reached:
				verdict = "reached"
			}
			fmt.Fprintf(w, "  %-7s  %-11s  %-75s  measured %s (%s to %s)\n", verdict, row, t, Number(got.Median), Number(got.Min), Number(got.Max))
		}
	}
}

// Misnamed returns a row or workload that a target names and that there is not,
// or that does not run together; empty if all is well.
func Misnamed[W AnyWorkload, R AnyRow, S AnySample](targets []Target[S], workloads []W, rows []R) string {
	for _, t := range targets {
		wl := slices.IndexFunc(workloads, func(w W) bool { return w.Named() == t.Workload })
		if wl < 0 {
			return t.Workload
		}
		names := t.Rows
		if t.Base != "" {
			names = append([]string{t.Base}, names...)
		}
		for _, name := range names {
			row := slices.IndexFunc(rows, func(r R) bool { return r.Named() == name })
			if row < 0 || !rows[row].row().Runs(workloads[wl]) {
				return name + " for " + t.Workload
			}
		}
	}
	return ""
}
