package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/compat_test/internal/measure"
)

// Every workload runs on every row without an error. Nothing is said of
// rates.
func TestWorkloadsRunOnEveryRow(t *testing.T) {
	for _, wl := range workloads {
		for _, row := range rows {
			if !row.Runs(wl) {
				continue
			}
			t.Run(wl.Name+"/"+row.Name, func(t *testing.T) {
				s, err := measureOne(context.Background(), row, wl, 50*time.Millisecond)
				require.NoError(t, err)
				require.NoError(t, s.FirstError)
				require.Zero(t, s.Errors)
				require.Positive(t, s.Wall)
			})
		}
	}
}

// What a measurement leaves running would slow the next row's.
func TestAMeasurementLeavesNoGoroutineBehind(t *testing.T) {
	for _, row := range rows {
		t.Run(row.Name, func(t *testing.T) {
			before := runtime.NumGoroutine()
			for _, wl := range workloads {
				if !row.Runs(wl) {
					continue
				}
				_, err := measureOne(context.Background(), row, wl, 10*time.Millisecond)
				require.NoError(t, err)
			}
			require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+1 }, // the one that Eventually starts
				time.Minute, 10*time.Millisecond, "more than %d goroutines", before)
		})
	}
}

func TestRunPrintsTheTableAndAppendsARecordForEachRow(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out.jsonl")
	var r record
	// A busy machine may leave a short measurement without a single operation, and
	// two without a ratio.
	for d, runs := 20*time.Millisecond, 1; r.Ratio <= 0 || runs <= 2; d, runs = d*2, runs+1 {
		require.Less(t, d, 30*time.Second, "nothing happens")
		args := []string{"--rounds=2", "--duration=" + d.String(), "--workloads=ping", "--rows=kernel,memory", "--out=" + out}
		var stdout, stderr bytes.Buffer
		require.Equal(t, measure.ExitOK, newProgram().Run(args, &stdout, &stderr), stderr.String())
		require.Contains(t, stdout.String(), "ping:")
		require.Contains(t, stdout.String(), "memory")
		b, err := os.ReadFile(out)
		require.NoError(t, err)
		lines := strings.Split(strings.TrimSpace(string(b)), "\n")
		require.Len(t, lines, 2*runs)
		r = record{}
		require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &r))
	}
	require.Equal(t, "ping", r.Workload)
	require.Equal(t, "memory", r.Row)
	require.Equal(t, 2, r.Rounds)
	require.LessOrEqual(t, r.Min, r.Value)
	require.GreaterOrEqual(t, r.Max, r.Value)
	require.Positive(t, r.Ratio)
	require.NotEmpty(t, r.CPU)
}

func TestAnInterruptedRunKeepsWhatItHas(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	o, err := newProgram().Parse([]string{"--rounds=1000", "--duration=10ms", "--workloads=ping", "--rows=memory"}, &bytes.Buffer{})
	require.NoError(t, err)
	progress := writerFunc(func([]byte) { cancel() }) // after the first measurement
	got, err := measureAll(ctx, o, progress)
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Len(t, measure.Summarise(got, workloads, rows, kernelRow), 1)
}

func TestAProfileNeedsOneRowAndOneWorkload(t *testing.T) {
	var stderr bytes.Buffer
	require.Equal(t, measure.ExitUsage, newProgram().Run([]string{"--cpuprofile=x", "--rows=memory"}, &stderr, &stderr))
	require.Contains(t, stderr.String(), "-workloads")
}

func TestUnknownNamesAreRefused(t *testing.T) {
	for _, arg := range []string{"--rows=kernel,typo", "--workloads=typo", "--rounds=0", "--duration=0s", "stray"} {
		var stderr bytes.Buffer
		require.Equal(t, measure.ExitUsage, newProgram().Run([]string{arg}, &stderr, &stderr), arg)
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(b []byte) (int, error) { f(b); return len(b), nil }
