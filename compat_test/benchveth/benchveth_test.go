package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/compat_test/internal/measure"
)

// The test binary is also the processes that are measured.
func TestMain(m *testing.M) {
	if os.Getenv(roleVariable) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// namespaces are those that a run of this process has made.
func namespaces(t *testing.T) string {
	out, err := exec.Command("ip", "netns", "list").Output()
	require.NoError(t, err)
	var ours []string
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, strings.TrimSuffix(namespaceName("x"), "x")) {
			ours = append(ours, line)
		}
	}
	return strings.Join(ours, "")
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces and XDP need root")
	}
	if out, err := exec.Command("ip", "netns", "add", namespaceName("probe")).CombinedOutput(); err != nil {
		t.Skipf("no network namespace can be made here: %s", out)
	}
	require.NoError(t, exec.Command("ip", "netns", "del", namespaceName("probe")).Run())
}

// Every workload but wrk's, which takes whole seconds, runs on every row without
// an error. Nothing is said of rates.
func TestWorkloadsRunOnEveryRow(t *testing.T) {
	needRoot(t)
	out := filepath.Join(t.TempDir(), "out.jsonl")
	args := []string{"-rounds=1", "-duration=60ms", "-workloads=http1,ping,conn,bulk-out,bulk-in,udp,idle,wake", "-json=" + out}
	if !installed("ethtool") {
		args = append(args, "-rows=kernel,xdp,xdp-generic") // segmentation stays on
	}
	var stdout, stderr bytes.Buffer
	require.Equal(t, exitOK, run(args, &stdout, &stderr), "%s", &stderr)
	require.Empty(t, namespaces(t))
	b, err := os.ReadFile(out)
	require.NoError(t, err)
	seen := map[string]record{}
	for line := range strings.Lines(string(b)) {
		var r record
		require.NoError(t, json.Unmarshal([]byte(line), &r))
		require.Zero(t, r.Errors, line)
		require.Equal(t, 1, r.Rounds)
		seen[r.Workload+" "+r.Row] = r
	}
	for _, w := range []string{"http1", "ping", "conn", "bulk-out", "bulk-in", "udp"} {
		for _, row := range []string{rowKernel, rowNative, rowGeneric} {
			require.Positive(t, seen[w+" "+row].Value, "%s on %s", w, row)
		}
		// What went by the kernel would be measured as ours otherwise.
		require.Positive(t, seen[w+" "+rowNative].PacketsPerOp, w)
		require.Positive(t, seen[w+" "+rowGeneric].PacketsPerOp, w)
		require.Zero(t, seen[w+" "+rowKernel].PacketsPerOp, w)
	}
	require.Positive(t, seen["wake "+rowNative].Value, "an answer takes a system call")
	require.Contains(t, stdout.String(), "targets")
}

// An interrupt in the middle of a measurement leaves nothing behind.
func TestAnInterruptedRunLeavesNothingBehind(t *testing.T) {
	needRoot(t)
	ctx, cancel := context.WithCancel(context.Background())
	o, err := parse([]string{"-rounds=1000", "-duration=10s", "-workloads=ping", "-rows=kernel,xdp"}, io.Discard)
	require.NoError(t, err)
	started := time.Now()
	progress := writerFunc(func([]byte) { time.AfterFunc(100*time.Millisecond, cancel) }) // when all is open
	results, err := measureAll(ctx, o, progress)
	require.NoError(t, err)
	require.Empty(t, results)
	require.Less(t, time.Since(started), patience)
	require.Empty(t, namespaces(t))
}

type writerFunc func([]byte)

func (f writerFunc) Write(b []byte) (int, error) { f(b); return len(b), nil }

func TestUnknownNamesAreRefused(t *testing.T) {
	for _, arg := range []string{"-rows=kernel,typo", "-workloads=typo", "-rounds=0", "-duration=0s", "stray"} {
		var stderr bytes.Buffer
		require.Equal(t, exitUsage, run([]string{arg}, &stderr, &stderr), arg)
	}
}

func TestParseWrk(t *testing.T) {
	const out = `Running 1s test @ http://10.88.0.1/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.13ms    1.70ms  15.55ms   88.84%
    Req/Sec    99.91k     8.60k  115.71k    70.00%
  Latency Distribution
     50%  520.00us
     75%  830.00us
     90%    3.10ms
     99%    8.25ms
  99412 requests in 1.10s, 12.23MB read
Requests/sec:  90374.55
Transfer/sec:     11.12MB
`
	s, err := parseWrk(out)
	require.NoError(t, err)
	require.Equal(t, 99412.0, s.ops)
	require.Equal(t, 1100*time.Millisecond, s.wall)
	require.Equal(t, 520*time.Microsecond, s.p50)
	require.Equal(t, 8250*time.Microsecond, s.p99)
	require.Zero(t, s.errors)

	s, err = parseWrk(out + "  Socket errors: connect 0, read 3, write 0, timeout 0\n")
	require.NoError(t, err)
	require.Equal(t, 1, s.errors)
	require.Contains(t, s.firstError, "read 3")

	_, err = parseWrk("unable to connect to 10.88.0.1:80 Connection refused\n")
	require.ErrorContains(t, err, "Connection refused")
}

func TestParseTotal(t *testing.T) {
	const table = `% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.000600           6       100           epoll_pwait
 40.00    0.000400           4       101         3 futex
------ ----------- ----------- --------- --------- ----------------
100.00    0.001000           4       201         3 total
`
	n, err := parseTotal(table)
	require.NoError(t, err)
	require.Equal(t, 201.0, n)
	_, err = parseTotal("")
	require.Error(t, err)
}

// find returns a row and a workload by name.
func find(t *testing.T, rowName, workloadName string) (*row, *workload) {
	r, err := measure.Pick("row", rows, rowName)
	require.NoError(t, err)
	w, err := measure.Pick("workload", workloads, workloadName)
	require.NoError(t, err)
	return r[0], w[0]
}

// A ratio is taken within a round first.
func TestTargetsCompareWithinARound(t *testing.T) {
	kernel, ping := find(t, rowKernel, "ping")
	native, _ := find(t, rowNative, "ping")
	var r results
	for round, v := range []struct{ kernel, ours time.Duration }{{100, 90}, {10, 8}, {1000, 1500}} {
		r = append(r,
			measurement{workload: ping, row: kernel, round: round, sample: sample{p50: v.kernel}},
			measurement{workload: ping, row: native, round: round, sample: sample{p50: v.ours}})
	}
	var b bytes.Buffer
	writeTargets(&b, r)
	require.Contains(t, b.String(), "reached  xdp")
	require.Contains(t, b.String(), "measured 0.90 (0.80 to 1.50)")
	require.NotContains(t, b.String(), "http64", "it was not measured")
}

func TestEveryTargetNamesAWorkloadAndARow(t *testing.T) {
	for _, x := range targets {
		base := x.base
		if base == "" {
			base = rowNative
		}
		r, w := find(t, base, x.workload)
		require.True(t, r.runs(w))
	}
}

func TestASummaryCountsFailedRounds(t *testing.T) {
	native, udp := find(t, rowNative, "udp")
	r := results{
		{workload: udp, row: native, round: 0, sample: sample{value: 5, errors: 2, firstError: "first"}},
		{workload: udp, row: native, round: 1, failed: io.EOF},
	}
	s := r.summarise()
	require.Len(t, s, 1)
	require.Equal(t, 1, s[0].rounds)
	require.Equal(t, 3, s[0].errors)
	require.Equal(t, "first", s[0].firstError)
}
