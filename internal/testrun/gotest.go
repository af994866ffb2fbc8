package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
)

// testTimeout is for all tests of one package. It ends what hangs: those of a live
// interface (compat_test/xdp) take three minutes, and three times as long on a
// machine of two processors that is shared.
const testTimeout = "30m"

// goTest runs "go test" in dir and adds its results to t.
func goTest(t *tally, dir string, args ...string) {
	cmd := exec.Command("go", append([]string{"test", "-json", "-timeout", testTimeout}, args...)...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.fail("go test", err.Error())
		return
	}
	before := t.counts.failed
	read := newReader(t)
	failed := read.all(out)
	err = cmd.Wait()
	// What go test says on stderr belongs to no test: no packages, no modules.
	var exit *exec.ExitError
	switch {
	case failed != nil:
		t.fail("go test", fmt.Sprintf("its output cannot be read: %v\n%s", failed, stderr.String()))
	case err != nil && (t.counts.failed == before || !errors.As(err, &exit)):
		t.fail("go test", fmt.Sprintf("%v\n%s", err, stderr.String()))
	}
}

// race runs all tests with the race detector, or without where it is not to be
// had: except on macOS it is linked by a C compiler.
func race(t *tally) {
	out, err := exec.Command("go", "env", "CGO_ENABLED").Output()
	if err == nil && strings.TrimSpace(string(out)) == "0" && runtime.GOOS != "darwin" {
		t.skip("race detector", "no C compiler, with which the race detector is linked (Debian: apt-get install gcc libc6-dev): the tests ran without")
		goTest(t, ".", "-short", "./...")
		return
	}
	goTest(t, ".", "-race", "-short", "./...")
}

// event is a line of go test -json: see "go doc test2json".
type event struct {
	Action      string
	Package     string
	ImportPath  string // of build-output and build-fail
	Test        string
	Output      string
	FailedBuild string // the ImportPath of the build that made the package fail
	Elapsed     float64
}

// reader adds the events of one run of go test to a tally.
type reader struct {
	t        *tally
	packages map[string]*packageRun
	builds   map[string]*strings.Builder // output of builds, by ImportPath
}

type packageRun struct {
	output strings.Builder
	tests  map[string]*testRun
	counts counts
}

type testRun struct {
	output    strings.Builder
	subtests  int
	subfailed bool // some subtest failed
}

func newReader(t *tally) *reader {
	return &reader{t: t, packages: make(map[string]*packageRun), builds: make(map[string]*strings.Builder)}
}

func (r *reader) all(in io.Reader) error {
	dec := json.NewDecoder(in)
	for {
		var e event
		switch err := dec.Decode(&e); {
		case err == io.EOF:
			return nil
		case err != nil:
			io.Copy(io.Discard, in)
			return err
		}
		r.add(e)
	}
}

func (r *reader) add(e event) {
	if e.Action == "build-output" || e.Action == "build-fail" {
		if r.builds[e.ImportPath] == nil {
			r.builds[e.ImportPath] = new(strings.Builder)
		}
		r.builds[e.ImportPath].WriteString(e.Output)
		return
	}
	p := r.packages[e.Package]
	if p == nil {
		p = &packageRun{tests: make(map[string]*testRun)}
		r.packages[e.Package] = p
	}
	if e.Test == "" {
		r.packageEvent(p, e)
		return
	}
	run := p.tests[e.Test]
	if run == nil {
		run = new(testRun)
		p.tests[e.Test] = run
	}
	name := short(e.Package) + " " + e.Test
	parent := p.tests[parentOf(e.Test)]
	switch e.Action {
	case "run":
		if parent != nil {
			parent.subtests++
		}
		return
	case "output":
		run.output.WriteString(e.Output)
		return
	case "pass":
		if run.subtests == 0 {
			r.t.pass(name)
			p.counts.passed++
		}
	case "fail":
		if parent != nil {
			parent.subfailed = true
		}
		// A test fails with its subtests: it counts only if they did not.
		if !run.subfailed {
			r.t.fail(name, run.output.String())
			p.counts.failed++
		}
	case "skip":
		r.t.skip(name, reason(run.output.String()))
		p.counts.skipped++
	default:
		return
	}
	delete(p.tests, e.Test)
}

func (r *reader) packageEvent(p *packageRun, e event) {
	switch e.Action {
	case "output":
		p.output.WriteString(e.Output)
	case "fail":
		if p.counts.failed == 0 {
			// A build error, TestMain, or an end without a word.
			output := p.output.String()
			if b := r.builds[e.FailedBuild]; b != nil {
				output = b.String()
			}
			r.t.fail(short(e.Package), output)
			p.counts.failed++
		}
		r.line(p, e, "FAIL")
	case "pass":
		r.line(p, e, "ok")
	}
}

// line tells that a package is done.
func (r *reader) line(p *packageRun, e event, word string) {
	fmt.Fprintf(r.t.w, "   %-4s  %-28s %6.1fs  %v\n", word, short(e.Package), e.Elapsed, p.counts)
}

// parentOf is the test that a subtest belongs to, "" for a test.
func parentOf(test string) string {
	if i := strings.LastIndexByte(test, '/'); i >= 0 {
		return test[:i]
	}
	return ""
}

// short is a package's path within the module.
func short(pkg string) string {
	const module = "github.com/fastnet-go/fastnet"
	if pkg == module {
		return "."
	}
	return strings.TrimPrefix(pkg, module+"/")
}

// reason is what a skipped test said: its output without the lines that frame
// it, and without file and line number.
func reason(output string) string {
	var said []string
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
			continue
		}
		if file, rest, ok := strings.Cut(line, ": "); ok && strings.Contains(file, ".go:") {
			line = rest
		}
		said = append(said, line)
	}
	if len(said) == 0 {
		return "no reason given"
	}
	return strings.Join(said, " ")
}

// module runs the tests of another module of the repository, whose dependencies
// (other stacks to compare with, for example) must be had first.
func module(t *tally, dir string) {
	cmd := exec.Command("go", "list", "-deps", "-test", "./...")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		if unreachable(out) {
			t.skip(dir, "its modules cannot be downloaded: "+lastLine(out))
		} else {
			t.fail(dir, string(out))
		}
		return
	}
	// Two packages at a time, on a machine of more processors, too: that of a live
	// interface has enough to do with itself.
	goTest(t, dir, "-p", "2", "./...")
}

// unreachable reports whether the go command's output says that the network, or
// the module proxy, could not be reached.
func unreachable(out []byte) bool {
	for _, sign := range []string{
		"dial tcp", "no such host", "connection refused", "i/o timeout", "TLS handshake timeout",
		"network is unreachable", "module lookup disabled", "server misbehaving", "proxyconnect",
		"connection reset by peer", "Temporary failure in name resolution", "Client.Timeout exceeded",
		"429 Too Many Requests", "500 Internal Server Error", "502 Bad Gateway", "503 Service Unavailable", "504 Gateway Timeout", "403 Forbidden",
	} {
		if bytes.Contains(out, []byte(sign)) {
			return true
		}
	}
	return false
}

func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
