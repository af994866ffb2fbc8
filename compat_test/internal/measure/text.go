package measure

import (
	"strconv"
	"strings"
	"time"
)

// Number prints v with about three digits that mean something, and a dash
// for what is not known.
func Number(v float64) string {
	switch {
	case v == 0:
		return "-"
	case v >= 1000:
		return thousands(strconv.FormatFloat(v, 'f', 0, 64))
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	default:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
}

func thousands(digits string) string {
	var b strings.Builder
	for i, c := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// Span prints d in microseconds.
func Span(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return Number(float64(d)/float64(time.Microsecond)) + " us"
}
