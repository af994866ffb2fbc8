package main

import (
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// target is a fuzz target and its package.
type target struct{ pkg, name string }

// runFuzz runs each fuzz target for a time. What they find stays in testdata/fuzz
// of their package, for go test to run from then on.
func runFuzz(t *tally, each time.Duration) {
	t.begin("fuzz", fmt.Sprintf("each target for %v", each))
	out, err := exec.Command("go", "test", "-list", "^Fuzz", "./...").CombinedOutput()
	targets := parseTargets(string(out))
	if err != nil {
		t.fail("listing the fuzz targets", string(out))
	}
	start := time.Now()
	defer func() { t.end(time.Since(start)) }()
	for _, x := range targets {
		out, err := exec.Command("go", "test", "-run", "^$", "-fuzz", "^"+x.name+"$", "-fuzztime", each.String(), x.pkg).CombinedOutput()
		word, name := "ok", short(x.pkg)+" "+x.name
		if err != nil {
			word = "FAIL"
			t.fail(name, string(out))
		} else {
			t.pass(name)
		}
		fmt.Fprintf(t.w, "   %-4s  %-24s %-36s %s\n", word, short(x.pkg), x.name, executions(string(out)))
	}
}

// parseTargets reads the output of go test -list: names, and after them the
// line of their package.
func parseTargets(out string) []target {
	var targets []target
	var names []string
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		switch {
		case len(f) == 1 && strings.HasPrefix(f[0], "Fuzz"):
			names = append(names, f[0])
		case len(f) > 1 && f[0] == "ok":
			for _, name := range names {
				targets = append(targets, target{f[1], name})
			}
			names = nil
		}
	}
	return targets
}

// executions finds in the fuzzer's last report how many inputs it tried.
func executions(out string) string {
	i := strings.LastIndex(out, "execs: ")
	if i < 0 {
		return ""
	}
	n, _, _ := strings.Cut(out[i+len("execs: "):], " ")
	return n + " inputs"
}
