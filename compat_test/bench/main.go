// Command bench compares fastnet with the kernel's loopback, with an
// in-memory connection that costs nothing (the limit of what any stack could
// reach under the same application code), and with gVisor's netstack.
//
// Everything runs in one process, both ends of each connection included, and
// the rows are interleaved within a round, so that a slow minute of the
// machine slows all of them. The number to look at is therefore the ratio to
// the kernel in the same round, of which the median over the rounds is
// printed; the absolute numbers say more about the machine than about a row.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
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
	rounds     int
	duration   time.Duration
	workloads  []*Workload
	rows       []*Row
	out        string
	cpuProfile string
	memProfile string
}

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		fmt.Fprintln(stderr, "bench:", err)
		return exitUsage
	}
	// The first interrupt ends the measurement and prints what there is; a
	// second one ends the process, because stop restores the default.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)

	endProfiles, err := startProfiles(o)
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return exitFailed
	}
	results := measureAll(ctx, o, stderr)
	failed := false
	if err := endProfiles(); err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		failed = true
	}
	if ctx.Err() != nil {
		fmt.Fprintln(stderr, "bench: interrupted; what was measured so far follows")
	}
	m := measure.ThisMachine()
	summaries := results.summarise()
	writeTable(stdout, m, o, summaries)
	writeTargets(stdout, results)
	if o.out != "" && len(summaries) > 0 {
		if err := appendRecords(o.out, m, summaries, time.Now()); err != nil {
			fmt.Fprintln(stderr, "bench:", err)
			failed = true
		} else {
			fmt.Fprintf(stdout, "\nappended %d lines to %s\n", len(summaries), o.out)
		}
	}
	if n := writeErrors(stderr, summaries); n > 0 {
		failed = true
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
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.IntVar(&o.rounds, "rounds", 7, "how many times each workload runs on each row")
	fs.DurationVar(&o.duration, "duration", time.Second, "how long one measurement counts, after its warm-up")
	workloadNames := fs.String("workloads", "all", "comma-separated workloads")
	rowNames := fs.String("rows", "all", "comma-separated rows")
	fs.StringVar(&o.out, "out", "bench.jsonl", "`file` that the results are appended to as JSON lines; empty for none")
	fs.StringVar(&o.cpuProfile, "cpuprofile", "", "write a CPU profile to this `file`; needs one row and one workload")
	fs.StringVar(&o.memProfile, "memprofile", "", "write an allocation profile to this `file`; needs one row and one workload")
	fs.Usage = func() { usage(fs) }
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if o.rounds < 1 {
		return o, fmt.Errorf("--rounds %d: at least one is needed", o.rounds)
	}
	if o.duration <= 0 {
		return o, fmt.Errorf("--duration %v: must be positive", o.duration)
	}
	var err error
	if o.workloads, err = measure.Pick("workload", workloads, *workloadNames); err != nil {
		return o, err
	}
	if o.rows, err = measure.Pick("row", rows, *rowNames); err != nil {
		return o, err
	}
	if o.cpuProfile != "" || o.memProfile != "" {
		if len(o.workloads) != 1 || len(o.rows) != 1 {
			return o, errors.New("a profile mixes what it covers: choose one row and one workload with --rows and --workloads")
		}
	}
	return o, nil
}

func usage(fs *flag.FlagSet) {
	w := fs.Output()
	fmt.Fprint(w, "usage: bench [flags]\n\nCompares network stacks within this process.\n\nflags:\n")
	fs.PrintDefaults()
	fmt.Fprint(w, "\nworkloads:\n")
	for _, x := range workloads {
		fmt.Fprintf(w, "  %-12s %s\n", x.Name, x.About)
	}
	fmt.Fprint(w, "\nrows:\n")
	for _, x := range rows {
		fmt.Fprintf(w, "  %-12s %s\n", x.Name, x.About)
	}
	fmt.Fprint(w, "\ntargets, for two processors:\n")
	for _, t := range targets {
		fmt.Fprintf(w, "  %s\n", t)
	}
}

// startProfiles starts what o asks for. The function returned ends the
// profiles and writes them.
func startProfiles(o options) (func() error, error) {
	var cpu *os.File
	if o.cpuProfile != "" {
		f, err := os.Create(o.cpuProfile)
		if err != nil {
			return nil, err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		cpu = f
	}
	if o.memProfile != "" {
		// A stack that allocates once a thousand packets should show: sample
		// far more often than the default of once in 512 KiB.
		runtime.MemProfileRate = 4 << 10
	}
	return func() error {
		var errs []error
		if cpu != nil {
			pprof.StopCPUProfile()
			errs = append(errs, cpu.Close())
		}
		if o.memProfile != "" {
			f, err := os.Create(o.memProfile)
			if err != nil {
				return errors.Join(append(errs, err)...)
			}
			errs = append(errs, pprof.Lookup("allocs").WriteTo(f, 0), f.Close())
		}
		return errors.Join(errs...)
	}, nil
}
