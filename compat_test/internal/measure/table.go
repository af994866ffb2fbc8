package measure

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// A Column is one of a table's.
type Column[S AnySample] struct {
	Head string
	Cell func(*Summary[S]) string
}

// NumberColumn has the median of a number.
func NumberColumn[S AnySample](head string, f func(*S) float64) Column[S] {
	return Column[S]{head, func(s *Summary[S]) string { return Number(s.Of(f)) }}
}

// TimeColumn has the median of a time.
func TimeColumn[S AnySample](head string, f func(*S) time.Duration) Column[S] {
	return Column[S]{head, func(s *Summary[S]) string { return Span(s.Time(f)) }}
}

// writeTable prints the summaries, a block for each workload: value and ratio, the
// benchmark's own columns, and the errors.
func writeTable[S AnySample](w io.Writer, summaries []Summary[S], columns func(*Workload) []Column[S]) {
	for len(summaries) > 0 {
		wl := summaries[0].Workload
		n := 0
		for n < len(summaries) && summaries[n].Workload == wl {
			n++
		}
		better := ""
		if wl.LowerIsBetter {
			better = ", lower is better"
		}
		fmt.Fprintf(w, "\n%s: %s (%s%s)\n", wl.Name, wl.About, wl.Unit, better)
		writeBlock(w, summaries[:n], columns(wl))
		summaries = summaries[n:]
	}
}

func writeBlock[S AnySample](w io.Writer, rows []Summary[S], own []Column[S]) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	heads := []string{"  row", "median", "min", "max", "ratio", "min", "max"}
	for _, c := range own {
		heads = append(heads, c.Head)
	}
	fmt.Fprintln(tw, strings.Join(append(heads, "errors"), "\t")+"\t")
	for i := range rows {
		s := &rows[i]
		cells := []string{"  " + s.Row.Name}
		for _, v := range []Spread{s.Value, s.Ratio} {
			cells = append(cells, Number(v.Median), Number(v.Min), Number(v.Max))
		}
		for _, c := range own {
			cells = append(cells, c.Cell(s))
		}
		fmt.Fprintln(tw, strings.Join(append(cells, strconv.Itoa(s.Errors)), "\t")+"\t")
	}
	tw.Flush()
}

// writeErrors prints what failed and returns how many operations did.
func writeErrors[S AnySample](w io.Writer, program string, summaries []Summary[S]) int {
	n := 0
	for _, s := range summaries {
		if s.Errors > 0 {
			fmt.Fprintf(w, "%s: %s on %s: %d errors, the first: %v\n", program, s.Workload.Name, s.Row.Name, s.Errors, s.FirstError)
			n += s.Errors
		}
	}
	return n
}
