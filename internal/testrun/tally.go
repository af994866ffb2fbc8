package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// outputLines is how much of a failure's output the summary repeats, from its
// end: panics and the messages of tests stand there.
const outputLines = 120

// tally counts results and keeps what the summary tells.
type tally struct {
	w                       io.Writer
	passed, failed, skipped int
	step                    string
	before                  [3]int // the counts when the step began
	failures                []failure
	skips                   []skip
}

type failure struct{ step, name, output string }

type skip struct{ step, name, reason string }

func newTally(w io.Writer) *tally { return &tally{w: w} }

func (t *tally) begin(s step) {
	t.step = s.name
	t.before = [3]int{t.passed, t.failed, t.skipped}
	fmt.Fprintf(t.w, "== %s: %s\n", s.name, s.about)
}

func (t *tally) end(took time.Duration) {
	fmt.Fprintf(t.w, "   %s (%.1fs)\n",
		counts(t.passed-t.before[0], t.failed-t.before[1], t.skipped-t.before[2]), took.Seconds())
}

func (t *tally) pass() { t.passed++ }

func (t *tally) fail(name, output string) {
	t.failed++
	t.failures = append(t.failures, failure{t.step, name, output})
}

func (t *tally) skip(name, reason string) {
	t.skipped++
	t.skips = append(t.skips, skip{t.step, name, reason})
}

// summary tells what was skipped and what failed. Its last line is the counts.
func (t *tally) summary() {
	if len(t.skips) > 0 {
		fmt.Fprint(t.w, "\nSkipped:\n")
		writeSkips(t.w, t.skips)
	}
	if len(t.failures) > 0 {
		fmt.Fprint(t.w, "\nFailed:\n")
		for _, f := range t.failures {
			fmt.Fprintf(t.w, "  %s: %s\n%s", f.step, f.name, indent(f.output))
		}
	}
	fmt.Fprintf(t.w, "\n%s\n", counts(t.passed, t.failed, t.skipped))
}

func counts(passed, failed, skipped int) string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", passed, failed, skipped)
}

// writeSkips lists skips by their reasons, those of most tests first.
func writeSkips(w io.Writer, skips []skip) {
	byReason := make(map[string][]string)
	var reasons []string
	for _, s := range skips {
		if byReason[s.reason] == nil {
			reasons = append(reasons, s.reason)
		}
		byReason[s.reason] = append(byReason[s.reason], s.step+": "+s.name)
	}
	slices.SortStableFunc(reasons, func(a, b string) int { return cmp.Compare(len(byReason[b]), len(byReason[a])) })
	for _, reason := range reasons {
		fmt.Fprintf(w, "  %s\n", reason)
		for _, name := range byReason[reason] {
			fmt.Fprintf(w, "      %s\n", name)
		}
	}
}

// indent returns the last lines of output, set off from the summary's own.
func indent(output string) string {
	output = strings.TrimRight(output, "\n")
	if output == "" {
		return ""
	}
	lines := strings.Split(output, "\n")
	var b strings.Builder
	if cut := len(lines) - outputLines; cut > 0 {
		fmt.Fprintf(&b, "      ... %d lines\n", cut)
		lines = lines[cut:]
	}
	for _, line := range lines {
		fmt.Fprintf(&b, "      %s\n", line)
	}
	return b.String()
}
