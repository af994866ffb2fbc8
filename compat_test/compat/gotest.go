package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// goTest is how the tests of a package are run.
type goTest struct {
	dir     string // where
	pkg     string
	overlay string   // path; empty: the package as it is
	env     []string // besides the process's own
	race    bool
	long    bool // with the tests that -short leaves out
	timeout time.Duration
	only    []string // top-level tests; nil: all
	flags   []string // further ones
}

// rounds is how often a package is run again without the test that hung or took
// the process down, so that one such test does not hide the others.
const rounds = 8

// run runs the tests. An error is one of running them: that they fail is in the
// results.
func (g goTest) run(ctx context.Context) (*results, error) {
	all := newResults()
	var skip []string
	for range rounds {
		r, ended, err := g.once(ctx, skip)
		if err != nil {
			return nil, err
		}
		maps.Copy(all.Output, r.Output)
		for n, o := range r.Outcomes {
			if o != unfinished && o != paused {
				all.Outcomes[n] = o
			}
		}
		all.Broken = r.Broken
		if ended || r.Broken != "" {
			return all, nil
		}
		guilty := r.guilty()
		if len(guilty) == 0 {
			all.Broken = "the tests ended early, and none was running:\n" + r.Output[wholePackage]
			return all, nil
		}
		for _, n := range guilty {
			all.Outcomes[n] = hung
			all.Output[n] += tail(r.Output[wholePackage], 60)
		}
		skip = slices.DeleteFunc(slices.Sorted(maps.Keys(all.Outcomes)), func(n string) bool { return !topLevel(n) })
	}
	return all, nil
}

// states of a test that has not ended, of results within this file.
const (
	unfinished = "unfinished"
	paused     = "paused"
)

// event is a line of go test -json.
type event struct {
	Action, Test, Output string
}

// once runs the tests but those in skip. ended is false when the process died
// before the last one.
func (g goTest) once(ctx context.Context, skip []string) (r *results, ended bool, err error) {
	args := []string{"test", "-json", "-vet=off", "-count=1", "-timeout", g.timeout.String()}
	if g.overlay != "" {
		args = append(args, "-overlay", g.overlay)
	}
	args = append(args, g.flags...)
	if !g.long {
		args = append(args, "-short")
	}
	if g.race {
		args = append(args, "-race")
	}
	if g.only != nil {
		args = append(args, "-run", exactly(g.only))
	}
	if len(skip) > 0 {
		args = append(args, "-skip", exactly(skip))
	}
	// The limit of the tests is theirs to keep; this one is for a process that
	// does not, and leaves time to compile.
	ctx, cancel := context.WithTimeout(ctx, g.timeout+10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", append(args, g.pkg)...)
	cmd.Dir = g.dir
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "FASTNET=") }), g.env...)
	// Tests start processes of their own, which must not outlive them.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, false, err
	}
	if err := cmd.Start(); err != nil {
		return nil, false, err
	}
	r, verdict := readEvents(out)
	err = cmd.Wait()
	if ctx.Err() != nil {
		return nil, false, fmt.Errorf("go test %s: %w", g.pkg, ctx.Err())
	}
	if verdict == "" { // it was never run
		r.Broken = fmt.Sprintf("%v\n%s%s", err, r.Output[wholePackage], stderr.String())
		return r, false, nil
	}
	for _, o := range r.Outcomes {
		if o == unfinished || o == paused {
			return r, false, nil
		}
	}
	if verdict == failed && len(r.failures()) == 0 {
		r.Outcomes[wholePackage] = failed
	} else {
		r.Outcomes[wholePackage] = passed
	}
	return r, true, nil
}

// readEvents collects the results of go test -json, and its verdict on the
// package: empty if it does not build.
func readEvents(from io.Reader) (r *results, verdict string) {
	r = newResults()
	said := make(map[string]*strings.Builder)
	in := bufio.NewReader(from)
	for {
		line, err := in.ReadBytes('\n')
		var e event
		if json.Unmarshal(line, &e) != nil {
			e = event{Action: "output", Output: string(line)}
		}
		switch e.Action {
		case "run", "cont":
			r.Outcomes[e.Test] = unfinished
		case "pause":
			r.Outcomes[e.Test] = paused
		case "output", "build-output":
			name := e.Test
			if name == "" {
				name = wholePackage
			}
			if said[name] == nil {
				said[name] = new(strings.Builder)
			}
			said[name].WriteString(e.Output)
		case passed, failed, skipped:
			if e.Test != "" {
				r.Outcomes[e.Test] = e.Action
			} else if !strings.Contains(said[wholePackage].String(), "[build failed]") {
				verdict = e.Action
			}
		}
		if err != nil {
			break
		}
	}
	for name, b := range said {
		if r.Outcomes[name] != passed {
			r.Output[name] = b.String()
		}
	}
	return r, verdict
}

func (r *results) failures() (ns []string) {
	for n, o := range r.Outcomes {
		if o == failed {
			ns = append(ns, n)
		}
	}
	return ns
}

var runningTest = regexp.MustCompile(`(?m)^\s*((?:Test|Example|Fuzz)[^\s]*) \((\S+)\)$`)

// guilty are the top-level tests on account of which the process died: those
// that had been running for long when the time was up, else those that had not
// ended.
func (r *results) guilty() []string {
	running := make(map[string]time.Duration)
	var longest time.Duration
	for name, text := range r.Output {
		_, after, ok := strings.Cut(text, "running tests:\n")
		if !ok {
			continue
		}
		list, _, _ := strings.Cut(after, "\n\n")
		for _, m := range runningTest.FindAllStringSubmatch(list, -1) {
			if d, err := time.ParseDuration(m[2]); err == nil {
				running[top(m[1])] = max(d, running[top(m[1])])
				longest = max(d, longest)
			}
		}
		if name != wholePackage {
			r.Output[wholePackage] += text
		}
	}
	found := make(map[string]bool)
	for n, d := range running {
		if d >= longest/2 {
			found[n] = true
		}
	}
	if len(found) == 0 {
		for n, o := range r.Outcomes {
			if o == unfinished {
				found[top(n)] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func top(name string) string {
	name, _, _ = strings.Cut(name, "/")
	return name
}

// exactly is the expression that matches these top-level tests.
func exactly(tests []string) string {
	return "^(" + strings.Join(tests, "|") + ")$"
}

// tail is the end of a text.
func tail(text string, lines int) string {
	ls := strings.SplitAfter(text, "\n")
	return strings.Join(ls[max(0, len(ls)-lines):], "")
}
