// Command benchveth compares fastnet on a live interface (AF_XDP, shared with
// the kernel) with package net on the kernel's stack, as servers for a client in
// another network namespace that uses the kernel's stack either way.
//
// Each row has a server, a process of its own, and a veth pair of its own, since
// to attach XDP changes the offloads of a pair. The rows are interleaved within
// a round, so that a slow minute of the machine slows all of them: the number to
// look at is the ratio to the kernel in the same round, of which the median over
// the rounds is printed, with the least and the most.
//
// It needs root, and ip(8). wrk, ethtool and strace are used where they are.
//
// Mind whose time is whose: on veth who sends runs the receiver's half too, up to
// its socket, or up to the AF_XDP ring. The kernel's server is given its segments
// ready for reading in the client's time, and ours has TCP to do.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/fastnet-go/fastnet/compat_test/internal/measure"
)

// Exit codes, those of package flag's convention where it has one.
const (
	exitOK     = 0
	exitFailed = 1 // an operation failed, or a file could not be written
	exitUsage  = 2

	exitInterrupted = 128 + int(syscall.SIGINT)
)

type options struct {
	rounds    int
	duration  time.Duration
	workloads []*workload
	rows      []*row
	json      string
	profiles  string
}

func main() {
	var err error
	switch os.Getenv(roleVariable) {
	case "server":
		err = runServer(os.Getenv(configVariable))
	case "client":
		err = runClient()
	default:
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitFailed)
	}
}

func run(args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		fmt.Fprintln(stderr, "benchveth:", err)
		return exitUsage
	}
	// The first interrupt ends the measurement, takes everything down and prints
	// what there is.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	results, err := measureAll(ctx, o, stderr)
	failed := err != nil
	if err != nil {
		fmt.Fprintln(stderr, "benchveth:", err)
	}
	if ctx.Err() != nil {
		fmt.Fprintln(stderr, "benchveth: interrupted; what was measured so far follows")
	}
	m := measure.ThisMachine()
	summaries := results.summarise()
	if len(summaries) > 0 {
		writeTable(stdout, m, o, summaries)
		writeTargets(stdout, results)
	}
	if o.json != "" && len(summaries) > 0 {
		if err := measure.AppendLines(o.json, newRecords(m, summaries, time.Now())); err != nil {
			fmt.Fprintln(stderr, "benchveth:", err)
			failed = true
		} else {
			fmt.Fprintf(stdout, "\nappended %d lines to %s\n", len(summaries), o.json)
		}
	}
	for _, s := range summaries {
		if s.errors > 0 {
			fmt.Fprintf(stderr, "benchveth: %s on %s: %d errors, the first: %s\n", s.workload.name, s.row.name, s.errors, s.firstError)
			failed = true
		}
	}
	switch {
	case failed:
		return exitFailed
	case ctx.Err() != nil:
		return exitInterrupted
	}
	return exitOK
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("benchveth", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.IntVar(&o.rounds, "rounds", 10, "how many times each workload runs on each row")
	fs.DurationVar(&o.duration, "duration", time.Second, "how long one measurement counts, after its warm-up; wrk takes whole seconds")
	workloadNames := fs.String("workloads", "all", "comma-separated workloads")
	rowNames := fs.String("rows", "all", "comma-separated rows")
	fs.StringVar(&o.json, "json", "", "`file` that the results are appended to as JSON lines")
	fs.StringVar(&o.profiles, "profiles", "", "existing `directory` for CPU profiles of the servers, one for each workload, row and round")
	fs.Usage = func() { usage(fs) }
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if o.rounds < 1 {
		return o, fmt.Errorf("-rounds %d: at least one is needed", o.rounds)
	}
	if o.duration <= 0 {
		return o, fmt.Errorf("-duration %v: must be positive", o.duration)
	}
	var err error
	if o.workloads, err = measure.Pick("workload", workloads, *workloadNames); err != nil {
		return o, err
	}
	o.rows, err = measure.Pick("row", rows, *rowNames)
	return o, err
}

func usage(fs *flag.FlagSet) {
	w := fs.Output()
	fmt.Fprint(w, "usage: benchveth [flags]\n\nCompares servers on a veth interface, as root.\n\nflags:\n")
	fs.PrintDefaults()
	fmt.Fprint(w, "\nworkloads:\n")
	for _, x := range workloads {
		fmt.Fprintf(w, "  %-13s %s\n", x.name, x.about)
	}
	fmt.Fprint(w, "\nrows:\n")
	for _, x := range rows {
		fmt.Fprintf(w, "  %-13s %s\n", x.name, x.about)
	}
	fmt.Fprint(w, "\ntargets, for two processors:\n")
	for _, t := range targets {
		fmt.Fprintf(w, "  %s\n", t)
	}
}
