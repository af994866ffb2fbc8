package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/fastnet-go/fastnet/compat_test/internal/measure"
)

// writeTable prints the summaries, a block for each workload.
func writeTable(w io.Writer, m measure.Machine, o options, summaries []summary) {
	fmt.Fprintf(w, "%s\n", m)
	fmt.Fprintf(w, "medians of up to %d rounds of %v; ratio: to the kernel in the same round, median\n", o.rounds, o.duration)
	for len(summaries) > 0 {
		wl := summaries[0].workload
		n := 0
		for n < len(summaries) && summaries[n].workload == wl {
			n++
		}
		better := ""
		if wl.LowerIsBetter {
			better = ", lower is better"
		}
		fmt.Fprintf(w, "\n%s: %s (%s%s)\n", wl.Name, wl.About, wl.Unit, better)
		writeBlock(w, summaries[:n])
		summaries = summaries[n:]
	}
}

func writeBlock(w io.Writer, rows []summary) {
	atRest := rows[0].workload.LowerIsBetter
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	head := "  row\tmedian\tmin\tmax\tratio\tCPU ns/op\tallocs/op\tpackets/op\tallocs/packet\tp50\tp99\t"
	if atRest {
		head += "p50 at rest\tp99 at rest\t"
	}
	fmt.Fprintln(tw, head+"errors\t")
	for _, s := range rows {
		cells := []string{
			"  " + s.row.Name, measure.Number(s.value), measure.Number(s.min), measure.Number(s.max), measure.Number(s.ratio),
			measure.Number(s.cpuPerOp), orZero(s.allocsPerOp), measure.Number(s.packetsPerOp), perPacket(s),
			measure.Span(s.p50), measure.Span(s.p99),
		}
		if atRest {
			cells = append(cells, measure.Span(s.restP50), measure.Span(s.restP99))
		}
		cells = append(cells, strconv.Itoa(s.errors))
		fmt.Fprintln(tw, strings.Join(cells, "\t")+"\t")
	}
	tw.Flush()
}

// writeTargets prints each target that the run measured.
func writeTargets(w io.Writer, r results) {
	headed := false
	for _, t := range targets {
		v, reached, ok := t.check(r)
		if !ok {
			continue
		}
		if !headed {
			fmt.Fprintln(w, "\ntargets, for two processors")
			headed = true
		}
		verdict := "missed"
		if reached {
			verdict = "reached"
		}
		fmt.Fprintf(w, "  %-7s  %-52s  measured %s\n", verdict, t, measure.Number(v))
	}
}

// writeErrors prints what failed and returns how many operations did.
func writeErrors(w io.Writer, summaries []summary) int {
	n := 0
	for _, s := range summaries {
		if s.errors > 0 {
			fmt.Fprintf(w, "bench: %s on %s: %d errors, the first: %v\n", s.workload.Name, s.row.Name, s.errors, s.firstError)
			n += s.errors
		}
	}
	return n
}

// orZero is number where 0 is an answer.
func orZero(v float64) string {
	if v == 0 {
		return "0"
	}
	return measure.Number(v)
}

func perPacket(s summary) string {
	if s.packetsPerOp == 0 {
		return "-"
	}
	return strconv.FormatFloat(s.allocsPerPacket, 'f', 3, 64)
}
