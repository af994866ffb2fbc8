package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOnlyTheImportIsRewritten(t *testing.T) {
	to := map[string]string{"net": "x/fastnet", "a.org/m/p": "std/a.org/m/p"}
	for src, want := range map[string]string{
		"package p\n\nimport \"net\"\n\nvar s = \"net\"\n":                 "package p\n\nimport net \"x/fastnet\"\n\nvar s = \"net\"\n",
		"package p\nimport (\n\tn \"net\"\n\t\"net/url\"\n)\n":             "package p\nimport (\n\tn \"x/fastnet\"\n\t\"net/url\"\n)\n",
		"package p\nimport . \"net\"; import \"a.org/m/p\"\nvar x = `\"` ": "package p\nimport . \"x/fastnet\"; import \"std/a.org/m/p\"\nvar x = `\"` ",
		"//go:build linux\n\npackage p\n":                                  "//go:build linux\n\npackage p\n",
	} {
		got, err := replaceImports([]byte(src), to)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
	_, err := replaceImports([]byte("no Go"), to)
	require.Error(t, err)
}

func TestAllowedLossesHaveAClassAndAReason(t *testing.T) {
	all, err := parseAllowed(allowedText)
	require.NoError(t, err)
	require.NotEmpty(t, all)
	for line, want := range map[string]string{
		"net/http TestX descriptor":                        "write a package, a test, a class and why",
		"net/http TestX flaky it fails at times":           `unknown class "flaky"`,
		"net/htp TestX hook why":                           `no suite "net/htp"`,
		"net/http TestX hook why\nnet/http TestX hook why": "TestX is there twice",
	} {
		_, err := parseAllowed(line)
		require.ErrorContains(t, err, want)
	}
}

func resultsOf(outcomes map[string]string) *results {
	r := newResults()
	r.Outcomes = outcomes
	return r
}

func TestReportNamesWhatIsLost(t *testing.T) {
	base := resultsOf(map[string]string{
		"TestA": passed, "TestA/one": passed, "TestB": passed, "TestC": passed, "TestD": failed, "TestE": skipped, "TestF": passed,
		wholePackage: passed,
	})
	got := resultsOf(map[string]string{
		"TestA": failed, "TestA/one": failed, "TestB": skipped, "TestC": passed, "TestD": failed, "TestF": hung, wholePackage: passed,
	})
	for _, tt := range []struct {
		name    string
		allowed map[string]allowance
		again   *results
		lines   []string
		ok      bool
	}{
		{"losses", nil, nil, []string{"LOST TestA (fail): TestA/one", "LOST TestB (skip)", "LOST TestF (hang)",
			"compat: kept 1 of 4, allowed losses 0, new losses 3"}, false},
		{"all allowed", map[string]allowance{"TestA": {}, "TestB": {}, "TestF": {}}, nil,
			[]string{"compat: kept 1 of 4, allowed losses 3, new losses 0"}, true},
		{"an allowed one passes", map[string]allowance{"TestA": {}, "TestB": {}, "TestC": {}, "TestF": {}}, nil,
			[]string{"STALE TestC passes", "compat: kept 1 of 4, allowed losses 3, new losses 0"}, false},
		{"some pass at the second attempt", map[string]allowance{"TestB": {}}, resultsOf(map[string]string{"TestA": passed, "TestF": passed}),
			[]string{"second attempt only: TestA: TestA/one", "compat: kept 3 of 4, allowed losses 1, new losses 0"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			tally := tally{out: &out}
			tally.add(verdict{suite: suite{pkg: "p"}, base: base, got: got, again: tt.again, allowed: tt.allowed})
			require.Equal(t, tt.ok, tally.finish())
			for _, line := range tt.lines {
				require.Contains(t, out.String(), line)
			}
			require.True(t, strings.HasSuffix(out.String(), tt.lines[len(tt.lines)-1]+"\n"))
		})
	}
}

func TestASubtestsAllowanceExplainsThatSubtestAlone(t *testing.T) {
	base := resultsOf(map[string]string{"TestA": passed, "TestA/1": passed, "TestA/2": passed})
	allowed := map[string]allowance{"TestA/1": {test: "TestA/1", class: "hook", why: "because"}}
	for _, tt := range []struct {
		got  map[string]string
		last string
		says string
		ok   bool
	}{
		{map[string]string{"TestA": failed, "TestA/1": failed, "TestA/2": passed}, "kept 0 of 1, allowed losses 1, new losses 0", "allowed TestA/1: hook: because", true},
		{map[string]string{"TestA": failed, "TestA/1": failed, "TestA/2": failed}, "kept 0 of 1, allowed losses 0, new losses 1", "LOST TestA", false},
		{map[string]string{"TestA": hung, "TestA/1": hung}, "kept 0 of 1, allowed losses 0, new losses 1", "LOST TestA", false},
		{map[string]string{"TestA": passed, "TestA/1": passed, "TestA/2": passed}, "kept 1 of 1, allowed losses 0, new losses 0", "STALE TestA/1", false},
	} {
		var out bytes.Buffer
		tally := tally{out: &out}
		tally.add(verdict{suite: suite{pkg: "p"}, base: base, got: resultsOf(tt.got), allowed: allowed})
		require.Equal(t, tt.ok, tally.finish(), out.String())
		require.Contains(t, out.String(), tt.says)
		require.Contains(t, out.String(), tt.last)
	}
}

// TestAFlakyTestIsNeitherLostNorKept: what fails as it is too, when it is run
// once more, is named and not counted.
func TestAFlakyTestIsNeitherLostNorKept(t *testing.T) {
	base := resultsOf(map[string]string{"TestA": passed, "TestB": passed})
	got := resultsOf(map[string]string{"TestA": failed, "TestB": failed})
	v := verdict{suite: suite{pkg: "p"}, base: base, got: got}
	require.Equal(t, []string{"TestA", "TestB"}, v.unexplained())
	v.doubt = resultsOf(map[string]string{"TestA": failed, "TestB": passed})
	var out bytes.Buffer
	tally := tally{out: &out}
	tally.add(v)
	require.False(t, tally.finish())
	require.Contains(t, out.String(), "fails at times with package net too: TestA")
	require.Contains(t, out.String(), "LOST TestB")
	require.Contains(t, out.String(), "kept 0 of 1, allowed losses 0, new losses 1")
}

func TestSuitesAreSelectedByPattern(t *testing.T) {
	pkgs := func(list string) (ps []string) {
		ss, err := selected(list)
		require.NoError(t, err, list)
		for _, s := range ss {
			require.NotZero(t, s.timeout)
			ps = append(ps, s.pkg)
		}
		return ps
	}
	require.Len(t, pkgs(""), len(suites))
	require.Len(t, pkgs("std"), len(standard))
	require.Equal(t, []string{"net/rpc", "net/rpc/jsonrpc"}, pkgs("net/rpc/..."))
	require.Equal(t, []string{"net/rpc"}, pkgs(" net/rpc ,"))
	require.Contains(t, pkgs("github.com/miekg/..."), "github.com/miekg/dns")
	_, err := selected("net/rpc/...,nothing/...")
	require.ErrorContains(t, err, `no suite "nothing/..."`)
	seen := make(map[string]bool)
	for _, s := range suites {
		require.False(t, seen[s.pkg], "%s is there twice", s.pkg)
		seen[s.pkg] = true
	}
}

func TestAModuleThatCannotBeHadIsNamed(t *testing.T) {
	t.Setenv("GOPROXY", "off")
	t.Setenv("GOMODCACHE", t.TempDir())
	_, err := layModule(t.Context(), &module{path: "example.com/nothing", version: "v1.0.0"}, t.TempDir())
	var refused *refusedError
	require.ErrorAs(t, err, &refused)
	require.NotContains(t, refused.Error(), "\n")
}

// TestBothCopiesOfAModule: the changed one differs in the import paths alone,
// vendored packages included, and what no compiler can read stays.
func TestBothCopiesOfAModule(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{
		"a.go": "package a\n\nimport \"net\"\n", "vendor/b/b.go": "package b\nimport . \"net\"\n",
		"testdata/c.go": "no Go \"net\"", "d.txt": "import \"net\"\n",
	} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(from, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(from, name), []byte(text), 0o400))
	}
	require.NoError(t, copyTree(from, to, onReplacement))
	for name, want := range map[string]string{
		"a.go": "package a\n\nimport net \"" + laidUnder + replacement + "\"\n", "vendor/b/b.go": "package b\nimport . \"" + laidUnder + replacement + "\"\n",
		"testdata/c.go": "no Go \"net\"", "d.txt": "import \"net\"\n",
	} {
		got, err := os.ReadFile(filepath.Join(to, name))
		require.NoError(t, err)
		require.Equal(t, want, string(got))
		require.NoError(t, os.WriteFile(filepath.Join(to, name), nil, 0), "a test may write it")
	}
}

