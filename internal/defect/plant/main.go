// Command plant shows that the tests notice mistakes: it builds them with the
// defects of package defect, runs them with one defect after another, and names
// the test that noticed it.
//
//	go run ./internal/defect/plant                      all defects
//	go run ./internal/defect/plant -only close-resets   some, separated by commas
//
// For each defect it runs the tests that are meant to notice it (list.go), and all
// others of the packages only if those pass. Before, it checks that these tests
// pass without a defect. The exit status is 0 if each defect is noticed.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fastnet-go/fastnet/internal/defect"
)

// testTimeout is for one run of a package's tests: a defect may make one hang.
const testTimeout = 20 * time.Second

func main() {
	only := flag.String("only", "", "plant only these `defects`, separated by commas")
	verbose := flag.Bool("v", false, "print what the tests say")
	flag.Parse()
	caught, total, err := run(*only, *verbose)
	if err != nil {
		fmt.Fprintln(os.Stderr, "defects:", err)
		os.Exit(2)
	}
	fmt.Printf("defects: caught %d of %d\n", caught, total)
	if caught < total {
		os.Exit(1)
	}
}

func run(only string, verbose bool) (caught, total int, err error) {
	chosen := list
	if only != "" {
		chosen = nil
		for name := range strings.SplitSeq(only, ",") {
			i := slices.IndexFunc(list, func(p planted) bool { return string(p.name) == strings.TrimSpace(name) })
			if i < 0 {
				return 0, 0, fmt.Errorf("there is no defect %q: list.go has their names", name)
			}
			chosen = append(chosen, list[i])
		}
	}
	dir, err := os.MkdirTemp("", "fastnet-defects-")
	if err != nil {
		return 0, 0, err
	}
	defer os.RemoveAll(dir)
	b := &binaries{dir: dir, verbose: verbose}
	if err := b.build(); err != nil {
		return 0, 0, err
	}
	if err := b.sound(chosen); err != nil {
		return 0, 0, err
	}
	results := make([]string, len(chosen))
	var wg sync.WaitGroup
	work := make(chan int)
	for range max(1, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for i := range work {
				results[i] = b.plant(chosen[i])
				if results[i] == "" {
					fmt.Printf("defect %s: MISSED\n", chosen[i].name)
				} else {
					fmt.Printf("defect %s: caught by %s\n", chosen[i].name, results[i])
				}
			}
		})
	}
	for i := range chosen {
		work <- i
	}
	close(work)
	wg.Wait()
	for _, r := range results {
		if r != "" {
			caught++
		}
	}
	return caught, len(chosen), nil
}

// binaries are the packages' tests, with the defects in them.
type binaries struct {
	dir     string
	verbose bool
}

func (b *binaries) path(pkg string) string {
	return filepath.Join(b.dir, strings.ReplaceAll(pkg, "/", "_")+".test")
}

func (b *binaries) build() error {
	for _, pkg := range packages {
		out, err := exec.Command("go", "test", "-c", "-tags", "defect", "-o", b.path(pkg), "./"+pkg).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %v\n%s", pkg, err, out)
		}
	}
	return nil
}

// sound checks that the tests which are meant to notice defects pass without one.
func (b *binaries) sound(chosen []planted) error {
	done := make(map[string]bool)
	for _, p := range chosen {
		if key := p.pkg + " " + p.test; !done[key] {
			done[key] = true
			failed, out, ran := b.test("", p.pkg, p.test)
			switch {
			case failed != "":
				return fmt.Errorf("%s.%s fails without a defect:\n%s", p.pkg, failed, out)
			case !ran:
				return fmt.Errorf("there is no test %q in %s, or it was skipped: %s is meant to be noticed by it\n%s", p.test, p.pkg, p.name, out)
			}
		}
	}
	return nil
}

// plant returns the test that notices a defect, or "".
func (b *binaries) plant(p planted) string {
	if failed, _, _ := b.test(p.name, p.pkg, p.test); failed != "" {
		return p.pkg + "." + failed
	}
	for _, pkg := range packages {
		if failed, _, _ := b.test(p.name, pkg, "."); failed != "" {
			return pkg + "." + failed
		}
	}
	return ""
}

var (
	failLine = regexp.MustCompile(`(?m)^ *--- FAIL: (\S+)`)
	passLine = regexp.MustCompile(`(?m)^ *--- PASS: (\S+)`)
	hungLine = regexp.MustCompile(`(?m)^\t+(Test\S+) \(\S+\)$`)
	runLine  = regexp.MustCompile(`(?m)^=== RUN +(\S+)`)
)

// test runs tests of a package with a defect, and returns the first that fails.
// ran is false if there was none to run.
func (b *binaries) test(d defect.Name, pkg, pattern string) (failed, out string, ran bool) {
	timeout := testTimeout
	if pattern == "." {
		timeout = 3 * time.Minute
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout+10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.path(pkg), "-test.run", pattern, "-test.short", "-test.v", "-test.failfast", "-test.timeout", timeout.String())
	cmd.Dir = filepath.FromSlash(pkg)
	cmd.Env = append(os.Environ(), defect.Variable+"="+string(d))
	text, err := cmd.CombinedOutput()
	out = string(text)
	if b.verbose {
		fmt.Printf("%s %s %s:\n%s", d, pkg, pattern, out)
	}
	if err == nil {
		return "", out, passLine.MatchString(out)
	}
	return culprit(out), out, true
}

// culprit is the test that out tells of: the innermost that failed or hung, or
// the last that began if the program ended in it.
func culprit(out string) string {
	for _, line := range []*regexp.Regexp{failLine, hungLine} {
		deepest := ""
		for _, m := range line.FindAllStringSubmatch(out, -1) {
			if strings.HasPrefix(m[1], deepest) {
				deepest = m[1]
			}
		}
		if deepest != "" {
			return deepest
		}
	}
	if all := runLine.FindAllStringSubmatch(out, -1); len(all) > 0 {
		return all[len(all)-1][1]
	}
	return "the start of the program"
}
