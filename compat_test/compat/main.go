package main

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
)

// Exit codes.
const (
	exitOK     = 0
	exitLost   = 1 // a test was lost, or an allowed loss passes
	exitFailed = 2 // the comparison could not be made
)

type options struct {
	suites   []suite
	network  string // FASTNET
	cacheDir string
	only     []string
	fresh    bool
	race     bool
	long     bool
	verbose  bool
	keep     bool
	list     bool
	attempts int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	ok := true
	switch {
	case err != nil:
	case o.list:
		for _, s := range o.suites {
			fmt.Fprintln(stdout, s.name())
		}
	default:
		ok, err = compare(ctx, o, stdout)
	}
	switch {
	case err != nil:
		fmt.Fprintln(stderr, "compat:", err)
		return exitFailed
	case !ok:
		return exitLost
	}
	return exitOK
}

func parse(args []string, stderr io.Writer) (o options, err error) {
	f := flag.NewFlagSet("compat", flag.ContinueOnError)
	f.SetOutput(stderr)
	packages := f.String("packages", "", "the packages whose tests to run, separated by commas, PATH/... for all below, std for the standard library; default all")
	f.BoolVar(&o.list, "list", false, "print the packages that there are, and do nothing")
	tests := f.String("tests", "", "the top-level tests to run, separated by commas; default all")
	f.StringVar(&o.network, "fastnet", "loopback:", "what FASTNET is to be")
	f.StringVar(&o.cacheDir, "cache", "", "the folder for the results of the unmodified tests; default the user's cache folder")
	f.BoolVar(&o.fresh, "fresh", false, "run the unmodified tests even if their results are cached")
	f.BoolVar(&o.race, "race", false, "run the tests with the race detector")
	f.BoolVar(&o.long, "long", false, "run the tests that -short leaves out too, of all packages; those of package net always run")
	f.BoolVar(&o.verbose, "v", false, "print what the lost tests said")
	f.BoolVar(&o.keep, "keep", false, "keep the temporary folder, and print its name")
	f.IntVar(&o.attempts, "attempts", 2, "how often a test that fails is run before that counts, with package net and with fastnet alike")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if *tests != "" {
		o.only = strings.Split(*tests, ",")
	}
	o.suites, err = selected(*packages)
	return o, err
}
