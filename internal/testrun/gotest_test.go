package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// run feeds lines of go test -json to a tally and returns it with what it
// wrote, summary included.
func run(t *testing.T, lines string) (*tally, string) {
	t.Helper()
	var out bytes.Buffer
	tally := newTally(&out)
	tally.step = "race"
	require.NoError(t, newReader(tally).all(strings.NewReader(lines)))
	tally.summary()
	return tally, out.String()
}

func TestLeavesAreCounted(t *testing.T) {
	tally, out := run(t, `
{"Action":"run","Package":"p","Test":"TestTable"}
{"Action":"run","Package":"p","Test":"TestTable/a"}
{"Action":"pass","Package":"p","Test":"TestTable/a"}
{"Action":"run","Package":"p","Test":"TestTable/b"}
{"Action":"pass","Package":"p","Test":"TestTable/b"}
{"Action":"pass","Package":"p","Test":"TestTable"}
{"Action":"run","Package":"p","Test":"TestOne"}
{"Action":"pass","Package":"p","Test":"TestOne"}
{"Action":"pass","Package":"p","Elapsed":0.5}
`)
	require.Equal(t, counts{3, 0, 0}, tally.total())
	require.True(t, strings.HasSuffix(out, "\n3 passed, 0 failed, 0 skipped\n"))
}

func TestAFailedSubtestIsOneFailure(t *testing.T) {
	tally, out := run(t, `
{"Action":"run","Package":"p","Test":"TestTable"}
{"Action":"run","Package":"p","Test":"TestTable/a"}
{"Action":"output","Package":"p","Test":"TestTable/a","Output":"    x_test.go:3: wrong\n"}
{"Action":"fail","Package":"p","Test":"TestTable/a"}
{"Action":"run","Package":"p","Test":"TestTable/b"}
{"Action":"pass","Package":"p","Test":"TestTable/b"}
{"Action":"fail","Package":"p","Test":"TestTable"}
{"Action":"fail","Package":"p"}
`)
	require.Equal(t, counts{1, 1, 0}, tally.total())
	require.Contains(t, out, "race: p TestTable/a\n          x_test.go:3: wrong\n")
	require.True(t, strings.HasPrefix(out, "   FAIL  p TestTable/a\n          x_test.go:3: wrong\n"), "it is told as it happens, too: %s", out)
}

func TestATestThatFailsBesideItsSubtestsCounts(t *testing.T) {
	tally, _ := run(t, `
{"Action":"run","Package":"p","Test":"TestTable"}
{"Action":"run","Package":"p","Test":"TestTable/a"}
{"Action":"pass","Package":"p","Test":"TestTable/a"}
{"Action":"fail","Package":"p","Test":"TestTable"}
{"Action":"fail","Package":"p"}
`)
	require.Equal(t, counts{1, 1, 0}, tally.total())
}

func TestSkipsAreListedByReason(t *testing.T) {
	tally, out := run(t, `
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    tap_test.go:33: needs root\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"--- SKIP: TestA (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Test":"TestB","Output":"    tap_test.go:33: needs root\n"}
{"Action":"skip","Package":"p","Test":"TestB"}
{"Action":"pass","Package":"p"}
{"Action":"skip","Package":"without/tests"}
`)
	require.Equal(t, 2, tally.total().skipped)
	require.Contains(t, out, "Skipped:\n  needs root\n      p TestA\n      p TestB\n")
}

func TestSubtestsSkippedForOneReasonAreOneEntry(t *testing.T) {
	var out bytes.Buffer
	tally := newTally(&out)
	for _, name := range []string{"p TestA/b", "p TestA/a", "p TestB/c", "some check"} {
		tally.skip(name, "needs root")
	}
	tally.summary()
	require.Equal(t, "\nSkipped:\n  needs root\n      p TestA: 2 subtests, the first a\n      p TestB/c\n      some check\n\n0 passed, 0 failed, 4 skipped\n", out.String())
}

func TestSeveralRunsOfATestCountOnce(t *testing.T) {
	var out bytes.Buffer
	tally := newTally(&out)
	tally.begin("race", "")
	tally.pass("p TestA")
	tally.pass("p TestB")
	tally.skip("p TestC", "the race detector")
	tally.skip("p TestD", "needs root")
	tally.begin("plain", "")
	tally.pass("p TestA")
	tally.fail("p TestB", "wrong")
	tally.pass("p TestC")
	tally.skip("p TestD", "needs root")
	tally.summary()
	require.Equal(t, counts{passed: 2, failed: 1, skipped: 1}, tally.total())
	require.NotContains(t, out.String(), "the race detector")
}

func TestAPackageThatDoesNotBuildIsOneFailure(t *testing.T) {
	tally, out := run(t, `
{"ImportPath":"p [p.test]","Action":"build-output","Output":"./x.go:1:1: undefined: y\n"}
{"ImportPath":"p [p.test]","Action":"build-fail"}
{"Action":"start","Package":"p"}
{"Action":"output","Package":"p","Output":"FAIL\tp [build failed]\n"}
{"Action":"fail","Package":"p","FailedBuild":"p [p.test]"}
`)
	require.Equal(t, 1, tally.total().failed)
	require.Contains(t, out, "undefined: y")
}

func TestAPanicIsTheFailureOfItsTest(t *testing.T) {
	tally, out := run(t, `
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Test":"TestB","Output":"panic: no\n"}
{"Action":"fail","Package":"p","Test":"TestB"}
{"Action":"fail","Package":"p"}
`)
	require.Equal(t, counts{0, 1, 0}, tally.total())
	require.Contains(t, out, "panic: no")
}

func TestFuzzTargetsHaveTheirPackages(t *testing.T) {
	require.Equal(t, []target{{"m/a", "FuzzX"}, {"m/a", "FuzzY"}, {"m/c", "FuzzZ"}},
		parseTargets("FuzzX\nFuzzY\nok  \tm/a\t0.01s\n?   \tm/b\t[no test files]\nFuzzZ\nok  \tm/c\t0.02s\n"))
	require.Equal(t, "1234 inputs", executions("fuzz: elapsed: 3s, execs: 12 (4/sec)\nfuzz: elapsed: 6s, execs: 1234 (9/sec), new\n"))
}

func TestOnlyNamedSteps(t *testing.T) {
	chosen, err := choose(steps(), "vet, layers")
	require.NoError(t, err)
	require.Len(t, chosen, 2)
	_, err = choose(steps(), "nothing")
	require.ErrorContains(t, err, "-help lists them")
}
