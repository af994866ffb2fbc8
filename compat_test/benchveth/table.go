package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/fastnet-go/fastnet/compat_test/internal/measure"
)

// writeTable prints the summaries, a block for each workload.
func writeTable(w io.Writer, m measure.Machine, o options, summaries []summary) {
	fmt.Fprintf(w, "%s\n", m)
	fmt.Fprintf(w, "medians of up to %d rounds of %v; ratio: to the kernel in the same round; processor time for an operation, of the server (user, system) and of the client\n", o.rounds, o.duration)
	for len(summaries) > 0 {
		wl := summaries[0].workload
		n := 0
		for n < len(summaries) && summaries[n].workload == wl {
			n++
		}
		better := ""
		if wl.lower {
			better = ", lower is better"
		}
		fmt.Fprintf(w, "\n%s: %s (%s%s)\n", wl.name, wl.about, wl.unit, better)
		writeBlock(w, summaries[:n])
		summaries = summaries[n:]
	}
}

func writeBlock(w io.Writer, rows []summary) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "  row\tmedian\tmin\tmax\tratio\tmin\tmax\tp50\tp99\tuser\tsystem\tclient\tcalls/op\tpackets/op\tlost\tstrace/op\terrors\t")
	for _, s := range rows {
		driver := [2]string{"-", "-"}
		if s.onStack {
			driver = [2]string{fixed(s.callsPerOp, 3), fixed(s.packetsPerOp, 2)}
		}
		lost := "-"
		if s.workload.name == "udp" {
			lost = fixed(100*s.lost, 1) + "%"
		}
		cells := []string{
			"  " + s.row.name, measure.Number(s.value.median), measure.Number(s.value.min), measure.Number(s.value.max),
			measure.Number(s.ratio.median), measure.Number(s.ratio.min), measure.Number(s.ratio.max),
			measure.Span(s.p50), measure.Span(s.p99), perOp(s, s.user), perOp(s, s.system), perOp(s, s.client),
			driver[0], driver[1], lost, measure.Number(s.traced), strconv.Itoa(s.errors),
		}
		fmt.Fprintln(tw, strings.Join(cells, "\t")+"\t")
	}
	tw.Flush()
}

// perOp is processor time for an operation, where there are operations.
func perOp(s summary, d time.Duration) string {
	if s.workload.name == "idle" {
		return "-"
	}
	return measure.Span(d)
}

func fixed(v float64, digits int) string { return strconv.FormatFloat(v, 'f', digits, 64) }
