package measure

import (
	"slices"
	"time"
)

// A Spread is a median over rounds with the least and the most.
type Spread struct{ Median, Min, Max float64 }

func spreadOf(v []float64) Spread {
	if len(v) == 0 {
		return Spread{}
	}
	return Spread{Median(v), slices.Min(v), slices.Max(v)}
}

// A Summary is what the rounds of one workload on one row come to.
type Summary[S AnySample] struct {
	Workload *Workload
	Row      *Row
	Samples  []S // a round each, but for those that failed
	Value    Spread
	Ratio    Spread // of the value, to the base's in the same round; 0 without it

	Errors     int // in all rounds, rounds without a sample included
	FirstError error
}

// Of is the median of a number over the rounds, on its own.
func (s *Summary[S]) Of(f func(*S) float64) float64 {
	var v []float64
	for i := range s.Samples {
		v = append(v, f(&s.Samples[i]))
	}
	return Median(v)
}

// Time is Of a time.
func (s *Summary[S]) Time(f func(*S) time.Duration) time.Duration {
	return time.Duration(s.Of(func(x *S) float64 { return float64(f(x)) }))
}

// Summarise sums up each workload and row of which there is anything to say, in
// the order of the tables. base is the row that the others are compared with.
func Summarise[W AnyWorkload, R AnyRow, S AnySample](r Results[S], workloads []W, rows []R, base string) []Summary[S] {
	var out []Summary[S]
	for _, wl := range workloads {
		for _, row := range rows {
			if s := r.summarise(wl.workload(), row.row(), base); len(s.Samples) > 0 || s.Errors > 0 {
				out = append(out, s)
			}
		}
	}
	return out
}

func (r Results[S]) summarise(wl *Workload, row *Row, base string) Summary[S] {
	s := Summary[S]{Workload: wl, Row: row}
	fault := func(n int, err error) {
		s.Errors += n
		if s.FirstError == nil {
			s.FirstError = err
		}
	}
	var values []float64
	for _, m := range r {
		switch {
		case m.Workload != wl || m.Row != row:
		case m.Failed != nil:
			fault(1, m.Failed)
		default:
			o := m.Sample.outcome()
			fault(o.Errors, o.FirstError)
			s.Samples = append(s.Samples, m.Sample)
			values = append(values, o.Value)
		}
	}
	s.Value = spreadOf(values)
	s.Ratio = r.Ratio(wl.Name, row.Name, base, Value[S])
	return s
}
