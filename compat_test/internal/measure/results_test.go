package measure

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type sample struct {
	Outcome
	P50 float64
}

func valued(v float64) sample { return sample{Outcome: Outcome{Value: v}} }

var (
	ping = &Workload{Name: "ping", Unit: "1/s"}
	wait = &Workload{Name: "wait", Unit: "us", LowerIsBetter: true}
	base = &Row{Name: "kernel"}
	ours = &Row{Name: "fastnet"}
	bulk = &Row{Name: "bulky", Only: []string{"bulk"}}
)

// rounds are results of ping on two rows, whose ratios are 3, 4 and 5, and one of
// ours without a partner.
func rounds() Results[sample] {
	var r Results[sample]
	for round, v := range []struct{ kernel, fastnet float64 }{{100, 300}, {10, 40}, {1, 5}} {
		r = append(r,
			Measurement[sample]{Workload: ping, Row: base, Round: round, Sample: valued(v.kernel)},
			Measurement[sample]{Workload: ping, Row: ours, Round: round, Sample: valued(v.fastnet)})
	}
	return append(r, Measurement[sample]{Workload: ping, Row: ours, Round: 3, Sample: valued(9)})
}

// The ratio is taken within a round first: a machine that slows down in one
// round slows both rows.
func TestRatioIsTheMedianOfTheRoundsRatios(t *testing.T) {
	r := rounds()
	require.Equal(t, Spread{4, 3, 5}, r.Ratio("ping", "fastnet", "kernel", Value))
	require.Equal(t, Spread{}, r.Ratio("ping", "fastnet", "netstack", Value))
	s := Summarise(r, []*Workload{wait, ping}, []*Row{base, ours, bulk}, "kernel")
	require.Len(t, s, 2, "what was not measured is left out")
	require.Equal(t, ours, s[1].Row)
	require.Equal(t, Spread{4, 3, 5}, s[1].Ratio)
	require.Equal(t, Spread{24.5, 5, 300}, s[1].Value)
}

func TestTargetsAreCheckedOnlyWhereMeasured(t *testing.T) {
	growth := func(s *sample) float64 { return s.P50 }
	targets := []Target[sample]{
		{Workload: "http", Rows: []string{"fastnet"}, What: "rate", Base: "kernel", Limit: 1, Number: Value[sample]},
		{Workload: "ping", Rows: []string{"fastnet", "bulky"}, What: "rate", Base: "kernel", Limit: 4.5, Number: Value[sample]},
		{Workload: "ping", Rows: []string{"fastnet"}, What: "rate", Base: "kernel", Number: Value[sample]},
		{Workload: "wait", Rows: []string{"fastnet"}, What: "p50 to that at rest", AtMost: true, Limit: 5, Number: growth},
		{Workload: "wait", Rows: []string{"fastnet"}, What: "p50 to that at rest", AtMost: true, Limit: 3, Number: growth},
	}
	r := append(rounds(), Measurement[sample]{Workload: wait, Row: ours, Sample: sample{P50: 4}})
	var b bytes.Buffer
	WriteTargets(&b, targets, r)
	require.Equal(t, `
targets, for two processors
  missed   fastnet      ping      rate, ratio to kernel >= 4.5                                       measured 4.00 (3.00 to 5.00)
  -        fastnet      ping      rate, ratio to kernel                                              measured 4.00 (3.00 to 5.00)
  reached  fastnet      wait      p50 to that at rest <= 5                                           measured 4.00 (4.00 to 4.00)
  missed   fastnet      wait      p50 to that at rest <= 3                                           measured 4.00 (4.00 to 4.00)
`, b.String())
}

func TestTargetsThatNameWhatThereIsNotAreFound(t *testing.T) {
	workloads, rows := []*Workload{ping, wait}, []*Row{base, ours, bulk}
	for name, want := range map[string]string{"fastnet": "", "typo": "typo for ping", "bulky": "bulky for ping"} {
		require.Equal(t, want, Misnamed([]Target[sample]{{Workload: "ping", Rows: []string{name}, Base: "kernel"}}, workloads, rows))
	}
	require.Equal(t, "typo", Misnamed([]Target[sample]{{Workload: "typo"}}, workloads, rows))
}

func TestASummaryCountsErrorsAndFailedRounds(t *testing.T) {
	r := Results[sample]{
		{Workload: ping, Row: ours, Round: 0, Sample: sample{Outcome: Outcome{Value: 5, Errors: 3, FirstError: io.EOF}}},
		{Workload: ping, Row: ours, Round: 1, Failed: errors.New("planted")},
	}
	s := Summarise(r, []*Workload{ping}, []*Row{ours}, "kernel")
	require.Len(t, s, 1)
	require.Len(t, s[0].Samples, 1)
	require.Equal(t, 4, s[0].Errors)
	var b bytes.Buffer
	require.Equal(t, 4, writeErrors(&b, "bench", s))
	require.Equal(t, "bench: ping on fastnet: 4 errors, the first: EOF\n", b.String())
}

func TestRowsAreInterleavedAndTakeTurns(t *testing.T) {
	o := Options[*Workload, *Row]{Rounds: 2, Duration: time.Second, Workloads: []*Workload{ping}, Rows: []*Row{base, ours, bulk}}
	var order []string
	var progress bytes.Buffer
	got := Interleave(context.Background(), o, &progress, func(_ *Workload, row *Row, _ int) (sample, error) {
		order = append(order, row.Name)
		return valued(1), nil
	})
	require.Equal(t, []string{"kernel", "fastnet", "fastnet", "kernel"}, order, "and bulky is not for ping")
	require.Len(t, got, 4)
	require.Equal(t, 4, bytes.Count(progress.Bytes(), []byte("\n")))
}
