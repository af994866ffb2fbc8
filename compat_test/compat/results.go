package main

import (
	"maps"
	"slices"
	"strings"
)

// Outcomes of a test, those of go test's JSON and one more.
const (
	passed  = "pass"
	failed  = "fail"
	skipped = "skip"
	hung    = "hang" // was running when the time was up, or the process died
)

// wholePackage stands for a package in which something failed besides its tests:
// TestMain's own checks, for instance.
const wholePackage = "(package)"

// results are what the tests of a package came to, by name, subtests too.
type results struct {
	Outcomes map[string]string
	Output   map[string]string `json:"-"` // what those that did not pass said
	Broken   string            // why there are none: it does not build, for instance
}

func newResults() *results {
	return &results{Outcomes: make(map[string]string), Output: make(map[string]string)}
}

// topLevel reports whether name is no subtest's.
func topLevel(name string) bool { return !strings.Contains(name, "/") }

// passing are the top-level tests that pass, sorted.
func (r *results) passing() []string {
	var ns []string
	for _, n := range slices.Sorted(maps.Keys(r.Outcomes)) {
		if topLevel(n) && n != wholePackage && r.Outcomes[n] == passed {
			ns = append(ns, n)
		}
	}
	return ns
}

// failing are the top-level tests that do not pass and are not skipped, sorted.
func (r *results) failing() []string {
	var ns []string
	for _, n := range slices.Sorted(maps.Keys(r.Outcomes)) {
		if topLevel(n) && n != wholePackage && (r.Outcomes[n] == failed || r.Outcomes[n] == hung) {
			ns = append(ns, n)
		}
	}
	return ns
}

// culprits are the innermost subtests of a test that did not pass.
func (r *results) culprits(test string) []string {
	var ns []string
	for _, n := range slices.Sorted(maps.Keys(r.Outcomes)) {
		if o := r.Outcomes[n]; strings.HasPrefix(n, test+"/") && o != passed && o != skipped {
			ns = slices.DeleteFunc(ns, func(outer string) bool { return strings.HasPrefix(n, outer+"/") })
			ns = append(ns, n)
		}
	}
	return ns
}

// lost are the top-level tests that pass in base and not in r. The package as a
// whole is one if all else is well and it fails.
func (r *results) lost(base *results) []string {
	lost := slices.DeleteFunc(base.passing(), func(n string) bool { return r.Outcomes[n] == passed })
	if base.Outcomes[wholePackage] == passed && r.Outcomes[wholePackage] == failed {
		lost = append(lost, wholePackage)
	}
	return lost
}

// those returns the results of some top-level tests only, of all for nil.
func (r *results) those(only []string) *results {
	if only == nil {
		return r
	}
	some := newResults()
	for n, o := range r.Outcomes {
		if slices.Contains(only, top(n)) {
			some.Outcomes[n], some.Output[n] = o, r.Output[n]
		}
	}
	return some
}

// over returns r with what only older has.
func (r *results) over(older *results) *results {
	if older == nil {
		return r
	}
	all := &results{Outcomes: maps.Clone(older.Outcomes), Output: maps.Clone(older.Output), Broken: r.Broken}
	maps.Copy(all.Outcomes, r.Outcomes)
	maps.Copy(all.Output, r.Output)
	return all
}
