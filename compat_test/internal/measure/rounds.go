package measure

import "slices"

// Turn rotates the rows by one place a round, so that no row always runs
// after the same other one, whose garbage and heat it would inherit.
func Turn[T any](rows []T, round int) []T {
	k := round % len(rows)
	return append(append([]T{}, rows[k:]...), rows[:k]...)
}

// Median of an even number of values is the mean of the middle two; of none
// it is 0. It sorts v.
func Median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// Ratio is 0 where it is not defined.
func Ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// Ratios are those of two rows' values, both by round, in the rounds in which
// both gave a value: a machine that slows down in one round slows both.
func Ratios(row, base map[int]float64) []float64 {
	var v []float64
	for round, a := range row {
		if b := base[round]; b > 0 {
			v = append(v, a/b)
		}
	}
	return v
}
