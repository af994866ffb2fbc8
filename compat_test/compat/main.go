package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
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
	ok := false
	if err == nil {
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
	packages := f.String("packages", "", "the packages whose tests to run, separated by commas; default all")
	tests := f.String("tests", "", "the top-level tests to run, separated by commas; default all")
	f.StringVar(&o.network, "fastnet", "loopback:", "what FASTNET is to be")
	f.StringVar(&o.cacheDir, "cache", "", "the folder for the results of the unmodified tests; default the user's cache folder")
	f.BoolVar(&o.fresh, "fresh", false, "run the unmodified tests even if their results are cached")
	f.BoolVar(&o.race, "race", false, "run the tests with the race detector")
	f.BoolVar(&o.long, "long", false, "run the tests that -short leaves out too")
	f.BoolVar(&o.verbose, "v", false, "print what the lost tests said")
	f.BoolVar(&o.keep, "keep", false, "keep the temporary folder, and print its name")
	f.IntVar(&o.attempts, "attempts", 2, "how often a lost test is run before it counts as lost")
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

// compare runs the suites both ways and prints the differences.
func compare(ctx context.Context, o options, stdout io.Writer) (ok bool, err error) {
	allowed, err := parseAllowed(allowedText)
	if err != nil {
		return false, err
	}
	tools, err := localToolchain(ctx)
	if err != nil {
		return false, err
	}
	cached, err := openCache(o.cacheDir, tools, o.race, o.long)
	if err != nil {
		return false, err
	}
	dir, err := os.MkdirTemp("", "fastnet-compat-")
	if err != nil {
		return false, err
	}
	if o.keep {
		fmt.Fprintln(stdout, "temporary folder:", dir)
	} else {
		defer os.RemoveAll(dir)
	}
	shadow, err := tools.shadow(filepath.Join(dir, "goroot"))
	if err != nil {
		return false, err
	}
	over, err := newOverlay(ctx, tools, shadow, dir)
	if err != nil {
		return false, err
	}
	path, err := over.write("overlay.json")
	if err != nil {
		return false, err
	}
	build := []string{"build", "-overlay", path, laidUnder + replacement}
	if _, err := goCommand(ctx, shadow.src(), shadow.environ(), build...); err != nil {
		return false, fmt.Errorf("fastnet does not build: %w", err)
	}
	fmt.Fprintf(stdout, "%s %s, FASTNET=%s\n", tools.version, tools.target, o.network)
	t := tally{out: stdout, verbose: o.verbose}
	for _, s := range o.suites {
		plain := goTest{dir: tools.src(), pkg: s.pkg, timeout: s.timeout, race: o.race, long: o.long}
		changed := plain
		changed.dir, changed.overlay, changed.only = shadow.src(), path, o.only
		changed.env = append(shadow.environ(), "FASTNET="+o.network)
		v := verdict{suite: s, allowed: allowed[s.pkg]}
		if v.base, err = cached.base(ctx, s.pkg, o.fresh, plain.run); err != nil {
			return false, err
		}
		if v.base.Broken != "" {
			return false, fmt.Errorf("the unmodified tests of %s: %s", s.pkg, v.base.Broken)
		}
		v.base = v.base.those(o.only)
		if s.own {
			path, compile, err := portNetTests(ctx, tools, shadow, over.with(filepath.Join(dir, "net")), stdout, o.verbose)
			if err != nil {
				return false, err
			}
			changed.pkg, changed.overlay, changed.flags = portedPath, path, []string{sameStorage}
			v.base = v.base.those(compile)
		}
		if v.got, err = changed.run(ctx); err != nil {
			return false, err
		}
		if v.again, err = retry(ctx, o, changed, v); err != nil {
			return false, err
		}
		t.add(v)
	}
	return t.finish(), nil
}

// retry runs the lost tests again, without the others.
func retry(ctx context.Context, o options, g goTest, v verdict) (*results, error) {
	var again *results
	lost := v.got.lost(v.base)
	for range o.attempts - 1 {
		var only []string
		for _, n := range lost {
			if n != wholePackage && (again == nil || again.Outcomes[n] != passed) {
				only = append(only, n)
			}
		}
		if len(only) == 0 || v.got.Broken != "" {
			break
		}
		g.only = only
		r, err := g.run(ctx)
		if err != nil {
			return nil, err
		}
		again = r.over(again)
	}
	return again, nil
}
