// Command testrun is what "make test" and "make fuzz" run: every check and test
// of the repository that this machine can run, one after another, and at the
// end what was skipped and why, what failed and how, and one line of counts.
//
//	go run ./internal/testrun                       everything
//	go run ./internal/testrun -only vet,layers      some of the steps
//	go run ./internal/testrun -fuzz 10s             each fuzz target for 10 s
//
// It needs nothing but Go. What it counts: each check is one, and so is each
// test without subtests, each subtest, and each test that failed of itself
// although its subtests passed. A test that runs with the race detector and
// without counts once: it passed if neither run failed and not both were
// skipped. The exit status is 0 if nothing failed.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// step is a check or a run of tests. It reports to t.
type step struct {
	name  string
	about string
	run   func(t *tally)
}

func main() {
	fuzz := flag.Duration("fuzz", 0, "run each fuzz target for this `time` instead of the tests")
	only := flag.String("only", "", "run only these `steps`, separated by commas")
	flag.Usage = usage
	flag.Parse()
	root, err := moduleRoot()
	if err != nil {
		fatal(err)
	}
	if err := os.Chdir(root); err != nil {
		fatal(err)
	}
	t := newTally(os.Stdout)
	if *fuzz > 0 {
		runFuzz(t, *fuzz)
	} else {
		chosen, err := choose(steps(), *only)
		if err != nil {
			fatal(err)
		}
		for _, s := range chosen {
			start := time.Now()
			t.begin(s.name, s.about)
			s.run(t)
			t.end(time.Since(start))
		}
	}
	t.summary()
	if t.total().failed > 0 {
		os.Exit(1)
	}
}

// steps lists everything, what is quick first.
func steps() []step {
	list := checks()
	return append(list,
		step{"race", "go test -race -short ./...", race},
		step{"plain", "go test ./...: all seeds of the simulations, and what the race detector would disturb", func(t *tally) { goTest(t, ".", "./...") }},
		step{"compat", "go test ./... in compat_test: against package net and other stacks", func(t *tally) { module(t, "compat_test") }},
		step{"redis", "go test ./... in examples/redis, a module for its library", func(t *tally) { module(t, "examples/redis") }},
		step{"websocket", "go test ./... in examples/websocket, a module for its library", func(t *tally) { module(t, "examples/websocket") }},
	)
}

func choose(all []step, only string) ([]step, error) {
	if only == "" {
		return all, nil
	}
	var chosen []step
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(all, func(s step) bool { return s.name == strings.TrimSpace(name) })
		if i < 0 {
			return nil, fmt.Errorf("there is no step %q: -help lists them", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// moduleRoot is the directory of the go.mod that this program belongs to.
func moduleRoot() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	mod := strings.TrimSpace(string(out))
	if err != nil || filepath.Base(mod) != "go.mod" {
		return "", fmt.Errorf("not within the module: run it from the repository, as make test does (%v)", err)
	}
	return filepath.Dir(mod), nil
}

func usage() {
	w := flag.CommandLine.Output()
	fmt.Fprint(w, "usage: go run ./internal/testrun [flags]\n\nflags:\n")
	flag.PrintDefaults()
	fmt.Fprint(w, "\nsteps:\n")
	for _, s := range steps() {
		fmt.Fprintf(w, "  %-14s %s\n", s.name, s.about)
	}
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "testrun:", err)
	os.Exit(2)
}
