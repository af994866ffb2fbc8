package main

import (
	"bufio"
	_ "embed"
	"fmt"
	"slices"
	"strings"
)

//go:embed allowed.txt
var allowedText string

// classes are the reasons for which a loss may be allowed. Each is something
// that a stack outside the kernel cannot have; a defect is none.
var classes = map[string]string{
	"descriptor": "it needs a descriptor of the kernel's",
	"hook":       "it replaces a system call of package net's or looks into its internals",
	"mptcp":      "it wants the kernel's MPTCP",
	"bpf":        "it attaches a packet filter of the kernel's",
	"kernel":     "it asks the kernel itself about its interfaces, by a method of a type that is package net's",
	"process":    "it counts the goroutines of the process, where the stack has one, or has another process connect to a host that is in this one",
}

// allowance is a test whose loss is allowed. If it is a subtest, the test around
// it may fail on its account alone.
type allowance struct{ pkg, test, class, why string }

// allowances are the losses that are allowed, by package and test.
type allowances map[string]map[string]allowance

// parseAllowed reads lines of package, test, class and an explanation.
func parseAllowed(text string) (allowances, error) {
	all := make(allowances)
	in := bufio.NewScanner(strings.NewReader(text))
	for n := 1; in.Scan(); n++ {
		line := strings.TrimSpace(in.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Fields(line)
		if len(f) < 4 {
			return nil, fmt.Errorf("allowed.txt:%d: write a package, a test, a class and why", n)
		}
		a := allowance{f[0], f[1], f[2], strings.Join(f[3:], " ")}
		if classes[a.class] == "" {
			return nil, fmt.Errorf("allowed.txt:%d: unknown class %q", n, a.class)
		}
		if !slices.ContainsFunc(suites, func(s suite) bool { return s.pkg == a.pkg }) {
			return nil, fmt.Errorf("allowed.txt:%d: no suite %q", n, a.pkg)
		}
		if _, twice := all[a.pkg][a.test]; twice {
			return nil, fmt.Errorf("allowed.txt:%d: %s is there twice", n, a.test)
		}
		if all[a.pkg] == nil {
			all[a.pkg] = make(map[string]allowance)
		}
		all[a.pkg][a.test] = a
	}
	return all, nil
}

// those are the allowances of a package, for some top-level tests or, if only is
// nil, all.
func (all allowances) those(pkg string, only []string) map[string]allowance {
	these := make(map[string]allowance)
	for n, a := range all[pkg] {
		if only == nil || slices.Contains(only, top(n)) {
			these[n] = a
		}
	}
	return these
}
