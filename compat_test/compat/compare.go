package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// comparison is what the suites have in common.
type comparison struct {
	options
	allowed       allowances
	tools, shadow toolchain
	dir           string
	over          *overlay
	overlayPath   string
	cached        cache
	trees         map[*module]trees
	refused       map[*module]*refusedError
	stdout        io.Writer
}

// compare runs the suites both ways and prints the differences.
func compare(ctx context.Context, o options, stdout io.Writer) (ok bool, err error) {
	allowed, err := parseAllowed(allowedText)
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
	c := &comparison{
		options: o, allowed: allowed, dir: dir, stdout: stdout,
		trees: make(map[*module]trees), refused: make(map[*module]*refusedError),
	}
	if err := c.prepare(ctx); err != nil {
		return false, err
	}
	fmt.Fprintf(stdout, "%s %s, FASTNET=%s\n", c.tools.version, c.tools.target, o.network)
	t := tally{out: stdout, verbose: o.verbose}
	for _, s := range o.suites {
		v, err := c.suite(ctx, s)
		var refused *refusedError
		switch {
		case errors.As(err, &refused):
			fmt.Fprintf(stdout, "%-20s SKIPPED: it cannot be downloaded: %s\n", s.name(), refused.reason)
			continue
		case err != nil:
			return false, fmt.Errorf("%s: %w", s.name(), err)
		}
		t.add(v)
	}
	return t.finish(), nil
}

// prepare lays out the GOROOT in which fastnet takes package net's place.
func (c *comparison) prepare(ctx context.Context) (err error) {
	if c.tools, err = localToolchain(ctx); err != nil {
		return err
	}
	if c.cached, err = openCache(c.cacheDir, c.tools, c.race); err != nil {
		return err
	}
	if c.shadow, err = c.tools.shadow(filepath.Join(c.dir, "goroot")); err != nil {
		return err
	}
	var flags []string
	if c.race {
		flags = []string{"-race"}
	}
	if c.over, err = newOverlay(ctx, c.tools, c.shadow, c.dir, flags...); err != nil {
		return err
	}
	if c.overlayPath, err = c.over.write("overlay.json"); err != nil {
		return err
	}
	build := slices.Concat([]string{"build", "-overlay", c.overlayPath}, flags, []string{laidUnder + replacement})
	if _, err := goCommand(ctx, c.shadow.src(), c.shadow.environ(), build...); err != nil {
		return fmt.Errorf("fastnet does not build: %w", err)
	}
	return nil
}

// goTests are how a suite is run as it is and changed, and the tests that can
// be compared; nil stands for all.
func (c *comparison) goTests(ctx context.Context, s suite) (plain, changed goTest, compile []string, err error) {
	plain = goTest{dir: c.tools.src(), pkg: s.pkg, timeout: s.timeout, race: c.race, long: c.long || s.long}
	if c.race {
		plain.timeout *= 3 // the detector makes them several times slower
	}
	if s.module != nil {
		plain.env, plain.flags = localOnly, []string{"-mod=vendor"}
	}
	changed = plain
	changed.dir, changed.overlay, changed.only = c.shadow.src(), c.overlayPath, c.only
	changed.env = slices.Concat(plain.env, c.shadow.environ(), []string{"FASTNET=" + c.network})
	switch {
	case s.own:
		path, tests, err := portNetTests(ctx, c.tools, c.shadow, c.over.with(filepath.Join(c.dir, "net")), c.stdout, c.verbose)
		if err != nil {
			return plain, changed, nil, err
		}
		tests = slices.DeleteFunc(tests, func(n string) bool { return slices.Contains(s.skip, n) })
		fmt.Fprintf(c.stdout, "net: %d of them are run, the others want the Internet or make interfaces\n", len(tests))
		plain.only = tests
		if c.only == nil {
			changed.only = tests
		}
		changed.pkg, changed.overlay, changed.flags = portedPath, path, []string{sameStorage}
		return plain, changed, tests, nil
	case s.module != nil:
		t, err := c.layOnce(ctx, s.module)
		if err != nil {
			return plain, changed, nil, err
		}
		plain.dir, changed.dir = t.plain, t.changed
	}
	return plain, changed, nil, nil
}

func (c *comparison) layOnce(ctx context.Context, m *module) (trees, error) {
	if err := c.refused[m]; err != nil {
		return trees{}, err
	}
	if t, ok := c.trees[m]; ok {
		return t, nil
	}
	t, err := layModule(ctx, m, c.dir)
	c.trees[m] = t
	var refused *refusedError
	if errors.As(err, &refused) {
		c.refused[m] = refused
	}
	return t, err
}

// suite runs one suite both ways.
func (c *comparison) suite(ctx context.Context, s suite) (v verdict, err error) {
	v = verdict{suite: s, allowed: c.allowed.those(s.pkg, c.only)}
	plain, changed, compile, err := c.goTests(ctx, s)
	if err != nil {
		return v, err
	}
	base := func(ctx context.Context) (*results, error) { return c.baseline(ctx, plain) }
	if v.base, err = c.cached.base(ctx, s, c.fresh, base); err != nil {
		return v, err
	}
	if v.base.Broken != "" {
		return v, fmt.Errorf("the unmodified tests: %s", v.base.Broken)
	}
	v.base = v.base.those(c.only).those(compile)
	if v.got, err = changed.run(ctx); err != nil || v.got.Broken != "" {
		return v, err
	}
	if v.again, err = c.repeat(ctx, changed, v.got.lost(v.base)); err != nil {
		return v, err
	}
	// What is lost now and not allowed, and fails at times as it is too, says
	// nothing about fastnet.
	plain.only = v.unexplained()
	if len(plain.only) > 0 {
		v.doubt, err = plain.run(ctx)
	}
	return v, err
}

// baseline runs the unmodified tests: as often as the changed ones those that
// fail.
func (c *comparison) baseline(ctx context.Context, g goTest) (*results, error) {
	r, err := g.run(ctx)
	if err != nil || r.Broken != "" {
		return r, err
	}
	again, err := c.repeat(ctx, g, r.failing())
	if err != nil || again == nil {
		return r, err
	}
	for n, o := range again.Outcomes {
		if o == passed && n != wholePackage {
			r.Outcomes[n] = passed
		}
	}
	return r, nil
}

// repeat runs some tests again, without the others, those that fail as often as
// the options say. It returns nil if it ran none.
func (c *comparison) repeat(ctx context.Context, g goTest, tests []string) (*results, error) {
	var again *results
	for range c.attempts - 1 {
		g.only = nil
		for _, n := range tests {
			if n != wholePackage && (again == nil || again.Outcomes[n] != passed) {
				g.only = append(g.only, n)
			}
		}
		if len(g.only) == 0 {
			break
		}
		r, err := g.run(ctx)
		if err != nil {
			return nil, err
		}
		again = r.over(again)
	}
	return again, nil
}
