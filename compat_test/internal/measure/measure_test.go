package measure

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMedian(t *testing.T) {
	require.Zero(t, Median(nil))
	require.Equal(t, 3.0, Median([]float64{9, 1, 3}))
	require.Equal(t, 2.5, Median([]float64{4, 1, 2, 3}))
}

func TestHistogramQuantilesAreRightToTwoPercent(t *testing.T) {
	var h, g Histogram
	for i := range 100_000 {
		if i%2 == 0 {
			h.Record(time.Duration(i))
		} else {
			g.Record(time.Duration(i))
		}
	}
	h.Add(&g)
	for _, q := range []float64{0, .1, .5, .99, 1} {
		require.InDelta(t, q*100_000, float64(h.Quantile(q)), 1+q*2_000)
	}
}

func TestHistogramTakesEveryDuration(t *testing.T) {
	for _, d := range []time.Duration{-1, 0, 1, 63, 64, 127, 128, time.Hour, 1<<63 - 1} {
		var h Histogram
		h.Record(d)
		want := float64(max(d, 0))
		require.InDelta(t, want, float64(h.Quantile(.5)), want*0.016)
	}
}

func TestNumbers(t *testing.T) {
	for v, want := range map[float64]string{0: "-", 0.5: "0.50", 12.34: "12.3", 123.4: "123", 1234.5: "1,234", 1e6: "1,000,000"} {
		require.Equal(t, want, Number(v))
	}
	require.Equal(t, 1235.0, Digits(1234.9))
	require.Equal(t, 0.001235, Digits(0.0012349))
}

func TestReadResponse(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, World!"
	for _, tc := range []struct{ name, in, want string }{
		{"a response", ok, ""},
		{"another status", strings.Replace(ok, "200 OK", "500 No", 1), "not the expected"},
		{"a response cut short", ok[:len(ok)-1], "ended after"},
		{"nothing", "", "ended after 0 bytes"},
		{"too much", strings.Repeat("x", ResponseSize+1), "not the expected"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := ReadResponse(strings.NewReader(tc.in), make([]byte, ResponseSize))
			if tc.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tc.want)
			}
		})
	}
}

func TestRatiosAreThoseOfRoundsThatBothHave(t *testing.T) {
	v := Ratios(map[int]float64{0: 3, 1: 40, 2: 5, 3: 9}, map[int]float64{0: 1, 1: 10, 2: 0})
	require.ElementsMatch(t, []float64{3, 4}, v)
}

func TestTurnRotatesByARound(t *testing.T) {
	rows := []int{1, 2, 3}
	require.Equal(t, []int{2, 3, 1}, Turn(rows, 4))
	require.Equal(t, []int{1, 2, 3}, rows)
}
