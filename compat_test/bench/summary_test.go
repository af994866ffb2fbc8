package main

import (
	"bytes"
	"testing"

	"github.com/fastnet-go/fastnet/compat_test/internal/measure"

	"github.com/stretchr/testify/require"
)

// The ratio is taken within a round first: a machine that slows down in one
// round slows both rows.
func TestRatioIsTheMedianOfTheRoundsRatios(t *testing.T) {
	wl, kernel, memory := workloads[0], rows[0], rows[1]
	var r results
	for round, v := range []struct{ kernel, memory float64 }{{100, 300}, {10, 40}, {1, 5}} {
		r = append(r,
			measurement{workload: wl, row: kernel, round: round, sample: Sample{Value: v.kernel}},
			measurement{workload: wl, row: memory, round: round, sample: Sample{Value: v.memory}})
	}
	r = append(r, measurement{workload: wl, row: memory, round: 3, sample: Sample{Value: 9}}) // without a partner
	got, ok := r.ratioTo(wl, "memory", "kernel")
	require.True(t, ok)
	require.Equal(t, 4.0, got)
	_, ok = r.ratioTo(wl, "memory", "netstack")
	require.False(t, ok)
}

func TestTargetsAreCheckedOnlyWhereMeasured(t *testing.T) {
	fastnet := &Row{Name: "fastnet"}
	r := results{
		{workload: workloads[0], row: rows[0], sample: Sample{Value: 100}},
		{workload: workloads[0], row: fastnet, sample: Sample{Value: 290}},
		{workload: workloads[5], row: fastnet, sample: Sample{P50: 4, RestP50: 1, P99: 6, RestP99: 1}},
	}
	var b bytes.Buffer
	writeTargets(&b, r)
	require.Equal(t, `
targets, for two processors
  missed   http64  fastnet      ratio to kernel       >= 3       measured 2.90
  reached  beside  fastnet      p50 to that at rest   <= 5       measured 4.00
  missed   beside  fastnet      p99 to that at rest   <= 5       measured 6.00
`, b.String())
}

func TestEveryTargetNamesAWorkload(t *testing.T) {
	for _, target := range targets {
		_, err := measure.Pick("workload", workloads, target.workload)
		require.NoError(t, err)
	}
}

func TestTransmittedReadsTheInterfacesCounter(t *testing.T) {
	const table = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 1000 10 0 0 0 0 0 0 2000 20 0 0 0 0 0 0
  eth0: 3000 30 0 0 0 0 0 0 4000 40 0 0 0 0 0 0
   bad: 1
`
	require.EqualValues(t, 20, transmitted([]byte(table), "lo"))
	require.EqualValues(t, 40, transmitted([]byte(table), "eth0"))
	require.Zero(t, transmitted([]byte(table), "bad"))
	require.Zero(t, transmitted([]byte(table), "none"))
}
