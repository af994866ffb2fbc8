package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
// an error. Nothing is said of rates. A busy machine may leave a short measurement
// without a single operation: it is made again, for longer.
func TestWorkloadsRunOnEveryRow(t *testing.T) {
	needRoot(t)
	out := filepath.Join(t.TempDir(), "out.jsonl")
	left := []string{"http1", "ping", "conn", "bulk-out", "bulk-in", "udp", "wake", "idle"}
	for d := 60 * time.Millisecond; len(left) > 0; d *= 4 {
		require.Less(t, d, 20*time.Second, "nothing happens: %s", left)
		args := []string{"-rounds=1", "-duration=" + d.String(), "-workloads=" + strings.Join(left, ","), "-out=" + out}
		if !installed("ethtool") {
			args = append(args, "-rows=kernel,xdp,xdp-generic") // segmentation stays on
		}
		var stdout, stderr bytes.Buffer
		require.Equal(t, measure.ExitOK, newProgram().Run(args, &stdout, &stderr), "%s", &stderr)
		require.Empty(t, namespaces(t))
		require.Contains(t, stdout.String(), "targets")
		seen := records(t, out)
		left = slices.DeleteFunc(left, func(w string) bool {
			for _, row := range []string{rowKernel, rowNative, rowGeneric} {
				require.Contains(t, seen, w+" "+row)
				switch {
				case w == "idle" || w == "wake" && row == rowKernel:
				case seen[w+" "+row].Value == 0:
					return false // of "wake": an answer takes a system call
				case w == "wake":
				case row == rowKernel:
					require.Zero(t, seen[w+" "+row].PacketsPerOp, "%s on %s", w, row)
				case seen[w+" "+row].PacketsPerOp == 0:
					// What went by the kernel would be measured as ours otherwise. The
					// packets of a single operation may have come before its time.
					return false
				}
			}
			return true
		})
	}
}

// records are the latest ones of a file, by workload and row.
func records(t *testing.T, path string) map[string]record {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	seen := map[string]record{}
	for line := range strings.Lines(string(b)) {
		var r record
		require.NoError(t, json.Unmarshal([]byte(line), &r))
		require.Zero(t, r.Errors, line)
		require.Equal(t, 1, r.Rounds)
		seen[r.Workload+" "+r.Row] = r
	}
	return seen
}

// An interrupt in the middle of a measurement leaves nothing behind.
func TestAnInterruptedRunLeavesNothingBehind(t *testing.T) {
	needRoot(t)
	ctx, cancel := context.WithCancel(context.Background())
	o, err := newProgram().Parse([]string{"-rounds=1000", "-duration=10s", "-workloads=ping", "-rows=kernel,xdp"}, io.Discard)
	require.NoError(t, err)
	started := time.Now()
	progress := writerFunc(func([]byte) { time.AfterFunc(100*time.Millisecond, cancel) }) // when all is open
	results, err := measureAll(ctx, options{Options: o}, progress)
	require.NoError(t, err)
	require.Empty(t, results)
	require.Less(t, time.Since(started), 10*patience) // not hours
	require.Empty(t, namespaces(t))
}

type writerFunc func([]byte)

func (f writerFunc) Write(b []byte) (int, error) { f(b); return len(b), nil }

func TestUnknownNamesAreRefused(t *testing.T) {
	for _, arg := range []string{"-rows=kernel,typo", "-workloads=typo", "-rounds=0", "-duration=0s", "stray"} {
		var stderr bytes.Buffer
		require.Equal(t, measure.ExitUsage, newProgram().Run([]string{arg}, &stderr, &stderr), arg)
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
	require.Zero(t, s.Errors)

	s, err = parseWrk(out + "  Socket errors: connect 0, read 3, write 0, timeout 0\n")
	require.NoError(t, err)
	require.Equal(t, 1, s.Errors)
	require.ErrorContains(t, s.FirstError, "read 3")

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

func TestEveryTargetNamesAWorkloadAndARow(t *testing.T) {
	require.Empty(t, measure.Misnamed(targets, workloads, rows))
}
