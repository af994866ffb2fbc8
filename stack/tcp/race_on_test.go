//go:build race

package tcp

// raceEnabled: the race detector makes sync.Pool drop what it is given, so
// that memory is allocated again.
const raceEnabled = true
