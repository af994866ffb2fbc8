// Package measure is what the benchmarks share: goroutines that load a
// network and count, distributions of latencies, medians over interleaved
// rounds, and the ways in which all that is printed and kept.
package measure
