package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// How many lines of a failure's output are shown as it fails, and how many the
// summary repeats, from its end: panics and the messages of tests stand there.
const (
	shownLines  = 12
	outputLines = 120
)

// tally keeps results for the summary. A result is known by its name: what runs
// in several steps counts once, as failed if any run failed, and as skipped if
// every one was skipped.
type tally struct {
	w        io.Writer
	step     string
	counts   counts // of the step
	results  map[string]*result
	failures []failure
	skips    []skip
}

type counts struct{ passed, failed, skipped int }

func (c counts) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", c.passed, c.failed, c.skipped)
}

type result struct{ passed, failed bool } // neither: skipped

type failure struct{ step, name, output string }

type skip struct{ step, name, reason string }

func newTally(w io.Writer) *tally { return &tally{w: w, results: make(map[string]*result)} }

func (t *tally) begin(name, about string) {
	t.step, t.counts = name, counts{}
	fmt.Fprintf(t.w, "== %s: %s\n", name, about)
}

func (t *tally) end(took time.Duration) {
	fmt.Fprintf(t.w, "   %v (%.1fs)\n", t.counts, took.Seconds())
}

func (t *tally) result(name string) *result {
	if t.results[name] == nil {
		t.results[name] = new(result)
	}
	return t.results[name]
}

func (t *tally) pass(name string) {
	t.counts.passed++
	t.result(name).passed = true
}

func (t *tally) fail(name, output string) {
	t.counts.failed++
	t.result(name).failed = true
	// Now, too: of a long log the end may be all that is kept, or the beginning.
	fmt.Fprintf(t.w, "   FAIL  %s\n%s", name, indent(output, shownLines))
	t.failures = append(t.failures, failure{t.step, name, output})
}

func (t *tally) skip(name, reason string) {
	t.counts.skipped++
	t.result(name)
	t.skips = append(t.skips, skip{t.step, name, reason})
}

// total counts the results of all steps.
func (t *tally) total() counts {
	var c counts
	for _, r := range t.results {
		switch {
		case r.failed:
			c.failed++
		case r.passed:
			c.passed++
		default:
			c.skipped++
		}
	}
	return c
}

// summary tells what was skipped and what failed. Its last line is the counts.
func (t *tally) summary() {
	skips := slices.DeleteFunc(slices.Clone(t.skips), func(s skip) bool { return *t.results[s.name] != result{} })
	if len(skips) > 0 {
		fmt.Fprint(t.w, "\nSkipped:\n")
		writeSkips(t.w, skips)
	}
	if len(t.failures) > 0 {
		fmt.Fprint(t.w, "\nFailed:\n")
		for _, f := range t.failures {
			fmt.Fprintf(t.w, "  %s: %s\n%s", f.step, f.name, indent(f.output, outputLines))
		}
	}
	fmt.Fprintf(t.w, "\n%v\n", t.total())
}

// writeSkips lists skips by their reasons. Subtests with the reason in common
// are one entry.
func writeSkips(w io.Writer, skips []skip) {
	type entry struct{ reason, test string }
	subtests := make(map[entry]map[string]bool)
	var reasons []string
	tests := make(map[string][]string) // by reason
	for _, s := range skips {
		test, _, _ := strings.Cut(afterPackage(s.name), "/")
		e := entry{s.reason, s.name[:len(s.name)-len(afterPackage(s.name))] + test}
		if tests[s.reason] == nil {
			reasons = append(reasons, s.reason)
		}
		if subtests[e] == nil {
			subtests[e] = make(map[string]bool)
			tests[s.reason] = append(tests[s.reason], e.test)
		}
		subtests[e][s.name] = true
	}
	for _, reason := range reasons {
		fmt.Fprintf(w, "  %s\n", reason)
		for _, test := range tests[reason] {
			names := slices.Sorted(maps.Keys(subtests[entry{reason, test}]))
			if len(names) == 1 {
				fmt.Fprintf(w, "      %s\n", names[0])
			} else {
				fmt.Fprintf(w, "      %s: %d subtests, the first %s\n", test, len(names), names[0][len(test)+1:])
			}
		}
	}
}

// afterPackage is the test in the name of a result, which is a package, a space
// and a test; all of a check's.
func afterPackage(name string) string {
	if _, test, ok := strings.Cut(name, " "); ok && strings.HasPrefix(test, "Test") {
		return test
	}
	return name
}

// indent returns the last lines of output, as many as most, set off from the
// tally's own.
func indent(output string, most int) string {
	output = strings.TrimRight(output, "\n")
	if output == "" {
		return ""
	}
	lines := strings.Split(output, "\n")
	var b strings.Builder
	if cut := len(lines) - most; cut > 0 {
		fmt.Fprintf(&b, "      ... %d lines\n", cut)
		lines = lines[cut:]
	}
	for _, line := range lines {
		fmt.Fprintf(&b, "      %s\n", line)
	}
	return b.String()
}
