package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// tally is what the suites have come to so far.
type tally struct {
	out     io.Writer
	verbose bool

	kept, of, allowed, lost, stale int
}

// verdict is one suite's comparison.
type verdict struct {
	suite     suite
	base, got *results
	again     *results // of those that got lost, run once more; nil if none was
	doubt     *results // of those that are lost and not allowed, run once more as they are; nil if none was
	allowed   map[string]allowance
}

// last is what the last run of a test was.
func (v verdict) last(name string) *results {
	if v.again != nil && v.again.Outcomes[name] != "" {
		return v.again
	}
	return v.got
}

// reasons are the allowances that explain a lost test, none if something of it
// is not explained: its own, or those of all of its subtests that fail.
func (v verdict) reasons(name string) (why []allowance) {
	if a, ok := v.allowed[name]; ok {
		return []allowance{a}
	}
	r := v.last(name)
	if r.Outcomes[name] != failed {
		return nil
	}
	for _, n := range r.culprits(name) {
		a, ok := v.allowed[n]
		if !ok {
			return nil
		}
		why = append(why, a)
	}
	return why
}

// unexplained are the top-level tests that are lost and not allowed.
func (v verdict) unexplained() (ns []string) {
	for _, n := range v.got.lost(v.base) {
		if n != wholePackage && v.last(n).Outcomes[n] != passed && v.reasons(n) == nil {
			ns = append(ns, n)
		}
	}
	return ns
}

// add compares and prints one suite.
func (t *tally) add(v verdict) {
	base := v.base.passing()
	var known, fresh, shaky, flaky []string
	for _, n := range v.got.lost(v.base) {
		switch {
		case v.last(n).Outcomes[n] == passed:
			shaky = append(shaky, n)
		case v.reasons(n) != nil:
			known = append(known, n)
		case v.doubt != nil && v.doubt.Outcomes[n] != passed && n != wholePackage:
			flaky = append(flaky, n)
		default:
			fresh = append(fresh, n)
		}
	}
	base = slices.DeleteFunc(base, func(n string) bool { return slices.Contains(flaky, n) })
	t.of += len(base)
	kept := 0
	for _, n := range base {
		if v.got.Outcomes[n] == passed || v.last(n).Outcomes[n] == passed {
			kept++
		}
	}
	t.kept += kept
	t.allowed += len(known)
	t.lost += len(fresh)
	fmt.Fprintf(t.out, "%-20s kept %3d of %3d", v.suite.name(), kept, len(base))
	if len(known) > 0 {
		fmt.Fprintf(t.out, ", allowed losses %d", len(known))
	}
	if len(fresh) > 0 {
		fmt.Fprintf(t.out, ", new losses %d", len(fresh))
	}
	fmt.Fprintln(t.out)
	if v.got.Broken != "" {
		fmt.Fprintf(t.out, "    all of it is lost: %s\n", indent(tail(v.got.Broken, 60)))
		return
	}
	for _, n := range known {
		for _, a := range v.reasons(n) {
			fmt.Fprintf(t.out, "    allowed %s: %s: %s\n", a.test, a.class, a.why)
		}
	}
	for _, n := range flaky {
		fmt.Fprintf(t.out, "    not counted, for it fails at times with package net too: %s%s\n", n, culprits(v.last(n), n))
	}
	for _, n := range shaky {
		fmt.Fprintf(t.out, "    passes at the second attempt only: %s%s\n", n, culprits(v.got, n))
	}
	for _, n := range fresh {
		t.printLoss(v, n)
	}
	t.printStale(v)
}

func (t *tally) printLoss(v verdict, name string) {
	r := v.last(name)
	outcome := r.Outcomes[name]
	if outcome == "" {
		outcome = "not run"
	}
	fmt.Fprintf(t.out, "    LOST %s (%s)%s\n", name, outcome, culprits(r, name))
	if !t.verbose {
		return
	}
	for _, n := range append([]string{name}, r.culprits(name)...) {
		if text := strings.TrimSpace(r.Output[n]); text != "" {
			fmt.Fprintf(t.out, "        %s\n", indent(tail(text, 40)))
		}
	}
}

// printStale names what need not be allowed any more. Whether the base passes
// is no matter: a test that does not exist is not there to be allowed.
func (t *tally) printStale(v verdict) {
	for n := range v.allowed {
		switch {
		case v.got.Outcomes[n] == passed || v.last(n).Outcomes[n] == passed:
			fmt.Fprintf(t.out, "    STALE %s passes: take it out of allowed.txt\n", n)
			t.stale++
		case v.base.Outcomes[n] == "":
			fmt.Fprintf(t.out, "    note: %s in allowed.txt is no test of this Go version's\n", n)
		}
	}
}

func culprits(r *results, name string) string {
	c := r.culprits(name)
	switch {
	case len(c) == 0:
		return ""
	case len(c) > 4:
		return fmt.Sprintf(": %s and %d more", strings.Join(c[:4], ", "), len(c)-4)
	}
	return ": " + strings.Join(c, ", ")
}

func indent(text string) string {
	return strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n        ")
}

// finish prints the last line and reports whether all is well.
func (t *tally) finish() bool {
	fmt.Fprintf(t.out, "compat: kept %d of %d, allowed losses %d, new losses %d\n", t.kept, t.of, t.allowed, t.lost)
	return t.lost == 0 && t.stale == 0
}