// TestAHangCostsOneTest runs a package in which one test hangs, one takes the
// process down, and others are well.
func TestAHangCostsOneTest(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module m\n\ngo 1.24\n",
		"m_test.go": `package m
			import "testing"
			func TestFirst(t *testing.T) {}
			func TestHangs(t *testing.T) { t.Run("here", func(t *testing.T) { select {} }) }
			func TestParallel(t *testing.T) { t.Parallel() }
			func TestDies(t *testing.T) { go panic("dead"); select {} }
			func TestFails(t *testing.T) { t.Run("sub", func(t *testing.T) { t.Error("no") }) }
			func TestSkips(t *testing.T) { t.Skip() }
			func TestLast(t *testing.T) {}
		`,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	g := goTest{dir: dir, pkg: ".", timeout: 15 * time.Second}
	r, err := g.run(context.Background())
	require.NoError(t, err)
	require.Empty(t, r.Broken)
	require.Equal(t, []string{"TestFirst", "TestLast", "TestParallel"}, r.passing())
	require.Equal(t, hung, r.Outcomes["TestHangs"])
	require.Contains(t, []string{hung, failed}, r.Outcomes["TestDies"])
	require.Equal(t, failed, r.Outcomes["TestFails"])
	require.Equal(t, []string{"TestFails/sub"}, r.culprits("TestFails"))
	require.Equal(t, skipped, r.Outcomes["TestSkips"])
}

