package measure

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// Exit codes, those of package flag's convention where it has one.
const (
	ExitOK     = 0
	ExitFailed = 1 // an operation failed, or a file could not be written
	ExitUsage  = 2

	ExitInterrupted = 128 + int(syscall.SIGINT)
)

// Options are what the command line of each benchmark says.
type Options[W AnyWorkload, R AnyRow] struct {
	Rounds    int
	Duration  time.Duration // of one measurement, without its warm-up
	Workloads []W
	Rows      []R
	Out       string // file for records; empty: none
}

// A Program is a benchmark: rows compared under workloads, in interleaved rounds.
type Program[W AnyWorkload, R AnyRow, S AnySample] struct {
	Name, About string
	Workloads   []W // all there are, in the order of the tables
	Rows        []R
	Base        string // the row that the others are compared with
	Targets     []Target[S]
	Rounds      int    // default
	Out         string // default
	Table       string // what its columns are, in a line
	Columns     func(*Workload) []Column[S]
	// Record adds to a record what the benchmark alone has.
	Record func(Record, *Summary[S]) any

	Flags func(*flag.FlagSet)       // optional: more of them
	Check func(Options[W, R]) error // optional: of these
	// Begin is optional: it is called before the measurement, and end after it.
	Begin func() (end func() error, err error)
	// Measure reports its progress on w. What it has measured before an error,
	// or before ctx ended, counts.
	Measure func(ctx context.Context, o Options[W, R], w io.Writer) (Results[S], error)
	// Untidy says that a second interrupt may end the process at once: there is
	// nothing to be taken down.
	Untidy bool
}

// Run is the program, from its arguments to its exit code.
func (p *Program[W, R, S]) Run(args []string, stdout, stderr io.Writer) int {
	failed := false
	fault := func(err error) {
		if err != nil {
			fmt.Fprintf(stderr, "%s: %v\n", p.Name, err)
			failed = true
		}
	}
	o, err := p.Parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return ExitOK
	case err != nil:
		fault(err)
		return ExitUsage
	}
	// The first interrupt ends the measurement and prints what there is.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if p.Untidy {
		context.AfterFunc(ctx, stop) // it restores the default
	}
	end := func() error { return nil }
	if p.Begin != nil {
		if end, err = p.Begin(); err != nil {
			fault(err)
			return ExitFailed
		}
	}
	results, err := p.Measure(ctx, o, stderr)
	fault(err)
	fault(end())
	if ctx.Err() != nil {
		fmt.Fprintf(stderr, "%s: interrupted; what was measured so far follows\n", p.Name)
	}
	summaries := Summarise(results, p.Workloads, p.Rows, p.Base)
	if len(summaries) > 0 {
		m := ThisMachine()
		fmt.Fprintf(stdout, "%s\nmedians of up to %d rounds of %v; ratio: to the %s in the same round; %s\n", m, o.Rounds, o.Duration, p.Base, p.Table)
		writeTable(stdout, summaries, p.Columns)
		WriteTargets(stdout, p.Targets, results)
		if o.Out != "" {
			if err := appendRecords(o.Out, m, time.Now(), summaries, p.Record); err != nil {
				fault(err)
			} else {
				fmt.Fprintf(stdout, "\nappended %d lines to %s\n", len(summaries), o.Out)
			}
		}
	}
	switch {
	case writeErrors(stderr, p.Name, summaries) > 0 || failed:
		return ExitFailed
	case ctx.Err() != nil:
		return ExitInterrupted
	}
	return ExitOK
}

// Parse reads the command line.
func (p *Program[W, R, S]) Parse(args []string, stderr io.Writer) (Options[W, R], error) {
	var o Options[W, R]
	fs := flag.NewFlagSet(p.Name, flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.IntVar(&o.Rounds, "rounds", p.Rounds, "how many times each workload runs on each row")
	fs.DurationVar(&o.Duration, "duration", time.Second, "how long one measurement counts, after its warm-up")
	workloads := fs.String("workloads", "all", "comma-separated workloads")
	rows := fs.String("rows", "all", "comma-separated rows")
	fs.StringVar(&o.Out, "out", p.Out, "`file` that the results are appended to as JSON lines; empty for none")
	if p.Flags != nil {
		p.Flags(fs)
	}
	fs.Usage = func() { p.usage(fs) }
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if o.Rounds < 1 {
		return o, fmt.Errorf("-rounds %d: at least one is needed", o.Rounds)
	}
	if o.Duration <= 0 {
		return o, fmt.Errorf("-duration %v: must be positive", o.Duration)
	}
	var err error
	if o.Workloads, err = Pick("workload", p.Workloads, *workloads); err != nil {
		return o, err
	}
	if o.Rows, err = Pick("row", p.Rows, *rows); err != nil {
		return o, err
	}
	if p.Check != nil {
		err = p.Check(o)
	}
	return o, err
}

func (p *Program[W, R, S]) usage(fs *flag.FlagSet) {
	w := fs.Output()
	fmt.Fprintf(w, "usage: %s [flags]\n\n%s\n\nflags:\n", p.Name, p.About)
	fs.PrintDefaults()
	fmt.Fprint(w, "\nworkloads:\n")
	for _, x := range p.Workloads {
		fmt.Fprintf(w, "  %-13s %s\n", x.Named(), x.workload().About)
	}
	fmt.Fprint(w, "\nrows:\n")
	for _, x := range p.Rows {
		fmt.Fprintf(w, "  %-13s %s\n", x.Named(), x.row().About)
	}
	fmt.Fprint(w, "\ntargets, for two processors:\n")
	for _, t := range p.Targets {
		fmt.Fprintf(w, "  %s, for %s\n", t, strings.Join(t.Rows, ", "))
	}
}