func TestWhatDoesNotBuildIsNoResult(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module m\n\ngo 1.24\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "m_test.go"), []byte("package m\nvar x int = \"\"\n"), 0o600))
	r, err := goTest{dir: dir, pkg: ".", timeout: time.Second}.run(context.Background())
	require.NoError(t, err)
	require.Contains(t, r.Broken, "cannot use")
}

// TestTheTestsRunOnTheReplacement: with a wrong configuration of fastnet's the
// tests that open sockets fail, which shows whose sockets they are.
func TestTheTestsRunOnTheReplacement(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles much of the standard library")
	}
	var out bytes.Buffer
	arguments := []string{"-cache", t.TempDir(), "-attempts", "1", "-packages", "net/smtp"}
	require.Equal(t, exitOK, run(t.Context(), arguments, &out, &out), out.String())
	out.Reset()
	require.Equal(t, exitLost, run(t.Context(), append(arguments, "-fastnet", "nothing:"), &out, &out), out.String())
	require.Contains(t, out.String(), "LOST ")
}

func TestUsageErrors(t *testing.T) {
	for _, args := range [][]string{{"-packages", "net/nothing"}, {"word"}, {"-no-such-flag"}} {
		var out bytes.Buffer
		require.Equal(t, exitFailed, run(t.Context(), args, &out, &out), args)
		require.NotEmpty(t, out.String())
	}
}
